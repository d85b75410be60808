//! The interface that the CPU and the GPU executor, which run step programs, share.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use vae_rng::{Generator, Noise};
use vae_spec::Weighting;

use crate::program::{Coefficient, MatrixId, Program, Update};

/// Everything that a run of a program needs beside its matrices.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Noise `eps` of [`crate::program::Pass::SampleKlForward`].
    pub noise: Noise,
    /// Generator of the draws of [`crate::program::Pass::Gather`], at the step of `noise`.
    pub binarization: Generator,
    /// Generator of the corruption of [`crate::program::Pass::Corrupt`], at the same step.
    pub corruption: Generator,
    /// Noise of [`crate::program::PriorPass::PriorDraws`], from the first row of `noise`.
    pub prior: (Generator, u64),
    /// Number of training images.
    pub data_count: usize,
    /// Weights of the objective's terms: `beta` in [`crate::program::Pass::SampleKlBackward`] and in the loss.
    pub weighting: Weighting,
}

/// A program that computes every gradient, and where it leaves its losses.
#[derive(Clone, Debug)]
pub struct TrainingProgram {
    /// The program, which begins with [`crate::program::Pass::Gather`].
    pub program: Program,
    /// What is reported at every step, at most [`TERMS`]: means over the rows.
    pub terms: Vec<Term>,
}

/// Largest number of terms.
pub const TERMS: usize = 4;

/// A term of the loss: the sum of each row, averaged over the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// `[rows, parts]`
    pub matrix: MatrixId,
    /// Its factor in the loss.
    pub coefficient: Coefficient,
}

/// One training step: `program` on the images at `rows`, then `update`.
#[derive(Clone, Debug)]
pub struct TrainingStep {
    /// Program to run.
    pub program: Arc<TrainingProgram>,
    /// Noise and weights of the run.
    pub run: Run,
    /// Rows of the training set that make up the batch, or a part of it.
    pub rows: Vec<u32>,
    /// Index of the first of them in the batch, which selects the noise.
    pub first: usize,
    /// Number of rows of the whole batch, over which losses and gradients are means.
    pub batch: usize,
    /// Largest number of rows that are computed at once; the gradients of all pieces are summed.
    pub piece: usize,
    /// Optimizer update at the end.
    pub update: Update,
}

impl TrainingStep {
    /// Multiply-adds of the step's matrix products, about.
    pub(crate) fn work(&self) -> usize {
        self.program.program.work(self.rows.len())
    }

    /// The pieces of the batch, with their rows of the training set.
    pub(crate) fn pieces(&self) -> impl ExactSizeIterator<Item = (Piece, &[u32])> {
        let pieces = self.rows.chunks(self.piece).enumerate();
        pieces.map(|(index, rows)| {
            let piece = Piece {
                first: self.first + index * self.piece,
                rows: rows.len(),
                batch: self.batch,
            };
            (piece, rows)
        })
    }
}

/// Rows of a batch that are computed at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// Index of the first one in the batch.
    pub(crate) first: usize,
    /// Number of rows.
    pub(crate) rows: usize,
    /// Number of rows of the whole batch, over which gradients are means.
    pub(crate) batch: usize,
}

impl Piece {
    /// A batch in one piece.
    pub(crate) const fn whole(batch: usize) -> Self {
        Self {
            first: 0,
            rows: batch,
            batch,
        }
    }
}

/// The losses of one step: means over its batch, nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLosses {
    /// Minimised loss: the weighted sum of the terms.
    pub loss: f32,
    /// The terms, 0 behind the last one.
    pub terms: [f32; TERMS],
}

impl StepLosses {
    /// From the means of `terms`.
    #[must_use]
    pub fn new(terms: &[Term], means: impl Iterator<Item = f32>, weighting: Weighting) -> Self {
        let mut losses = Self {
            loss: 0.0,
            terms: [0.0; TERMS],
        };
        for ((term, mean), place) in terms.iter().zip(means).zip(&mut losses.terms) {
            *place = mean;
            // A term that is only reported may be infinite.
            if term.coefficient != Coefficient::Zero {
                losses.loss += term.coefficient.of(weighting) * mean;
            }
        }
        losses
    }
}

/// The flat arrays that an executor keeps, all of the same layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arena {
    /// Trained parameters.
    Parameters,
    /// Gradients left by the last program with backward passes.
    Gradients,
    /// Optimizer state: the moment of this index.
    Moment(usize),
}

/// Why a device did not run a program.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// It failed, with its message.
    #[error("{0}")]
    Failed(String),
    /// Its memory does not hold the program's matrices; it works as before.
    #[error("no memory for {bytes} bytes of matrices for {rows} rows")]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
        /// Rows of the batch.
        rows: usize,
    },
}

/// A device with the parameters of one model.
///
/// # Errors
/// Every method fails if the device does.
///
/// # Panics
/// If a program, its inputs and the arena do not fit each other.
pub trait Executor: fmt::Debug {
    /// Sets the images that [`crate::program::Pass::Gather`] reads, `[count, row_bytes]`, and the classes that
    /// [`crate::program::Pass::GatherLabels`] reads, one for each image or none.
    fn set_images(
        &mut self,
        images: Bytes,
        labels: Vec<u32>,
        row_bytes: usize,
    ) -> Result<(), ExecutorError>;

    /// Queues one training step.
    fn train(&mut self, step: TrainingStep) -> Result<(), ExecutorError>;

    /// The gradients of a step on a part of a batch in `gradients`, without its update, and its losses: both add up to those of the
    /// batch. What `gradients` held is lost.
    fn gradients(
        &mut self,
        step: &TrainingStep,
        gradients: &mut Vec<f32>,
    ) -> Result<StepLosses, ExecutorError>;

    /// Updates the parameters by `gradients`, in whose place something of the same length is left.
    fn update(&mut self, update: Update, gradients: &mut Vec<f32>) -> Result<(), ExecutorError>;

    /// The losses of finished steps that were not returned before, in order; waits for all steps if `wait`.
    fn losses(&mut self, wait: bool) -> Result<Vec<StepLosses>, ExecutorError>;

    /// Runs `program` on `batch` rows with matrices of its own, some of them filled from `inputs`, once for each of `runs`, and
    /// returns `outputs`. A run finds the matrices as the one before has left them.
    fn run(
        &mut self,
        program: &Program,
        runs: &[Run],
        batch: usize,
        inputs: &[(MatrixId, &[f32])],
        outputs: &[MatrixId],
    ) -> Result<Vec<Vec<f32>>, ExecutorError>;

    /// Swaps the parameters with the moment of this index, for example with their average; the gradients are lost.
    fn exchange(&mut self, moment: usize) -> Result<(), ExecutorError>;

    /// A copy of an arena.
    fn arena(&mut self, arena: Arena) -> Result<Vec<f32>, ExecutorError>;

    /// Replaces an arena that is no gradient's.
    fn set_arena(&mut self, arena: Arena, values: &[f32]) -> Result<(), ExecutorError>;

    /// Runs one training step immediately and times it: seconds of each dispatch in order, with the stem of its kernel; empty if
    /// the device has no timestamps. Its losses are reported like those of any step.
    fn time_step(&mut self, step: TrainingStep) -> Result<Vec<(&'static str, f64)>, ExecutorError>;
}
