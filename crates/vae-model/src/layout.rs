//! What a network does to its data, step by step, as plain data: the one place that knows how a configuration becomes
//! layers. What runs, exports or describes a network walks this list.

#[cfg(test)]
mod tests;

use crate::{Convolutions, ModelConfig, ParameterSpec, Prior, Spread, Start, Upsampling};

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
    /// The layers of `config`.
    #[must_use]
    pub fn new(config: &ModelConfig) -> Self {
        let mut build = Builder::default();
        let sizes = config
            .convolutions
            .as_ref()
            .map(|stages| stages.sizes(config.image));

        let mut encoder = Vec::new();
        let mut width = config.pixels();
        if let (Some(stages), Some(sizes)) = (&config.convolutions, &sizes) {
            encoder.extend(build.shrinking(stages, sizes));
            width = sizes.last().map_or(width, product);
        }
        build.label(config, &mut encoder, &mut width);
        build.hidden("encoder", &config.hidden, &mut encoder, &mut width);
        let mu = build.dense("mu", width, config.latent);
        let log_var = build.dense("log_var", width, config.latent);

        let mut decoder = Vec::new();
        width = config.latent;
        build.label(config, &mut decoder, &mut width);
        build.hidden("decoder", &config.decoder_hidden, &mut decoder, &mut width);
        match (&config.convolutions, &sizes) {
            (Some(stages), Some(sizes)) => {
                let last = sizes.last().map_or(width, product);
                decoder.push(Op::Dense(build.dense("decoder.image", width, last)));
                decoder.push(Op::Activation);
                decoder.extend(build.growing(stages, sizes));
            }
            _ => decoder.push(Op::Dense(build.dense("output", width, config.pixels()))),
        }

        let spread = match config.likelihood.spread() {
            Some(Spread::Learned) => Some(1),
            Some(Spread::PerDimension) => Some(config.pixels()),
            Some(Spread::Fixed(_)) | None => None,
        };
        let log_spread = spread
            .map(|length| build.parameter("likelihood.log_spread", vec![length], Start::Zeros));
        let latent = config.latent;
        let prior = match config.prior {
            Prior::Normal => None,
            Prior::Mixture { components } => {
                let first = build.parameter("prior.logits", vec![components], Start::Zeros);
                build.parameter("prior.mu", vec![components, latent], Start::Normal);
                build.parameter("prior.log_var", vec![components, latent], Start::Zeros);
                Some(first)
            }
            Prior::Vamp { inputs } => {
                let shape = vec![inputs, config.pixels()];
                Some(build.parameter("prior.images", shape, Start::Image))
            }
        };
        Self {
            encoder,
            mu,
            log_var,
            decoder,
            log_spread,
            prior,
            parameters: build.0,
        }
    }

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

impl Convolutions {
    /// Sizes before the first stage, between the stages and after the last.
    fn sizes(&self, image: Size) -> Vec<Size> {
        let shrink = |size: &mut Size, &channels: &usize| {
            let side = |side: usize| (side + 2 * self.padding() - self.kernel) / self.stride + 1;
            *size = [channels, side(size[1]), side(size[2])];
            Some(*size)
        };
        let after = self.channels.iter().scan(image, shrink);
        [image].into_iter().chain(after).collect()
    }

    /// Whether every stage's kernel fits into what the stages before leave of an image.
    #[must_use]
    pub fn fits(&self, image: Size) -> bool {
        let fits = |side: usize| side + 2 * self.padding() >= self.kernel;
        let mut sides = [image[1], image[2]];
        self.channels.iter().all(|_| {
            let is_fit = sides.into_iter().all(fits);
            if is_fit {
                sides =
                    sides.map(|side| (side + 2 * self.padding() - self.kernel) / self.stride + 1);
            }
            is_fit
        })
    }

    /// That keeps the size of an image at stride 1, for odd kernels.
    const fn padding(&self) -> usize {
        (self.kernel - 1) / 2
    }

    /// Side of the kernels that keep an image's size.
    const fn keeping_kernel(&self) -> usize {
        if self.kernel.is_multiple_of(2) {
            self.kernel - 1
        } else {
            self.kernel
        }
    }
}

/// Collects parameters while layers are listed.
#[derive(Default)]
struct Builder(Vec<ParameterSpec>);

impl Builder {
    fn parameter(&mut self, name: impl Into<String>, shape: Vec<usize>, start: Start) -> Parameter {
        let name = name.into();
        self.0.push(ParameterSpec { name, shape, start });
        self.0.len() - 1
    }

    fn label(&self, config: &ModelConfig, ops: &mut Vec<Op>, width: &mut usize) {
        if config.classes > 0 {
            ops.push(Op::Label);
            *width += config.classes;
        }
    }

    fn dense(&mut self, name: &str, inputs: usize, outputs: usize) -> Dense {
        let start = Start::Weight { inputs, outputs };
        let weight = self.parameter(format!("{name}.weight"), vec![inputs, outputs], start);
        self.parameter(
            format!("{name}.bias"),
            vec![outputs],
            Start::Bias { inputs },
        );
        Dense {
            name: name.into(),
            weight,
            inputs,
            outputs,
        }
    }

    fn hidden(&mut self, side: &str, widths: &[usize], ops: &mut Vec<Op>, width: &mut usize) {
        for (index, &next) in widths.iter().enumerate() {
            let inputs = std::mem::replace(width, next);
            ops.push(Op::Dense(self.dense(
                &format!("{side}.{index}"),
                inputs,
                next,
            )));
            ops.push(Op::Activation);
        }
    }

    /// Stages from the first size to the last.
    fn shrinking(&mut self, stages: &Convolutions, sizes: &[Size]) -> Vec<Op> {
        let mut ops = Vec::new();
        for (index, pair) in sizes.windows(2).enumerate() {
            let name = format!("encoder.conv.{index}");
            let (kernel, stride) = (stages.kernel, stages.stride);
            let layer = self.convolution(&name, pair[0], pair[1], kernel, stride, false);
            ops.push(layer);
            self.rest_of_stage(stages, &format!("encoder.{index}"), pair[1], &mut ops);
        }
        ops
    }

    /// The same backwards: each stage gives the channels that its mirror image had made, and the last convolution those of
    /// the image.
    fn growing(&mut self, stages: &Convolutions, sizes: &[Size]) -> Vec<Op> {
        let mut ops = Vec::new();
        let mut input = sizes[sizes.len() - 1];
        for (index, pair) in sizes.windows(2).rev().enumerate() {
            let [_, height, width] = pair[0];
            let output = [pair[1][0], height, width];
            let name = format!("decoder.conv.{index}");
            let (kernel, stride) = (stages.kernel, stages.stride);
            match stages.upsampling {
                Upsampling::Transposed => {
                    let layer = self.convolution(&name, input, output, kernel, stride, true);
                    ops.push(layer);
                }
                Upsampling::Nearest => {
                    let larger = [input[0], height, width];
                    ops.push(Op::Repeat {
                        input,
                        output: larger,
                        factor: stride,
                    });
                    let kernel = stages.keeping_kernel();
                    let layer = self.convolution(&name, larger, output, kernel, 1, false);
                    ops.push(layer);
                }
            }
            self.rest_of_stage(stages, &format!("decoder.{index}"), output, &mut ops);
            input = output;
        }
        let kernel = stages.keeping_kernel();
        ops.push(self.convolution("output", input, sizes[0], kernel, 1, false));
        ops
    }

    /// Normalisation, activation and residual blocks.
    fn rest_of_stage(&mut self, stages: &Convolutions, name: &str, size: Size, ops: &mut Vec<Op>) {
        self.norm(stages, &format!("{name}.norm"), size, ops);
        ops.push(Op::Activation);
        for block in 0..stages.residual_blocks {
            let mut inner = Vec::new();
            for half in 0..2 {
                let name = format!("{name}.block.{block}.{half}");
                self.norm(stages, &format!("{name}.norm"), size, &mut inner);
                inner.push(Op::Activation);
                let kernel = stages.keeping_kernel();
                let name = format!("{name}.conv");
                inner.push(self.convolution(&name, size, size, kernel, 1, false));
            }
            ops.push(Op::Residual(inner));
        }
    }

    fn norm(&mut self, stages: &Convolutions, name: &str, size: Size, ops: &mut Vec<Op>) {
        let Some(most) = stages.groups else { return };
        let channels = size[0];
        let groups = (1..=most.min(channels))
            .rev()
            .find(|groups| channels.is_multiple_of(*groups));
        let scale = self.parameter(format!("{name}.weight"), vec![channels], Start::Ones);
        self.parameter(format!("{name}.bias"), vec![channels], Start::Zeros);
        ops.push(Op::GroupNorm {
            name: name.into(),
            scale,
            size,
            groups: groups.unwrap_or(1),
        });
    }

    fn convolution(
        &mut self,
        name: &str,
        input: Size,
        output: Size,
        kernel: usize,
        stride: usize,
        is_transposed: bool,
    ) -> Op {
        let mut layer = Convolution {
            name: name.into(),
            weight: 0,
            input,
            output,
            kernel,
            stride,
            padding: (kernel - 1) / 2,
            is_transposed,
        };
        // Keras and PyTorch both count a transposed convolution's inputs and outputs as those of the convolution that it is
        // the transpose of.
        let [first, second, ..] = layer.weight_shape();
        let area = kernel * kernel;
        let (inputs, outputs) = (second * area, first * area);
        let start = Start::Weight { inputs, outputs };
        let shape = layer.weight_shape().to_vec();
        layer.weight = self.parameter(format!("{name}.weight"), shape, start);
        self.parameter(
            format!("{name}.bias"),
            vec![output[0]],
            Start::Bias { inputs },
        );
        Op::Convolution(layer)
    }
}
