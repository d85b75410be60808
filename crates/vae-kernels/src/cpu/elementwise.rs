//! Loops over matrix elements: written so that the compiler vectorises them, run with the widest registers that the
//! processor has, rows shared among the cores.

use pulp::Arch;
use rayon::prelude::*;

use crate::program::Activation;

/// Values that a running sum keeps apart, so that it can be vectorised: a plain float sum has an order.
const LANES: usize = 16;
/// Elements whose formulas are evaluated before they are summed; a multiple of `LANES`.
const BLOCK: usize = 128;
/// Elements of a task: fewer would cost more to hand out than to compute.
const TASK: usize = 4_096;

/// Rows of a task for matrices of `columns`; at least one.
fn task_rows(columns: usize) -> usize {
    TASK.div_ceil(columns)
}

/// `exp(x)`, relative error below 2^-22 for `|x| <= 87`, clamped outside (polynomial of Cephes' `expf`, S. Moshier).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let n = x * std::f32::consts::LOG2_E + ROUND;
    let exponent = n.to_bits().wrapping_sub(ROUND.to_bits());
    let n = n - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let value = p * r * r + r + 1.0;
    value * f32::from_bits(exponent.wrapping_add(127) << 23)
}

/// `ln(1 + e)` for `e` in `[0, 1]`: `2 atanh(t)` with `t = e / (2 + e) <= 1/3`, whose series is below 2^-26 after t^15.
#[inline(always)]
fn ln_1p_unit(e: f32) -> f32 {
    let t = e / (2.0 + e);
    let t2 = t * t;
    let mut p = 1.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        p = p * t2 + 1.0 / odd;
    }
    2.0 * t * p
}

/// `sigmoid(l)` from `e = exp(-|l|)`.
#[inline(always)]
fn sigmoid_from(l: f32, e: f32) -> f32 {
    let smaller = e / (1.0 + e);
    if l >= 0.0 { 1.0 - smaller } else { smaller }
}

/// See [`crate::program::Pass::BernoulliNll`].
pub(super) fn bernoulli_nll(
    logits: &[f32],
    images: &[f32],
    recon: &mut [f32],
    d_logits: &mut [f32],
) {
    let batch = recon.len();
    let columns = logits.len() / batch;
    let rows = task_rows(columns);
    let scale = 1.0 / batch as f32;
    let arch = Arch::new();
    let tasks = logits
        .par_chunks(rows * columns)
        .zip(images.par_chunks(rows * columns))
        .zip(
            recon
                .par_chunks_mut(rows)
                .zip(d_logits.par_chunks_mut(rows * columns)),
        );
    tasks.for_each(|((logits, images), (recon, d_logits))| {
        arch.dispatch(
            #[inline(always)]
            || {
                let rows = logits
                    .chunks_exact(columns)
                    .zip(images.chunks_exact(columns));
                for ((l, x), (recon, d)) in
                    rows.zip(recon.iter_mut().zip(d_logits.chunks_exact_mut(columns)))
                {
                    *recon = nll_of_row(l, x, d, scale);
                }
            },
        );
    });
}

/// The row's sum; fills `d_logits`. The sum is apart from the formulas: a loop with a float sum in it is not vectorised.
#[inline(always)]
fn nll_of_row(logits: &[f32], images: &[f32], d_logits: &mut [f32], scale: f32) -> f32 {
    let mut sums = [0.0; LANES];
    let blocks = logits.chunks(BLOCK).zip(images.chunks(BLOCK));
    for ((l, x), d) in blocks.zip(d_logits.chunks_mut(BLOCK)) {
        // Loops of one formula each: together they are too much for the vectoriser.
        let mut e = [0.0; BLOCK];
        for (e, l) in e.iter_mut().zip(l) {
            *e = exp(-l.abs());
        }
        let mut nll = [0.0; BLOCK];
        for ((l, x), (e, nll)) in l.iter().zip(x).zip(e.iter().zip(&mut nll)) {
            *nll = l.max(0.0) - l * x + ln_1p_unit(*e);
        }
        for ((l, x), (e, d)) in l.iter().zip(x).zip(e.iter().zip(d)) {
            *d = (sigmoid_from(*l, *e) - x) * scale;
        }
        for lanes in nll.as_chunks::<LANES>().0 {
            for (sum, value) in sums.iter_mut().zip(lanes) {
                *sum += value;
            }
        }
    }
    sums.iter().sum()
}

/// `matrix = activation(matrix + bias)`, `bias` for every row.
pub(super) fn add_bias(matrix: &mut [f32], bias: &[f32], activation: Activation) {
    let arch = Arch::new();
    let floor = match activation {
        Activation::Identity => f32::NEG_INFINITY,
        Activation::Relu => 0.0,
    };
    matrix
        .par_chunks_mut(task_rows(bias.len()) * bias.len())
        .for_each(|rows| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact_mut(bias.len()) {
                        for (value, bias) in row.iter_mut().zip(bias) {
                            *value = (*value + bias).max(floor);
                        }
                    }
                },
            );
        });
}

/// Zeroes `gradient` where the ReLU gave nothing.
pub(super) fn mask_relu(gradient: &mut [f32], output: &[f32]) {
    let arch = Arch::new();
    gradient
        .par_chunks_mut(TASK)
        .zip(output.par_chunks(TASK))
        .for_each(|(gradient, output)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (gradient, output) in gradient.iter_mut().zip(output) {
                        *gradient = if *output > 0.0 { *gradient } else { 0.0 };
                    }
                },
            );
        });
}

/// `sums[j] = sum_i matrix[i][j]`, rows in order.
pub(super) fn column_sums(matrix: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    let arch = Arch::new();
    // Columns are shared out, not rows: the order of a sum does not depend on the number of threads.
    let width = columns.div_ceil(2).next_multiple_of(LANES);
    sums.par_chunks_mut(width)
        .enumerate()
        .for_each(|(index, sums)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    sums.fill(0.0);
                    for row in matrix.chunks_exact(columns) {
                        for (sum, value) in sums.iter_mut().zip(&row[index * width..]) {
                            *sum += value;
                        }
                    }
                },
            );
        });
}

/// `output = 1 / (1 + exp(-input))`
pub(super) fn sigmoid(input: &[f32], output: &mut [f32]) {
    let arch = Arch::new();
    input
        .par_chunks(TASK)
        .zip(output.par_chunks_mut(TASK))
        .for_each(|(input, output)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (input, output) in input.iter().zip(output) {
                        *output = 1.0 / (1.0 + exp(-input));
                    }
                },
            );
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The negative log-likelihood of one pixel and its gradient.
    fn nll_of_pixel(l: f32, x: f32) -> (f32, f32) {
        let mut gradient = [0.0];
        (nll_of_row(&[l], &[x], &mut gradient, 1.0), gradient[0])
    }

    #[test]
    fn exp_is_within_four_units_in_the_last_place_and_finite_beyond() {
        for step in -87_000..=88_000 {
            let x = step as f32 / 1000.0;
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) - exact).abs() <= 4.0 * f64::from(f32::EPSILON) * exact,
                "exp({x})"
            );
        }
        assert!(exp(-1e30) < 2e-38 && exp(1e30).is_finite());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn the_likelihood_of_a_pixel_and_its_gradient_are_the_plain_formulas() {
        for step in -4000..=4000 {
            let l = step as f32 / 40.0;
            for x in [0.0, 0.25, 1.0] {
                let (nll, gradient) = nll_of_pixel(l, x);
                let (l, x) = (f64::from(l), f64::from(x));
                let exact = l.max(0.0) - l * x + (-l.abs()).exp().ln_1p();
                // Three roundings of the largest term, |l|, and the logarithm's 2^-22.
                let tolerance = (3.0 * l.abs() + 4.0) * 2f64.powi(-24);
                assert!(
                    (f64::from(nll) - exact).abs() <= tolerance,
                    "nll at {l}, {x}: {nll} against {exact}"
                );
                let exact = 1.0 / (1.0 + (-l).exp()) - x;
                assert!(
                    (f64::from(gradient) - exact).abs() <= 4.0 * 2f64.powi(-24),
                    "gradient at {l}, {x}"
                );
                let wrong = l.max(0.0) + l * x + (-l.abs()).exp().ln_1p();
                assert!(
                    l * x == 0.0 || (f64::from(nll) - wrong).abs() > tolerance,
                    "the wrong sign passes at {l}"
                );
            }
        }
    }

    #[test]
    fn odd_widths_are_whole() {
        for (batch, columns) in [(1, 1), (3, 7), (5, 33), (2, 784)] {
            let values = |step| {
                vae_rng::Generator::new(1, vae_rng::Stream::Init).normals(step, 0, batch, columns)
            };
            let (logits, images) = (values(0), values(1));
            let (mut recon, mut d_logits) = (vec![0.0; batch], vec![0.0; batch * columns]);
            bernoulli_nll(&logits, &images, &mut recon, &mut d_logits);
            let mut sums = vec![9.0; columns];
            column_sums(&d_logits, &mut sums);
            for (row, recon) in recon.iter().enumerate() {
                let range = row * columns..(row + 1) * columns;
                let pixels = logits[range.clone()].iter().zip(&images[range]);
                let plain: f32 = pixels.map(|(l, x)| nll_of_pixel(*l, *x).0).sum();
                // Two orders of one sum of terms below 10: each addition rounds to 2^-24 of at most 10 * columns.
                assert!(
                    (recon - plain).abs() <= 1e-5 * columns as f32,
                    "{batch} x {columns}"
                );
            }
            for (column, sum) in sums.iter().enumerate() {
                let plain: f32 = d_logits.iter().skip(column).step_by(columns).sum();
                assert_eq!(*sum, plain, "{batch} x {columns}");
            }
        }
    }
}
