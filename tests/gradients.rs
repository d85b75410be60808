//! Gradients of the whole loss: burn's autodiff against central finite differences of the plain loss in f64.

use vae_rng::{Generator, Stream};
use vae_spec::{
    Activation, Batch, Engine, EngineSetup, Initialization, Likelihood, ModelConfig, NamedTensor,
    Optimizer, OptimizerConfig, Spread, Step, Weighting, Weights,
};

use crate::common::plain_loss::{Formula, loss};
use crate::common::{Route, distance};

const SEED: u64 = 3;
const STEP: u64 = 5;
const BETA: f32 = 0.7;
const BATCH: usize = 4;

fn config(hidden: &[usize]) -> ModelConfig {
    ModelConfig {
        init: Initialization::Pytorch,
        ..ModelConfig::dense(7, hidden, 3)
    }
}

/// Every activation with either likelihood, with one and three hidden layers.
fn variants() -> Vec<ModelConfig> {
    let activations = [
        Activation::Relu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Gelu,
        Activation::LeakyRelu,
        Activation::Softplus,
    ];
    let likelihoods = [
        Likelihood::Bernoulli,
        Likelihood::Gaussian(Spread::Fixed(0.5)),
    ];
    let mut variants = Vec::new();
    for activation in activations {
        for likelihood in likelihoods {
            for hidden in [&[9][..], &[6, 5, 11]] {
                variants.push(ModelConfig {
                    activation,
                    likelihood,
                    ..config(hidden)
                });
            }
        }
    }
    variants
}

/// Two, one, three and no hidden layers, of various widths.
const DEPTHS: [&[usize]; 4] = [&[6, 5], &[9], &[6, 5, 11], &[]];

/// Initial weights, with the first latent's `log_var` pushed below the clamp, where its gradient must vanish.
fn weights(config: &ModelConfig) -> Weights {
    let mut tensors = Weights::initial(config, SEED).tensors().to_vec();
    let bias = tensors
        .iter_mut()
        .find(|tensor| tensor.name == "log_var.bias")
        .expect("a layer");
    bias.values[0] = -35.0;
    Weights::from_tensors(config, tensors).expect("its own tensors")
}

fn step() -> Step {
    Step {
        weighting: Weighting {
            beta: BETA,
            ..Weighting::PLAIN
        },
        ..Step::plain(STEP, 0.0)
    }
}

fn images(config: &ModelConfig) -> Vec<f32> {
    Generator::new(SEED, Stream::Shuffle).uniforms(0, 0, BATCH, config.pixels())
}

/// The central difference of the plain loss for each parameter.
fn finite_differences(config: &ModelConfig, formula: Formula) -> Vec<NamedTensor> {
    let eps = Generator::new(SEED, Stream::Noise).normals(STEP, 0, BATCH, config.latent);
    let weights = weights(config).tensors().to_vec();
    let images = images(config);
    let at = |tensors: &[NamedTensor]| loss(config, tensors, &images, &eps, BETA.into(), formula);
    let mut gradients = weights.clone();
    for (t, tensor) in gradients.iter_mut().enumerate() {
        for (i, gradient) in tensor.values.iter_mut().enumerate() {
            // The weights are f32: the difference is divided by the step actually taken.
            let mut moved = weights.clone();
            let center = weights[t].values[i];
            let (up, down) = (center + 1e-4, center - 1e-4);
            moved[t].values[i] = up;
            let above = at(&moved);
            moved[t].values[i] = down;
            *gradient = ((above - at(&moved)) / (f64::from(up) - f64::from(down))) as f32;
        }
    }
    gradients
}

/// The largest error of a route's gradients against finite differences of `formula`, in tolerances.
///
/// A central difference with h = 1e-4 has an error of h^2 / 6 times the third derivative, at most 1e-5 here, where all
/// weights are below 1; a gradient in f32 one of about 50 roundings of 2^-24 of terms of at most 10, 3e-5.
fn worst(route: Route, config: &ModelConfig, formula: Formula) -> f32 {
    let weights = weights(config);
    let found = engine(route, config, &weights)
        .gradients(&Batch::of(&images(config)), &step())
        .expect("a working device");
    let expected = finite_differences(config, formula);
    assert_eq!(found.len(), expected.len());
    let each = found.iter().zip(&expected).map(|(found, expected)| {
        assert_eq!(
            (&found.name, &found.shape),
            (&expected.name, &expected.shape)
        );
        distance(&found.values, &expected.values, |_| 1e-4)
    });
    each.fold(0.0, f32::max)
}

fn engine(route: Route, model: &ModelConfig, weights: &Weights) -> Box<dyn Engine> {
    let optimizer = OptimizerConfig::new(Optimizer::Adam);
    route.engine(&EngineSetup::new(model, weights, optimizer, SEED))
}

fn is_exact(route: Route) {
    for config in DEPTHS.map(config).into_iter().chain(variants()) {
        let worst = worst(route, &config, Formula::Right);
        assert!(worst <= 1.0, "{route:?}, {config:?}: {worst} tolerances");
    }
}

#[test]
fn ndarray_gradients_are_the_finite_differences_of_the_loss() {
    is_exact(Route::Ndarray);
}

#[test]
fn fused_gradients_and_wgpu_gradients_are_the_finite_differences_of_the_loss() {
    Route::others().into_iter().for_each(is_exact);
}

#[test]
fn gradients_of_wrong_losses_are_told_apart() {
    for formula in [
        Formula::FlippedKlSign,
        Formula::DoubledKl,
        Formula::MeanOverPixels,
    ] {
        for route in Route::all() {
            assert!(
                worst(route, &config(DEPTHS[0]), formula) > 100.0,
                "{route:?}"
            );
        }
    }
}

#[test]
fn a_neighbouring_activation_or_output_is_told_apart() {
    let gradients = |model: &ModelConfig| {
        let mut engine = engine(Route::Cpu, model, &weights(model));
        let gradients = engine.gradients(&Batch::of(&images(model)), &step());
        let gradients = gradients.expect("a working device").into_iter();
        gradients
            .flat_map(|tensor| tensor.values)
            .collect::<Vec<f32>>()
    };
    let variants = variants();
    for (index, variant) in variants.iter().enumerate() {
        for other in &variants[..index] {
            if other.hidden == variant.hidden {
                let distance = distance(&gradients(variant), &gradients(other), |_| 1e-4);
                assert!(distance > 10.0, "{variant:?}, {other:?}: {distance}");
            }
        }
    }
}

#[test]
fn a_logit_of_exactly_zero_has_the_gradient_one_half_minus_x() {
    let model = config(DEPTHS[0]);
    let mut tensors = Weights::initial(&model, SEED).tensors().to_vec();
    tensors
        .iter_mut()
        .for_each(|tensor| tensor.values.fill(0.0));
    let weights = Weights::from_tensors(&model, tensors).expect("its own tensors");
    let images = images(&model);
    let mean = |pixel: usize| {
        images
            .iter()
            .skip(pixel)
            .step_by(model.pixels())
            .sum::<f32>()
            / BATCH as f32
    };
    let expected: Vec<f32> = (0..model.pixels()).map(|pixel| 0.5 - mean(pixel)).collect();
    for route in Route::all() {
        let gradients = engine(route, &model, &weights)
            .gradients(&Batch::of(&images), &Step::plain(0, 0.0))
            .expect("a working device");
        let found = &gradients
            .iter()
            .find(|tensor| tensor.name == "output.bias")
            .expect("a layer")
            .values;
        assert!(
            distance(found, &expected, |_| 1e-6) <= 1.0,
            "{route:?}: {found:?} against {expected:?}"
        );
    }
}
