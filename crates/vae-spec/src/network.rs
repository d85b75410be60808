//! What a network does to its data, step by step, as plain data: the one place that knows how a configuration becomes
//! layers. What runs, exports or describes a network walks this list.

mod build;
#[cfg(test)]
mod tests;

use crate::ParameterSpec;

/// Where a parameter is in [`Network::parameters`].
pub type Parameter = usize;

/// Channels, height and width.
pub type Size = [usize; 3];

/// `x W + b`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dense {
    /// Of its tensors, for example `encoder.0`.
    pub name: String,
    /// `[inputs, outputs]`; the bias, `[outputs]`, is the parameter after it.
    pub weight: Parameter,
    /// Columns that go in.
    pub inputs: usize,
    /// Columns that come out.
    pub outputs: usize,
}

/// A convolution, or a transposed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Of its tensors, for example `encoder.conv.0`.
    pub name: String,
    /// The bias, `[channels]`, is the parameter after it.
    pub weight: Parameter,
    /// Of the images that go in.
    pub input: Size,
    /// Of those that come out.
    pub output: Size,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel; of its outputs if transposed.
    pub stride: usize,
    /// Zeros around the image; cut off the result if transposed.
    pub padding: usize,
    /// Whether it is the transpose of a convolution from `output` to `input`.
    pub is_transposed: bool,
}

impl Convolution {
    /// Of its weight: `[outputs, inputs, kernel, kernel]`, inputs first if it is transposed.
    #[must_use]
    pub const fn weight_shape(&self) -> [usize; 4] {
        let (inputs, outputs) = (self.input[0], self.output[0]);
        let [first, second] = if self.is_transposed {
            [inputs, outputs]
        } else {
            [outputs, inputs]
        };
        [first, second, self.kernel, self.kernel]
    }

    /// Rows and columns that a transposed convolution's result lacks at its end without them.
    #[must_use]
    pub fn padding_out(&self) -> [usize; 2] {
        [1, 2].map(|axis| {
            let grown = (self.input[axis] - 1) * self.stride + self.kernel;
            self.output[axis] + 2 * self.padding - grown
        })
    }
}

/// One step. Values between steps are matrices `[batch, columns]`, images row-major with channels first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A column for each class is appended: 1 for the label's, 0 for the others.
    Label,
    /// A dense layer.
    Dense(Dense),
    /// A convolution.
    Convolution(Convolution),
    /// Each pixel becomes a square of `factor` by `factor`, and what is beyond `output` is cut off.
    Repeat {
        /// Of the images that go in.
        input: Size,
        /// Of those that come out.
        output: Size,
        /// Side of the square.
        factor: usize,
    },
    /// Channels in groups are brought to mean 0 and deviation 1, then scaled and shifted each.
    GroupNorm {
        /// Of its tensors.
        name: String,
        /// `[channels]`; the shift, `[channels]`, is the parameter after it.
        scale: Parameter,
        /// Of the images.
        size: Size,
        /// How many groups.
        groups: usize,
    },
    /// The model's activation.
    Activation,
    /// These steps' result is added to what went in.
    Residual(Vec<Self>),
}

/// A model's layers and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Images to features.
    pub encoder: Vec<Op>,
    /// Features to posterior means.
    pub mu: Dense,
    /// Features to logarithms of posterior variances.
    pub log_var: Dense,
    /// Latents to what the likelihood takes.
    pub decoder: Vec<Op>,
    /// The likelihood's learned spread, `[1]` or `[pixels]`, as a logarithm.
    pub log_spread: Option<Parameter>,
    /// The learned prior's first parameter: of a mixture `logits` `[components]`, `mu` and `log_var` `[components, latent]`;
    /// of a VampPrior its images `[inputs, pixels]`.
    pub prior: Option<Parameter>,
    /// All tensors.
    pub parameters: Vec<ParameterSpec>,
}

impl Network {
    /// The name of the decoder's last bias.
    pub(crate) const OUTPUT_BIAS: &str = "output.bias";

    /// The most columns that a matrix between two steps has.
    #[must_use]
    pub fn widest(&self) -> usize {
        fn widest(ops: &[Op]) -> usize {
            let widths = ops.iter().map(|op| match op {
                Op::Dense(dense) => dense.inputs.max(dense.outputs),
                Op::Convolution(layer) => product(&layer.input).max(product(&layer.output)),
                Op::Repeat { input, factor, .. } => product(input) * factor * factor,
                Op::Residual(ops) => widest(ops),
                Op::GroupNorm { size, .. } => product(size),
                Op::Label | Op::Activation => 0,
            });
            widths.max().unwrap_or(0)
        }
        widest(&self.encoder)
            .max(widest(&self.decoder))
            .max(2 * self.mu.outputs)
            .max(self.mu.inputs)
    }
}

fn product(size: &Size) -> usize {
    size.iter().product()
}
