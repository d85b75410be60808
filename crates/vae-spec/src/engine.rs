//! What an engine is: something that executes the model. The trainer and every command speak only this language, so that
//! neither names a burn backend.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Corruption, ModelConfig, NamedTensor, Objective, ObjectiveKind, OptimizerConfig, Weighting,
    Weights, WeightsError,
};

/// A loss and what it is made of, each the mean over a batch, in nats per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// What training minimises; `-ELBO` where that is the objective and `beta = 1`.
    #[serde(default)]
    pub loss: f64,
    /// Negative log-likelihood of the images.
    pub recon: f64,
    /// Divergence of the posterior from the prior, before `beta`.
    pub kl: f64,
    /// Of [`crate::ObjectiveKind::BetaTc`], as the next two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_code_mi: Option<f64>,
    /// How far the latents of all images together are from independent dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_correlation: Option<f64>,
    /// Divergence of each latent dimension from the prior's, summed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension_wise_kl: Option<f64>,
    /// Of [`crate::ObjectiveKind::Mmd`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmd: Option<f64>,
}

impl Losses {
    /// How many numbers [`Self::to_array`] has.
    pub const TERMS: usize = 7;

    /// Those of an ELBO.
    #[must_use]
    pub fn of_elbo(recon: f64, kl: f64, beta: f32) -> Self {
        Self {
            loss: recon + f64::from(beta) * kl,
            recon,
            kl,
            ..Self::default()
        }
    }

    /// Out of numbers in the order of [`Self::to_array`], NaN for those that are not there.
    #[must_use]
    pub fn from_array([loss, recon, kl, mi, tc, dimensions, mmd]: [f64; Self::TERMS]) -> Self {
        let there = |value: f64| (!value.is_nan()).then_some(value);
        Self {
            loss,
            recon,
            kl,
            index_code_mi: there(mi),
            total_correlation: there(tc),
            dimension_wise_kl: there(dimensions),
            mmd: there(mmd),
        }
    }

    /// All numbers, NaN for those that are not there.
    #[must_use]
    pub fn to_array(self) -> [f64; Self::TERMS] {
        let extra = [
            self.index_code_mi,
            self.total_correlation,
            self.dimension_wise_kl,
            self.mmd,
        ];
        let [mi, tc, dimensions, mmd] = extra.map(|value| value.unwrap_or(f64::NAN));
        [self.loss, self.recon, self.kl, mi, tc, dimensions, mmd]
    }

    /// Out of an objective's loss, `recon`, `kl` and its extra terms.
    ///
    /// # Panics
    /// If there are not as many.
    #[must_use]
    pub fn of_terms(kind: ObjectiveKind, terms: &[f32]) -> Self {
        let mut all = [f64::NAN; Self::TERMS];
        let first = match kind {
            ObjectiveKind::Mmd { .. } => 6,
            _ => 3,
        };
        let places = [0, 1, 2].into_iter().chain(first..);
        assert_eq!(
            terms.len(),
            3 + kind.extra_terms().len(),
            "terms of {kind:?}"
        );
        for (place, &term) in places.zip(terms) {
            all[place] = term.into();
        }
        Self::from_array(all)
    }
}

/// The means of several batches, each weighted by its number of images.
impl FromIterator<(Self, usize)> for Losses {
    fn from_iter<I: IntoIterator<Item = (Self, usize)>>(batches: I) -> Self {
        let mut sum = [0.0; Self::TERMS];
        let mut images = 0.0;
        for (losses, count) in batches {
            for (sum, value) in sum.iter_mut().zip(losses.to_array()) {
                *sum += value * count as f64;
            }
            images += count as f64;
        }
        Self::from_array(sum.map(|sum| sum / images))
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

impl Snapshot {
    /// The weights that everything but training computes with: the average, if `optimizer` keeps one.
    #[must_use]
    pub fn evaluated(&self, optimizer: &OptimizerConfig) -> &Weights {
        let average = optimizer.ema.and_then(|_| self.moments.last());
        average.unwrap_or(&self.weights)
    }
}

/// What an engine is built from.
#[derive(Clone, Debug)]
pub struct EngineSetup<'a> {
    /// The network.
    pub model: &'a ModelConfig,
    /// Its weights, initial or trained.
    pub weights: &'a Weights,
    /// What the optimizer remembers of them, one for each of [`OptimizerConfig::moment_names`]; empty before the first
    /// step.
    pub moments: &'a [Weights],
    /// How it is trained.
    pub optimizer: OptimizerConfig,
    /// Towards what.
    pub objective: Objective,
    /// The seed of all noise.
    pub seed: u64,
}

impl<'a> EngineSetup<'a> {
    /// Before the first step, towards the ELBO.
    #[must_use]
    pub const fn new(
        model: &'a ModelConfig,
        weights: &'a Weights,
        optimizer: OptimizerConfig,
        seed: u64,
    ) -> Self {
        Self {
            model,
            weights,
            moments: &[],
            optimizer,
            objective: Objective::ELBO,
            seed,
        }
    }
}

/// One number of an image, as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Element {
    /// A byte; 255 stands for 1.
    #[default]
    U8,
    /// A single-precision number, little-endian.
    F32,
}

impl Element {
    /// Bytes that it takes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
        }
    }
}

/// The images that an engine trains on, shared with whoever read them.
#[derive(Clone, Debug, Default)]
pub struct TrainingImages {
    /// `[count, pixels]`
    pub bytes: Bytes,
    /// What `bytes` are made of.
    pub element: Element,
    /// The class of each, if the model sees labels.
    pub labels: Vec<u32>,
    /// How many of them are trained on.
    pub count: usize,
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

/// One training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Counted from 0 over the whole run: it chooses the noise and corrects the optimizer's bias.
    pub number: u64,
    /// Learning rate.
    pub lr: f32,
    /// Of the objective's terms.
    pub weighting: Weighting,
    /// Images whose gradients are computed together at most; those of a step are added up. An engine may compute all at once,
    /// for the sum is the same.
    pub micro_batch: usize,
}

impl Step {
    /// All terms weighted alike, the batch at once.
    #[must_use]
    pub const fn plain(number: u64, lr: f32) -> Self {
        Self {
            number,
            lr,
            weighting: Weighting::PLAIN,
            micro_batch: usize::MAX,
        }
    }
}

/// Images outside training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Batch<'a> {
    /// `[batch, pixels]`
    pub images: &'a [f32],
    /// What the encoder sees instead, if they are damaged.
    pub corrupted: Option<&'a [f32]>,
    /// The class of each, if the model sees labels.
    pub labels: &'a [u32],
    /// Place of the first in its data set, which decides the noise.
    pub first_row: u32,
}

impl<'a> Batch<'a> {
    /// Undamaged images without labels, the first of their data set.
    #[must_use]
    pub const fn of(images: &'a [f32]) -> Self {
        Self {
            images,
            corrupted: None,
            labels: &[],
            first_row: 0,
        }
    }
}

/// One model on one device, with its optimizer.
///
/// Images are `[batch, pixels]`, row-major; the batch size is free and may change from call to call. Everything but
/// training, `gradients` and `trace` computes with the average of the weights, if the optimizer keeps one.
///
/// # Errors
/// Every method fails with [`EngineError::Device`] if the device does.
///
/// # Panics
/// If a slice is not a whole number of rows, or a training row is none of the training images.
pub trait Engine {
    /// Hands over the images that [`Engine::train_step`] draws its batches from.
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError>;

    /// One optimizer step on the training images at `rows`. The device may work on it later; [`Engine::take_losses`] has
    /// what came of it.
    fn train_step(&mut self, rows: &[u32], step: &Step) -> Result<(), EngineError>;

    /// The losses of steps since the last call, in order.
    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError>;

    /// The gradients that [`Engine::train_step`] would apply to `batch`, unclipped, named and shaped like the weights: for
    /// comparing engines.
    fn gradients(
        &mut self,
        batch: &Batch<'_>,
        step: &Step,
    ) -> Result<Vec<NamedTensor>, EngineError>;

    /// What [`Engine::train_step`] would compute of `batch`, by name, in the order in which it does, each `[batch,
    /// columns]`; then the gradients: for finding where numbers go wrong.
    fn trace(&mut self, batch: &Batch<'_>, step: &Step) -> Result<Vec<NamedTensor>, EngineError>;

    /// The losses of `batch`, whose noise depends on the seed and on the images' places in their data set alone.
    fn evaluate(&mut self, batch: &Batch<'_>, weighting: Weighting) -> Result<Losses, EngineError>;

    /// Negative log-likelihood of each image of `batch` given its `z`, `[batch, latent]`: `[batch]`, nats.
    fn nll(&mut self, z: &[f32], batch: &Batch<'_>) -> Result<Vec<f32>, EngineError>;

    /// The posterior of each image.
    fn encode(&mut self, batch: &Batch<'_>) -> Result<Posterior, EngineError>;

    /// What the likelihood takes, `[batch, pixels]`, of latents `[batch, latent]` and their labels, if the model sees
    /// labels.
    fn decode(&mut self, z: &[f32], labels: &[u32]) -> Result<Vec<f32>, EngineError>;

    /// A copy of all that training changes.
    fn snapshot(&mut self) -> Result<Snapshot, EngineError>;
}
