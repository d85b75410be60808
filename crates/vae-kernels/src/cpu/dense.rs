//! Dense layers: the rows are shared among the threads, each share taken through the product and all that follows.

use rayon::prelude::*;

use super::elementwise::{self, Factor};
use super::likelihood::{Pixels, Spreading, Targets};
use super::matmul::{Matrix, matmul};
use crate::program::{Layer, NLL_COLUMNS};
use vae_spec::Activation;

/// See [`crate::program::Pass::DenseForward`].
pub(super) fn forward(
    parameters: &[f32],
    layer: Layer,
    input: &[f32],
    output: &mut [f32],
    activation: Option<Activation>,
    slope: Option<&mut [f32]>,
) {
    let bias = bias(parameters, layer);
    let rows = panel(
        output.len() / layer.width(),
        layer.outputs,
        layer.inputs,
        false,
    );
    let length = rows * layer.width();
    let slopes = elementwise::pieces(slope, length, output.len().div_ceil(length));
    let inputs = input.par_chunks(rows * layer.inputs);
    let tasks = inputs.zip(output.par_chunks_mut(length)).zip(slopes);
    tasks.for_each(|((x, y), slope)| {
        affine(parameters, layer, x, y);
        elementwise::activate(y, &bias, activation, slope);
    });
}

/// See [`crate::program::Pass::DenseNll`].
pub(super) fn nll(
    parameters: &[f32],
    layer: Layer,
    input: &[f32],
    targets: Targets<'_>,
    pixels: &Pixels,
    recon: &mut [f32],
    d_output: Option<&mut [f32]>,
) {
    /// Rows of a task whose output is not kept: it stays in a core's second-level cache.
    const CACHED: usize = 128;
    let bias = bias(parameters, layer);
    let width = layer.width();
    let count = input.len() / layer.inputs;
    let rows = match d_output {
        Some(_) => panel(count, layer.outputs, layer.inputs, false),
        None => CACHED,
    };
    let d_outputs = elementwise::pieces(d_output, rows * width, count.div_ceil(rows));
    let tasks = input
        .par_chunks(rows * layer.inputs)
        .zip(recon.par_chunks_mut(rows * width.div_ceil(NLL_COLUMNS)))
        .zip(d_outputs);
    tasks
        .enumerate()
        .for_each_init(Vec::new, |scratch, (task, ((x, recon), d_output))| {
            let length = x.len() / layer.inputs * width;
            let y = match d_output {
                Some(d_output) => d_output,
                None => {
                    scratch.resize(length.max(scratch.len()), 0.0);
                    &mut scratch[..length]
                }
            };
            affine(parameters, layer, x, y);
            pixels.nll(y, &bias, targets.from(task * rows), recon, Spreading::Fixed);
        });
}

/// See [`crate::program::Pass::DenseBackwardParameters`].
pub(super) fn backward_parameters(
    gradients: &mut [f32],
    layer: Layer,
    input: &[f32],
    d_output: &[f32],
) {
    let rows = panel(
        layer.inputs,
        layer.outputs,
        input.len() / layer.inputs,
        false,
    );
    for block in 0..layer.blocks {
        let d_out = block_of(d_output, layer, block);
        let (weight, bias) =
            gradients[layer.block(block)].split_at_mut(layer.inputs * layer.outputs);
        let panels = weight.par_chunks_mut(rows * layer.outputs).enumerate();
        rayon::join(
            || {
                panels.for_each(|(index, weight)| {
                    let (first, rows) = (index * rows, weight.len() / layer.outputs);
                    let x = Matrix::columns(input, layer.inputs, first, rows).transposed();
                    matmul(x, d_out, weight, layer.outputs, false);
                });
            },
            || elementwise::column_sums(d_out, bias),
        );
    }
}

/// See [`crate::program::Pass::DenseBackwardInput`]: of the first `columns` inputs.
pub(super) fn backward_input(
    parameters: &[f32],
    layer: Layer,
    columns: usize,
    d_output: &[f32],
    slope: Option<Factor<'_>>,
    d_input: &mut [f32],
) {
    let rows = panel(d_input.len() / columns, columns, layer.outputs, true);
    let panels = d_input
        .par_chunks_mut(rows * columns)
        .zip(d_output.par_chunks(rows * layer.width()));
    panels.enumerate().for_each(|(index, (d_x, d_y))| {
        for block in 0..layer.blocks {
            let values = &parameters[layer.block(block)][..columns * layer.outputs];
            let weight = Matrix::new(values, columns, layer.outputs).transposed();
            let d_y = block_of(d_y, layer, block);
            matmul(d_y, weight, d_x, columns, block > 0);
        }
        if let Some(slope) = slope {
            slope.apply(index * rows * columns, d_x);
        }
    });
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

/// `output = input W`, without the bias.
fn affine(parameters: &[f32], layer: Layer, input: &[f32], output: &mut [f32]) {
    let x = Matrix::new(input, input.len() / layer.inputs, layer.inputs);
    for block in 0..layer.blocks {
        let values = &parameters[layer.block(block)][..layer.inputs * layer.outputs];
        let weight = Matrix::new(values, layer.inputs, layer.outputs);
        let output = &mut output[block * layer.outputs..];
        matmul(x, weight, output, layer.width(), false);
    }
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
