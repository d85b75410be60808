//! The importance-sampled likelihood on every route: against plain f64 loops over the same draws, and against the integral.

use vae_rng::{Generator, Stream};
use vae_spec::{
    Activation, Batch, Draws, EngineSetup, Initialization, Likelihood, ModelConfig, NamedTensor,
    Optimizer, OptimizerConfig, Spread, Weights,
};

use crate::common::plain_loss::{nll, posterior};
use crate::common::{Route, distance};

const SEED: u64 = 11;
const IMAGES: usize = 20;

fn config(latent: usize, likelihood: Likelihood) -> ModelConfig {
    ModelConfig {
        activation: Activation::Tanh,
        init: Initialization::Pytorch,
        likelihood,
        ..ModelConfig::dense(13, &[9], latent)
    }
}

/// Weights so large that images have posteriors of their own.
fn weights(config: &ModelConfig) -> Weights {
    let mut tensors = Weights::initial(config, SEED).tensors().to_vec();
    let weights = tensors
        .iter_mut()
        .filter(|tensor| !tensor.name.starts_with("log_var"));
    for value in weights.flat_map(|tensor| &mut tensor.values) {
        *value *= 1.5;
    }
    Weights::from_tensors(config, tensors).expect("its own tensors")
}

fn images(config: &ModelConfig) -> Vec<f32> {
    Generator::new(SEED, Stream::Shuffle).uniforms(0, 0, IMAGES, config.pixels())
}

fn estimates(route: Route, config: &ModelConfig, seed: u64, counts: &[usize]) -> Vec<Vec<f64>> {
    let weights = weights(config);
    let setup = EngineSetup::new(
        config,
        &weights,
        OptimizerConfig::new(Optimizer::Adam),
        seed,
    );
    let images = images(config);
    let batch = Batch {
        first_row: 7,
        ..Batch::of(&images)
    };
    let found = route.engine(&setup).importance_nll(&batch, counts);
    found.expect("a working device")
}

/// A model with its weights and one image, in f64.
struct Plain<'a> {
    config: &'a ModelConfig,
    weights: &'a [NamedTensor],
    image: Vec<f64>,
}

fn log_normal(z: &[f64], of: impl Fn(usize) -> (f64, f64)) -> f64 {
    let each = z.iter().enumerate().map(|(j, z)| {
        let (mu, log_var) = of(j);
        -0.5 * (std::f64::consts::TAU.ln() + log_var + (z - mu).powi(2) / log_var.exp())
    });
    each.sum()
}

impl Plain<'_> {
    fn log_joint(&self, z: &[f64]) -> f64 {
        let recon = nll(self.config, self.weights, z.to_vec(), &self.image);
        log_normal(z, |_| (0.0, 0.0)) - recon
    }

    /// Logarithms of the importance weights of the first `count` draws of the image at `row` of its dataset.
    fn log_weights(&self, row: u32, count: usize) -> Vec<f64> {
        let [mu, log_var] = posterior(self.config, self.weights, &self.image);
        let generator = Generator::new(SEED, Stream::EvaluationNoise);
        let mut logs = Vec::new();
        for draws in Draws::of(&[count]) {
            for step in draws.steps() {
                let first = row * draws.at_once as u32;
                let eps = generator.normals(step, first, draws.at_once, self.config.latent);
                logs.extend(eps.chunks(self.config.latent).map(|eps| {
                    let z = (0..eps.len())
                        .map(|j| mu[j] + (0.5 * log_var[j]).exp() * f64::from(eps[j]));
                    let z: Vec<f64> = z.collect();
                    self.log_joint(&z) - log_normal(&z, |j| (mu[j], log_var[j]))
                }));
            }
        }
        logs
    }

    /// `log p(x)` by the trapezoidal rule, whose error vanishes faster than any power of the spacing.
    fn log_marginal(&self) -> f64 {
        const POINTS: usize = 161;
        const REACH: f64 = 8.0;
        let spacing = 2.0 * REACH / (POINTS - 1) as f64;
        let at = |index: usize| index as f64 * spacing - REACH;
        let cells = POINTS.pow(self.config.latent as u32);
        let density = (0..cells).map(|cell| {
            let z = (0..self.config.latent).map(|j| at(cell / POINTS.pow(j as u32) % POINTS));
            self.log_joint(&z.collect::<Vec<f64>>()).exp()
        });
        let volume = spacing.powi(self.config.latent as i32);
        (density.sum::<f64>() * volume).ln()
    }
}

/// Each image of a model with `weights`.
fn plain<'a>(config: &'a ModelConfig, weights: &'a Weights) -> Vec<Plain<'a>> {
    let images = images(config);
    let images = images.chunks(config.pixels());
    let plain = |image: &[f32]| Plain {
        config,
        weights: weights.tensors(),
        image: image.iter().map(|&x| x.into()).collect(),
    };
    images.map(plain).collect()
}

#[test]
fn estimates_are_those_of_plain_loops_over_the_same_draws() {
    const COUNT: usize = 200;
    for likelihood in [
        Likelihood::Bernoulli,
        Likelihood::Gaussian(Spread::Fixed(0.4)),
    ] {
        let config = config(5, likelihood);
        let weights = weights(&config);
        let logs: Vec<Vec<f64>> = (7..)
            .zip(plain(&config, &weights))
            .map(|(row, image)| image.log_weights(row, COUNT))
            .collect();
        let of = |f: &dyn Fn(&[f64]) -> f64| -> Vec<f32> {
            logs.iter().map(|logs| -f(logs) as f32).collect()
        };
        let mean_of_logs = of(&|logs| logs.iter().sum::<f64>() / COUNT as f64);
        let log_of_mean = of(&|logs| {
            let sum: f64 = logs.iter().map(|log| log.exp()).sum();
            (sum / COUNT as f64).ln()
        });
        for route in Route::all() {
            let found = estimates(route, &config, SEED, &[COUNT]);
            let found: Vec<f32> = found[0].iter().map(|&nll| nll as f32).collect();
            // Sums of 13 terms of at most 30 in f32.
            let far = |expected: &[f32]| distance(&found, expected, |_| 5e-5);
            let right = far(&log_of_mean);
            assert!(
                right <= 1.0,
                "{route:?}, {likelihood:?}: {right} tolerances"
            );
            // The ELBO by the same draws is another number.
            assert!(far(&mean_of_logs) > 1_000.0, "{route:?}, {likelihood:?}");
        }
    }
}

#[test]
fn estimates_are_the_integral_within_their_standard_error() {
    const SEEDS: u64 = 12;
    for latent in [1, 2] {
        let config = config(latent, Likelihood::Bernoulli);
        let weights = weights(&config);
        let exact: Vec<f64> = plain(&config, &weights)
            .iter()
            .map(|image| -image.log_marginal())
            .collect();
        let found: Vec<Vec<f64>> = (0..SEEDS)
            .map(|seed| estimates(Route::Cpu, &config, seed, &[1, 5_000]))
            .map(|counts| counts[1].clone())
            .collect();
        let mut worst: f64 = 0.0;
        for (image, exact) in exact.iter().enumerate() {
            let of_image = found.iter().map(|found| found[image]);
            let mean = of_image.clone().sum::<f64>() / SEEDS as f64;
            let squares: f64 = of_image.map(|nll| (nll - mean).powi(2)).sum();
            let error = (squares / (SEEDS * (SEEDS - 1)) as f64).sqrt();
            // Roundings of f32 beside it.
            worst = worst.max((mean - exact).abs() / (error + 5e-6));
            assert!(
                error < 0.02,
                "the estimates of image {image} vary by {error}"
            );
        }
        // Of 20 images the worst of 12 seeds, with 11 degrees of freedom.
        assert!(worst < 5.0, "{latent} latents: {worst} standard errors");
    }
}

#[test]
fn more_draws_go_on_from_fewer_and_the_same_call_gives_the_same_digits() {
    let config = config(3, Likelihood::Bernoulli);
    for route in [Route::Ndarray, Route::Cpu] {
        let all = estimates(route, &config, SEED, &[1, 10, 100, 250]);
        assert_eq!(all, estimates(route, &config, SEED, &[1, 10, 100, 250]));
        assert_eq!(all[3..], estimates(route, &config, SEED, &[250]));
        assert_ne!(all[3..], estimates(route, &config, SEED + 1, &[250]));
        // The bound is tighter with more draws, on average.
        let means = all
            .iter()
            .map(|nll| nll.iter().sum::<f64>() / IMAGES as f64);
        let means: Vec<f64> = means.collect();
        assert!(means.is_sorted_by(|more, fewer| more > fewer), "{means:?}");
    }
}
