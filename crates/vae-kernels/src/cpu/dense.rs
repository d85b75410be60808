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

/// Whether `d_output W^T` is computed as `W d_output^T`: gemm copies one factor into its own order, the weights the one way round
/// and the gradients, of which there are fewer, the other. The terms are added in the same order. Vectors of gemm hold 16 rows then,
/// and turning the result costs time that a product of few terms does not save (docs/benchmarks.md).
const fn is_turned(rows: usize, outputs: usize) -> bool {
    rows <= 128 && rows.is_multiple_of(16) && outputs >= 256
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
    let is_turned = is_turned(rows, layer.outputs);
    let panels = d_input
        .par_chunks_mut(rows * columns)
        .zip(d_output.par_chunks(rows * layer.width()));
    panels
        .enumerate()
        .for_each_init(Vec::new, |turned, (index, (d_x, d_y))| {
            let count = d_x.len() / columns;
            if is_turned {
                turned.resize(rows * columns, 0.0);
            }
            for block in 0..layer.blocks {
                let values = &parameters[layer.block(block)][..columns * layer.outputs];
                let weight = Matrix::new(values, columns, layer.outputs);
                let d_y = block_of(d_y, layer, block);
                if is_turned {
                    matmul(weight, d_y.transposed(), turned, count, block > 0);
                } else {
                    matmul(d_y, weight.transposed(), d_x, columns, block > 0);
                }
            }
            if is_turned {
                elementwise::transpose(&turned[..d_x.len()], count, d_x);
            }
            if let Some(slope) = slope {
                slope.apply(index * rows * columns, d_x);
            }
        });
}

/// Rows of a task in a `rows x columns` product of `depth` terms: as many for each thread, to a pair; all of them if there is too
/// little to share. (Whole tiles of gemm, six rows, would leave the threads' shares further apart than a part of a tile costs.)
///
/// gemm adds the terms of small results in another order: along rows of both factors up to 256 elements (`along_rows`), and up to
/// 64 x 64 beyond 512 terms. What may be cut into such pieces is not shared, or bits would depend on the number of threads.
fn panel(rows: usize, columns: usize, depth: usize, along_rows: bool) -> usize {
    const PAIR: usize = 2;
    const TASK: usize = 1 << 15;
    // The fewest rows that are added like all of them; one or two would be a product of another kind.
    let least = match columns > 64 {
        true => 8,
        false if along_rows => rows,
        false if depth <= 512 => 8,
        false => 65,
    };
    let tasks = rows * columns * depth / TASK;
    let tasks = tasks.clamp(1, rayon::current_num_threads());
    let mut panel = rows.div_ceil(tasks).next_multiple_of(PAIR).max(least);
    while panel < rows && (rows - 1) % panel + 1 < least {
        panel += PAIR;
    }
    panel.min(rows)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn panel_on(threads: usize, [rows, columns, depth]: [usize; 3], along_rows: bool) -> usize {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| panel(rows, columns, depth, along_rows))
    }

    #[test]
    fn turned_gradients_of_inputs_are_the_products_bit_for_bit() {
        let (rows, columns, outputs) = (63, 130, 300);
        let values = |step, rows, columns| {
            let generator = vae_rng::Generator::new(1, vae_rng::Stream::Init);
            generator.normals(step, 0, rows, columns)
        };
        let layer = Layer {
            offset: 0,
            inputs: columns,
            outputs,
            blocks: 2,
        };
        let parameters = values(0, 1, 2 * (columns + 1) * outputs);
        let d_output = values(1, rows, 2 * outputs);
        let mut expected = vec![0.0; rows * columns];
        for block in 0..2 {
            let weight = &parameters[layer.block(block)][..columns * outputs];
            let weight = Matrix::new(weight, columns, outputs).transposed();
            let d_y = block_of(&d_output, layer, block);
            matmul(d_y, weight, &mut expected, columns, block > 0);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let mut found = vec![0.0; rows * columns];
        pool.unwrap().install(|| {
            let panel = panel(rows, columns, outputs, true);
            assert_eq!((panel, is_turned(panel, outputs)), (32, true));
            backward_input(&parameters, layer, columns, &d_output, None, &mut found);
        });
        assert_eq!(found, expected);
        assert_ne!(found[1..columns], expected[..columns - 1]);
    }

    #[test]
    fn threads_get_even_shares_of_a_product() {
        assert_eq!(panel_on(2, [100, 256, 784], false), 50);
        assert_eq!(panel_on(3, [100, 256, 784], false), 34);
        assert_eq!(panel_on(2, [400, 20, 1024], false), 200);
        assert_eq!(panel_on(2, [100, 2, 4], false), 100, "too little to share");
    }

    #[test]
    fn no_share_adds_its_terms_in_another_order_than_the_whole() {
        for threads in 1..=8 {
            for rows in 1..300 {
                let shares = |columns, depth, along_rows| {
                    let panel = panel_on(threads, [rows, columns, depth], along_rows);
                    (panel, (rows - 1) % panel + 1)
                };
                let is_whole = |(panel, _): (usize, usize)| panel == rows;
                let wide = shares(784, 4096, true);
                assert!(is_whole(wide) || wide.1 >= 8, "{rows}: {wide:?}");
                let deep = shares(20, 4096, false);
                assert!(is_whole(deep) || deep.1 > 64, "{rows}: {deep:?}");
                assert!(is_whole(shares(20, 4096, true)), "{rows}");
            }
        }
    }
}
