//! A model that starts from its data puts out their mean image before it is trained.

use burn_ndarray::NdArray;

use crate::{Vae, convolve};
use vae_spec::{
    Convolutions, DataStart, Likelihood, ModelConfig, Prior, Spread, Upsampling, Weights,
};

/// Some roundings of an f32, through an exponential.
const ROUNDED: f64 = 1e-6;

const GAUSSIAN: Likelihood = Likelihood::Gaussian(Spread::Learned);

/// The likelihood's mean for each pixel, whatever the latents, of a decoder whose last weights are 0.
fn mean_image(config: &ModelConfig, data: &DataStart) -> Vec<f64> {
    let mut weights = Weights::initial(config, 1);
    weights.start_output_from(config, data);
    let mut tensors = weights.tensors().to_vec();
    let last = tensors
        .iter_mut()
        .find(|tensor| tensor.name == "output.weight");
    last.expect("a last layer").values.fill(0.0);
    let weights = Weights::from_tensors(config, tensors).expect("the same tensors");
    let vae = Vae::<NdArray<f64>>::new(config, &weights, &Default::default(), convolve);
    let z = vae.parameters()[0].clone().narrow(0, 0, config.latent);
    let output = vae.decode(z.reshape([1, config.latent]), None, &mut |_, _| {});
    let output = output.into_data();
    let means = output.iter().map(|x| config.likelihood.mean_of(x, 1e-3));
    means.collect()
}

fn check(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs() / expected.abs();
        assert!(error < ROUNDED, "{found}, not {expected}");
    }
}

#[test]
fn a_dense_output_starts_at_the_mean_image() {
    let means = vec![0.0, 0.2, 0.5, 1.0];
    for (likelihood, expected) in [
        (Likelihood::Bernoulli, [0.001, 0.2, 0.5, 0.999]),
        (Likelihood::Poisson, [0.001, 0.2, 0.5, 1.0]),
        (
            Likelihood::NegativeBinomial(Spread::Learned),
            [0.001, 0.2, 0.5, 1.0],
        ),
        (
            Likelihood::Laplace(Spread::Learned),
            [1e-300, 0.2, 0.5, 1.0],
        ),
        (GAUSSIAN, [1e-300, 0.2, 0.5, 1.0]),
    ] {
        let config = ModelConfig {
            likelihood,
            ..ModelConfig::dense(4, &[3], 2)
        };
        let data = DataStart {
            means: means.clone(),
            ..DataStart::default()
        };
        let mut found = mean_image(&config, &data);
        // A mean of exactly 0 has no relative error.
        if expected[0] < 1e-200 {
            assert_eq!(found[0], 0.0);
            found[0] = expected[0];
        }
        check(&found, &expected);
    }
}

#[test]
fn a_convolutional_output_starts_at_the_mean_of_each_channel() {
    let config = ModelConfig {
        image: [2, 2, 2],
        convolutions: Some(Convolutions {
            channels: vec![3],
            kernel: 3,
            stride: 1,
            upsampling: Upsampling::Nearest,
            groups: None,
            residual_blocks: 0,
        }),
        ..ModelConfig::dense(8, &[3], 2)
    };
    let data = DataStart {
        means: vec![0.1, 0.2, 0.3, 0.4, 0.9, 0.9, 0.7, 0.7],
        ..DataStart::default()
    };
    let expected = [[0.25; 4], [0.8; 4]].concat();
    check(&mean_image(&config, &data), &expected);
}

#[test]
fn nothing_else_moves_with_the_output() {
    let config = ModelConfig::dense(4, &[3], 2);
    let fresh = Weights::initial(&config, 1);
    let mut started = fresh.clone();
    let data = DataStart {
        means: vec![0.1; 4],
        ..DataStart::default()
    };
    started.start_output_from(&config, &data);
    let moved = |one: &Weights, other: &Weights| -> Vec<String> {
        let both = one.tensors().iter().zip(other.tensors());
        let moved = both.filter(|(one, other)| one != other);
        moved.map(|(one, _)| one.name.clone()).collect()
    };
    assert_eq!(moved(&fresh, &started), ["output.bias"]);
    let unchanged = started.clone();
    started.start_from(&config, &data);
    assert_eq!(started, unchanged);
}

#[test]
fn a_learned_spread_starts_at_the_datas() {
    let data = DataStart {
        deviations: vec![0.0, 0.3, 0.4],
        ..DataStart::default()
    };
    let spread = |likelihood| {
        let config = ModelConfig {
            likelihood,
            ..ModelConfig::dense(3, &[2], 1)
        };
        let mut weights = Weights::initial(&config, 1);
        weights.start_from(&config, &data);
        let logs = weights.values("likelihood.log_spread").iter();
        logs.map(|&log| Likelihood::spread_of(log.into()))
            .collect::<Vec<f64>>()
    };
    // The root of the mean square, 0.25 / 3; at least 0.01 for each pixel.
    check(&spread(GAUSSIAN), &[(0.25f64 / 3.0).sqrt()]);
    let of_each = Likelihood::Gaussian(Spread::PerDimension);
    check(&spread(of_each), &[0.01, 0.3, 0.4]);
    // The dispersion of counts is not a spread around a mean.
    check(
        &spread(Likelihood::NegativeBinomial(Spread::PerDimension)),
        &[Likelihood::spread_of(0.0); 3],
    );
    assert!(spread(Likelihood::Gaussian(Spread::Fixed(0.5))).is_empty());
}

#[test]
fn a_vampprior_starts_from_images_of_the_data() {
    let config = ModelConfig {
        prior: Prior::Vamp { inputs: 2 },
        ..ModelConfig::dense(2, &[3], 1)
    };
    let mut weights = Weights::initial(&config, 1);
    let data = DataStart {
        images: vec![0.1, 0.2, 0.3, 0.4],
        deviations: vec![0.3; 2],
        ..DataStart::default()
    };
    weights.start_from(&config, &data);
    assert_eq!(weights.values("prior.images"), data.images);
}
