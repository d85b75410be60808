//! What runs step programs: the language that the CPU and the GPU executor share.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use vae_rng::{Generator, Noise};
use vae_spec::Weighting;

use crate::program::{MatrixId, Program, Update};

/// Everything that a run of a program takes beside its matrices.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// `eps` of [`crate::program::Pass::SampleKlForward`].
    pub noise: Noise,
    /// The draws of [`crate::program::Pass::Gather`], counted by the step of `noise`.
    pub binarization: Generator,
    /// The damage of [`crate::program::Pass::Corrupt`], counted alike.
    pub corruption: Generator,
    /// Of the objective's terms: `beta` in [`crate::program::Pass::SampleKlBackward`] and in the loss.
    pub weighting: Weighting,
}

/// A program that ends with every gradient, and where it leaves its losses.
#[derive(Clone, Debug)]
pub struct TrainingProgram {
    /// Begins with [`crate::program::Pass::Gather`].
    pub program: Program,
    /// `recon` of [`crate::program::Pass::DenseNll`].
    pub recon: MatrixId,
    /// `kl` of [`crate::program::Pass::SampleKlForward`].
    pub kl: MatrixId,
}

/// `program` on the images at `rows`, then `update`.
#[derive(Clone, Debug)]
pub struct TrainingStep {
    /// What is computed.
    pub program: Arc<TrainingProgram>,
    /// With what.
    pub run: Run,
    /// The batch.
    pub rows: Vec<u32>,
    /// At the end.
    pub update: Update,
}

/// The losses of one step: means over its batch, nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLosses {
    /// What is minimised: `recon + beta kl`.
    pub loss: f32,
    /// Negative log-likelihood.
    pub recon: f32,
    /// Divergence of the posterior.
    pub kl: f32,
}

impl StepLosses {
    pub(crate) const fn new(recon: f32, kl: f32, weighting: Weighting) -> Self {
        Self {
            loss: recon + weighting.beta * kl,
            recon,
            kl,
        }
    }
}

/// The flat arrays that an executor keeps, all of one layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arena {
    /// What is trained.
    Parameters,
    /// Left by the last program with backward passes.
    Gradients,
    /// What the optimizer remembers, by its number.
    Moment(usize),
}

/// The device stopped working; what it said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExecutorError(pub String);

/// A device with the parameters of one model.
///
/// # Errors
/// Every method fails if the device does.
///
/// # Panics
/// If a program, its inputs and the arena do not fit each other.
pub trait Executor: fmt::Debug {
    /// Hands over the images that [`crate::program::Pass::Gather`] reads, `[count, row_bytes]`.
    fn set_images(&mut self, images: Bytes, row_bytes: usize) -> Result<(), ExecutorError>;

    /// Queues one training step.
    fn train(&mut self, step: TrainingStep) -> Result<(), ExecutorError>;

    /// The losses of steps that are done and were not asked for before, in order; waits for all steps if `wait`.
    fn losses(&mut self, wait: bool) -> Result<Vec<StepLosses>, ExecutorError>;

    /// Runs `program` at a batch of `batch` with matrices of its own, some of which `inputs` fill, and gives `outputs`.
    fn run(
        &mut self,
        program: &Program,
        run: Run,
        batch: usize,
        inputs: &[(MatrixId, &[f32])],
        outputs: &[MatrixId],
    ) -> Result<Vec<Vec<f32>>, ExecutorError>;

    /// Exchanges the parameters with a moment of this number, for example with their average; the gradients are lost.
    fn exchange(&mut self, moment: usize) -> Result<(), ExecutorError>;

    /// A copy of an arena.
    fn arena(&mut self, arena: Arena) -> Result<Vec<f32>, ExecutorError>;

    /// Runs one training step at once and times it: seconds of each dispatch in order, with the stem of its kernel; empty
    /// if the device cannot tell. Its losses are those of any step.
    fn time_step(&mut self, step: TrainingStep) -> Result<Vec<(&'static str, f64)>, ExecutorError>;
}
