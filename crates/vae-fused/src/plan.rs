//! Plans the step programs of a dense model from its configuration.

use vae_kernels::executor::TrainingProgram;
use vae_kernels::program::{Buffer, Layer, NLL_COLUMNS, Pass, Program};
use vae_spec::{Activation, Batch, Likelihood, ModelConfig, TrainingImages};

/// Where every layer's parameters lie in the arena, in the order of the network.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    encoder: Vec<Layer>,
    /// mu | log_var
    posterior: Layer,
    decoder: Vec<Layer>,
    output: Layer,
    activation: Activation,
    likelihood: Likelihood,
}

/// Hands out the arena from its start.
#[derive(Default)]
struct Arena {
    end: usize,
}

impl Arena {
    fn layer(&mut self, inputs: usize, outputs: usize, blocks: usize) -> Layer {
        let offset = self.end;
        let layer = Layer {
            offset,
            inputs,
            outputs,
            blocks,
        };
        self.end = layer.block(blocks - 1).end;
        layer
    }

    /// A chain of layers of these `widths`, and the last width.
    fn hidden(
        &mut self,
        mut inputs: usize,
        widths: impl Iterator<Item = usize>,
    ) -> (Vec<Layer>, usize) {
        let layers = widths
            .map(|width| self.layer(std::mem::replace(&mut inputs, width), width, 1))
            .collect();
        (layers, inputs)
    }
}

impl Layers {
    pub(super) fn new(config: &ModelConfig) -> Self {
        let mut arena = Arena::default();
        let pixels = config.pixels();
        let (encoder, features) = arena.hidden(pixels, config.hidden.iter().copied());
        let posterior = arena.layer(features, config.latent, 2);
        let widths = config.decoder_hidden.iter().copied();
        let (decoder, features) = arena.hidden(config.latent, widths);
        let output = arena.layer(features, pixels, 1);
        Self {
            encoder,
            posterior,
            decoder,
            output,
            activation: config.activation,
            likelihood: config.likelihood,
        }
    }
}

/// Images to the posterior.
#[derive(Debug)]
pub(super) struct EncodePlan {
    pub(super) program: Program,
    pub(super) images: Buffer,
    pub(super) posterior: Buffer,
}

/// Latents to what the likelihood takes.
#[derive(Debug)]
pub(super) struct DecodePlan {
    pub(super) program: Program,
    pub(super) z: Buffer,
    pub(super) output: Buffer,
}

/// Images to the loss, and on to every gradient.
#[derive(Debug)]
pub(super) struct LossPlan {
    pub(super) program: Program,
    /// The passes before the backward ones: all that an evaluation needs.
    pub(super) forward: Program,
    pub(super) images: Buffer,
    /// What the encoder sees; the images themselves unless they are corrupted.
    pub(super) seen: Buffer,
    pub(super) recon: Buffer,
    pub(super) kl: Buffer,
}

/// Latents and images to the images' likelihoods.
#[derive(Debug)]
pub(super) struct NllPlan {
    pub(super) program: Program,
    pub(super) z: Buffer,
    pub(super) images: Buffer,
    pub(super) recon: Buffer,
}

pub(super) fn encode(layers: &Layers) -> EncodePlan {
    let mut program = Program::default();
    let images = program.buffer(inputs(&layers.encoder, layers.posterior));
    let encoded = hidden(&mut program, layers, &layers.encoder, images, false);
    let posterior = posterior(&mut program, layers, &encoded);
    EncodePlan {
        program,
        images,
        posterior,
    }
}

pub(super) fn decode(layers: &Layers) -> DecodePlan {
    let mut program = Program::default();
    let z = program.buffer(inputs(&layers.decoder, layers.output));
    let decoded = hidden(&mut program, layers, &layers.decoder, z, false);
    let output = program.buffer(layers.output.width());
    program.passes.push(Pass::DenseForward {
        layer: layers.output,
        input: decoded.features(),
        output,
        activation: None,
        slope: None,
    });
    DecodePlan { program, z, output }
}

pub(super) fn nll(layers: &Layers) -> NllPlan {
    let mut program = Program::default();
    let z = program.buffer(inputs(&layers.decoder, layers.output));
    let images = program.buffer(layers.output.width());
    let decoded = hidden(&mut program, layers, &layers.decoder, z, false);
    let [recon, _] = dense_nll(&mut program, layers, decoded.features(), images);
    NllPlan {
        program,
        z,
        images,
        recon,
    }
}

/// With `corrupts`, the encoder sees other images than those that it is to explain.
pub(super) fn loss(layers: &Layers, corrupts: bool) -> LossPlan {
    let mut program = Program::default();
    let pixels = inputs(&layers.encoder, layers.posterior);
    let images = program.buffer(pixels);
    let seen = if corrupts {
        program.buffer(pixels)
    } else {
        images
    };
    let encoded = hidden(&mut program, layers, &layers.encoder, seen, true);
    let posterior = posterior(&mut program, layers, &encoded);
    let (z, kl) = (program.buffer(layers.posterior.outputs), program.buffer(1));
    program
        .passes
        .push(Pass::SampleKlForward { posterior, z, kl });
    let decoded = hidden(&mut program, layers, &layers.decoder, z, true);
    let [recon, d_output] = dense_nll(&mut program, layers, decoded.features(), images);
    let forward = program.clone();

    backward_parameters(&mut program, layers.output, decoded.features(), d_output);
    let d_features = backward_input(&mut program, layers.output, d_output, decoded.slope());
    let d_z = hidden_backward(&mut program, &layers.decoder, &decoded, d_features, true);
    let d_posterior = program.buffer(layers.posterior.width());
    program.passes.push(Pass::SampleKlBackward {
        posterior,
        z,
        d_z,
        d_posterior,
    });
    backward_parameters(
        &mut program,
        layers.posterior,
        encoded.features(),
        d_posterior,
    );
    if !layers.encoder.is_empty() {
        let d_features =
            backward_input(&mut program, layers.posterior, d_posterior, encoded.slope());
        hidden_backward(&mut program, &layers.encoder, &encoded, d_features, false);
    }
    LossPlan {
        program,
        forward,
        images,
        seen,
        recon,
        kl,
    }
}

impl LossPlan {
    /// That of undamaged or of damaged images, as `batch` is.
    pub(super) const fn of<'a>([plain, denoising]: [&'a Self; 2], batch: &Batch<'_>) -> &'a Self {
        match batch.corrupted {
            Some(_) => denoising,
            None => plain,
        }
    }

    /// What `batch` fills.
    pub(super) fn inputs<'a>(&self, batch: &Batch<'a>) -> Vec<(Buffer, &'a [f32])> {
        let corrupted = batch.corrupted.map(|corrupted| (self.seen, corrupted));
        [(self.images, batch.images)]
            .into_iter()
            .chain(corrupted)
            .collect()
    }

    /// The matrices that the forward passes fill, by the names of their layers in `config`.
    pub(super) fn names(&self, config: &ModelConfig) -> Vec<(String, Buffer)> {
        let mut names = vec![("images".to_owned(), self.seen)];
        let layers = config.parameters().into_iter();
        let layers = layers.filter_map(|spec| Some(spec.name.strip_suffix(".weight")?.to_owned()));
        let mut layers = layers
            .filter(|name| name != "log_var")
            .map(|name| match &name[..] {
                // One matrix.
                "mu" => "mu and log_var".to_owned(),
                _ => name,
            });
        for pass in &self.forward.passes {
            match *pass {
                Pass::DenseForward { output, .. } => names.extend(layers.next().zip(Some(output))),
                Pass::SampleKlForward { z, kl, .. } => {
                    names.extend([("kl".to_owned(), kl), ("z".to_owned(), z)]);
                }
                Pass::DenseNll { recon, .. } => names.push(("recon".to_owned(), recon)),
                _ => {}
            }
        }
        names
    }

    /// The program of a training step, whose images come out of the data set.
    pub(super) fn training(&self, from: &TrainingImages) -> TrainingProgram {
        let mut program = self.program.clone();
        let images = self.images;
        let gather = Pass::Gather {
            images,
            element: from.element,
            binarize: from.binarize,
        };
        let corrupt = from.corruption.map(|corruption| Pass::Corrupt {
            images,
            corrupted: self.seen,
            corruption,
        });
        let first = [gather].into_iter().chain(corrupt);
        program.passes.splice(0..0, first);
        TrainingProgram {
            program,
            recon: self.recon,
            kl: self.kl,
        }
    }
}

/// A chain of hidden layers as it was computed.
struct Hidden {
    /// The input and the output of each layer.
    values: Vec<Buffer>,
    /// The slope of each layer's activation; empty if nobody asked.
    slopes: Vec<Buffer>,
}

impl Hidden {
    /// What comes out at the end.
    fn features(&self) -> Buffer {
        self.values[self.values.len() - 1]
    }

    /// The slope of what comes out; none if no layer made it.
    fn slope(&self) -> Option<Buffer> {
        self.slopes.last().copied()
    }
}

/// Columns that go into the first of the hidden `layers`, or into `last` if there is none.
fn inputs(layers: &[Layer], last: Layer) -> usize {
    layers.first().unwrap_or(&last).inputs
}

fn hidden(
    program: &mut Program,
    Layers { activation, .. }: &Layers,
    chain: &[Layer],
    input: Buffer,
    with_slopes: bool,
) -> Hidden {
    let mut hidden = Hidden {
        values: vec![input],
        slopes: Vec::new(),
    };
    for &layer in chain {
        let output = program.buffer(layer.width());
        let slope = with_slopes.then(|| program.buffer(layer.width()));
        program.passes.push(Pass::DenseForward {
            layer,
            input: hidden.features(),
            output,
            activation: Some(*activation),
            slope,
        });
        hidden.values.push(output);
        hidden.slopes.extend(slope);
    }
    hidden
}

fn posterior(program: &mut Program, layers: &Layers, encoded: &Hidden) -> Buffer {
    let output = program.buffer(layers.posterior.width());
    program.passes.push(Pass::DenseForward {
        layer: layers.posterior,
        input: encoded.features(),
        output,
        activation: None,
        slope: None,
    });
    output
}

/// `[recon, d_output]` of `images` under the output layer.
fn dense_nll(program: &mut Program, layers: &Layers, input: Buffer, images: Buffer) -> [Buffer; 2] {
    let width = layers.output.width();
    let recon = program.buffer(width.div_ceil(NLL_COLUMNS));
    let d_output = program.buffer(width);
    program.passes.push(Pass::DenseNll {
        layer: layers.output,
        input,
        images,
        likelihood: layers.likelihood,
        recon,
        d_output,
    });
    [recon, d_output]
}

fn backward_parameters(program: &mut Program, layer: Layer, input: Buffer, d_output: Buffer) {
    program.passes.push(Pass::DenseBackwardParameters {
        layer,
        input,
        d_output,
    });
}

fn backward_input(
    program: &mut Program,
    layer: Layer,
    d_output: Buffer,
    slope: Option<Buffer>,
) -> Buffer {
    let d_input = program.buffer(layer.inputs);
    program.passes.push(Pass::DenseBackwardInput {
        layer,
        d_output,
        slope,
        d_input,
    });
    d_input
}

/// The backward passes of a chain from the gradient before the last one's activation; gives that of the chain's input, or
/// nothing of use unless `with_input`.
fn hidden_backward(
    program: &mut Program,
    chain: &[Layer],
    hidden: &Hidden,
    d_features: Buffer,
    with_input: bool,
) -> Buffer {
    let mut d_output = d_features;
    for (depth, &layer) in chain.iter().enumerate().rev() {
        backward_parameters(program, layer, hidden.values[depth], d_output);
        if depth > 0 || with_input {
            let slope = depth.checked_sub(1).map(|below| hidden.slopes[below]);
            d_output = backward_input(program, layer, d_output, slope);
        }
    }
    d_output
}
