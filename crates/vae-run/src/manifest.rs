//! The manifest of a run folder: data, device, program version and progress of the run.

use serde::{Deserialize, Serialize};
use vae_data::Dataset;

/// Version of the folder format; incremented when older programs cannot read it.
pub const FORMAT_VERSION: u32 = 4;

/// Data, device and progress of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the folder format.
    pub format_version: u32,
    /// Version of vae-gpu that wrote the manifest.
    pub program_version: String,
    /// Name of the device, and the engine used.
    pub device: String,
    /// The data set.
    pub data: DataSummary,
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Number of completed epochs.
    pub epochs: usize,
    /// Number of optimizer steps.
    pub steps: u64,
    /// Epoch of the weights in `model.safetensors`, counted from 1; 0 before the first validation.
    pub best_epoch: usize,
    /// Validation loss of the best epoch, nats per sample; `null` before the first validation.
    pub best_validation_loss: Option<f64>,
    /// Metric by which the best epoch was chosen, lower is better; `null` in runs of older versions, which used the loss.
    #[serde(default)]
    pub best_cost: Option<f64>,
    /// Wall time of training, seconds.
    pub seconds: f64,
}

/// Summary of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Name of a known data set, or a path.
    pub name: String,
    /// Format of the files, as detected.
    #[serde(default)]
    pub format: String,
    /// Number of training samples.
    pub train: usize,
    /// Number of validation samples.
    #[serde(alias = "test")]
    pub validation: usize,
    /// SHA-256 of all data read.
    pub fingerprint: String,
}

impl DataSummary {
    /// The summary of `dataset`.
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
    /// The manifest of a new run.
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
