//! What an engine is: something that executes the model. The trainer and every command speak only this language, so that
//! neither names a burn backend.

use serde::{Deserialize, Serialize};

use crate::{ModelConfig, NamedTensor, Weights, WeightsError};

/// An optimizer with its settings, as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// As Keras does it: `v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + eps)`, rho 0.9, eps 1e-7, no momentum.
    Rmsprop,
    /// As PyTorch does it: bias-corrected moments, `w -= lr m / (sqrt(v) + eps)`, betas 0.9 and 0.999, eps 1e-8.
    Adam,
}

/// Settings that are the sources' defaults (Keras 3 `RMSprop`, PyTorch 2 `Adam`).
impl OptimizerConfig {
    /// Decay of RMSprop's mean of squares.
    pub const RMSPROP_RHO: f32 = 0.9;
    /// Added under RMSprop's root.
    pub const RMSPROP_EPS: f32 = 1e-7;
    /// Decay of Adam's mean.
    pub const ADAM_BETA1: f32 = 0.9;
    /// Decay of Adam's mean of squares.
    pub const ADAM_BETA2: f32 = 0.999;
    /// Added to Adam's root.
    pub const ADAM_EPS: f32 = 1e-8;

    /// What it remembers of each parameter, as its source calls it.
    #[must_use]
    pub const fn moment_names(self) -> &'static [&'static str] {
        match self {
            Self::Rmsprop => &["velocity"],
            Self::Adam => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// Adam's corrections of its zero start at its `update`-th update, counted from 1: `1 - beta1^t` and `1 - beta2^t`.
    /// In f64, for late in a run they differ from 1 by less than an f32 resolves.
    #[must_use]
    pub fn adam_corrections(update: u64) -> [f64; 2] {
        [Self::ADAM_BETA1, Self::ADAM_BETA2].map(|beta| 1.0 - f64::from(beta).powf(update as f64))
    }
}

/// The two terms of the loss, each the mean over a batch, in nats per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Negative log-likelihood of the images.
    pub recon: f64,
    /// Divergence of the posterior from the prior, before `beta`.
    pub kl: f64,
}

impl Losses {
    /// `recon + beta * kl`; at `beta = 1` this is `-ELBO`.
    #[must_use]
    pub fn total(self, beta: f32) -> f64 {
        self.recon + f64::from(beta) * self.kl
    }
}

/// The means of several batches, each weighted by its number of images.
impl FromIterator<(Self, usize)> for Losses {
    fn from_iter<I: IntoIterator<Item = (Self, usize)>>(batches: I) -> Self {
        let mut sum = Self::default();
        let mut images = 0.0;
        for (losses, count) in batches {
            sum.recon += losses.recon * count as f64;
            sum.kl += losses.kl * count as f64;
            images += count as f64;
        }
        Self {
            recon: sum.recon / images,
            kl: sum.kl / images,
        }
    }
}

/// Parameters of the approximate posterior of some images.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// Means, `[batch, latent]`.
    pub mu: Vec<f32>,
    /// Logarithms of the variances, clamped to [-30, 20], `[batch, latent]`.
    pub log_var: Vec<f32>,
}

/// Everything that training changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The model's parameters.
    pub weights: Weights,
    /// The optimizer's moments, named `<moment>.<parameter>`; empty before the first step.
    pub optimizer: Vec<NamedTensor>,
}

/// What an engine is built from.
#[derive(Clone, Debug)]
pub struct EngineSetup<'a> {
    /// The network.
    pub model: &'a ModelConfig,
    /// Its weights, initial or trained.
    pub weights: &'a Weights,
    /// How it is trained.
    pub optimizer: OptimizerConfig,
    /// Learning rate.
    pub lr: f32,
    /// The seed of all noise.
    pub seed: u64,
}

/// Why an engine cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device stopped working.
    #[error("the device failed: {0}; out of memory? try a smaller batch, or another --backend")]
    Device(String),
    /// The weights belong to another network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// One model on one device, with its optimizer.
///
/// Images are `[batch, pixels]` in `[0, 1]`, row-major; the batch size is free and may change from call to call.
///
/// # Errors
/// Every method fails with [`EngineError::Device`] if the device does.
///
/// # Panics
/// If a slice is not a whole number of rows.
pub trait Engine {
    /// One optimizer step on `recon + beta * kl` of `images`. `step` counts from 0 over the whole run: it chooses the noise
    /// and corrects the optimizer's bias. Its losses wait on the device for [`Engine::take_losses`].
    fn train_step(&mut self, images: &[f32], step: u64, beta: f32) -> Result<(), EngineError>;

    /// The gradients that [`Engine::train_step`] would apply, named and shaped like the weights: for comparing engines.
    fn gradients(
        &self,
        images: &[f32],
        step: u64,
        beta: f32,
    ) -> Result<Vec<NamedTensor>, EngineError>;

    /// The losses of all steps since the last call, in order. Waits for the device: call it a few times a second, not at
    /// every step.
    fn take_losses(&mut self) -> Result<Vec<Losses>, EngineError>;

    /// The losses of `images` with one sample of `z` each, whose noise depends on the seed and on the images' places
    /// `first_row ..` in their data set alone.
    fn evaluate(&self, images: &[f32], first_row: u32) -> Result<Losses, EngineError>;

    /// The posterior of each image.
    fn encode(&self, images: &[f32]) -> Result<Posterior, EngineError>;

    /// Pixel probabilities `[batch, pixels]` of latents `[batch, latent]`.
    fn decode(&self, z: &[f32]) -> Result<Vec<f32>, EngineError>;

    /// A copy of all that training changes.
    fn snapshot(&self) -> Result<Snapshot, EngineError>;
}
