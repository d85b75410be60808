//! Events and outcome of a run.

use vae_run::{EpochReport, StepReport};

/// An event during a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// Progress within an epoch.
    Progress(StepReport),
    /// A completed and validated epoch.
    Epoch(EpochReport),
    /// A message for the user.
    Notice(String),
}

/// Outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done, or early stopping ended the run.
    Finished,
    /// The run was interrupted; its state is saved and can be resumed.
    Interrupted,
}
