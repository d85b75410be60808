//! Run folders: the stored files of a training run.
//!
//! A run folder holds the recipe, the manifest, metrics, weights and the training state to resume from. Models can be exported
//! to other programs ([`export`]) and weights imported ([`read_pytorch`]). A [`SweepFolder`] holds many runs. Nothing here computes.

mod checkpoint;
mod error;
mod events;
mod exchange;
mod files;
mod lock;
mod manifest;
mod metrics;
mod onnx;
mod overview;
mod report;
mod resume;
mod run_folder;
mod saved_run;
mod state;
mod sweep_folder;
mod writer;

pub use error::RunError;
pub use events::EventFile;
pub use exchange::{ExportFormat, export, read_pytorch, write_model};
pub use manifest::{DataSummary, FORMAT_VERSION, Manifest};
pub use metrics::{METRICS_SCHEMA, Metrics, Rollback};
pub use overview::{RunOverview, RunStatus};
pub use report::{EpochReport, StepReport};
pub use resume::Interrupted;
pub use run_folder::RunFolder;
pub use saved_run::SavedRun;
pub use state::{Position, State};
pub use sweep_folder::{Claim, Failure, RunProgress, SweepFolder};
pub use writer::Writer;
