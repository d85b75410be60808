//! Builds the layers of a configuration.

use super::{Convolution, Dense, Network, Op, Parameter, Size, product};
use crate::{Convolutions, ModelConfig, ParameterSpec, Prior, Spread, Start, Upsampling};

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
}

impl Convolutions {
    /// Image shapes before the first stage, between the stages and after the last.
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

    /// Padding that keeps the size of an image at stride 1, for odd kernels.
    const fn padding(&self) -> usize {
        (self.kernel - 1) / 2
    }

    /// Kernel size of the convolutions that keep an image's size.
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

    /// The encoder's downsampling stages, from the first size to the last.
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

    /// The decoder's upsampling stages, in reverse order: each gives the channels that its mirrored encoder stage had made, and
    /// the last convolution those of the image.
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

    /// The rest of a stage: normalisation, activation and residual blocks.
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
        // Keras and PyTorch both count the fan-in and fan-out of a transposed convolution as those of the convolution that it is
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
