//! A network's operations as plain data: the one place that knows how a configuration becomes layers. What runs, exports or
//! describes a network walks this list.

mod build;
#[cfg(test)]
mod tests;

use crate::ParameterSpec;

/// Index of a parameter in [`Network::parameters`].
pub type Parameter = usize;

/// Channels, height and width.
pub type Size = [usize; 3];

/// A dense layer, `x W + b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dense {
    /// Prefix of its tensors' names, for example `encoder.0`.
    pub name: String,
    /// Weight, `[inputs, outputs]`; the bias, `[outputs]`, is the parameter after it.
    pub weight: Parameter,
    /// Number of input columns.
    pub inputs: usize,
    /// Number of output columns.
    pub outputs: usize,
}

/// A convolution, or a transposed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Prefix of its tensors' names, for example `encoder.conv.0`.
    pub name: String,
    /// Weight; the bias, `[channels]`, is the parameter after it.
    pub weight: Parameter,
    /// Shape of the images that go in.
    pub input: Size,
    /// Shape of the images that come out.
    pub output: Size,
    /// Kernel size (the side of the square kernel).
    pub kernel: usize,
    /// Stride of the kernel; of its outputs if transposed.
    pub stride: usize,
    /// Zero padding on each side of the image; cropped from the result if transposed.
    pub padding: usize,
    /// Whether it is the transpose of a convolution from `output` to `input`.
    pub is_transposed: bool,
}

impl Convolution {
    /// Shape of the weight: `[outputs, inputs, kernel, kernel]`, inputs first if it is transposed.
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

    /// Rows and columns added at the end of a transposed convolution's result to reach `output` (PyTorch's `output_padding`).
    #[must_use]
    pub fn padding_out(&self) -> [usize; 2] {
        [1, 2].map(|axis| {
            let grown = (self.input[axis] - 1) * self.stride + self.kernel;
            self.output[axis] + 2 * self.padding - grown
        })
    }
}

/// One operation. Values between operations are matrices `[batch, columns]`, images row-major with channels first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Appends the one-hot label: a column for each class, 1 for the label's, 0 for the others.
    Label,
    /// A dense layer.
    Dense(Dense),
    /// A convolution.
    Convolution(Convolution),
    /// Nearest-neighbour upsampling: each pixel becomes a square of `factor` by `factor`, and what is beyond `output` is cropped.
    Repeat {
        /// Shape of the images that go in.
        input: Size,
        /// Shape of the images that come out.
        output: Size,
        /// Upsampling factor (the side of the square).
        factor: usize,
    },
    /// Group normalisation: each group of channels is brought to mean 0 and deviation 1, then each channel is scaled and shifted.
    GroupNorm {
        /// Prefix of its tensors' names.
        name: String,
        /// Scale, `[channels]`; the shift, `[channels]`, is the parameter after it.
        scale: Parameter,
        /// Shape of the images.
        size: Size,
        /// Number of groups.
        groups: usize,
    },
    /// The model's activation.
    Activation,
    /// A residual block: these operations' result is added to their input.
    Residual(Vec<Self>),
}

/// The operations in order, each with whether the activation that follows is of the same layer and no item of its own.
pub fn layers(ops: &[Op]) -> impl Iterator<Item = (&Op, bool)> {
    let mut rest = ops;
    std::iter::from_fn(move || {
        let (op, behind) = rest.split_first()?;
        let is_activated = matches!(behind, [Op::Activation, ..])
            && matches!(op, Op::Dense(_) | Op::Convolution(_) | Op::GroupNorm { .. });
        rest = &behind[usize::from(is_activated)..];
        Some((op, is_activated))
    })
}

/// A model's layers and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The encoder without its heads: images to features.
    pub encoder: Vec<Op>,
    /// Head of the posterior means.
    pub mu: Dense,
    /// Head of the logarithms of the posterior variances.
    pub log_var: Dense,
    /// The decoder: latents to one number per pixel, the likelihood's parameter.
    pub decoder: Vec<Op>,
    /// The likelihood's learned spread, `[1]` or `[pixels]`, as the parameter that is trained: about its logarithm.
    pub log_spread: Option<Parameter>,
    /// The learned prior's first parameter: of a mixture `logits` `[components]`, `mu` and `log_var` `[components, latent]`; of a
    /// VampPrior its pseudo-inputs `[inputs, pixels]`.
    pub prior: Option<Parameter>,
    /// Every parameter tensor.
    pub parameters: Vec<ParameterSpec>,
}

impl Network {
    /// The name of the decoder's last bias.
    pub(crate) const OUTPUT_BIAS: &str = "output.bias";

    /// The largest number of columns of a matrix between two operations.
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
