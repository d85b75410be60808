//! The interface of engines, which execute a model. The trainer and every command know only this trait, so that neither names a
//! burn backend.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Corruption, ModelConfig, NamedTensor, Objective, ObjectiveKind, OptimizerConfig, Weighting,
    Weights, WeightsError,
};

/// A loss and its terms, each the mean over a batch, in nats per image or table row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// The minimised objective; `-ELBO` where that is the objective and `beta = 1`.
    #[serde(default)]
    pub loss: f64,
    /// Negative log-likelihood of the data.
    pub recon: f64,
    /// KL divergence of the posterior from the prior, before `beta`.
    pub kl: f64,
    /// Index-code mutual information; like the next two, of [`crate::ObjectiveKind::BetaTc`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_code_mi: Option<f64>,
    /// Total correlation: how far the aggregate posterior is from independent dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_correlation: Option<f64>,
    /// Dimension-wise KL: the divergence of each dimension of the aggregate posterior from the prior's, summed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension_wise_kl: Option<f64>,
    /// Maximum mean discrepancy, of [`crate::ObjectiveKind::Mmd`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmd: Option<f64>,
}

impl Losses {
    /// Length of [`Self::to_array`].
    pub const TERMS: usize = 7;

    /// Losses of an ELBO.
    #[must_use]
    pub fn of_elbo(recon: f64, kl: f64, beta: f32) -> Self {
        Self {
            loss: recon + f64::from(beta) * kl,
            recon,
            kl,
            ..Self::default()
        }
    }

    /// From an array in the order of [`Self::to_array`], NaN for terms that are absent.
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

    /// All terms as an array, NaN for those that are absent.
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

    /// From an objective's loss, `recon`, `kl` and its extra terms, in this order.
    ///
    /// # Panics
    /// If their number is not that of `kind`.
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

/// The mean over several batches, each weighted by its number of rows.
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

/// Parameters of the approximate posteriors of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// Means, `[batch, latent]`.
    pub mu: Vec<f32>,
    /// Logarithms of the variances, clamped to [-30, 20], `[batch, latent]`.
    pub log_var: Vec<f32>,
}

/// The state of training: everything that it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The model's parameters.
    pub weights: Weights,
    /// Optimizer state, as [`EngineSetup::moments`].
    pub moments: Vec<Weights>,
}

impl Snapshot {
    /// The weights used outside training: their average, if `optimizer` keeps one.
    #[must_use]
    pub fn evaluated(&self, optimizer: &OptimizerConfig) -> &Weights {
        let average = optimizer.ema.and_then(|_| self.moments.last());
        average.unwrap_or(&self.weights)
    }
}

/// Everything that an engine is built from.
#[derive(Clone, Debug)]
pub struct EngineSetup<'a> {
    /// Configuration of the model.
    pub model: &'a ModelConfig,
    /// Its weights, initial or trained.
    pub weights: &'a Weights,
    /// Optimizer state, one tensor per parameter for each of [`OptimizerConfig::moment_names`]; empty before the first step.
    pub moments: &'a [Weights],
    /// The optimizer and its settings.
    pub optimizer: OptimizerConfig,
    /// The objective that is minimised.
    pub objective: Objective,
    /// Seed of all noise.
    pub seed: u64,
}

impl<'a> EngineSetup<'a> {
    /// A setup before the first step, with the ELBO as its objective.
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

/// Type of the numbers in which a dataset's rows are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Element {
    /// An unsigned byte; 255 stands for 1.
    #[default]
    U8,
    /// A single-precision float, little-endian.
    F32,
}

impl Element {
    /// Size in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
        }
    }
}

/// The training set of an engine, its memory shared with whoever read it.
#[derive(Clone, Debug, Default)]
pub struct TrainingImages {
    /// The rows, `[count, pixels]`.
    pub bytes: Bytes,
    /// Element type of `bytes`.
    pub element: Element,
    /// Class of each row, if the model sees labels.
    pub labels: Vec<u32>,
    /// Number of rows that are trained on.
    pub count: usize,
    /// Whether each pixel is drawn anew as 0 or 1 at every step, with its brightness the probability of 1.
    pub binarize: bool,
    /// Corruption of the images that the encoder sees, drawn anew at every step; the loss is that of the clean images.
    pub corruption: Option<Corruption>,
}

/// Whether [`Engine::take_losses`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait for all steps asked for so far.
    ForAll,
    /// Do not wait: take only what the device has finished.
    No,
}

/// Why an engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device stopped working.
    #[error(
        "the device failed: {0}. If its memory is full, a smaller batch may help, else another --backend"
    )]
    Device(String),
    /// The device's memory does not hold what is computed at once; the device works as before.
    #[error(
        "the device's memory is full: {bytes} bytes are wanted for {rows} rows. --batch-size {half} --accumulate 2 trains on as many at a \
         time in two parts", half = .rows.div_ceil(2)
    )]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
        /// Rows that are computed at once.
        rows: usize,
    },
    /// The weights belong to another network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// One training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Step number, counted from 0 over the whole run: it selects the noise and the optimizer's bias correction.
    pub number: u64,
    /// Learning rate.
    pub lr: f32,
    /// Weights of the objective's terms.
    pub weighting: Weighting,
    /// Micro-batch: the largest number of rows whose gradients are computed at once; those of a step are summed. An engine may
    /// compute the whole batch at once, for the sum is the same.
    pub micro_batch: usize,
}

impl Step {
    /// A step with all terms weighted alike and the batch in one piece.
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

/// Rows of a batch whose gradients are computed apart from those of the others: in another process, or one part after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Rows of the training set.
    pub rows: &'a [u32],
    /// Place of the first of them in the batch, which selects the noise.
    pub first: usize,
    /// Number of rows of the whole batch, over which losses and gradients are means.
    pub batch: usize,
}

impl<'a> Part<'a> {
    /// A batch in one part.
    #[must_use]
    pub const fn whole(rows: &'a [u32]) -> Self {
        Self {
            rows,
            first: 0,
            batch: rows.len(),
        }
    }
}

/// A batch of images or table rows, given by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Batch<'a> {
    /// The clean rows, `[batch, pixels]`.
    pub images: &'a [f32],
    /// Corrupted rows for the encoder, if it does not see `images`.
    pub corrupted: Option<&'a [f32]>,
    /// Class of each row, if the model sees labels.
    pub labels: &'a [u32],
    /// Index of the first row in its dataset, which selects the noise.
    pub first_row: u32,
}

impl<'a> Batch<'a> {
    /// Uncorrupted rows without labels, the first of their dataset.
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
/// Images and table rows are `[batch, pixels]`, row-major; the batch size may change from call to call. Everything but training,
/// `gradients` and `trace` computes with the average of the weights, if the optimizer keeps one.
///
/// # Errors
/// Every method fails with [`EngineError::Device`] if the device does.
///
/// # Panics
/// If a slice is not a whole number of rows, a training row is not in the training set, or a label is not below the model's
/// number of classes.
pub trait Engine {
    /// Sets the training set from which [`Engine::train_step`] takes its batches.
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError>;

    /// One optimizer step on these rows of the training set. The device may run it later; [`Engine::take_losses`] returns its
    /// losses.
    fn train_step(&mut self, rows: &[u32], step: &Step) -> Result<(), EngineError> {
        self.train_on_part(Part::whole(rows), step)
    }

    /// As [`Self::train_step`], on rows that may begin somewhere in their batch. The update is by their part of its gradients.
    fn train_on_part(&mut self, part: Part<'_>, step: &Step) -> Result<(), EngineError>;

    /// The gradients of a part of a training step, before clipping, and the part's losses: both add up to those of the batch. They are
    /// left in `gradients`, flat, in an order of the engine's own; what it held is lost.
    fn part_gradients(
        &mut self,
        part: Part<'_>,
        step: &Step,
        gradients: &mut Vec<f32>,
    ) -> Result<Losses, EngineError>;

    /// The rest of a training step: its update by the gradients of all parts added up, in whose place something of the same length
    /// is left.
    fn update(&mut self, gradients: &mut Vec<f32>, step: &Step) -> Result<(), EngineError>;

    /// The losses of steps since the last call, in order.
    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError>;

    /// The gradients that [`Engine::train_step`] would compute for `batch`, before clipping, named and shaped like the weights:
    /// for comparing engines.
    fn gradients(
        &mut self,
        batch: &Batch<'_>,
        step: &Step,
    ) -> Result<Vec<NamedTensor>, EngineError>;

    /// The intermediate values of [`Engine::train_step`] on `batch`, by name, in order of computation, each `[batch, columns]`;
    /// then the gradients: for finding where numbers go wrong.
    fn trace(&mut self, batch: &Batch<'_>, step: &Step) -> Result<Vec<NamedTensor>, EngineError>;

    /// The losses of `batch`, whose noise depends on the seed and on the rows' indices in their dataset alone.
    fn evaluate(&mut self, batch: &Batch<'_>, weighting: Weighting) -> Result<Losses, EngineError>;

    /// Negative log-likelihood of each row of `batch` given its `z`, `[batch, latent]`: `[batch]`, nats.
    fn nll(&mut self, z: &[f32], batch: &Batch<'_>) -> Result<Vec<f32>, EngineError>;

    /// `-log mean_k p(x, z_k) / q(z_k | x)` of each row of `batch` by the first draws of its posterior (Burda et al. 2016), as many
    /// as each of `counts` says, which rise: `[counts, batch]`, nats. The draws depend on the seed and on the rows' indices in
    /// their dataset alone.
    fn importance_nll(
        &mut self,
        batch: &Batch<'_>,
        counts: &[usize],
    ) -> Result<Vec<Vec<f64>>, EngineError>;

    /// The posterior of each row.
    fn encode(&mut self, batch: &Batch<'_>) -> Result<Posterior, EngineError>;

    /// The decoder's output, `[batch, pixels]`, for latents `[batch, latent]` and their labels, if the model sees labels.
    fn decode(&mut self, z: &[f32], labels: &[u32]) -> Result<Vec<f32>, EngineError>;

    /// A copy of everything that training changes.
    fn snapshot(&mut self) -> Result<Snapshot, EngineError>;

    /// All numbers that training changes, flat, in an order of the engine's own: the weights, and from the first step on the optimizer's
    /// state.
    fn numbers(&mut self) -> Result<Vec<f32>, EngineError>;

    /// Replaces all of [`Self::numbers`].
    fn set_numbers(&mut self, numbers: &[f32]) -> Result<(), EngineError>;
}
