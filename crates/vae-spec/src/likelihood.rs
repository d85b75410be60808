//! The likelihoods by name: distributions of the data given the decoder's output. Their formulas are in `host` (f64, one number
//! at a time), `sampling`, and over tensors in the crate `vae-model`.

mod host;
mod sampling;

/// Spread of a likelihood: its scale around the mean, or the inverse dispersion of counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// A fixed value for all pixels, more than 0.
    Fixed(f32),
    /// One learned value for all pixels.
    Learned,
    /// One learned value for each pixel.
    PerDimension,
}

/// The distribution of each pixel `x`, given the decoder's output for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Likelihood {
    /// Bernoulli: the output is the logit; `x` may be anything in `[0, 1]`.
    Bernoulli,
    /// Continuous Bernoulli, the density `l exp(l x) / (exp(l) - 1)` on `[0, 1]`: the output is the logit `l` (Loaiza-Ganem and
    /// Cunningham 2019).
    ContinuousBernoulli,
    /// Gaussian: the output is the mean, the spread the standard deviation.
    Gaussian(Spread),
    /// Laplace: the output is the mean, the spread the scale `b`.
    Laplace(Spread),
    /// A logistic distribution in 256 bins around `x` in `{0, 1, .., 255} / 255`, the first and the last with its
    /// tails: the output is the logistic's mean, the spread its scale (Kingma et al. 2016; Salimans et al. 2017, there
    /// on `[-1, 1]`).
    DiscretizedLogistic(Spread),
    /// Poisson counts: the output is the log of the mean.
    Poisson,
    /// Negative binomial counts of mean `m` and variance `m + m^2 / theta`: the output is `ln m`, the spread theta, called the
    /// inverse dispersion (scVI, Lopez et al. 2018).
    NegativeBinomial(Spread),
}

impl Likelihood {
    /// The largest log of a count's mean. A larger output counts as this one and has no gradient, so that `exp` stays
    /// finite.
    pub const MAX_LOG_MEAN: f64 = 20.0;
    /// The smallest log of a learned spread, as in sigma-VAE (Rybkin et al. 2021): a pixel that never changes would have it
    /// shrink without end.
    pub const MIN_LOG_SPREAD: f64 = -6.0;
    /// The largest log of a learned spread, above which it has no gradient.
    pub const MAX_LOG_SPREAD: f64 = 20.0;
    /// A pixel of the discretized logistic is one of `0, 1, .., 255` over this.
    pub const LEVELS: f64 = 255.0;
    /// Half the width of a bin of the discretized logistic.
    pub const HALF_BIN: f64 = 0.5 / Self::LEVELS;

    /// The spread, if the likelihood has one.
    #[must_use]
    pub const fn spread(self) -> Option<Spread> {
        match self {
            Self::Gaussian(spread)
            | Self::Laplace(spread)
            | Self::DiscretizedLogistic(spread)
            | Self::NegativeBinomial(spread) => Some(spread),
            Self::Bernoulli | Self::ContinuousBernoulli | Self::Poisson => None,
        }
    }

    /// Whether its losses are of densities, which have no smallest value: another unit of `x` moves where they are 0.
    #[must_use]
    pub const fn is_density(self) -> bool {
        matches!(
            self,
            Self::ContinuousBernoulli | Self::Gaussian(_) | Self::Laplace(_)
        )
    }

    /// Whether `x` must be a count: 0, 1, 2, ..
    #[must_use]
    pub const fn is_count(self) -> bool {
        matches!(self, Self::Poisson | Self::NegativeBinomial(_))
    }

    /// The smallest and the largest value that `x` may have.
    #[must_use]
    pub const fn range(self) -> [f32; 2] {
        if self.is_unit() {
            [0.0, 1.0]
        } else if self.is_count() {
            [0.0, f32::MAX]
        } else {
            [f32::MIN, f32::MAX]
        }
    }

    /// Whether `x` must lie in `[0, 1]`.
    #[must_use]
    pub const fn is_unit(self) -> bool {
        matches!(
            self,
            Self::Bernoulli | Self::ContinuousBernoulli | Self::DiscretizedLogistic(_)
        )
    }
}
