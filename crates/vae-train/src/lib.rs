//! Training and using a model: recipes, devices, the training loop, the run folder and its pictures.
//!
//! Emits events and never prints. Names no burn backend type: engines are trait objects (`vae_model::Engine`).

mod checkpoint;
mod device;
mod error;
mod fused;
mod manifest;
mod pictures;
mod plots;
mod recipe;
mod run_folder;
mod trainer;

pub use device::{BackendChoice, Device, EngineChoice};
pub use error::TrainError;
pub use fused::FusedEngine;
pub use manifest::{DataSummary, Manifest};
pub use pictures::{Grid, manifold, reconstructions, samples};
pub use recipe::{Binarize, LikelihoodName, Preset, Recipe, RecipePatch};
pub use run_folder::{RunFolder, SavedRun};
pub use trainer::{EpochReport, Event, Outcome, Progress, Training};
