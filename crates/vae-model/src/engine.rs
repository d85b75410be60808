//! What an engine is: something that executes the model. The trainer and every command speak only this language, so that
//! neither names a burn backend.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use vae_rng::Corruption;

use crate::{ModelConfig, NamedTensor, OptimizerConfig, Weights, WeightsError};

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
    /// What the optimizer remembers, as [`EngineSetup::moments`].
    pub moments: Vec<Weights>,
}

/// What an engine is built from.
#[derive(Clone, Debug)]
pub struct EngineSetup<'a> {
    /// The network.
    pub model: &'a ModelConfig,
    /// Its weights, initial or trained.
    pub weights: &'a Weights,
    /// What the optimizer remembers of them, one for each of [`crate::Optimizer::moment_names`]; empty before the first
    /// step.
    pub moments: &'a [Weights],
    /// How it is trained.
    pub optimizer: OptimizerConfig,
    /// The seed of all noise.
    pub seed: u64,
}

/// The images that an engine trains on, shared with whoever read them.
#[derive(Clone, Debug, Default)]
pub struct TrainingImages {
    /// `[count, pixels]`: a byte each, 255 for 1, or a little-endian `f32`.
    pub bytes: Bytes,
    /// Whether they are `f32`.
    pub is_float: bool,
    /// Whether each pixel is drawn anew as 0 or 1 at every step, its brightness the probability of 1.
    pub binarize: bool,
    /// What is done to the images that the encoder sees, anew at every step; the loss is that of the image without it.
    pub corruption: Option<Corruption>,
}

/// Whether [`Engine::take_losses`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For all steps asked for so far.
    ForAll,
    /// Not: only what the device has finished.
    No,
}

/// Why an engine cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device stopped working.
    #[error(
        "the device failed: {0}. If its memory is full, a smaller batch may help, else another --backend"
    )]
    Device(String),
    /// The weights belong to another network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// One model on one device, with its optimizer.
///
/// Images are `[batch, pixels]`, row-major; the batch size is free and may change from call to call.
///
/// # Errors
/// Every method fails with [`EngineError::Device`] if the device does.
///
/// # Panics
/// If a slice is not a whole number of rows, or a training row is none of the training images.
pub trait Engine {
    /// Hands over the images that [`Engine::train_step`] draws its batches from.
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError>;

    /// One optimizer step on `recon + beta * kl` of the training images at `rows`. `step` counts from 0 over the whole run:
    /// it chooses the noise and corrects the optimizer's bias. The device may work on it later; [`Engine::take_losses`]
    /// has what came of it.
    fn train_step(&mut self, rows: &[u32], step: u64, beta: f32) -> Result<(), EngineError>;

    /// The losses of steps since the last call, in order.
    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError>;

    /// The gradients that [`Engine::train_step`] would apply to `images`, unclipped, named and shaped like the weights: for
    /// comparing engines.
    fn gradients(
        &mut self,
        images: &[f32],
        step: u64,
        beta: f32,
    ) -> Result<Vec<NamedTensor>, EngineError>;

    /// The losses of `images` with one sample of `z` each, whose noise depends on the seed and on the images' places
    /// `first_row ..` in their data set alone. The encoder sees `corrupted` instead, if there are such.
    fn evaluate(
        &mut self,
        images: &[f32],
        corrupted: Option<&[f32]>,
        first_row: u32,
    ) -> Result<Losses, EngineError>;

    /// Negative log-likelihood of each of `images` given its `z`, `[batch, latent]`: `[batch]`, nats.
    fn nll(&mut self, z: &[f32], images: &[f32]) -> Result<Vec<f32>, EngineError>;

    /// The posterior of each image.
    fn encode(&mut self, images: &[f32]) -> Result<Posterior, EngineError>;

    /// Mean images `[batch, pixels]` (for Bernoulli pixels their probabilities) of latents `[batch, latent]`.
    fn decode(&mut self, z: &[f32]) -> Result<Vec<f32>, EngineError>;

    /// A copy of all that training changes.
    fn snapshot(&mut self) -> Result<Snapshot, EngineError>;
}
