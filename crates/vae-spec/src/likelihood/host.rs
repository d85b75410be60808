//! The likelihoods in f64, one number at a time: the reference that tests and tools compare the tensors with, by other formulas
//! where there are some.

use std::f64::consts::TAU;

use libm::lgamma;

use super::Likelihood;

impl Likelihood {
    /// The smallest mean of a Bernoulli, and 1 less the largest, that [`Self::output_for_mean`] aims at.
    const SMALLEST_CHANCE: f64 = 1e-3;
    /// The smallest mean count that [`Self::output_for_mean`] aims at.
    const SMALLEST_COUNT: f64 = 1e-3;
    /// The largest logit of the continuous Bernoulli that [`Self::output_for_mean`] gives: a mean of 0.0125 or 0.9875.
    const LARGEST_LOGIT: f64 = 80.0;

    /// A learned spread, from the parameter that is trained: about `exp` of it, but its log is always above
    /// [`Self::MIN_LOG_SPREAD`].
    #[must_use]
    pub fn spread_of(parameter: f64) -> f64 {
        let above = parameter.min(Self::MAX_LOG_SPREAD) - Self::MIN_LOG_SPREAD;
        (Self::MIN_LOG_SPREAD + softplus(above)).exp()
    }

    /// The parameter of a learned `spread`, whose log is above [`Self::MIN_LOG_SPREAD`].
    #[must_use]
    pub fn parameter_of(spread: f64) -> f64 {
        let above = spread.ln() - Self::MIN_LOG_SPREAD;
        Self::MIN_LOG_SPREAD + above + (-(-above).exp()).ln_1p()
    }

    /// Negative log-likelihood of `x` given `output`, with all its constants, in nats. Likelihoods without a spread ignore
    /// `spread`.
    #[must_use]
    pub fn nll_of(self, output: f64, x: f64, spread: f64) -> f64 {
        match self {
            Self::Bernoulli => softplus(output) - output * x,
            Self::ContinuousBernoulli => log_partition(output) - output * x,
            Self::Gaussian(_) => {
                ((x - output) / spread).powi(2) / 2.0 + spread.ln() + TAU.ln() / 2.0
            }
            Self::Laplace(_) => (x - output).abs() / spread + (2.0 * spread).ln(),
            Self::DiscretizedLogistic(_) => discretized_logistic(output, x, spread),
            Self::Poisson => {
                let log_mean = output.min(Self::MAX_LOG_MEAN);
                log_mean.exp() - x * log_mean + lgamma(x + 1.0)
            }
            Self::NegativeBinomial(_) => {
                let log_mean = output.min(Self::MAX_LOG_MEAN);
                let mean = log_mean.exp();
                let log_chance = log_mean - (spread + mean).ln();
                spread * (mean / spread).ln_1p() - x * log_chance + lgamma(x + 1.0)
                    - (lgamma(x + spread) - lgamma(spread))
            }
        }
    }

    /// The mean of `x` given `output`; of the discretized logistic, that of the logistic with its tails at 0 and 1, from which
    /// its bins move it by less than 1e-4 at any learned scale. The other likelihoods ignore `spread`.
    #[must_use]
    pub fn mean_of(self, output: f64, spread: f64) -> f64 {
        match self {
            Self::Bernoulli => 1.0 / (1.0 + (-output).exp()),
            // The closed form loses digits near 0; the Taylor series' next term is l^5 / 30240.
            Self::ContinuousBernoulli if output.abs() < 0.01 => {
                0.5 + output / 12.0 - output.powi(3) / 720.0
            }
            Self::ContinuousBernoulli => -1.0 / (-output).exp_m1() - 1.0 / output,
            Self::Gaussian(_) | Self::Laplace(_) => output,
            // The integral of the survival function over [0, 1].
            Self::DiscretizedLogistic(_) => {
                spread * (softplus(output / spread) - softplus((output - 1.0) / spread))
            }
            Self::Poisson | Self::NegativeBinomial(_) => output.min(Self::MAX_LOG_MEAN).exp(),
        }
    }

    /// The output whose mean is `mean`, or the nearest that a decoder can well start from: a Bernoulli's mean is kept within
    /// [0.001, 0.999], a continuous Bernoulli's within [0.0125, 0.9875], that of counts from 0.001 up.
    #[must_use]
    pub fn output_for_mean(self, mean: f64) -> f64 {
        match self {
            Self::Bernoulli => {
                let mean = mean.clamp(Self::SMALLEST_CHANCE, 1.0 - Self::SMALLEST_CHANCE);
                (mean / (1.0 - mean)).ln()
            }
            Self::ContinuousBernoulli => {
                let (mut low, mut high) = (-Self::LARGEST_LOGIT, Self::LARGEST_LOGIT);
                // Bisection of an interval of 160: after 60 halvings it is as narrow as an f64 resolves.
                for _ in 0..60 {
                    let middle = (low + high) / 2.0;
                    if self.mean_of(middle, 1.0) < mean {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                (low + high) / 2.0
            }
            Self::Gaussian(_) | Self::Laplace(_) | Self::DiscretizedLogistic(_) => mean,
            Self::Poisson | Self::NegativeBinomial(_) => {
                mean.max(Self::SMALLEST_COUNT).ln().min(Self::MAX_LOG_MEAN)
            }
        }
    }
}

/// `ln(1 + exp(x)) = -ln sigmoid(-x)`
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `ln((exp(l) - 1) / l)`, 0 at 0.
fn log_partition(l: f64) -> f64 {
    if l == 0.0 {
        return 0.0;
    }
    l.max(0.0) + (-(-l.abs()).exp_m1() / l.abs()).ln()
}

fn discretized_logistic(mean: f64, x: f64, scale: f64) -> f64 {
    let half_bin = Likelihood::HALF_BIN;
    let (start, end) = ((x - half_bin - mean) / scale, (x + half_bin - mean) / scale);
    if x < half_bin {
        return softplus(-end);
    }
    if x > 1.0 - half_bin {
        return softplus(start);
    }
    // The logistic is symmetric; in its left tail its distribution function keeps its digits.
    let (start, end) = if start + end > 0.0 {
        (-end, -start)
    } else {
        (start, end)
    };
    softplus(-end) - (-(softplus(-end) - softplus(-start)).exp_m1()).ln()
}

#[cfg(test)]
mod tests {
    use crate::{Likelihood, Spread};

    /// `sum_k exp(-nll)` over these `x`.
    fn mass(
        likelihood: Likelihood,
        output: f64,
        spread: f64,
        xs: impl Iterator<Item = f64>,
    ) -> f64 {
        xs.map(|x| (-likelihood.nll_of(output, x, spread)).exp())
            .sum()
    }

    #[test]
    fn a_continuous_bernoulli_integrates_to_1_and_a_bernoulli_does_not() {
        // The midpoint rule is off by (l / n)^2 / 24 of the integral: 7e-9 at most.
        let count = 100_000;
        let points = || (0..count).map(|k| (f64::from(k) + 0.5) / f64::from(count));
        let integral =
            |likelihood, logit| mass(likelihood, logit, 1.0, points()) / f64::from(count);
        for logit in [-40.0, -1.0, -1e-3, 0.0, 1e-6, 0.5, 30.0] {
            let error = integral(Likelihood::ContinuousBernoulli, logit) - 1.0;
            assert!(error.abs() < 1e-8, "{logit}: {error}");
            let of_bernoulli = integral(Likelihood::Bernoulli, logit);
            assert!((of_bernoulli - 1.0).abs() > 0.1, "{logit}: {of_bernoulli}");
        }
    }

    #[test]
    fn the_256_bins_of_a_discretized_logistic_sum_to_1() {
        let logistic = Likelihood::DiscretizedLogistic(Spread::Learned);
        for (mean, scale) in [
            (0.5, 0.1),
            (0.0, 1e-3),
            (1.7, 0.02),
            (0.31, 1e-4),
            (-1.0, 30.0),
        ] {
            let bins = (0..256).map(|k| f64::from(k) / 255.0);
            let error = mass(logistic, mean, scale, bins) - 1.0;
            // In each of 256 bins a dozen roundings of 2^-53, over the width of a bin (1e-4 at scale 30).
            assert!(error.abs() < 1e-8, "{mean} {scale}: {error}");
        }
    }

    #[test]
    fn the_chances_of_all_counts_sum_to_1() {
        let binomial = Likelihood::NegativeBinomial(Spread::Learned);
        for (likelihood, log_mean, theta) in [
            (Likelihood::Poisson, -4.0, 1.0),
            (Likelihood::Poisson, 2.0, 1.0),
            (Likelihood::Poisson, 6.0, 1.0),
            (binomial, -4.0, 0.1),
            (binomial, 2.0, 0.5),
            (binomial, 4.0, 30.0),
        ] {
            // The tail beyond 2000 is below exp(-60); lgamma(2000) rounds at 1e-12.
            let error = mass(likelihood, log_mean, theta, (0..2000).map(f64::from)) - 1.0;
            assert!(error.abs() < 1e-11, "{likelihood:?} {log_mean}: {error}");
        }
    }

    #[test]
    fn an_output_is_found_for_a_mean_and_a_mean_out_of_reach_gets_the_nearest() {
        let gaussian = Likelihood::Gaussian(Spread::Fixed(1.0));
        let binomial = Likelihood::NegativeBinomial(Spread::PerDimension);
        for (likelihood, mean, nearest) in [
            (Likelihood::Bernoulli, 0.2, 0.2),
            (Likelihood::Bernoulli, 1.0, 0.999),
            (Likelihood::ContinuousBernoulli, 0.03, 0.03),
            (Likelihood::ContinuousBernoulli, 0.5, 0.5),
            (Likelihood::ContinuousBernoulli, 0.7, 0.7),
            (Likelihood::ContinuousBernoulli, 0.0, 0.0125),
            (Likelihood::ContinuousBernoulli, 1.0, 0.9875),
            (gaussian, -3.0, -3.0),
            (Likelihood::Poisson, 17.0, 17.0),
            (Likelihood::Poisson, 0.0, 0.001),
            (binomial, 1e30, 20f64.exp()),
        ] {
            let found = likelihood.mean_of(likelihood.output_for_mean(mean), 1.0);
            // A mean of the continuous Bernoulli near logit 0 is a difference of numbers up to 100.
            let error = (found - nearest).abs() / nearest.abs();
            assert!(error < 1e-12, "{likelihood:?} {mean}: {found}");
        }
    }

    #[test]
    fn the_mean_of_bytes_is_that_of_their_chances() {
        for scale in [0.0025, 0.03, 0.2] {
            let logistic = Likelihood::DiscretizedLogistic(Spread::Fixed(scale as f32));
            for output in [-0.4, 0.0, 0.003, 0.31, 1.0, 1.3] {
                let bytes = (0..256).map(|k| f64::from(k) / 255.0);
                let mean: f64 = bytes
                    .map(|x| x * (-logistic.nll_of(output, x, scale)).exp())
                    .sum();
                let found = logistic.mean_of(output, scale);
                assert!(
                    (found - mean).abs() < 1e-4,
                    "{output} {scale}: {found}, {mean}"
                );
            }
        }
    }
}
