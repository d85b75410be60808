//! Passes that move numbers, or treat each by itself: one task is some rows.

use rayon::prelude::*;
use vae_spec::Activation;

use super::elementwise::{self, Factor};
use crate::program::Repeat;

/// Numbers of a task: fewer would cost more to hand out than to move.
const TASK: usize = 1 << 14;

/// Calls `work` with the index and the numbers of each row of `output`.
pub(super) fn each_row(
    output: &mut [f32],
    columns: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    let rows = output.par_chunks_exact_mut(columns);
    let rows = rows.with_min_len(TASK.div_ceil(columns));
    rows.enumerate().for_each(|(row, output)| work(row, output));
}

/// See [`crate::program::Pass::Transpose`].
pub(super) fn transpose(input: &[f32], output: &mut [f32], columns: usize, rows: usize) {
    each_row(output, columns, |index, output| {
        let input = &input[index * columns..][..columns];
        let length = columns / rows;
        for (column, output) in output.chunks_exact_mut(rows).enumerate() {
            for (row, value) in output.iter_mut().enumerate() {
                *value = input[row * length + column];
            }
        }
    });
}

/// See [`crate::program::Pass::Label`].
pub(super) fn label(input: &[f32], labels: &[f32], output: &mut [f32]) {
    let width = output.len() / labels.len();
    let columns = input.len() / labels.len();
    each_row(output, width, |row, output| {
        let (values, one_hot) = output.split_at_mut(columns);
        values.copy_from_slice(&input[row * columns..][..columns]);
        one_hot.fill(0.0);
        one_hot[labels[row] as usize] = 1.0;
    });
}

/// See [`crate::program::Pass::RepeatRows`].
pub(super) fn repeat_rows(input: &[f32], output: &mut [f32], rows: usize, draws: usize) {
    let columns = output.len() / rows;
    each_row(output, columns, |row, output| {
        output.copy_from_slice(&input[row / draws * columns..][..columns]);
    });
}

/// See [`crate::program::Pass::SumRows`].
pub(super) fn sum_rows(input: &[f32], output: &mut [f32], columns: usize, draws: usize) {
    let length = draws * columns;
    let sums = &mut output[..input.len() / draws];
    each_row(sums, columns, |row, output| {
        output.fill(0.0);
        for draw in input[row * length..][..length].chunks_exact(columns) {
            elementwise::add(output, draw);
        }
    });
}

/// See [`crate::program::Pass::ScaleRows`].
pub(super) fn scale_rows(values: &mut [f32], weights: &[f32]) {
    let columns = values.len() / weights.len();
    each_row(values, columns, |row, values| {
        values.iter_mut().for_each(|value| *value *= weights[row]);
    });
}

/// See [`crate::program::Pass::LogOfCounts`].
pub(super) fn log_of_counts(input: &[f32], output: &mut [f32]) {
    let tasks = output.par_chunks_mut(TASK).zip(input.par_chunks(TASK));
    tasks.for_each(|(output, input)| elementwise::ln_1p(input, output));
}

/// See [`crate::program::Pass::Activate`].
pub(super) fn activate(
    input: &[f32],
    output: &mut [f32],
    activation: Activation,
    slope: Option<&mut [f32]>,
) {
    let slopes = elementwise::pieces(slope, TASK, output.len().div_ceil(TASK));
    let none = elementwise::tiled(&[0.0]);
    let tasks = output.par_chunks_mut(TASK).zip(input.par_chunks(TASK));
    tasks.zip(slopes).for_each(|((output, input), slope)| {
        output.copy_from_slice(input);
        elementwise::activate(output, &none, Some(activation), slope);
    });
}

/// See [`crate::program::Pass::Add`].
pub(super) fn add(one: &[f32], other: &[f32], times: Option<Factor<'_>>, output: &mut [f32]) {
    let tasks = output.par_chunks_mut(TASK).enumerate();
    tasks.for_each(|(task, output)| {
        let start = task * TASK;
        output.copy_from_slice(&one[start..][..output.len()]);
        elementwise::add(output, &other[start..]);
        if let Some(times) = times {
            times.apply(start, output);
        }
    });
}

/// See [`crate::program::Pass::RepeatForward`].
pub(super) fn repeat_forward(repeat: &Repeat, input: &[f32], output: &mut [f32]) {
    let Repeat {
        small,
        large,
        channels,
        factor,
    } = *repeat;
    each_row(output, large[1] * channels, |row, output| {
        let (image, y) = (row / large[0], row % large[0] / factor);
        let input = &input[(image * small[0] + y) * small[1] * channels..];
        let squares = output.chunks_mut(factor * channels);
        for (square, pixel) in squares.zip(input.chunks_exact(channels)) {
            for copy in square.chunks_exact_mut(channels) {
                copy.copy_from_slice(pixel);
            }
        }
    });
}

/// See [`crate::program::Pass::RepeatBackward`].
pub(super) fn repeat_backward(
    repeat: &Repeat,
    d_output: &[f32],
    slope: Option<Factor<'_>>,
    d_input: &mut [f32],
) {
    let Repeat {
        small,
        large,
        channels,
        factor,
    } = *repeat;
    let row = small[1] * channels;
    each_row(d_input, row, |index, d_input| {
        d_input.fill(0.0);
        let (image, y) = (index / small[0], index % small[0] * factor);
        for y in y..(y + factor).min(large[0]) {
            let large =
                &d_output[(image * large[0] + y) * large[1] * channels..][..large[1] * channels];
            let squares = large.chunks(factor * channels);
            for (square, pixel) in squares.zip(d_input.chunks_exact_mut(channels)) {
                for copy in square.chunks_exact(channels) {
                    elementwise::add(pixel, copy);
                }
            }
        }
        if let Some(slope) = slope {
            slope.apply(index * row, d_input);
        }
    });
}
