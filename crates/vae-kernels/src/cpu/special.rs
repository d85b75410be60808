//! Special functions in single precision, without branches, for loops that the compiler vectorises. `shaders/step/math.wgsl` has
//! the same formulas.

use std::f32::consts::{LN_2, LOG2_E};

/// `exp(x)`, relative error below 2^-22 for `|x| <= 87`, clamped outside (polynomial of Cephes' `expf`, S. Moshier).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let n = x * LOG2_E + ROUND;
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
pub(super) fn ln_1p_unit(e: f32) -> f32 {
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
pub(super) fn sigmoid_from(l: f32, e: f32) -> f32 {
    let smaller = e / (1.0 + e);
    if l >= 0.0 { 1.0 - smaller } else { smaller }
}

/// `1 / (1 + exp(-x))`
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    sigmoid_from(x, exp(-x.abs()))
}

/// One of two numbers that are both computed. One of two arrays would not become a vector.
#[inline(always)]
const fn pick(is_one: bool, one: f32, other: f32) -> f32 {
    if is_one { one } else { other }
}

/// `ln(x)` of `x > 0`, relative error below 2^-21 (`x = 2^n m`, `ln m = 2 atanh((m - 1) / (m + 1))`).
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    // The mantissa in 0.707..1.414.
    const HALF_ROOT: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(HALF_ROOT);
    let n = (bits as i32 >> 23) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff) + HALF_ROOT);
    let t = (m - 1.0) / (m + 1.0);
    n * LN_2 + 2.0 * t * atanh_series(t * t)
}

/// `atanh(t) / t` from `t2 = t^2`, of `|t| <= 0.1716`: the series is below 2^-26 after t^8.
#[inline(always)]
fn atanh_series(t2: f32) -> f32 {
    let mut p = 1.0 / 9.0;
    for odd in [7.0, 5.0, 3.0, 1.0] {
        p = p * t2 + 1.0 / odd;
    }
    p
}

/// `ln((exp(l) - 1) / l)`, the log of the integral of `exp(l x)` over `[0, 1]`, and its derivative. Near 0 by the Taylor series of
/// `l / 2 + ln(sinh(l / 2) / (l / 2))`.
#[inline(always)]
pub(super) fn log_partition(l: f32) -> [f32; 2] {
    let size = l.abs();
    let square = l * l;
    let taylor =
        1.0 / 24.0 + square * (-1.0 / 2_880.0 + square * (1.0 / 181_440.0 - square / 9_676_800.0));
    let slope =
        1.0 / 12.0 + square * (-1.0 / 720.0 + square * (1.0 / 30_240.0 - square / 1_209_600.0));
    let near = [0.5 * l + square * taylor, 0.5 + l * slope];
    // Above, so that nothing is divided by 0.
    let far_size = size.max(0.25);
    let e = exp(-far_size);
    let mean = e / (1.0 - e) - 1.0 / far_size;
    let value = ln((1.0 - e) / far_size);
    let is_near = size < 0.5;
    let far = pick(l > 0.0, l, 0.0) + value;
    let far_slope = pick(l > 0.0, 1.0 + mean, -mean);
    [
        pick(is_near, near[0], far),
        pick(is_near, near[1], far_slope),
    ]
}

/// `exp(x) - 1`, to its own precision near 0, too.
#[inline(always)]
pub(super) fn exp_minus_1(x: f32) -> f32 {
    let mut p = 1.0 / 5_040.0;
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0] {
        p = p * x + 1.0 / factorial;
    }
    let (near, far) = (p * x, exp(x) - 1.0);
    pick(x.abs() < 0.25, near, far)
}

/// `ln(a / b)` of positive numbers whose difference `a - b` is known better than `a` and `b` tell it: where that is small,
/// `2 atanh((a - b) / (a + b))`.
#[inline(always)]
pub(super) fn ln_ratio(a: f32, b: f32, difference: f32) -> f32 {
    let w = difference / (a + b);
    let (near, far) = (2.0 * w * atanh_series(w * w), ln(a / b));
    pick(w.abs() < 0.125, near, far)
}

/// Binet's function `ln Gamma(z) - (z - 1/2) ln z + z - ln(2 pi) / 2` of `z > 0`, and its derivative: what Stirling's formula
/// lacks; with it the large terms of log-gammas cancel analytically (Loader 2000).
///
/// Stirling's series serves from 4 on, and below with `Gamma(z) = Gamma(z + 4) / (z (z + 1) (z + 2) (z + 3))`.
#[inline(always)]
pub(super) fn binet(z: f32) -> [f32; 2] {
    let is_large = z >= 4.0;
    let small = if is_large { 1.0 } else { z };
    let next = small + 4.0;
    let inverse_next = 1.0 / next;
    // z (z + 3) and (z + 1) (z + 2) are q and q + 2; the sum of the inverses is the derivative of the product over the product.
    let q = small * (small + 3.0);
    let factors = q * (q + 2.0);
    let inverses = (2.0 * small + 3.0) * (2.0 * q + 2.0) / factors;
    let square = inverse_next * inverse_next;
    let product = factors * (square * square);
    let log = ln(next / small);
    let step = (small - 0.5) * log - ln(product) - 4.0;
    let slope = log + (small - 0.5) * (inverse_next - 1.0 / small) - inverses + 4.0 * inverse_next;
    let inverse = 1.0 / if is_large { z } else { next };
    let s = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0 + s * (-1.0 / 360.0 + s * (1.0 / 1260.0 + s * (-1.0 / 1680.0 + s / 1188.0))));
    let series_slope =
        -s * (1.0 / 12.0 + s * (-1.0 / 120.0 + s * (1.0 / 252.0 + s * (-1.0 / 240.0 + s / 132.0))));
    [
        pick(is_large, 0.0, step) + series,
        pick(is_large, 0.0, slope) + series_slope,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn ln_is_within_four_units_in_the_last_place() {
        for step in -4000..=4000 {
            let x = (step as f32 / 50.0).exp();
            let exact = f64::from(x).ln();
            let error = (f64::from(ln(x)) - exact).abs();
            assert!(
                error <= 4.0 * f64::from(f32::EPSILON) * exact.abs().max(0.05),
                "ln({x})"
            );
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn log_gamma_and_digamma_are_those_of_libm() {
        for z in [1e-4f32, 0.3, 1.0, 1.5, 2.0, 3.9, 4.0, 4.1, 17.0, 1e3, 1e6] {
            let [value, slope] = binet(z).map(f64::from);
            let z = f64::from(z);
            let log_gamma = (z - 0.5) * z.ln() - z + 0.5 * std::f64::consts::TAU.ln() + value;
            // Below 4, four terms of 4 at most are rounded a few times: 16 times 2^-24.
            let error = (log_gamma - libm::lgamma(z)).abs() / libm::lgamma(z).abs().max(1.0);
            assert!(error < 1e-6, "{z}: {log_gamma}");
            let digamma = z.ln() - 0.5 / z + slope;
            let h = 1e-4 * z;
            let expected = (libm::lgamma(z + h) - libm::lgamma(z - h)) / (2.0 * h);
            // Terms of up to 4 / z are rounded; the difference leaves 1e-8 / 3 of the value, or so.
            let error = (digamma - expected).abs() / expected.abs().max(1.0 / z);
            assert!(error < 1e-6, "{z}: {digamma} {expected}");
        }
    }

    #[test]
    fn the_log_partition_and_its_derivative_are_the_plain_formulas() {
        for step in -400..=400 {
            let l = step as f32 / 10.0;
            let [value, slope] = log_partition(l).map(f64::from);
            let wide = f64::from(l);
            let (exact, exact_slope) = if l == 0.0 {
                (0.0, 0.5)
            } else {
                let relative = wide.exp_m1() / wide;
                (relative.ln(), 1.0 / (1.0 - (-wide).exp()) - 1.0 / wide)
            };
            // Roundings of numbers up to 1 + |l|, some of which cancel.
            let tolerance = 1e-6 * (1.0 + wide.abs());
            assert!((value - exact).abs() < tolerance, "{l}: {value} {exact}");
            assert!(
                (slope - exact_slope).abs() < 1e-6,
                "{l}: {slope} {exact_slope}"
            );
        }
    }

    #[test]
    fn differences_near_0_keep_their_digits_and_naive_ones_do_not() {
        for x in [-0.3f32, -0.2, -1e-3, 1e-6, 1e-3, 0.24, 0.26, 3.0] {
            let wide = f64::from(x);
            let checks = [
                (exp_minus_1(x), wide.exp_m1()),
                (ln_ratio(x + 1.0, 1.0, x), wide.ln_1p()),
            ];
            for (found, expected) in checks {
                assert!(
                    (f64::from(found) / expected - 1.0).abs() < 1e-6,
                    "{x}: {found} {expected}"
                );
            }
        }
        let naive = f64::from(exp(1e-6) - 1.0);
        assert!((naive / 1e-6f64.exp_m1() - 1.0).abs() > 1e-2, "{naive}");
    }
}
