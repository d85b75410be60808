//! One pass on the CPU: its rows are shared among the threads, each share taken through all that the pass does.

use rayon::prelude::*;

use super::matmul::{Matrix, matmul};
use super::{Cpu, corrupt, elementwise, gather, sample_kl};
use crate::executor::Run;
use crate::program::{Layer, MatrixId, Pass};

impl Cpu {
    /// Runs one pass on `batch` rows; `rows` are for [`Pass::Gather`].
    pub(super) fn pass(&mut self, pass: &Pass, run: &Run, batch: usize, rows: &[u32]) {
        let matrices = &mut self.matrices;
        match *pass {
            Pass::Gather {
                images,
                element,
                binarize,
            } => {
                let columns = matrices[images.0].len() / batch;
                let binarization = binarize.then_some((run.binarization, run.noise.step));
                let images = &mut matrices[images.0];
                gather::gather_into(images, &self.images, element, columns, rows, binarization);
            }
            Pass::Corrupt {
                images,
                corrupted,
                corruption,
            } => {
                let [mut out] = take(matrices, [corrupted]);
                out.copy_from_slice(&matrices[images.0]);
                let columns = out.len() / batch;
                let step = run.noise.step;
                corrupt::corrupt(&mut out, columns, corruption, run.corruption, step, 0);
                put(matrices, [corrupted], [out]);
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
                let bias = bias(&self.parameters, layer);
                let rows = panel(batch, layer.outputs, layer.inputs, false);
                let inputs = matrices[input.0].par_chunks(rows * layer.inputs);
                let outputs = out.par_chunks_mut(rows * layer.width());
                match &mut slopes {
                    Some(slopes) => inputs
                        .zip(outputs)
                        .zip(slopes.par_chunks_mut(rows * layer.width()))
                        .for_each(|((x, y), slope)| {
                            affine(&self.parameters, layer, x, y);
                            elementwise::activate(y, &bias, activation, Some(slope));
                        }),
                    None => inputs.zip(outputs).for_each(|(x, y)| {
                        affine(&self.parameters, layer, x, y);
                        elementwise::activate(y, &bias, activation, None);
                    }),
                }
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
                let mut outputs = take(matrices, [recon, d_output]);
                let [recon_out, out] = &mut outputs;
                let bias = bias(&self.parameters, layer);
                let rows = panel(batch, layer.outputs, layer.inputs, false);
                let parts = recon_out.len() / batch;
                let inputs = matrices[input.0]
                    .par_chunks(rows * layer.inputs)
                    .zip(matrices[images.0].par_chunks(rows * layer.width()));
                let outputs_of = out
                    .par_chunks_mut(rows * layer.width())
                    .zip(recon_out.par_chunks_mut(rows * parts));
                inputs
                    .zip(outputs_of)
                    .for_each(|((x, images), (y, recon))| {
                        affine(&self.parameters, layer, x, y);
                        elementwise::nll(likelihood, y, &bias, images, recon, 1.0 / batch as f32);
                    });
                put(matrices, [recon, d_output], outputs);
            }
            Pass::DenseBackwardParameters {
                layer,
                input,
                d_output,
            } => {
                let (x, d_out) = (&matrices[input.0], &matrices[d_output.0]);
                let rows = panel(layer.inputs, layer.outputs, batch, false);
                for block in 0..layer.blocks {
                    let d_out = block_of(d_out, layer, block);
                    let (weight, bias) = self.gradients[layer.block(block)]
                        .split_at_mut(layer.inputs * layer.outputs);
                    let panels = weight.par_chunks_mut(rows * layer.outputs).enumerate();
                    rayon::join(
                        || {
                            panels.for_each(|(index, weight)| {
                                let (first, rows) = (index * rows, weight.len() / layer.outputs);
                                let x = Matrix::columns(x, layer.inputs, first, rows).transposed();
                                matmul(x, d_out, weight, layer.outputs, false);
                            });
                        },
                        || elementwise::column_sums(d_out, bias),
                    );
                }
            }
            Pass::DenseBackwardInput {
                layer,
                d_output,
                slope,
                d_input,
            } => {
                let [mut out] = take(matrices, [d_input]);
                let slopes = slope.map(|slope| &matrices[slope.0]);
                let rows = panel(batch, layer.inputs, layer.outputs, true);
                let panels = out
                    .par_chunks_mut(rows * layer.inputs)
                    .zip(matrices[d_output.0].par_chunks(rows * layer.width()));
                panels.enumerate().for_each(|(index, (d_x, d_y))| {
                    for block in 0..layer.blocks {
                        let weight = weight(&self.parameters, layer, block).transposed();
                        let d_y = block_of(d_y, layer, block);
                        matmul(d_y, weight, d_x, layer.inputs, block > 0);
                    }
                    if let Some(slopes) = slopes {
                        elementwise::multiply(d_x, &slopes[index * rows * layer.inputs..]);
                    }
                });
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
                let (latent, d_kl) = (inputs[1].len() / batch, run.weighting.beta / batch as f32);
                sample_kl::backward(inputs, latent, d_kl, &mut out);
                put(matrices, [d_posterior], [out]);
            }
        }
    }
}

/// Rows of a task in a `rows x columns` product of `depth` terms: as many for each thread, in whole tiles of the product's
/// innermost loop; all of them if there is too little to share.
///
/// gemm adds the terms of small results in another order: along rows of both factors up to 256 elements (`along_rows`), and up to
/// 64 x 64 beyond 512 terms. What may be cut into such pieces is not shared, or bits would depend on the number of threads.
fn panel(rows: usize, columns: usize, depth: usize, along_rows: bool) -> usize {
    const TILE: usize = 8;
    const TASK: usize = 1 << 15;
    let has_one_order = columns > 64 || (depth <= 512 && !along_rows);
    let tasks = rows * columns * depth / TASK;
    let tasks = tasks.clamp(1, rayon::current_num_threads());
    if tasks == 1 || !has_one_order {
        return rows;
    }
    let mut panel = rows.div_ceil(tasks).next_multiple_of(TILE);
    // A last task of a row or two would be a product of another kind.
    while panel < rows && (1..TILE).contains(&(rows % panel)) {
        panel += TILE;
    }
    panel
}

/// Takes matrices out, to be written while others are read.
fn take<const N: usize>(matrices: &mut [Vec<f32>], buffers: [MatrixId; N]) -> [Vec<f32>; N] {
    buffers.map(|buffer| std::mem::take(&mut matrices[buffer.0]))
}

fn put<const N: usize>(matrices: &mut [Vec<f32>], buffers: [MatrixId; N], values: [Vec<f32>; N]) {
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
