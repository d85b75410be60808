//! A step program: a model's computation as a list of passes over matrices, as plain data.
//!
//! Every buffer is a matrix `[batch, columns]`; the batch is chosen when the program runs. Parameters live in one flat
//! arena, their gradients in another of the same layout. What a pass computes is said here; how, in its executor.

use std::ops::Range;

/// The number of a matrix `[batch, columns]` in [`Program::columns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer(pub usize);

/// Where a dense layer's parameters lie in the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// `[inputs, outputs]`, row-major.
    pub weight: Range<usize>,
    /// `[outputs]`
    pub bias: Range<usize>,
    /// Columns of the layer's input.
    pub inputs: usize,
    /// Columns of the layer's output.
    pub outputs: usize,
}

/// A function of each element of a layer's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// `max(x, 0)`
    Relu,
}

/// One step of the computation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// `output = activation(input W + b)`
    DenseForward {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: Buffer,
        /// `[batch, outputs]`
        output: Buffer,
        /// Applied to the output.
        activation: Activation,
    },
    /// `z` and `kl` of [`crate::sample_kl`].
    SampleKlForward {
        /// `[batch, latent]`
        mu: Buffer,
        /// `[batch, latent]`, not clamped.
        log_var: Buffer,
        /// `[batch, latent]`
        z: Buffer,
        /// `[batch, 1]`, nats.
        kl: Buffer,
    },
    /// `recon`, the negative log-likelihood of `images`, and the loss's gradient `d_logits = (sigmoid(logits) - images) / batch`.
    BernoulliNll {
        /// `[batch, pixels]`
        logits: Buffer,
        /// `[batch, pixels]`
        images: Buffer,
        /// `[batch, 1]`, nats.
        recon: Buffer,
        /// `[batch, pixels]`
        d_logits: Buffer,
    },
    /// Gradients of a layer's parameters: `d_weight = input^T d_output`, `d_bias = ` the column sums of `d_output`.
    DenseBackwardParameters {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: Buffer,
        /// `[batch, outputs]`
        d_output: Buffer,
    },
    /// The gradient of what the layers read: `d_input = sum of d_output W^T` over `terms`, times the derivative of the
    /// activation that made `input`.
    DenseBackwardInput {
        /// Each layer that reads the input, with the gradient of its output, `[batch, outputs]`.
        terms: Vec<(Layer, Buffer)>,
        /// `[batch, inputs]`
        input: Buffer,
        /// What made the input.
        activation: Activation,
        /// `[batch, inputs]`
        d_input: Buffer,
    },
    /// The loss's gradients with respect to `mu` and `log_var`, by way of `z` and of `beta * kl / batch`.
    SampleKlBackward {
        /// `[batch, latent]`
        mu: Buffer,
        /// `[batch, latent]`, not clamped.
        log_var: Buffer,
        /// `[batch, latent]`
        z: Buffer,
        /// `[batch, latent]`
        d_z: Buffer,
        /// `[batch, latent]`
        d_mu: Buffer,
        /// `[batch, latent]`
        d_log_var: Buffer,
    },
    /// `output = sigmoid(input)`
    Sigmoid {
        /// Any matrix.
        input: Buffer,
        /// Of the same size.
        output: Buffer,
    },
}

impl Pass {
    /// What it is called in tests, benchmarks and shaders.
    #[must_use]
    pub const fn stem(&self) -> &'static str {
        match self {
            Self::DenseForward { .. } => "dense_forward",
            Self::SampleKlForward { .. } => "sample_kl_forward",
            Self::BernoulliNll { .. } => "bernoulli_nll",
            Self::DenseBackwardParameters { .. } => "dense_backward_parameters",
            Self::DenseBackwardInput { .. } => "dense_backward_input",
            Self::SampleKlBackward { .. } => "sample_kl_backward",
            Self::Sigmoid { .. } => "sigmoid",
        }
    }
}

/// Passes in the order in which they run, and the widths of the matrices that they share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Columns of each buffer.
    pub columns: Vec<usize>,
    /// What is done.
    pub passes: Vec<Pass>,
}

impl Program {
    /// A new matrix `[batch, columns]`.
    pub fn buffer(&mut self, columns: usize) -> Buffer {
        self.columns.push(columns);
        Buffer(self.columns.len() - 1)
    }
}

/// One optimizer update of the whole arena, with this step's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// `v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + eps)`
    Rmsprop {
        /// Learning rate.
        lr: f32,
        /// Decay of the mean of squares.
        rho: f32,
        /// Added under the root.
        eps: f32,
    },
    /// `m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= step_size m / (sqrt(v) / root_correction + eps)`
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
    },
}
