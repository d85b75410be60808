//! What a run tells of itself.

use serde::{Deserialize, Serialize};
use vae_spec::Losses;

use crate::collapse::LatentUse;

/// How far an epoch is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Progress {
    /// Counted from 1.
    pub epoch: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Means over this epoch so far.
    pub train: Losses,
    /// Weight of the KL term now.
    pub beta: f32,
    /// Learning rate now.
    pub lr: f32,
    /// Training speed of this epoch so far.
    pub images_per_second: f64,
}

/// One epoch's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Means over the epoch's steps, each taken before its update.
    pub train: Losses,
    /// Means over the validation images, after the epoch; the loss at the weights that terms have in the end.
    pub validation: Losses,
    /// Weight of the KL term at the epoch's last step.
    #[serde(default)]
    pub beta: f32,
    /// Learning rate at the epoch's last step.
    #[serde(default)]
    pub lr: f32,
    /// Latent dimensions that tell images apart: the variance of `mu` over the validation images is above 0.01.
    #[serde(default)]
    pub active_units: usize,
    /// What the latents say of which image they are of, nats: an estimate that cannot exceed the logarithm of 2000, or of
    /// the number of validation images if there are fewer.
    #[serde(default)]
    pub mutual_information: f64,
    /// Divergence of each latent dimension from the standard normal, means over the validation images, nats.
    #[serde(default)]
    pub kl_per_dimension: Vec<f64>,
    /// Training speed, without validation.
    pub images_per_second: f64,
    /// Whether no earlier epoch was better.
    pub is_best: bool,
}

/// What happens during a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// Some steps are done.
    Progress(Progress),
    /// An epoch is done and validated.
    Epoch(EpochReport),
    /// Something that the user should know, in words.
    Notice(String),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done, or no more are worth it.
    Finished,
    /// It was asked to stop; what it had learned is saved, and it can go on.
    Interrupted,
}

impl EpochReport {
    /// What the latents carried.
    pub(super) fn latent_use(&self) -> LatentUse {
        LatentUse {
            kl_per_dimension: self.kl_per_dimension.clone(),
            active_units: self.active_units,
            mutual_information: self.mutual_information,
        }
    }
}
