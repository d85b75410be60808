//! Training and using a model: recipes, devices, the training loop, the run folder, pictures, and exchange with others.
//!
//! Emits events and never prints. Names no burn backend type: engines are trait objects (`vae_spec::Engine`).

mod checkpoint;
mod collapse;
mod corrupt;
mod device;
mod error;
mod exchange;
mod inference;
mod latents;
mod manifest;
mod metric;
mod mixture;
mod onnx;
mod pictures;
mod plots;
mod recipe;
mod resume;
mod run_folder;
mod saved_run;
mod schedule;
mod sight;
mod state;
mod trainer;
mod writer;

pub use collapse::LatentUse;
pub use corrupt::Corrupt;
pub use device::{BackendChoice, Device, EngineChoice};
pub use error::TrainError;
pub use exchange::{ExportFormat, export, read_pytorch, write_model};
pub use inference::{Inference, Score};
pub use latents::{Latents, read_latents, write_scores};
pub use manifest::{DataSummary, Manifest};
pub use metric::Metric;
pub use mixture::{Mixture, Normal};
pub use pictures::{
    Grid, Walk, grid, manifold, reconstructions, samples, square_columns, stacked, traversal,
};
pub use plots::{Plane, scatter, variances};
pub use recipe::{
    Binarize, Capacity, FreeBitsText, LikelihoodName, ObjectiveName, OnNan, OutputBias, Preset,
    PriorText, Recipe, RecipePatch, Sigma, SigmaName,
};
pub use resume::Interrupted;
pub use run_folder::RunFolder;
pub use saved_run::SavedRun;
pub use schedule::{KlSchedule, LrSchedule, Plateau, Span, Stopping, StoppingState};
pub use sight::Sight;
pub use trainer::{Divergence, EpochReport, Event, Outcome, Progress, Training};
