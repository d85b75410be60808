//! Loops over the elements of some rows: written so that the compiler vectorises them, run with the widest registers that the
//! processor has. Sharing rows among the cores is up to the caller.

use pulp::Arch;
use vae_spec::{Activation, Likelihood, Spread};

use super::matmul::Matrix;
use crate::program::NLL_COLUMNS;

/// Elements whose formulas are evaluated before they are summed.
const BLOCK: usize = 4 * NLL_COLUMNS;
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

/// `1 / (1 + exp(-x))`
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    sigmoid_from(x, exp(-x.abs()))
}

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
    /// Slope of a leaky ReLU below zero.
    const LEAKY: f32 = 0.01;
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
            let slope = if x > 0.0 { 1.0 } else { LEAKY };
            (x * slope, slope)
        }),
        Activation::Softplus => map(output, bias, slope, |x| {
            let e = exp(-x.abs());
            (x.max(0.0) + ln_1p_unit(e), sigmoid_from(x, e))
        }),
    }
}

/// `(output, slope) = f(output + bias)`
fn map(output: &mut [f32], bias: &[f32], slope: Option<&mut [f32]>, f: impl Fn(f32) -> (f32, f32)) {
    let rows = output.chunks_exact_mut(bias.len());
    Arch::new().dispatch(
        #[inline(always)]
        || {
            if let Some(slope) = slope {
                for (y, slope) in rows.zip(slope.chunks_exact_mut(bias.len())) {
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

/// `values *= slope`
pub(super) fn multiply(values: &mut [f32], slope: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (value, slope) in values.iter_mut().zip(slope) {
                *value *= slope;
            }
        },
    );
}

/// See [`crate::program::Pass::DenseNll`]: `output` holds the layer's product without its `bias` and becomes `d_output`, `scale`
/// times the derivative.
pub(super) fn nll(
    likelihood: Likelihood,
    output: &mut [f32],
    bias: &[f32],
    images: &[f32],
    recon: &mut [f32],
    scale: f32,
) {
    let columns = bias.len();
    let parts = columns.div_ceil(NLL_COLUMNS);
    let rows = output
        .chunks_exact_mut(columns)
        .zip(images.chunks_exact(columns));
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((y, x), recon) in rows.zip(recon.chunks_exact_mut(parts)) {
                match likelihood {
                    Likelihood::Bernoulli => bernoulli_nll(y, bias, x, recon, scale),
                    Likelihood::Gaussian(Spread::Fixed(sigma)) => {
                        gaussian_nll(y, bias, x, recon, scale, sigma);
                    }
                    other => unreachable!("no pass for {other:?}"),
                }
            }
        },
    );
}

/// One row of [`nll`]. Loops of one formula each: together, or with a float sum in them, they are too much for the vectoriser.
#[inline(always)]
fn bernoulli_nll(y: &mut [f32], bias: &[f32], x: &[f32], recon: &mut [f32], scale: f32) {
    let blocks = y.chunks_mut(BLOCK).zip(bias.chunks(BLOCK));
    let images = x.chunks(BLOCK).zip(recon.chunks_mut(BLOCK / NLL_COLUMNS));
    for ((y, bias), (x, recon)) in blocks.zip(images) {
        let mut e = [0.0; BLOCK];
        for ((e, y), bias) in e.iter_mut().zip(&mut *y).zip(bias) {
            *y += bias;
            *e = exp(-y.abs());
        }
        let mut nll = [0.0; BLOCK];
        for ((l, x), (e, nll)) in y.iter().zip(x).zip(e.iter().zip(&mut nll)) {
            *nll = l.max(0.0) - l * x + ln_1p_unit(*e);
        }
        for ((l, x), e) in y.iter_mut().zip(x).zip(&e) {
            *l = (sigmoid_from(*l, *e) - x) * scale;
        }
        sum_parts(&nll, recon);
    }
}

/// One row of [`nll`].
#[inline(always)]
fn gaussian_nll(y: &mut [f32], bias: &[f32], x: &[f32], recon: &mut [f32], scale: f32, sigma: f32) {
    let constant = sigma.ln() + 0.5 * std::f32::consts::TAU.ln();
    let blocks = y.chunks_mut(BLOCK).zip(bias.chunks(BLOCK));
    let images = x.chunks(BLOCK).zip(recon.chunks_mut(BLOCK / NLL_COLUMNS));
    for ((y, bias), (x, recon)) in blocks.zip(images) {
        let mut nll = [0.0; BLOCK];
        for ((m, bias), (x, nll)) in y.iter_mut().zip(bias).zip(x.iter().zip(&mut nll)) {
            let distance = (*m + bias - x) / sigma;
            *nll = 0.5 * distance * distance + constant;
            *m = distance * (scale / sigma);
        }
        sum_parts(&nll, recon);
    }
}

/// The sum of each [`NLL_COLUMNS`] values, in lanes.
#[inline(always)]
fn sum_parts(values: &[f32; BLOCK], sums: &mut [f32]) {
    for (values, sum) in values.as_chunks::<NLL_COLUMNS>().0.iter().zip(sums) {
        let (left, right) = values.split_at(NLL_COLUMNS / 2);
        let mut lanes = [0.0; NLL_COLUMNS / 2];
        for (lane, (left, right)) in lanes.iter_mut().zip(left.iter().zip(right)) {
            *lane = left + right;
        }
        *sum = lanes.iter().sum();
    }
}

/// `sums[j] = sum_i matrix[i][j]`, rows in order.
pub(super) fn column_sums(matrix: Matrix<'_>, sums: &mut [f32]) {
    Arch::new().dispatch(
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

    /// The negative log-likelihood of one pixel and its gradient.
    fn nll_of_pixel(l: f32, x: f32) -> (f32, f32) {
        let (mut output, mut recon) = ([l], [0.0]);
        bernoulli_nll(&mut output, &[0.0], &[x], &mut recon, 1.0);
        (recon[0], output[0])
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
