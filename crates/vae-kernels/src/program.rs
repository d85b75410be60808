//! A step program: a model's computation as a list of passes over matrices, as plain data.
//!
//! Every buffer is a matrix `[batch, columns]`; the batch is chosen when the program runs. Parameters live in one flat
//! arena, their gradients in another of the same layout. What a pass computes is said here; how, in its executor.

use std::ops::Range;

use vae_spec::{Activation, Clip, Corruption, Element, Likelihood, Spread};

/// The number of a matrix `[batch, columns]` in [`Program::columns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixId(pub usize);

/// Columns of the output whose negative log-likelihoods make one number of [`Pass::DenseNll`]'s `recon`.
pub const NLL_COLUMNS: usize = 32;

/// A dense layer, or several of one shape that read the same input: `blocks` matrices `[W; b]` one behind the other in the
/// arena, each `[inputs + 1, outputs]`, row-major, its last row the bias. The outputs of the blocks lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Of the first weight in the arena.
    pub offset: usize,
    /// Columns of the layer's input.
    pub inputs: usize,
    /// Columns that each block puts out.
    pub outputs: usize,
    /// How many.
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

/// Whether [`Pass::DenseNll`] computes this likelihood.
#[must_use]
pub const fn has_nll(likelihood: Likelihood) -> bool {
    matches!(
        likelihood,
        Likelihood::Bernoulli | Likelihood::Gaussian(Spread::Fixed(_))
    )
}

/// One step of the computation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pass {
    /// Rows of the executor's images: bytes scaled to `[0, 1]`, or floats as they are.
    Gather {
        /// `[batch, pixels]`
        images: MatrixId,
        /// What the executor's images are made of.
        element: Element,
        /// Whether each pixel is drawn as 0 or 1, its brightness the probability of 1.
        binarize: bool,
    },
    /// Damaged copies of images.
    Corrupt {
        /// `[batch, pixels]`
        images: MatrixId,
        /// `[batch, pixels]`
        corrupted: MatrixId,
        /// How.
        corruption: Corruption,
    },
    /// `output = activation(input W + b)`
    DenseForward {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: MatrixId,
        /// `[batch, width]`
        output: MatrixId,
        /// Applied to the output, if anything is.
        activation: Option<Activation>,
        /// `[batch, width]`: the activation's derivative, where a backward pass will want it.
        slope: Option<MatrixId>,
    },
    /// `z` and `kl` of [`crate::sample_kl`].
    SampleKlForward {
        /// `[batch, 2 latent]`: mu | log_var, not clamped.
        posterior: MatrixId,
        /// `[batch, latent]`
        z: MatrixId,
        /// `[batch, 1]`, nats.
        kl: MatrixId,
    },
    /// The last layer with the negative log-likelihood of `images` under its output, and the loss's gradient with respect
    /// to that output.
    DenseNll {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: MatrixId,
        /// `[batch, width]`
        images: MatrixId,
        /// What the output means; one that [`has_nll`].
        likelihood: Likelihood,
        /// `[batch, ceil(width / NLL_COLUMNS)]`, nats: each number is the sum over [`NLL_COLUMNS`] columns.
        recon: MatrixId,
        /// `[batch, width]`, divided by the batch.
        d_output: MatrixId,
    },
    /// Gradients of a layer's parameters: `d_W = input^T d_output`, `d_b = ` the column sums of `d_output`.
    DenseBackwardParameters {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: MatrixId,
        /// `[batch, width]`
        d_output: MatrixId,
    },
    /// The gradient of what the layer reads: `d_input = d_output W^T`, times the slope of what made the input.
    DenseBackwardInput {
        /// The layer.
        layer: Layer,
        /// `[batch, width]`
        d_output: MatrixId,
        /// `[batch, inputs]`
        slope: Option<MatrixId>,
        /// `[batch, inputs]`
        d_input: MatrixId,
    },
    /// The loss's gradient with respect to the posterior, by way of `z` and of `beta * kl / batch`.
    SampleKlBackward {
        /// `[batch, 2 latent]`: mu | log_var, not clamped.
        posterior: MatrixId,
        /// `[batch, latent]`
        z: MatrixId,
        /// `[batch, latent]`
        d_z: MatrixId,
        /// `[batch, 2 latent]`: d_mu | d_log_var
        d_posterior: MatrixId,
    },
}

impl Pass {
    /// What it is called in tests, benchmarks and shaders.
    #[must_use]
    pub const fn stem(&self) -> &'static str {
        match self {
            Self::Gather { .. } => "gather",
            Self::Corrupt { .. } => "corrupt",
            Self::DenseForward { .. } => "dense_forward",
            Self::SampleKlForward { .. } => "sample_kl_forward",
            Self::DenseNll { .. } => "dense_nll",
            Self::DenseBackwardParameters { .. } => "dense_backward_parameters",
            Self::DenseBackwardInput { .. } => "dense_backward_input",
            Self::SampleKlBackward { .. } => "sample_kl_backward",
        }
    }
}

/// Passes in the order in which they run, and the widths of the matrices that they share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Columns of each buffer.
    pub columns: Vec<usize>,
    /// What is done.
    pub passes: Vec<Pass>,
}

impl Program {
    /// A new matrix `[batch, columns]`.
    pub fn matrix(&mut self, columns: usize) -> MatrixId {
        self.columns.push(columns);
        MatrixId(self.columns.len() - 1)
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
        /// Whether the largest `v` so far, a third moment, stands for `v` in the step (AMSGrad, Reddi et al. 2018), as
        /// PyTorch 2 does it: that of `v` as it is, not of `v / (1 - beta2^t)`.
        is_amsgrad: bool,
    },
    /// `s += g^2; w -= lr g / (sqrt(s) + eps)` (Duchi et al. 2011), as PyTorch does it.
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
        /// Of the moment.
        momentum: f32,
    },
}

impl Rule {
    /// How many numbers it remembers of each parameter.
    #[must_use]
    pub const fn moments(&self) -> usize {
        match self {
            Self::Rmsprop { .. } | Self::Adagrad { .. } | Self::Sgd { .. } => 1,
            Self::Adam { is_amsgrad, .. } => 2 + *is_amsgrad as usize,
        }
    }
}

/// A rule, what becomes of the gradient before it, and of the parameters after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// How parameters and moments are stepped.
    pub rule: Rule,
    /// How long the gradient may be.
    pub clip: Option<Clip>,
    /// `g += weight_decay w` after clipping, as PyTorch does it; 0 for none, and for AdamW, which has `keep`.
    pub weight_decay: f32,
    /// This step's decay of an average of the parameters, `average = decay average + (1 - decay) w` with the new `w`
    /// (Polyak and Juditsky 1992); the arena behind the rule's moments.
    pub ema: Option<f32>,
}

impl Update {
    /// `rule` alone.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self {
            rule,
            clip: None,
            weight_decay: 0.0,
            ema: None,
        }
    }

    /// Arenas that it keeps beside the parameters: the rule's moments, and the average as the last.
    #[must_use]
    pub const fn moments(&self) -> usize {
        self.rule.moments() + self.ema.is_some() as usize
    }
}
