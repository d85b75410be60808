//! What is kept of a run.
//!
//! The run folder with its files: the recipe, the manifest, metrics, weights, the state that a run is resumed from. Weights leave
//! for other programs and come from them ([`export`], [`read_pytorch`]). Nothing here computes.

mod checkpoint;
mod error;
mod exchange;
mod manifest;
mod onnx;
mod report;
mod resume;
mod run_folder;
mod saved_run;
mod state;
mod writer;

pub use error::RunError;
pub use exchange::{ExportFormat, export, read_pytorch, write_model};
pub use manifest::{DataSummary, FORMAT_VERSION, Manifest};
pub use report::{EpochReport, StepReport};
pub use resume::Interrupted;
pub use run_folder::RunFolder;
pub use saved_run::SavedRun;
pub use state::{Position, State};
pub use writer::Writer;
