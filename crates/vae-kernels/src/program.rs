//! A step program: a model's computation as a list of passes over matrices, as plain data.
//!
//! Every buffer is a matrix with one row for each row of the batch, or as many as there are draws of its latents; the batch size is
//! chosen when the program runs. Parameters live in one flat arena, their gradients in another of the same layout. The passes
//! are defined here; how they are computed is up to the executor.

mod convolution;
mod forward;
mod latents;
mod pass;
mod places;
mod prior;
mod touched;

use std::ops::Range;

use serde::Serialize;
use vae_spec::Clip;

pub use convolution::{Convolution, Geometry};
pub use forward::ForwardPass;
pub use latents::{Coefficient, KlGradient, KlPath, Weight};
pub use pass::{Finish, GroupNorm, LearnedSpread, Pass, Repeat, Slope};
pub(crate) use places::Places;
pub use prior::{Gate, Normals, PriorPass};
pub(crate) use touched::Touched;

/// Index of a matrix in [`Program::columns`] and [`Program::rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MatrixId(pub usize);

/// Columns of the output whose negative log-likelihoods are summed into one element of `recon`.
pub const NLL_COLUMNS: usize = 32;

/// A dense layer, or several of one shape that read the same input: `blocks` matrices `[W; b]` one after the other in the arena,
/// each `[inputs + 1, outputs]`, row-major, its last row the bias. The outputs of the blocks lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Offset of the first weight in the arena.
    pub offset: usize,
    /// Columns of the layer's input.
    pub inputs: usize,
    /// Columns of each block's output.
    pub outputs: usize,
    /// Number of blocks.
    pub blocks: usize,
}

impl Layer {
    /// Columns of the layer's output.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.blocks * self.outputs
    }

    /// Where `[W; b]` of a block lies in the arena.
    #[must_use]
    pub const fn block(&self, block: usize) -> Range<usize> {
        let length = (self.inputs + 1) * self.outputs;
        let start = self.offset + block * length;
        start..start + length
    }
}

/// Rows of a matrix: some for each row of the batch, and some behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// For each row of the batch, in succession: 1, or the number of draws of its latents.
    pub each: usize,
    /// Behind those of the batch, whatever its size: the pseudo-inputs of a prior.
    pub more: usize,
}

impl Rows {
    /// One for each row of the batch.
    pub const BATCH: Self = Self::draws(1);

    /// As many for each row of the batch.
    #[must_use]
    pub const fn draws(each: usize) -> Self {
        Self { each, more: 0 }
    }

    /// As many, whatever the batch.
    #[must_use]
    pub const fn fixed(more: usize) -> Self {
        Self { each: 0, more }
    }

    /// Their number for a batch of `batch` rows.
    #[must_use]
    pub const fn of(self, batch: usize) -> usize {
        batch * self.each + self.more
    }
}

/// Passes in the order in which they run, and the sizes of the matrices that they share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Columns of each matrix.
    pub columns: Vec<usize>,
    /// Rows of each matrix.
    pub rows: Vec<Rows>,
    /// The passes, in order.
    pub passes: Vec<Pass>,
}

impl Program {
    /// A new matrix `[batch, columns]`.
    pub fn matrix(&mut self, columns: usize) -> MatrixId {
        self.matrix_of(Rows::BATCH, columns)
    }

    /// A new matrix of so many rows.
    pub fn matrix_of(&mut self, rows: Rows, columns: usize) -> MatrixId {
        self.rows.push(rows);
        self.columns.push(columns);
        MatrixId(self.columns.len() - 1)
    }

    /// Multiply-adds of the matrix products on `batch` rows, about.
    #[must_use]
    pub fn work(&self, batch: usize) -> usize {
        let passes = self.passes.iter();
        passes
            .map(|pass| pass.work(self.rows_of(pass).of(batch)))
            .sum()
    }

    /// Numbers of a matrix for `batch` rows of the batch.
    #[must_use]
    pub fn length(&self, matrix: MatrixId, batch: usize) -> usize {
        self.rows[matrix.0].of(batch) * self.columns[matrix.0]
    }

    /// Rows that a pass runs over.
    pub(crate) fn rows_of(&self, pass: &Pass) -> Rows {
        self.rows[pass.runs_over().0]
    }
}

/// One optimizer update of the whole arena, with this step's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + eps)`
    Rmsprop {
        /// Learning rate.
        lr: f32,
        /// Decay of the mean of squares.
        rho: f32,
        /// Added under the root.
        eps: f32,
    },
    /// `m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w = keep w - step_size m / (sqrt(v) / root_correction + eps)`
    Adam {
        /// `lr / (1 - beta1^t)`
        step_size: f32,
        /// `sqrt(1 - beta2^t)`
        root_correction: f32,
        /// Decay of the mean.
        beta1: f32,
        /// Decay of the mean of squares.
        beta2: f32,
        /// Added to the root.
        eps: f32,
        /// `1 - lr weight_decay`, where the decay is AdamW's (Loshchilov and Hutter 2019); 1 otherwise.
        keep: f32,
        /// Whether the largest `v` so far, a third moment, replaces `v` in the step (AMSGrad, Reddi et al. 2018): as in PyTorch
        /// 2, the largest of `v` itself, not of `v / (1 - beta2^t)`.
        is_amsgrad: bool,
    },
    /// `s += g^2; w -= lr g / (sqrt(s) + eps)` (Duchi et al. 2011), as in PyTorch.
    Adagrad {
        /// Learning rate.
        lr: f32,
        /// Added to the root.
        eps: f32,
    },
    /// `m = momentum m + g; w -= lr m`
    Sgd {
        /// Learning rate.
        lr: f32,
        /// Decay of the moment.
        momentum: f32,
    },
}

impl Rule {
    /// Number of moments kept per parameter.
    #[must_use]
    pub const fn moments(&self) -> usize {
        match self {
            Self::Rmsprop { .. } | Self::Adagrad { .. } | Self::Sgd { .. } => 1,
            Self::Adam { is_amsgrad, .. } => 2 + *is_amsgrad as usize,
        }
    }
}

/// A rule, with what is done to the gradient before it and to the parameters after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Update rule of parameters and moments.
    pub rule: Rule,
    /// Gradient clipping, if any.
    pub clip: Option<Clip>,
    /// Weight decay: `g += weight_decay w` after clipping, as in PyTorch; 0 for none, and for AdamW, which has `keep`.
    pub weight_decay: f32,
    /// This step's decay of an average of the parameters, `average = decay average + (1 - decay) w` with the new `w` (Polyak and
    /// Juditsky 1992), which is the arena behind the rule's moments; `None` for no average.
    pub ema: Option<f32>,
}

impl Update {
    /// `rule` without clipping, weight decay or average.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self {
            rule,
            clip: None,
            weight_decay: 0.0,
            ema: None,
        }
    }

    /// Number of arenas kept beside the parameters: the rule's moments, and the average as the last.
    #[must_use]
    pub const fn moments(&self) -> usize {
        self.rule.moments() + self.ema.is_some() as usize
    }
}
