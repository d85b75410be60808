//! The likelihoods over burn tensors, differentiable: the reconstruction term of the loss.

#[cfg(test)]
mod gradient_tests;
mod special;
#[cfg(test)]
mod tests;

use std::f64::consts::{LN_2, TAU};

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Tensor, backend::Backend};

use vae_spec::{Likelihood, Spread};

use special::{binet, exp_minus_1, ln_ratio, log_partition};

/// The log of a learned spread, from the parameter that is trained: about the same, but always above
/// [`Likelihood::MIN_LOG_SPREAD`], and never without a gradient there; [`Likelihood::MAX_LOG_SPREAD`] at most.
pub fn log_spread<B: Backend>(parameter: Tensor<B, 2>) -> Tensor<B, 2> {
    let above = parameter.clamp_max(Likelihood::MAX_LOG_SPREAD) - Likelihood::MIN_LOG_SPREAD;
    -log_sigmoid(-above) + Likelihood::MIN_LOG_SPREAD
}

/// Negative log-likelihood of `x` under the decoder's `output`, summed over pixels, with all its constants: `[batch]`,
/// nats.
///
/// `x` and `output` are `[batch, pixels]`. `log_spread` is the natural log of a learned spread, `[1, 1]` or `[1, pixels]`, within
/// [-20, 20]; a learned spread that is not given is 1.
pub fn nll<B: Backend>(
    likelihood: Likelihood,
    output: Tensor<B, 2>,
    x: Tensor<B, 2>,
    log_spread: Option<Tensor<B, 2>>,
) -> Tensor<B, 1> {
    let options = (&x.device(), x.dtype());
    // The spread and its log.
    let wide = |spread: Spread| match spread {
        Spread::Fixed(spread) => {
            let spread = f64::from(spread);
            [spread, spread.ln()].map(|value| Tensor::full([1, 1], value, options))
        }
        Spread::Learned | Spread::PerDimension => {
            let ln = log_spread.unwrap_or_else(|| Tensor::zeros([1, 1], options));
            [ln.clone().exp(), ln]
        }
    };
    let nll = match likelihood {
        // `max(l, 0) - l x + log(1 + exp(-|l|))` is the same, but burn's gradient of it at a logit of exactly 0 is `-x`
        // instead of `1/2 - x`.
        Likelihood::Bernoulli => output.clone() - output.clone() * x - log_sigmoid(output),
        Likelihood::ContinuousBernoulli => log_partition(output.clone()) - output * x,
        Likelihood::Gaussian(spread) => {
            let [sigma, log_sigma] = wide(spread);
            ((x - output) / sigma).square() * 0.5 + (log_sigma + 0.5 * TAU.ln())
        }
        Likelihood::Laplace(spread) => {
            let [scale, log_scale] = wide(spread);
            ((x - output) / scale).abs() + (log_scale + LN_2)
        }
        Likelihood::DiscretizedLogistic(spread) => discretized_logistic(output, x, wide(spread)),
        Likelihood::Poisson => Counts::new(output, x).poisson(),
        Likelihood::NegativeBinomial(spread) => {
            let [theta, _] = wide(spread);
            Counts::new(output, x).negative_binomial(theta)
        }
    };
    nll.sum_dim(1).squeeze_dim(1)
}

/// The difference of sigmoids at a bin's ends `a > b` is `sigmoid(a) sigmoid(-b) (1 - exp(b - a))`: no digits cancel,
/// in the middle of a wide bin or far out. `a - b` is the bin's width over the scale, whatever `x`. The first bin has
/// no `b`, the last no `a`.
fn discretized_logistic<B: Backend>(
    means: Tensor<B, 2>,
    x: Tensor<B, 2>,
    [scale, log_scale]: [Tensor<B, 2>; 2],
) -> Tensor<B, 2> {
    let is_first = x.clone().lower_elem(Likelihood::HALF_BIN);
    let is_last = x.clone().greater_elem(1.0 - Likelihood::HALF_BIN);
    let is_edge = is_first.clone().bool_or(is_last.clone());
    let is_inner = x.ones_like().mask_fill(is_edge, 0.0);
    let offset = x - means;
    let below_end = (offset.clone() + Likelihood::HALF_BIN) / scale.clone();
    let above_start = (-offset + Likelihood::HALF_BIN) / scale.clone();
    // `ln(1 - exp(-w)) = ln w + ln((1 - exp(-w)) / w)`
    // Not a division, whose gradient by burn is rounded to f32 on every backend.
    let width = scale.recip() * Likelihood::LEVELS.recip();
    let width = log_partition(-width) - log_scale - Likelihood::LEVELS.ln();
    let log_mass = log_sigmoid(below_end).mask_fill(is_last, 0.0)
        + log_sigmoid(above_start).mask_fill(is_first, 0.0)
        + is_inner * width;
    -log_mass
}

/// Terms that the likelihoods of counts share. Their log-gammas and logs reach 1e7 nats for a count of 1e6 and cancel to a few,
/// which would leave an f32 no digit; so, as in Loader 2000, they are cancelled analytically, around `y = max(x, 1)`.
struct Counts<B: Backend> {
    x: Tensor<B, 2>,
    mean: Tensor<B, 2>,
    /// `ln(mean / y)`
    deviation: Tensor<B, 2>,
    /// `mean - x`
    excess: Tensor<B, 2>,
    /// `ln x! - x ln y + x`
    constant: Tensor<B, 2>,
}

impl<B: Backend> Counts<B> {
    fn new(output: Tensor<B, 2>, x: Tensor<B, 2>) -> Self {
        let log_mean = output.clamp_max(Likelihood::MAX_LOG_MEAN);
        let y = x.clone().clamp_min(1.0);
        let deviation = log_mean.clone() - y.clone().log();
        let excess = y.clone() * exp_minus_1(deviation.clone()) + (y.clone() - x.clone());
        // ln x! = (x + 1/2) ln(x + 1) - (x + 1) + ln(2 pi) / 2 + binet(x + 1)
        let next = x.clone() + 1.0;
        let above = -y.clone() + x.clone() + 1.0;
        let constant = x.clone() * ln_ratio(next.clone(), y, above)
            + next.clone().log() * 0.5
            + binet(next)
            + (0.5 * TAU.ln() - 1.0);
        Self {
            x,
            mean: log_mean.exp(),
            deviation,
            excess,
            constant,
        }
    }

    /// `mean - x ln mean + ln x!`
    fn poisson(self) -> Tensor<B, 2> {
        self.excess - self.x * self.deviation + self.constant
    }

    /// `ln Gamma(theta) - ln Gamma(n) + ln x! - theta ln(theta / (theta + mean)) - x ln(mean / (theta + mean))` with
    /// `n = x + theta`, as in scVI, whose epsilon is not needed.
    fn negative_binomial(self, theta: Tensor<B, 2>) -> Tensor<B, 2> {
        let n = self.x.clone() + theta.clone();
        let mixed = ln_ratio(n.clone(), self.mean + theta.clone(), -self.excess);
        let ratio = ln_ratio(n.clone(), theta.clone(), self.x.clone());
        ratio * 0.5 + binet(theta) - binet(n.clone()) - n * mixed - self.x * self.deviation
            + self.constant
    }
}
