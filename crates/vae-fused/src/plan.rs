//! Plans the step programs of a dense model from its configuration.

use vae_kernels::executor::TrainingProgram;
use vae_kernels::program::{Layer, MatrixId, NLL_COLUMNS, Pass, Program};
use vae_spec::{Activation, Batch, Likelihood, ModelConfig, ParameterSpec, TrainingImages};

/// The layers, with the places of their parameters in the arena, in the order of the network.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    encoder: Vec<Layer>,
    /// The heads, mu | log_var.
    posterior: Layer,
    decoder: Vec<Layer>,
    output: Layer,
    activation: Activation,
    likelihood: Likelihood,
}

/// Hands out places in the arena, from its start on.
#[derive(Default)]
struct Offsets {
    end: usize,
}

impl Offsets {
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
        let mut arena = Offsets::default();
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

/// Program from images to the posterior.
#[derive(Debug)]
pub(super) struct EncodePlan {
    pub(super) program: Program,
    pub(super) images: MatrixId,
    pub(super) posterior: MatrixId,
}

/// Program from latents to the decoder's output.
#[derive(Debug)]
pub(super) struct DecodePlan {
    pub(super) program: Program,
    pub(super) z: MatrixId,
    pub(super) output: MatrixId,
}

/// Program from images to the loss, and on to every gradient.
#[derive(Debug)]
pub(super) struct LossPlan {
    pub(super) program: Program,
    /// The passes before the backward ones: all that evaluation needs.
    pub(super) forward: Program,
    pub(super) images: MatrixId,
    /// Input of the encoder; `images` unless they are corrupted.
    pub(super) seen: MatrixId,
    pub(super) recon: MatrixId,
    pub(super) kl: MatrixId,
}

/// Program from latents and images to the images' negative log-likelihoods.
#[derive(Debug)]
pub(super) struct NllPlan {
    pub(super) program: Program,
    pub(super) z: MatrixId,
    pub(super) images: MatrixId,
    pub(super) recon: MatrixId,
}

pub(super) fn encode(layers: &Layers) -> EncodePlan {
    let mut program = Program::default();
    let images = program.matrix(inputs(&layers.encoder, layers.posterior));
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
    let z = program.matrix(inputs(&layers.decoder, layers.output));
    let decoded = hidden(&mut program, layers, &layers.decoder, z, false);
    let output = program.matrix(layers.output.width());
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
    let z = program.matrix(inputs(&layers.decoder, layers.output));
    let images = program.matrix(layers.output.width());
    let decoded = hidden(&mut program, layers, &layers.decoder, z, false);
    let [recon, _] = dense_nll(&mut program, layers, decoded.features(), images);
    NllPlan {
        program,
        z,
        images,
        recon,
    }
}

/// With `corrupts`, the encoder sees other images than those to be reconstructed.
pub(super) fn loss(layers: &Layers, corrupts: bool) -> LossPlan {
    let mut program = Program::default();
    let pixels = inputs(&layers.encoder, layers.posterior);
    let images = program.matrix(pixels);
    let seen = if corrupts {
        program.matrix(pixels)
    } else {
        images
    };
    let encoded = hidden(&mut program, layers, &layers.encoder, seen, true);
    let posterior = posterior(&mut program, layers, &encoded);
    let (z, kl) = (program.matrix(layers.posterior.outputs), program.matrix(1));
    program
        .passes
        .push(Pass::SampleKlForward { posterior, z, kl });
    let decoded = hidden(&mut program, layers, &layers.decoder, z, true);
    let [recon, d_output] = dense_nll(&mut program, layers, decoded.features(), images);
    let forward = program.clone();

    backward_parameters(&mut program, layers.output, decoded.features(), d_output);
    let d_features = backward_input(&mut program, layers.output, d_output, decoded.slope());
    let d_z = hidden_backward(&mut program, &layers.decoder, &decoded, d_features, true);
    let d_posterior = program.matrix(layers.posterior.width());
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
    /// The plan for uncorrupted or for corrupted images, as `batch` is.
    pub(super) const fn of<'a>([plain, denoising]: [&'a Self; 2], batch: &Batch<'_>) -> &'a Self {
        match batch.corrupted {
            Some(_) => denoising,
            None => plain,
        }
    }

    /// The matrices that `batch` fills, with their values.
    pub(super) fn inputs<'a>(&self, batch: &Batch<'a>) -> Vec<(MatrixId, &'a [f32])> {
        let corrupted = batch.corrupted.map(|corrupted| (self.seen, corrupted));
        [(self.images, batch.images)]
            .into_iter()
            .chain(corrupted)
            .collect()
    }

    /// The matrices that the forward passes fill, by the names of their layers among `parameters`.
    pub(super) fn names(&self, parameters: &[ParameterSpec]) -> Vec<(String, MatrixId)> {
        let mut names = vec![("images".to_owned(), self.seen)];
        let layers = parameters.iter();
        let layers = layers.filter_map(|spec| Some(spec.name.strip_suffix(".weight")?.to_owned()));
        let mut layers = layers
            .filter(|name| name != "log_var")
            .map(|name| match &name[..] {
                // Both are one matrix.
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

    /// The program of a training step, which gathers its images from the dataset.
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

/// A chain of hidden layers in a program.
struct Hidden {
    /// The input and the output of each layer.
    values: Vec<MatrixId>,
    /// The slope of each layer's activation; empty if not asked for.
    slopes: Vec<MatrixId>,
}

impl Hidden {
    /// The output of the chain.
    fn features(&self) -> MatrixId {
        self.values[self.values.len() - 1]
    }

    /// The slope of the output; `None` without layers or slopes.
    fn slope(&self) -> Option<MatrixId> {
        self.slopes.last().copied()
    }
}

/// Input columns of the first of the hidden `layers`, or of `last` if there is none.
fn inputs(layers: &[Layer], last: Layer) -> usize {
    layers.first().unwrap_or(&last).inputs
}

fn hidden(
    program: &mut Program,
    Layers { activation, .. }: &Layers,
    chain: &[Layer],
    input: MatrixId,
    with_slopes: bool,
) -> Hidden {
    let mut hidden = Hidden {
        values: vec![input],
        slopes: Vec::new(),
    };
    for &layer in chain {
        let output = program.matrix(layer.width());
        let slope = with_slopes.then(|| program.matrix(layer.width()));
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

fn posterior(program: &mut Program, layers: &Layers, encoded: &Hidden) -> MatrixId {
    let output = program.matrix(layers.posterior.width());
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
fn dense_nll(
    program: &mut Program,
    layers: &Layers,
    input: MatrixId,
    images: MatrixId,
) -> [MatrixId; 2] {
    let width = layers.output.width();
    let recon = program.matrix(width.div_ceil(NLL_COLUMNS));
    let d_output = program.matrix(width);
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

fn backward_parameters(program: &mut Program, layer: Layer, input: MatrixId, d_output: MatrixId) {
    program.passes.push(Pass::DenseBackwardParameters {
        layer,
        input,
        d_output,
    });
}

fn backward_input(
    program: &mut Program,
    layer: Layer,
    d_output: MatrixId,
    slope: Option<MatrixId>,
) -> MatrixId {
    let d_input = program.matrix(layer.inputs);
    program.passes.push(Pass::DenseBackwardInput {
        layer,
        d_output,
        slope,
        d_input,
    });
    d_input
}

/// The backward passes of a chain, from the gradient before the last one's activation; returns the gradient of the chain's input,
/// or nothing of use unless `with_input`.
fn hidden_backward(
    program: &mut Program,
    chain: &[Layer],
    hidden: &Hidden,
    d_features: MatrixId,
    with_input: bool,
) -> MatrixId {
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
