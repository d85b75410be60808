//! Loops over the elements of some rows: written so that the compiler vectorises them, run with the widest registers that the
//! processor has. Sharing rows among the cores is up to the caller.

use super::vectorized::vectorized;
use rayon::prelude::*;
use vae_spec::Activation;

use super::matmul::Matrix;
use super::special::{exp, ln_1p_unit, ln_ratio, sigmoid, sigmoid_from};
use super::workspace::Values;
use crate::program::Slope;

/// `(Phi(x), phi(x))`, the normal distribution function and its density, absolute error below 2e-7 (Abramowitz and Stegun
/// 7.1.26).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let bell = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    let tail = 0.5 * p * t * bell;
    let below = if x >= 0.0 { 1.0 - tail } else { tail };
    (below, bell * 0.398_942_3) // 1 / sqrt(2 pi)
}

/// Adds `bias` to every row of `output`, then applies `activation`, if any; its derivative goes into `slope`, if given.
pub(super) fn activate(
    output: &mut [f32],
    bias: &[f32],
    activation: Option<Activation>,
    slope: Option<&mut [f32]>,
) {
    let Some(activation) = activation else {
        return map(output, bias, slope, |x| (x, 1.0));
    };
    match activation {
        Activation::Relu => map(output, bias, slope, |x| {
            // Not max, which hides NaN.
            if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }
        }),
        Activation::Tanh => map(output, bias, slope, |x| {
            let y = 2.0 * sigmoid(2.0 * x) - 1.0;
            (y, 1.0 - y * y)
        }),
        Activation::Sigmoid => map(output, bias, slope, |x| {
            let y = sigmoid(x);
            (y, y * (1.0 - y))
        }),
        Activation::Gelu => map(output, bias, slope, |x| {
            let (below, density) = normal(x);
            (x * below, below + x * density)
        }),
        Activation::LeakyRelu => map(output, bias, slope, |x| {
            let slope = if x > 0.0 {
                1.0
            } else {
                Activation::LEAKY_SLOPE as f32
            };
            (x * slope, slope)
        }),
        Activation::Softplus => map(output, bias, slope, |x| {
            let e = exp(-x.abs());
            (x.max(0.0) + ln_1p_unit(e), sigmoid_from(x, e))
        }),
    }
}

/// `(output, slope) = f(output + bias)`
fn map(
    output: &mut [f32],
    bias: &[f32],
    mut slope: Option<&mut [f32]>,
    f: impl Fn(f32) -> (f32, f32),
) {
    vectorized(
        #[inline(always)]
        || {
            let rows = output.chunks_mut(bias.len());
            if let Some(slope) = &mut slope {
                for (y, slope) in rows.zip(slope.chunks_mut(bias.len())) {
                    for ((y, slope), bias) in y.iter_mut().zip(slope).zip(bias) {
                        (*y, *slope) = f(*y + bias);
                    }
                }
            } else {
                for y in rows {
                    for (y, bias) in y.iter_mut().zip(bias) {
                        *y = f(*y + bias).0;
                    }
                }
            }
        },
    );
}

/// A factor of gradients: the slope of an activation.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a> {
    /// The slope itself, or the output of `activation`.
    values: &'a [f32],
    activation: Option<Activation>,
}

impl<'a> Factor<'a> {
    pub(super) fn new(slope: Slope, matrices: &'a [Values]) -> Self {
        Self {
            values: &matrices[slope.matrix().0],
            activation: slope.activation(),
        }
    }

    /// `gradients *= slope`, for those that begin at `start` of the matrix.
    pub(super) fn apply(&self, start: usize, gradients: &mut [f32]) {
        let values = &self.values[start..];
        match self.activation {
            None => multiply(gradients, values, |slope| slope),
            // As in `activate`, NaN has the slope 1.
            Some(Activation::Relu) => {
                multiply(gradients, values, |y| if y <= 0.0 { 0.0 } else { 1.0 });
            }
            Some(Activation::LeakyRelu) => multiply(gradients, values, |y| {
                if y > 0.0 {
                    1.0
                } else {
                    Activation::LEAKY_SLOPE as f32
                }
            }),
            Some(Activation::Tanh) => multiply(gradients, values, |y| 1.0 - y * y),
            Some(Activation::Sigmoid) => multiply(gradients, values, |y| y * (1.0 - y)),
            Some(Activation::Gelu | Activation::Softplus) => {
                unreachable!("its slope does not follow from its output")
            }
        }
    }
}

/// `values *= factor(of)`
fn multiply(values: &mut [f32], of: &[f32], factor: impl Fn(f32) -> f32) {
    vectorized(
        #[inline(always)]
        || {
            for (value, of) in values.iter_mut().zip(of) {
                *value *= factor(*of);
            }
        },
    );
}

/// `values += other`, as far as `values` go.
pub fn add(values: &mut [f32], other: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (value, other) in values.iter_mut().zip(other) {
                *value += other;
            }
        },
    );
}

/// `output = ln(1 + input)`, of `input >= 0`.
pub(super) fn ln_1p(input: &[f32], output: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (x, y) in input.iter().zip(&mut *output) {
                *y = ln_ratio(1.0 + x, 1.0, *x);
            }
        },
    );
}

/// Fewest numbers for which a loop over them is worth its start.
const LOOP: usize = 64;

/// The numbers of some channels as those of several pixels.
pub(super) fn tiled(channels: &[f32]) -> Vec<f32> {
    channels.repeat(LOOP.div_ceil(channels.len()))
}

/// The sums over pixels of `values`.
pub(super) fn channel_sums(values: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = tiled(&vec![0.0; channels]);
    vectorized(
        #[inline(always)]
        || {
            for values in values.chunks(sums.len()) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value;
                }
            }
        },
    );
    of_channels(&sums, channels)
}

/// The sums over pixels of the numbers of several pixels.
pub(super) fn of_channels(tiled: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    for pixel in tiled.chunks_exact(channels) {
        add(&mut sums, pixel);
    }
    sums
}

/// The column sums of `values`, taken as rows of `columns` numbers: in parts, which are the same for any number of threads.
pub(super) fn sums(values: &[f32], columns: usize) -> Vec<f32> {
    /// Rows of a part.
    const ROWS: usize = 1 << 12;
    let parts = values.par_chunks(ROWS * columns);
    let parts: Vec<_> = parts.map(|part| channel_sums(part, columns)).collect();
    let mut sums = vec![0.0; columns];
    for part in parts {
        add(&mut sums, &part);
    }
    sums
}

/// `output` is `input`, rows of `columns` numbers, turned into columns: in tiles that fit a core's first-level cache.
pub(super) fn transpose(input: &[f32], columns: usize, output: &mut [f32]) {
    const TILE: usize = 16;
    let rows = input.len() / columns;
    for (first, output) in (0..).step_by(TILE).zip(output.chunks_mut(TILE * rows)) {
        for start in (0..rows).step_by(TILE) {
            let end = (start + TILE).min(rows);
            for (column, output) in (first..).zip(output.chunks_exact_mut(rows)) {
                for (row, value) in (start..).zip(&mut output[start..end]) {
                    *value = input[row * columns + column];
                }
            }
        }
    }
}

/// The pieces of a matrix that is not always there.
pub(super) fn pieces(
    matrix: Option<&mut [f32]>,
    length: usize,
    count: usize,
) -> Vec<Option<&mut [f32]>> {
    match matrix {
        Some(matrix) => matrix.chunks_mut(length).map(Some).collect(),
        None => (0..count).map(|_| None).collect(),
    }
}

/// `sums[j] = sum_i matrix[i][j]`, rows in order.
pub(super) fn column_sums(matrix: Matrix<'_>, sums: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            sums.fill(0.0);
            for row in matrix.rows() {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_has_the_numbers_of_each_row_in_a_column() {
        for (rows, columns) in [(1, 1), (3, 5), (16, 33), (40, 17)] {
            let input: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let mut output = vec![-1.0; rows * columns];
            transpose(&input, columns, &mut output);
            for (index, value) in output.iter().enumerate() {
                let (column, row) = (index / rows, index % rows);
                assert_eq!(*value, input[row * columns + column], "{rows} x {columns}");
            }
        }
    }

    #[test]
    fn column_sums_of_odd_widths_are_the_plain_sums() {
        for (batch, columns) in [(1, 1), (3, 7), (5, 33), (2, 784)] {
            let generator = vae_rng::Generator::new(1, vae_rng::Stream::Init);
            let matrix = generator.normals(0, 0, batch, columns);
            let mut sums = vec![9.0; columns];
            column_sums(Matrix::new(&matrix, batch, columns), &mut sums);
            for (column, sum) in sums.iter().enumerate() {
                let plain: f32 = matrix.iter().skip(column).step_by(columns).sum();
                assert_eq!(*sum, plain, "{batch} x {columns}");
            }
        }
    }
}
