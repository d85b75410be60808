//! What a pixel costs under each likelihood: from the decoder's output, the value and what [`of_spread`] makes of the spread, the negative
//! log-likelihood and its derivatives with respect to the output and to the log of the spread.

use std::f32::consts::LN_2;

use vae_spec::Likelihood;

use crate::cpu::special::{
    binet, exp, exp_minus_1, ln, ln_1p_unit, ln_ratio, log_partition, sigmoid_from,
};

/// `ln(2 pi) / 2`
const HALF_LN_TAU: f32 = 0.918_938_5;
/// [`Likelihood::LEVELS`], and their logarithm.
const LEVELS: f32 = Likelihood::LEVELS as f32;
const LN_LEVELS: f32 = 5.541_263_5;
/// Numbers that a formula takes of a spread.
pub(super) const OF_SPREAD: usize = 3;

/// The log of a learned spread, from the parameter that is trained, and its derivative: about the same, but always above
/// [`Likelihood::MIN_LOG_SPREAD`]; [`Likelihood::MAX_LOG_SPREAD`] at most, without a gradient there.
pub(super) fn log_spread(parameter: f32) -> [f32; 2] {
    let (least, most) = (
        Likelihood::MIN_LOG_SPREAD as f32,
        Likelihood::MAX_LOG_SPREAD as f32,
    );
    let above = parameter.min(most) - least;
    let e = exp(-above.abs());
    let slope = if parameter <= most {
        sigmoid_from(above, e)
    } else {
        0.0
    };
    [above.max(0.0) + ln_1p_unit(e) + least, slope]
}

/// What the formula of a likelihood takes of a spread: all that does not depend on the pixel.
pub(super) fn of_spread(likelihood: Likelihood, log_spread: f32) -> [f32; OF_SPREAD] {
    match likelihood {
        Likelihood::DiscretizedLogistic(_) => {
            let inverse = exp(-log_spread);
            let width = inverse / LEVELS;
            let [log_width, d_width] = log_partition(-width);
            let log_width = log_width - log_spread - LN_LEVELS;
            [inverse, log_width, width * d_width - 1.0]
        }
        Likelihood::NegativeBinomial(_) => {
            let theta = exp(log_spread);
            let [binet_theta, slope_theta] = binet(theta);
            [theta, binet_theta, slope_theta]
        }
        _ => [exp(-log_spread), log_spread, 0.0],
    }
}

/// `ln(sigmoid(x))` and `1 - sigmoid(x)`.
#[inline(always)]
fn log_sigmoid(x: f32) -> [f32; 2] {
    let e = exp(-x.abs());
    [x.min(0.0) - ln_1p_unit(e), sigmoid_from(-x, e)]
}

#[inline(always)]
pub(super) fn continuous_bernoulli(l: f32, x: f32, _: [f32; OF_SPREAD]) -> [f32; 3] {
    let [log_partition, mean] = log_partition(l);
    [log_partition - l * x, mean - x, 0.0]
}

#[inline(always)]
pub(super) fn gaussian(m: f32, x: f32, [inverse, log_sigma, _]: [f32; OF_SPREAD]) -> [f32; 3] {
    let distance = (m - x) * inverse;
    let square = distance * distance;
    [
        0.5 * square + log_sigma + HALF_LN_TAU,
        distance * inverse,
        1.0 - square,
    ]
}

#[inline(always)]
pub(super) fn laplace(m: f32, x: f32, [inverse, log_scale, _]: [f32; OF_SPREAD]) -> [f32; 3] {
    let distance = (m - x) * inverse;
    let size = distance.abs();
    let sign = if distance == 0.0 {
        0.0
    } else {
        inverse.copysign(distance)
    };
    [size + log_scale + LN_2, sign, 1.0 - size]
}

/// The difference of sigmoids at a bin's ends `a > b` is `sigmoid(a) sigmoid(-b) (1 - exp(b - a))`: no digits cancel. The first
/// bin has no `b`, the last no `a`.
#[inline(always)]
pub(super) fn discretized_logistic(
    m: f32,
    x: f32,
    [inverse, log_width, d_log_width]: [f32; OF_SPREAD],
) -> [f32; 3] {
    const HALF_BIN: f32 = Likelihood::HALF_BIN as f32;
    let below_end = (x - m + HALF_BIN) * inverse;
    let above_start = (m - x + HALF_BIN) * inverse;
    let [log_below, left_below] = log_sigmoid(below_end);
    let [log_above, left_above] = log_sigmoid(above_start);
    let is_below = if x > 1.0 - HALF_BIN { 0.0 } else { 1.0 };
    let is_above = if x < HALF_BIN { 0.0 } else { 1.0 };
    let is_inner = is_below * is_above;
    let (d_below, d_above) = (is_below * left_below, is_above * left_above);
    [
        -(is_below * log_below + is_above * log_above + is_inner * log_width),
        (d_below - d_above) * inverse,
        d_below * below_end + d_above * above_start - is_inner * d_log_width,
    ]
}

/// What the likelihoods of counts share, cancelled analytically around `y = max(x, 1)` (Loader 2000).
struct Counts {
    mean: f32,
    /// `ln(mean / y)`
    deviation: f32,
    /// `mean - x`
    excess: f32,
    /// `ln x! - x ln y + x`
    constant: f32,
    /// 0 where the output is above the largest log of a mean, else 1.
    has_gradient: f32,
}

impl Counts {
    #[inline(always)]
    fn new(output: f32, x: f32) -> Self {
        const MAX_LOG_MEAN: f32 = Likelihood::MAX_LOG_MEAN as f32;
        let log_mean = output.min(MAX_LOG_MEAN);
        let y = x.max(1.0);
        let log_y = ln(y);
        let deviation = log_mean - log_y;
        Self {
            mean: exp(log_mean),
            deviation,
            excess: y * exp_minus_1(deviation) + (y - x),
            // 0! = 1; else x! = x Gamma(x).
            constant: if x > 0.0 {
                0.5 * log_y + HALF_LN_TAU + binet(y)[0]
            } else {
                0.0
            },
            has_gradient: if output <= MAX_LOG_MEAN { 1.0 } else { 0.0 },
        }
    }
}

#[inline(always)]
pub(super) fn poisson(output: f32, x: f32, _: [f32; OF_SPREAD]) -> [f32; 3] {
    let counts = Counts::new(output, x);
    let nll = counts.excess - x * counts.deviation + counts.constant;
    [nll, counts.excess * counts.has_gradient, 0.0]
}

/// `ln Gamma(theta) - ln Gamma(n) + ln x! - theta ln(theta / (theta + mean)) - x ln(mean / (theta + mean))` with `n = x + theta`.
#[inline(always)]
pub(super) fn negative_binomial(
    output: f32,
    x: f32,
    [theta, binet_theta, slope_theta]: [f32; OF_SPREAD],
) -> [f32; 3] {
    let counts = Counts::new(output, x);
    let (n, sum) = (x + theta, counts.mean + theta);
    let mixed = ln_ratio(n, sum, -counts.excess);
    let [binet_n, slope_n] = binet(n);
    let nll =
        0.5 * ln_ratio(n, theta, x) + binet_theta - binet_n - n * mixed - x * counts.deviation
            + counts.constant;
    let share = counts.excess / sum;
    let d_theta = slope_theta - slope_n - 0.5 * x / (theta * n) - mixed - share;
    [nll, theta * share * counts.has_gradient, theta * d_theta]
}
