//! Special functions over burn tensors, made of ordinary operations, accurate in value and gradient to the rounding of an f32
//! wherever their arguments' magnitudes are within 1e-17 and 1e17. Series are cut below 1e-9 of their sum.
//!
//! A branch that is not taken still contributes its gradient times 0: its input is made harmless first, for `0 * inf` is NaN.

use burn::tensor::activation::relu;
use burn::tensor::{Tensor, backend::Backend};

/// `c[0] + c[1] x + c[2] x^2 + ..`
fn polynomial<B: Backend, const N: usize>(x: &Tensor<B, 2>, c: [f64; N]) -> Tensor<B, 2> {
    let next = |sum: Tensor<B, 2>, &c: &f64| sum * x.clone() + c;
    c.iter().rev().fold(x.zeros_like(), next)
}

/// `ln((exp(l) - 1) / l)`, the log of the integral of `exp(l x)` over `[0, 1]`; 0 at 0.
///
/// Equal to `l / 2 + ln(sinh(l / 2) / (l / 2))`, whose Taylor series serves near 0.
pub(super) fn log_partition<B: Backend>(l: Tensor<B, 2>) -> Tensor<B, 2> {
    let is_near = l.clone().abs().lower_elem(0.5);
    let near = l.clone().mask_fill(is_near.clone().bool_not(), 0.0);
    let square = near.clone().square();
    let taylor = [24.0, -2880.0, 181_440.0, -9_676_800.0].map(f64::recip);
    let near = near * 0.5 + square.clone() * polynomial(&square, taylor);
    let far = l.mask_fill(is_near.clone(), 1.0);
    let size = far.clone().abs();
    let far = relu(far) + ((-(-size.clone()).exp() + 1.0) / size).log();
    far.mask_where(is_near, near)
}

/// `exp(x) - 1`, to its own precision near 0, too.
pub(super) fn exp_minus_1<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let is_near = x.clone().abs().lower_elem(0.25);
    let near = x.clone().mask_fill(is_near.clone().bool_not(), 0.0);
    let factorials = [1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0, 40_320.0].map(f64::recip);
    let near = near.clone() * polynomial(&near, factorials);
    (x.exp() - 1.0).mask_where(is_near, near)
}

/// `ln(a / b)` of positive numbers whose difference `a - b` is known better than `a` and `b` in f32 tell it: where that
/// is small, `2 atanh((a - b) / (a + b))`.
pub(super) fn ln_ratio<B: Backend>(
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    difference: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let w = difference / (a.clone() + b.clone());
    let is_near = w.clone().abs().lower_elem(0.125);
    let odd = [1.0, 3.0, 5.0, 7.0, 9.0].map(|divisor| 2.0 / divisor);
    let near = w.clone() * polynomial(&w.square(), odd);
    (a / b).log().mask_where(is_near, near)
}

/// Binet's function `ln Gamma(z) - (z - 1/2) ln z + z - ln(2 pi) / 2` of `z > 0`, what Stirling's formula lacks; with it the
/// large terms of log-gammas cancel analytically (Loader 2000).
///
/// Stirling's series serves from 4 on, and below with `Gamma(z) = Gamma(z + 4) / (z (z + 1) (z + 2) (z + 3))`.
pub(super) fn binet<B: Backend>(z: Tensor<B, 2>) -> Tensor<B, 2> {
    let is_large = z.clone().greater_equal_elem(4.0);
    let small = z.clone().mask_fill(is_large.clone(), 1.0);
    let next = small.clone() + 4.0;
    let factor = |k: f64| (small.clone() + k) / next.clone();
    let product = factor(0.0) * factor(1.0) * factor(2.0) * factor(3.0);
    let logs = (small.clone() - 0.5) * (next.clone() / small).log();
    let step = (logs - product.log() - 4.0).mask_fill(is_large.clone(), 0.0);
    let inverse = next.mask_where(is_large, z).recip();
    let stirling = [12.0, -360.0, 1260.0, -1680.0, 1188.0].map(f64::recip);
    step + inverse.clone() * polynomial(&inverse.square(), stirling)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Tensor};
    use burn_autodiff::Autodiff;
    use burn_ndarray::NdArray;

    use super::{binet, exp_minus_1, ln_ratio};

    type Row = Tensor<Autodiff<NdArray>, 2>;

    /// Value and derivative of `f`.
    fn both(f: impl Fn(Row) -> Row, x: f32) -> [f64; 2] {
        // Unless told otherwise, a device makes tensors of the type of the first of its backends to be used.
        let x = Row::from_data([[x]], (&Default::default(), DType::F32)).require_grad();
        let value = f(x.clone());
        let gradient = x.grad(&value.backward()).expect("a gradient");
        [value.into_scalar().into(), gradient.into_scalar().into()]
    }

    #[test]
    fn log_gamma_and_digamma_are_those_of_libm() {
        for z in [1e-4f32, 0.3, 1.0, 1.5, 2.0, 3.9, 4.0, 4.1, 17.0, 1e3, 1e6] {
            let [value, derivative] = both(binet, z);
            let z = f64::from(z);
            let log_gamma = (z - 0.5) * z.ln() - z + 0.5 * std::f64::consts::TAU.ln() + value;
            // Below 4, four terms of 4 at most are rounded a few times: 16 times 2^-24.
            let error = (log_gamma - libm::lgamma(z)).abs() / libm::lgamma(z).abs().max(1.0);
            assert!(error < 1e-6, "{z}: {log_gamma}");
            let digamma = z.ln() - 0.5 / z + derivative;
            let h = 1e-4 * z;
            let expected = (libm::lgamma(z + h) - libm::lgamma(z - h)) / (2.0 * h);
            // Terms of up to 4 / z are rounded; the difference leaves 1e-8 / 3 of the value, or so.
            let error = (digamma - expected).abs() / expected.abs().max(1.0 / z);
            assert!(error < 1e-6, "{z}: {digamma} {expected}");
        }
    }

    #[test]
    fn differences_near_0_keep_their_digits_and_naive_ones_do_not() {
        for x in [-0.3f32, -0.2, -1e-3, 1e-6, 1e-3, 0.24, 0.26, 3.0] {
            let wide = f64::from(x);
            let checks = [
                (both(exp_minus_1, x)[0], wide.exp_m1()),
                (
                    both(|x| ln_ratio(x.clone() + 1.0, x.ones_like(), x), x)[0],
                    wide.ln_1p(),
                ),
            ];
            for (found, expected) in checks {
                assert!(
                    (found / expected - 1.0).abs() < 1e-6,
                    "{x}: {found} {expected}"
                );
            }
        }
        let naive = both(|x| x.exp() - 1.0, 1e-6)[0];
        assert!((naive / 1e-6f64.exp_m1() - 1.0).abs() > 1e-2, "{naive}");
    }
}
