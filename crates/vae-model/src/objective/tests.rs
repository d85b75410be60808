//! The objectives in f64 on tiny models: what their tests share.

mod edges;
mod expectations;
mod goldens;
mod gradients;
mod limits;

use burn::tensor::{DType, backend::AutodiffBackend};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use vae_rng::{Generator, Stream};

use super::{Draws, Inputs, Terms, objective};
use crate::{Vae, convolve};
use vae_spec::{Activation, LOG_VAR_MAX, LOG_VAR_MIN, ModelConfig};
use vae_spec::{Objective, Weighting};

pub(super) type Plain = NdArray<f64>;
pub(super) type Double = Autodiff<Plain>;

pub(super) const BATCH: usize = 3;
pub(super) const PIXELS: usize = 4;
pub(super) const LATENT: usize = 2;

pub(super) fn tensor<B: Backend, const D: usize>(
    values: &[f64],
    shape: [usize; D],
) -> Tensor<B, D> {
    let options = (&B::Device::default(), DType::F64);
    Tensor::from_data(TensorData::new(values.to_vec(), shape), options)
}

pub(super) fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

/// Standard normal draws, different for each `seed`.
pub(super) fn normals(seed: u64, count: usize) -> Vec<f64> {
    let generator = Generator::new(seed, Stream::Noise);
    let values = generator.normals(0, 0, 1, count).into_iter();
    values.map(f64::from).collect()
}

/// Fixed noise.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// `[rows, latent]`
    pub(super) eps: Vec<f64>,
    /// `[rows, latent]`
    pub(super) prior: Vec<f64>,
}

impl<B: Backend> Draws<B> for Known {
    fn posterior(&self, mu: Tensor<B, 2>, log_var: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let log_var = log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX);
        let sigma = (log_var.clone() * 0.5).exp();
        let z = mu.clone() + sigma * tensor(&self.eps, mu.dims());
        let kl = (mu.square() + log_var.clone().exp() - log_var - 1.0) * 0.5;
        (z, kl.sum_dim(1).squeeze_dim(1))
    }

    fn prior(&self, z: &Tensor<B, 2>) -> Tensor<B, 2> {
        tensor(&self.prior, z.dims())
    }
}

/// A dense model whose every layer is smooth.
pub(super) fn tiny() -> ModelConfig {
    ModelConfig {
        activation: Activation::Tanh,
        ..ModelConfig::dense(PIXELS, &[3], LATENT)
    }
}

/// A loss, and everything that it depends on.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) config: ModelConfig,
    pub(super) objective: Objective,
    pub(super) weighting: Weighting,
    /// Parameters, in the order of [`ModelConfig::parameters`].
    pub(super) parameters: Vec<Vec<f64>>,
    /// What the likelihood reconstructs, `[batch, pixels]`.
    pub(super) images: Vec<f64>,
    /// Input of the encoder, `[batch, pixels]`.
    pub(super) seen: Vec<f64>,
    pub(super) data_count: usize,
    pub(super) noise: Known,
}

impl Case {
    /// Normal parameters of standard deviation 0.5; images that the likelihood allows.
    pub(super) fn new(config: &ModelConfig, objective: Objective) -> Self {
        let specs = config.parameters().into_iter().enumerate();
        let parameters = specs.map(|(index, spec)| {
            let values = normals(100 + index as u64, spec.length()).into_iter();
            // A VampPrior's pseudo-inputs lie where the likelihood's clamp does not change them.
            if spec.name == "prior.images" {
                values.map(|x| 0.5 + 0.4 * x.tanh()).collect()
            } else {
                values.map(|x| 0.5 * x).collect()
            }
        });
        let likelihood = config.likelihood;
        let images: Vec<f64> = normals(1, BATCH * config.pixels())
            .into_iter()
            .map(|x| match likelihood {
                _ if likelihood.is_count() => (3.0 * x.abs()).floor(),
                // The levels of the discretized logistic; some in the bins at the ends.
                _ if likelihood.is_unit() => {
                    ((0.5 + 0.5 * x).clamp(0.0, 1.0) * 255.0).round() / 255.0
                }
                _ => x,
            })
            .collect();
        let rows = BATCH * objective.samples * config.latent;
        Self {
            parameters: parameters.collect(),
            config: config.clone(),
            objective,
            weighting: Weighting {
                anneal: 0.75,
                beta: 0.5,
                capacity: 0.25,
            },
            seen: images.clone(),
            images,
            data_count: 50,
            noise: Known {
                eps: normals(2, rows),
                prior: normals(3, rows),
            },
        }
    }

    pub(super) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut case = self.clone();
        change(&mut case);
        case
    }

    pub(super) fn vae<B: Backend>(&self) -> Vae<B> {
        let parameters = self.parameters.iter();
        let parameters = parameters.map(|values| tensor(values, [values.len()]).require_grad());
        Vae::with(&self.config, parameters.collect(), convolve)
    }

    pub(super) fn terms<B: Backend>(&self, vae: &Vae<B>) -> Terms<B> {
        let pixels = self.config.pixels();
        let matrix = |values: &Vec<f64>| tensor(values, [values.len() / pixels, pixels]);
        let inputs = Inputs {
            images: matrix(&self.images),
            seen: matrix(&self.seen),
            labels: None,
        };
        let (weighting, count) = (self.weighting, self.data_count);
        objective(vae, &self.objective, weighting, inputs, count, &self.noise)
    }

    pub(super) fn loss(&self) -> f64 {
        read(self.terms::<Plain>(&self.vae()).loss)[0]
    }

    /// Gradients of the loss alone, one for each parameter, zeros where it does not depend on it.
    pub(super) fn gradients(&self) -> Vec<Vec<f64>> {
        let vae = self.vae::<Double>();
        let gradients = self.terms(&vae).loss.backward();
        gradients_of(&vae, &gradients)
    }
}

pub(super) fn gradients_of<B: AutodiffBackend>(
    vae: &Vae<B>,
    gradients: &B::Gradients,
) -> Vec<Vec<f64>> {
    let parameters = vae.parameters().iter();
    parameters
        .map(|parameter| match parameter.grad(gradients) {
            Some(gradient) => read(gradient),
            None => vec![0.0; parameter.dims()[0]],
        })
        .collect()
}

/// The largest elementwise distance between two lists of arrays, relative to 1 plus the expected magnitude.
pub(super) fn distance(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let both = found.iter().zip(expected);
    let distances = both.flat_map(|(found, expected)| {
        assert_eq!(found.len(), expected.len());
        let both = found.iter().zip(expected);
        both.map(|(f, e)| {
            assert!(f.is_finite() && e.is_finite(), "{f} {e}");
            (f - e).abs() / (1.0 + e.abs())
        })
    });
    distances.fold(0.0, f64::max)
}
