//! Priors as densities; the tests of `objective` compare them with SciPy's.

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;

use super::{log_sum_exp, repeat_rows};
use crate::{Vae, convolve};
use vae_spec::{Likelihood, ModelConfig, Prior, Spread, Weights};

type Double = Autodiff<NdArray<f64>>;

fn matrix<B: Backend>(values: &[f64], columns: usize) -> Tensor<B, 2> {
    let data = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
    Tensor::from_data(data, (&B::Device::default(), DType::F64))
}

fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

/// A model with one latent, two pixels and initial weights.
fn vae(prior: Prior, likelihood: Likelihood) -> Vae<Double> {
    let config = ModelConfig {
        prior,
        likelihood,
        ..ModelConfig::dense(2, &[3], 1)
    };
    let weights = Weights::initial(&config, 5);
    Vae::new(&config, &weights, &Default::default(), convolve)
}

const PRIORS: [Prior; 3] = [
    Prior::Normal,
    Prior::Mixture { components: 3 },
    Prior::Vamp { inputs: 2 },
];

#[test]
fn every_prior_integrates_to_1() {
    // The trapezoidal rule of a smooth function that vanishes at both ends is exact but for rounding.
    let step = 0.01;
    let points: Vec<f64> = (-3000..=3000).map(|k| f64::from(k) * step).collect();
    for prior in PRIORS {
        let log_densities = vae(prior, Likelihood::Bernoulli).log_prior(matrix(&points, 1));
        assert_eq!(log_densities.dtype(), DType::F64);
        let sum: f64 = read(log_densities).into_iter().map(f64::exp).sum();
        assert!(
            (sum * step - 1.0).abs() < 1e-12,
            "{prior:?}: {}",
            sum * step
        );
    }
}

#[test]
fn images_of_a_vampprior_are_clamped_to_the_likelihoods_range() {
    let density = |likelihood, images: [f64; 4]| {
        let mut vae = vae(Prior::Vamp { inputs: 2 }, likelihood);
        let last = vae.parameters().len() - 1;
        let images = matrix::<Double>(&images, 4).reshape([4]).require_grad();
        vae.parameters_mut()[last] = images.clone();
        let density = vae.log_prior(matrix(&[0.4], 1));
        let gradient = images.grad(&density.backward()).expect("a gradient");
        (read(density)[0], read(gradient))
    };
    let (inside, outside) = ([0.0, 0.3, 1.0, 0.6], [-3.0, 0.3, 5.0, 0.6]);
    for likelihood in [
        Likelihood::Bernoulli,
        Likelihood::ContinuousBernoulli,
        Likelihood::DiscretizedLogistic(Spread::Learned),
    ] {
        let (of_outside, gradient) = density(likelihood, outside);
        assert_eq!(of_outside, density(likelihood, inside).0);
        assert_eq!(is_zero(&gradient), [true, false, true, false]);
    }
    // Counts are bounded below, other numbers not at all.
    let (_, gradient) = density(Likelihood::Poisson, outside);
    assert_eq!(is_zero(&gradient), [true, false, false, false]);
    let gaussian = Likelihood::Gaussian(Spread::Learned);
    assert_eq!(is_zero(&density(gaussian, outside).1), [false; 4]);
    assert_ne!(density(gaussian, outside).0, density(gaussian, inside).0);
}

fn is_zero(values: &[f64]) -> Vec<bool> {
    values.iter().map(|&x| x == 0.0).collect()
}

#[test]
fn the_log_of_a_sum_of_exponentials_neither_overflows_nor_vanishes() {
    let x = matrix::<Double>(&[1e4, 1e4, -1e4, -1e4 - 1.0, 0.0, 2.0], 2).require_grad();
    let sums = log_sum_exp(x.clone(), 1);
    assert_eq!(sums.dims(), [3, 1]);
    let by_hand = [
        1e4 + 2f64.ln(),
        -1e4 + (-1f64).exp().ln_1p(),
        2.0 + (-2f64).exp().ln_1p(),
    ];
    for (found, expected) in read(sums.clone()).into_iter().zip(by_hand) {
        assert!((found / expected - 1.0).abs() < 1e-15, "{found} {expected}");
    }
    // Its gradient is the softmax, whose rows sum to 1.
    let softmax = read(x.grad(&sums.backward()).expect("a gradient"));
    for (row, expected) in softmax.chunks(2).zip([0.5, 1.0 / (1.0 + (-1f64).exp())]) {
        assert!((row[0] - expected).abs() < 1e-15 && (row[0] + row[1] - 1.0).abs() < 1e-15);
    }
}

#[test]
fn rows_are_repeated_one_behind_the_other() {
    let x = matrix::<Double>(&[1.0, 2.0, 3.0, 4.0], 2);
    let repeated = repeat_rows(x, 2);
    assert_eq!(repeated.dims(), [4, 2]);
    assert_eq!(read(repeated), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
}
