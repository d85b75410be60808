//! The manifest of a run folder: what was trained on what, by which program, and how far.

use serde::{Deserialize, Serialize};
use vae_data::Dataset;

/// Of the folder's layout; counted up when an older program could not read it.
pub const FORMAT_VERSION: u32 = 3;

/// What a run was trained on, how, and how far it got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the folder's layout.
    pub format_version: u32,
    /// The vae-gpu that wrote it.
    pub program_version: String,
    /// The device's name, and which engine ran on it.
    pub device: String,
    /// The data set.
    pub data: DataSummary,
    /// Trainable numbers.
    pub parameters: usize,
    /// Whole epochs trained.
    pub epochs: usize,
    /// Optimizer steps taken.
    pub steps: u64,
    /// The epoch in `model.safetensors`, counted from 1; 0 before the first validation.
    pub best_epoch: usize,
    /// Its validation loss, nats per image; `null` before the first validation.
    pub best_validation_loss: Option<f64>,
    /// What the best epoch was chosen by, lower is better; `null` in runs of older versions, which went by their loss.
    #[serde(default)]
    pub best_cost: Option<f64>,
    /// Wall time of training, seconds.
    pub seconds: f64,
}

/// A data set in a few words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// A known set or a path.
    pub name: String,
    /// What its files were found to be.
    #[serde(default)]
    pub format: String,
    /// Training images.
    pub train: usize,
    /// Images validated on.
    #[serde(alias = "test")]
    pub validation: usize,
    /// SHA-256 of all that was read.
    pub fingerprint: String,
}

impl DataSummary {
    /// Of `dataset`.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        Self {
            name: dataset.name.clone(),
            format: dataset.format.clone(),
            train: dataset.train.count(),
            validation: dataset.validation.count(),
            fingerprint: dataset.fingerprint.clone(),
        }
    }
}

impl Manifest {
    /// Of a run that has not started.
    #[must_use]
    pub fn new(device: String, data: DataSummary, parameters: usize) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            device,
            data,
            parameters,
            epochs: 0,
            steps: 0,
            best_epoch: 0,
            best_validation_loss: None,
            best_cost: None,
            seconds: 0.0,
        }
    }
}
