//! The CPU executor of a step program: matrix products by the `gemm` crate, everything else in fused, vectorised loops, all
//! on every core. Results do not depend on the number of threads.

mod elementwise;
mod matmul;
mod optimizer;
mod sample_kl;

pub use optimizer::update;

use matmul::{Matrix, matmul};

use crate::program::{Activation, Buffer, Pass, Program};
use crate::sample_kl::Noise;

/// The matrices of a program at some batch size. Kept between runs, they are not allocated again.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    matrices: Vec<Vec<f32>>,
    batch: usize,
}

impl Scratch {
    /// Makes room for `program` at `batch` rows.
    pub fn resize(&mut self, program: &Program, batch: usize) {
        self.batch = batch;
        self.matrices.resize_with(program.columns.len(), Vec::new);
        for (matrix, columns) in self.matrices.iter_mut().zip(&program.columns) {
            matrix.resize(batch * columns, 0.0);
        }
    }

    /// A matrix, row-major.
    #[must_use]
    pub fn matrix(&self, buffer: Buffer) -> &[f32] {
        &self.matrices[buffer.0]
    }

    /// A matrix to be filled.
    pub fn matrix_mut(&mut self, buffer: Buffer) -> &mut [f32] {
        &mut self.matrices[buffer.0]
    }

    /// Lends out matrices to be written while others are read.
    fn take<const N: usize>(&mut self, buffers: [Buffer; N]) -> [Vec<f32>; N] {
        buffers.map(|buffer| std::mem::take(&mut self.matrices[buffer.0]))
    }

    fn put<const N: usize>(&mut self, buffers: [Buffer; N], matrices: [Vec<f32>; N]) {
        for (buffer, matrix) in buffers.into_iter().zip(matrices) {
            self.matrices[buffer.0] = matrix;
        }
    }
}

/// What a run needs beside the program and its matrices.
#[derive(Debug)]
pub struct Arguments<'a> {
    /// The arena.
    pub parameters: &'a [f32],
    /// The arena of gradients; empty for a program without backward passes.
    pub gradients: &'a mut [f32],
    /// The noise of [`Pass::SampleKlForward`].
    pub noise: Noise,
    /// Weight of the KL term in [`Pass::SampleKlBackward`].
    pub beta: f32,
}

/// Runs all passes of `program` in order.
///
/// # Panics
/// If `scratch` was not resized for `program`, or the arenas are too short for it.
pub fn run(program: &Program, scratch: &mut Scratch, arguments: &mut Arguments<'_>) {
    for pass in &program.passes {
        run_pass(pass, scratch, arguments);
    }
}

/// Runs one pass.
///
/// # Panics
/// As [`run`].
pub fn run_pass(pass: &Pass, scratch: &mut Scratch, arguments: &mut Arguments<'_>) {
    let batch = scratch.batch;
    let Arguments {
        parameters,
        gradients,
        noise,
        beta,
    } = arguments;
    match *pass {
        Pass::DenseForward {
            ref layer,
            input,
            output,
            activation,
        } => {
            let [mut out] = scratch.take([output]);
            let x = Matrix::new(scratch.matrix(input), batch, layer.inputs);
            let weight = Matrix::new(
                &parameters[layer.weight.clone()],
                layer.inputs,
                layer.outputs,
            );
            matmul(x, weight, &mut out, false);
            elementwise::add_bias(&mut out, &parameters[layer.bias.clone()], activation);
            scratch.put([output], [out]);
        }
        Pass::SampleKlForward { mu, log_var, z, kl } => {
            let mut outputs = scratch.take([z, kl]);
            let [z_out, kl_out] = &mut outputs;
            sample_kl::forward(
                scratch.matrix(mu),
                scratch.matrix(log_var),
                *noise,
                z_out,
                kl_out,
            );
            scratch.put([z, kl], outputs);
        }
        Pass::BernoulliNll {
            logits,
            images,
            recon,
            d_logits,
        } => {
            let mut outputs = scratch.take([recon, d_logits]);
            let [recon_out, d_out] = &mut outputs;
            elementwise::bernoulli_nll(
                scratch.matrix(logits),
                scratch.matrix(images),
                recon_out,
                d_out,
            );
            scratch.put([recon, d_logits], outputs);
        }
        Pass::DenseBackwardParameters {
            ref layer,
            input,
            d_output,
        } => {
            let x = Matrix::new(scratch.matrix(input), batch, layer.inputs);
            let d_out = Matrix::new(scratch.matrix(d_output), batch, layer.outputs);
            matmul(
                x.transposed(),
                d_out,
                &mut gradients[layer.weight.clone()],
                false,
            );
            elementwise::column_sums(scratch.matrix(d_output), &mut gradients[layer.bias.clone()]);
        }
        Pass::DenseBackwardInput {
            ref terms,
            input,
            activation,
            d_input,
        } => {
            let [mut out] = scratch.take([d_input]);
            for (index, (layer, d_output)) in terms.iter().enumerate() {
                let d_out = Matrix::new(scratch.matrix(*d_output), batch, layer.outputs);
                let weight = Matrix::new(
                    &parameters[layer.weight.clone()],
                    layer.inputs,
                    layer.outputs,
                );
                matmul(d_out, weight.transposed(), &mut out, index > 0);
            }
            if activation == Activation::Relu {
                elementwise::mask_relu(&mut out, scratch.matrix(input));
            }
            scratch.put([d_input], [out]);
        }
        Pass::SampleKlBackward {
            mu,
            log_var,
            z,
            d_z,
            d_mu,
            d_log_var,
        } => {
            let mut outputs = scratch.take([d_mu, d_log_var]);
            let inputs = [mu, log_var, z, d_z].map(|buffer| scratch.matrix(buffer));
            sample_kl::backward(inputs, *beta / batch as f32, &mut outputs);
            scratch.put([d_mu, d_log_var], outputs);
        }
        Pass::Sigmoid { input, output } => {
            let [mut out] = scratch.take([output]);
            elementwise::sigmoid(scratch.matrix(input), &mut out);
            scratch.put([output], [out]);
        }
    }
}
