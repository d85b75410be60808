//! Plans the step programs of a dense model from its configuration.

use vae_kernels::program::{Activation, Buffer, Layer, Pass, Program};
use vae_model::ModelConfig;

/// Where every layer's parameters lie in the arena, in the order of [`ModelConfig::layers`].
#[derive(Clone, Debug)]
pub(super) struct Layers {
    encoder: Vec<Layer>,
    mu: Layer,
    log_var: Layer,
    decoder: Vec<Layer>,
    logits: Layer,
}

impl Layers {
    pub(super) fn new(config: &ModelConfig) -> Self {
        let mut end = 0;
        let mut range = |length: usize| {
            end += length;
            end - length..end
        };
        let mut layers = config
            .layers()
            .into_iter()
            .map(|(_, inputs, outputs)| Layer {
                weight: range(inputs * outputs),
                bias: range(outputs),
                inputs,
                outputs,
            });
        let depth = config.hidden.len();
        let mut layer = || {
            layers
                .next()
                .unwrap_or_else(|| unreachable!("a layer for each place"))
        };
        Self {
            encoder: (0..depth).map(|_| layer()).collect(),
            mu: layer(),
            log_var: layer(),
            decoder: (0..depth).map(|_| layer()).collect(),
            logits: layer(),
        }
    }
}

/// Images to the posterior.
#[derive(Debug)]
pub(super) struct EncodePlan {
    pub(super) program: Program,
    pub(super) images: Buffer,
    /// The images and the output of each hidden layer.
    encoded: Vec<Buffer>,
    pub(super) mu: Buffer,
    pub(super) log_var: Buffer,
}

/// Latents to pixel probabilities.
#[derive(Debug)]
pub(super) struct DecodePlan {
    pub(super) program: Program,
    pub(super) z: Buffer,
    pub(super) pixels: Buffer,
}

/// Images to the loss, and on to every gradient.
#[derive(Debug)]
pub(super) struct LossPlan {
    pub(super) program: Program,
    /// The passes before the backward ones: all that an evaluation needs.
    pub(super) forward: Program,
    pub(super) images: Buffer,
    pub(super) recon: Buffer,
    pub(super) kl: Buffer,
}

pub(super) fn encode(layers: &Layers) -> EncodePlan {
    let mut program = Program::default();
    let images = program.buffer(layers.encoder.first().unwrap_or(&layers.mu).inputs);
    let encoded = hidden(&mut program, &layers.encoder, images);
    let features = encoded[encoded.len() - 1];
    let mu = dense(&mut program, &layers.mu, features, Activation::Identity);
    let log_var = dense(
        &mut program,
        &layers.log_var,
        features,
        Activation::Identity,
    );
    EncodePlan {
        program,
        images,
        encoded,
        mu,
        log_var,
    }
}

pub(super) fn decode(layers: &Layers) -> DecodePlan {
    let mut program = Program::default();
    let z = program.buffer(layers.mu.outputs);
    let decoded = hidden(&mut program, &layers.decoder, z);
    let features = decoded[decoded.len() - 1];
    let input = dense(&mut program, &layers.logits, features, Activation::Identity);
    let pixels = program.buffer(layers.logits.outputs);
    program.passes.push(Pass::Sigmoid {
        input,
        output: pixels,
    });
    DecodePlan { program, z, pixels }
}

pub(super) fn loss(layers: &Layers) -> LossPlan {
    let latent = layers.mu.outputs;
    let EncodePlan {
        mut program,
        images,
        encoded,
        mu,
        log_var,
    } = encode(layers);
    let (z, kl) = (program.buffer(latent), program.buffer(1));
    program
        .passes
        .push(Pass::SampleKlForward { mu, log_var, z, kl });
    let decoded = hidden(&mut program, &layers.decoder, z);
    let logits = dense(
        &mut program,
        &layers.logits,
        decoded[decoded.len() - 1],
        Activation::Identity,
    );
    let (recon, d_logits) = (program.buffer(1), program.buffer(layers.logits.outputs));
    program.passes.push(Pass::BernoulliNll {
        logits,
        images,
        recon,
        d_logits,
    });
    let forward = program.clone();

    let d_features = backward(
        &mut program,
        &[(layers.logits.clone(), d_logits)],
        &decoded,
        layers.decoder.len(),
    );
    let d_z = hidden_backward(&mut program, &layers.decoder, &decoded, d_features, true);
    let (d_mu, d_log_var) = (program.buffer(latent), program.buffer(latent));
    let d_z = d_z.unwrap_or(d_features);
    program.passes.push(Pass::SampleKlBackward {
        mu,
        log_var,
        z,
        d_z,
        d_mu,
        d_log_var,
    });
    let heads = [
        (layers.mu.clone(), d_mu),
        (layers.log_var.clone(), d_log_var),
    ];
    if layers.encoder.is_empty() {
        parameters_backward(&mut program, &heads, images);
    } else {
        let d_features = backward(&mut program, &heads, &encoded, layers.encoder.len());
        hidden_backward(&mut program, &layers.encoder, &encoded, d_features, false);
    }
    LossPlan {
        program,
        forward,
        images,
        recon,
        kl,
    }
}

fn dense(program: &mut Program, layer: &Layer, input: Buffer, activation: Activation) -> Buffer {
    let output = program.buffer(layer.outputs);
    program.passes.push(Pass::DenseForward {
        layer: layer.clone(),
        input,
        output,
        activation,
    });
    output
}

/// `input` and the output of each hidden layer.
fn hidden(program: &mut Program, layers: &[Layer], input: Buffer) -> Vec<Buffer> {
    let mut outputs = vec![input];
    for layer in layers {
        outputs.push(dense(
            program,
            layer,
            outputs[outputs.len() - 1],
            Activation::Relu,
        ));
    }
    outputs
}

fn parameters_backward(program: &mut Program, terms: &[(Layer, Buffer)], input: Buffer) {
    for (layer, d_output) in terms {
        let (layer, d_output) = (layer.clone(), *d_output);
        program.passes.push(Pass::DenseBackwardParameters {
            layer,
            input,
            d_output,
        });
    }
}

/// The backward passes of `terms`, the layers that read `outputs[depth]`; gives the gradient of what they read.
fn backward(
    program: &mut Program,
    terms: &[(Layer, Buffer)],
    outputs: &[Buffer],
    depth: usize,
) -> Buffer {
    let input = outputs[depth];
    parameters_backward(program, terms, input);
    let d_input = program.buffer(terms[0].0.inputs);
    // What no hidden layer made is an input, or a draw of z.
    let activation = if depth > 0 {
        Activation::Relu
    } else {
        Activation::Identity
    };
    program.passes.push(Pass::DenseBackwardInput {
        terms: terms.to_vec(),
        input,
        activation,
        d_input,
    });
    d_input
}

/// The backward passes of the hidden `layers` from the gradient of the last one's output; gives that of the first one's
/// input if it is asked for and there is a layer.
fn hidden_backward(
    program: &mut Program,
    layers: &[Layer],
    outputs: &[Buffer],
    d_features: Buffer,
    with_input: bool,
) -> Option<Buffer> {
    let mut d_output = d_features;
    for (depth, layer) in layers.iter().enumerate().rev() {
        let terms = [(layer.clone(), d_output)];
        if depth == 0 && !with_input {
            parameters_backward(program, &terms, outputs[0]);
            return None;
        }
        d_output = backward(program, &terms, outputs, depth);
    }
    Some(d_output)
}
