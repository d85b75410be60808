//! The CPU executor: matrix products by the `gemm` crate, everything else in fused, vectorised loops, all on every core.
//! Results do not depend on the number of threads.

mod elementwise;
mod gather;
mod matmul;
mod optimizer;
mod sample_kl;

pub use gather::gather;

use std::sync::Arc;
use std::time::Instant;

use matmul::{Matrix, matmul};

use crate::executor::{Arena, Executor, ExecutorError, Run, StepLosses, TrainingProgram};
use crate::program::{Buffer, Layer, Pass, Program, Update};

/// The parameters of one model, in memory.
#[derive(Debug)]
pub struct Cpu {
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    moments: Vec<Vec<f32>>,
    images: Arc<[u8]>,
    /// Of the training program; kept between steps.
    matrices: Vec<Vec<f32>>,
    losses: Vec<StepLosses>,
}

impl Cpu {
    /// An executor whose optimizer remembers `moments` numbers of each parameter.
    #[must_use]
    pub fn new(parameters: Vec<f32>, moments: usize) -> Self {
        let arena = vec![0.0; parameters.len()];
        Self {
            parameters,
            moments: vec![arena.clone(); moments],
            gradients: arena,
            images: Arc::default(),
            matrices: Vec::new(),
            losses: Vec::new(),
        }
    }

    /// Runs one pass on a batch of `batch`; `rows` are for [`Pass::Gather`].
    fn pass(&mut self, pass: &Pass, run: &Run, batch: usize, rows: &[u32]) {
        let matrices = &mut self.matrices;
        match *pass {
            Pass::Gather { images, binarize } => {
                let columns = matrices[images.0].len() / batch;
                let binarization = binarize.then_some((run.binarization, run.noise.step));
                let images = &mut matrices[images.0];
                gather::gather_into(images, &self.images, columns, rows, binarization);
            }
            Pass::DenseForward {
                layer,
                input,
                output,
                activation,
                slope,
            } => {
                let mut out = std::mem::take(&mut matrices[output.0]);
                let mut slopes = slope.map(|slope| std::mem::take(&mut matrices[slope.0]));
                affine(&self.parameters, layer, &matrices[input.0], &mut out);
                let bias = bias(&self.parameters, layer);
                elementwise::activate(&mut out, &bias, activation, slopes.as_deref_mut());
                matrices[output.0] = out;
                if let (Some(slope), Some(slopes)) = (slope, slopes) {
                    matrices[slope.0] = slopes;
                }
            }
            Pass::SampleKlForward { posterior, z, kl } => {
                let [mut z_out, mut kl_out] = take(matrices, [z, kl]);
                sample_kl::forward(&matrices[posterior.0], run.noise, &mut z_out, &mut kl_out);
                put(matrices, [z, kl], [z_out, kl_out]);
            }
            Pass::DenseNll {
                layer,
                input,
                images,
                likelihood,
                recon,
                d_output,
            } => {
                let [mut recon_out, mut out] = take(matrices, [recon, d_output]);
                affine(&self.parameters, layer, &matrices[input.0], &mut out);
                let bias = bias(&self.parameters, layer);
                elementwise::nll(
                    likelihood,
                    &mut out,
                    &bias,
                    &matrices[images.0],
                    &mut recon_out,
                );
                put(matrices, [recon, d_output], [recon_out, out]);
            }
            Pass::DenseBackwardParameters {
                layer,
                input,
                d_output,
            } => {
                let x = Matrix::new(&matrices[input.0], batch, layer.inputs);
                let mut sums = vec![0.0; layer.width()];
                elementwise::column_sums(&matrices[d_output.0], &mut sums);
                for (block, sums) in sums.chunks_exact(layer.outputs).enumerate() {
                    let d_out = block_of(&matrices[d_output.0], layer, block);
                    let (weight, bias) = self.gradients[layer.block(block)]
                        .split_at_mut(layer.inputs * layer.outputs);
                    matmul(x.transposed(), d_out, weight, layer.outputs, false);
                    bias.copy_from_slice(sums);
                }
            }
            Pass::DenseBackwardInput {
                layer,
                d_output,
                slope,
                d_input,
            } => {
                let [mut out] = take(matrices, [d_input]);
                for block in 0..layer.blocks {
                    let d_out = block_of(&matrices[d_output.0], layer, block);
                    let weight = weight(&self.parameters, layer, block).transposed();
                    matmul(d_out, weight, &mut out, layer.inputs, block > 0);
                }
                if let Some(slope) = slope {
                    elementwise::multiply(&mut out, &matrices[slope.0]);
                }
                put(matrices, [d_input], [out]);
            }
            Pass::SampleKlBackward {
                posterior,
                z,
                d_z,
                d_posterior,
            } => {
                let [mut out] = take(matrices, [d_posterior]);
                let inputs = [posterior, z, d_z].map(|buffer| &matrices[buffer.0][..]);
                let (latent, d_kl) = (inputs[1].len() / batch, run.beta / batch as f32);
                sample_kl::backward(inputs, latent, d_kl, &mut out);
                put(matrices, [d_posterior], [out]);
            }
        }
    }

    fn step_losses(&self, program: &TrainingProgram, batch: usize) -> StepLosses {
        let mean = |buffer: Buffer| {
            let sum: f64 = self.matrices[buffer.0].iter().map(|&x| f64::from(x)).sum();
            (sum / batch as f64) as f32
        };
        StepLosses {
            recon: mean(program.recon),
            kl: mean(program.kl),
        }
    }
}

impl Executor for Cpu {
    fn set_images(&mut self, images: Arc<[u8]>, _pixels: usize) -> Result<(), ExecutorError> {
        self.images = images;
        Ok(())
    }

    fn train(
        &mut self,
        program: &TrainingProgram,
        run: Run,
        rows: &[u32],
        update: Update,
    ) -> Result<(), ExecutorError> {
        self.time_step(program, run, rows, update).map(drop)
    }

    fn losses(&mut self, _wait: bool) -> Result<Vec<StepLosses>, ExecutorError> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn run(
        &mut self,
        program: &Program,
        run: Run,
        batch: usize,
        inputs: &[(Buffer, &[f32])],
        outputs: &[Buffer],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        let kept = std::mem::take(&mut self.matrices);
        resize(&mut self.matrices, program, batch);
        for (buffer, values) in inputs {
            self.matrices[buffer.0].copy_from_slice(values);
        }
        for pass in &program.passes {
            self.pass(pass, &run, batch, &[]);
        }
        let mut matrices = std::mem::replace(&mut self.matrices, kept);
        let outputs = outputs.iter();
        Ok(outputs
            .map(|buffer| std::mem::take(&mut matrices[buffer.0]))
            .collect())
    }

    fn arena(&mut self, arena: Arena) -> Result<Vec<f32>, ExecutorError> {
        Ok(match arena {
            Arena::Parameters => self.parameters.clone(),
            Arena::Gradients => self.gradients.clone(),
            Arena::Moment(index) => self.moments[index].clone(),
        })
    }

    fn time_step(
        &mut self,
        program: &TrainingProgram,
        run: Run,
        rows: &[u32],
        update: Update,
    ) -> Result<Vec<(&'static str, f64)>, ExecutorError> {
        let passes = &program.program.passes;
        let mut times = Vec::with_capacity(passes.len() + 1);
        resize(&mut self.matrices, &program.program, rows.len());
        for pass in passes {
            let start = Instant::now();
            self.pass(pass, &run, rows.len(), rows);
            times.push((pass.stem(), start.elapsed().as_secs_f64()));
        }
        let start = Instant::now();
        self.losses.push(self.step_losses(program, rows.len()));
        optimizer::update(
            update,
            &mut self.parameters,
            &self.gradients,
            &mut self.moments,
        );
        times.push(("update", start.elapsed().as_secs_f64()));
        Ok(times)
    }
}

/// Makes room for `program` at `batch` rows.
fn resize(matrices: &mut Vec<Vec<f32>>, program: &Program, batch: usize) {
    matrices.resize_with(program.columns.len(), Vec::new);
    for (matrix, columns) in matrices.iter_mut().zip(&program.columns) {
        matrix.resize(batch * columns, 0.0);
    }
}

/// Lends out matrices to be written while others are read.
fn take<const N: usize>(matrices: &mut [Vec<f32>], buffers: [Buffer; N]) -> [Vec<f32>; N] {
    buffers.map(|buffer| std::mem::take(&mut matrices[buffer.0]))
}

fn put<const N: usize>(matrices: &mut [Vec<f32>], buffers: [Buffer; N], values: [Vec<f32>; N]) {
    for (buffer, values) in buffers.into_iter().zip(values) {
        matrices[buffer.0] = values;
    }
}

/// `output = input W`, without the bias.
fn affine(parameters: &[f32], layer: Layer, input: &[f32], output: &mut [f32]) {
    let x = Matrix::new(input, input.len() / layer.inputs, layer.inputs);
    for block in 0..layer.blocks {
        let output = &mut output[block * layer.outputs..];
        matmul(
            x,
            weight(parameters, layer, block),
            output,
            layer.width(),
            false,
        );
    }
}

/// W of a block, `[inputs, outputs]`.
fn weight(parameters: &[f32], layer: Layer, block: usize) -> Matrix<'_> {
    let values = &parameters[layer.block(block)][..layer.inputs * layer.outputs];
    Matrix::new(values, layer.inputs, layer.outputs)
}

/// The biases of all blocks.
fn bias(parameters: &[f32], layer: Layer) -> Vec<f32> {
    let blocks = (0..layer.blocks).map(|block| layer.block(block));
    blocks
        .flat_map(|block| &parameters[block][layer.inputs * layer.outputs..])
        .copied()
        .collect()
}

/// The columns of a layer's output that belong to a block.
fn block_of(output: &[f32], layer: Layer, block: usize) -> Matrix<'_> {
    Matrix::columns(output, layer.width(), block * layer.outputs, layer.outputs)
}
