//! What a run tells while it goes.

use vae_run::{EpochReport, StepReport};

/// What happens during a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// Some steps are done.
    Progress(StepReport),
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
