//! Settings that are one of several names.

use serde::{Deserialize, Serialize};
use vae_spec::{Likelihood, Spread};

/// A likelihood by name; its settings stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LikelihoodName {
    /// Each pixel is a coin.
    Bernoulli,
    /// Each pixel is between black and white, more likely near one of them.
    ContinuousBernoulli,
    /// Each pixel is a normal of standard deviation `sigma`.
    Gaussian,
    /// Each pixel has a Laplace distribution of scale `sigma`.
    Laplace,
    /// Each pixel is one of 256 bins of a logistic distribution of scale `sigma`.
    DiscretizedLogistic,
    /// Each number is a count.
    Poisson,
    /// Each number is a count that varies more than a Poisson's; `sigma` is its inverse dispersion.
    NegativeBinomial,
}

impl LikelihoodName {
    /// With its spread.
    #[must_use]
    pub const fn with(self, spread: Spread) -> Likelihood {
        match self {
            Self::Bernoulli => Likelihood::Bernoulli,
            Self::ContinuousBernoulli => Likelihood::ContinuousBernoulli,
            Self::Gaussian => Likelihood::Gaussian(spread),
            Self::Laplace => Likelihood::Laplace(spread),
            Self::DiscretizedLogistic => Likelihood::DiscretizedLogistic(spread),
            Self::Poisson => Likelihood::Poisson,
            Self::NegativeBinomial => Likelihood::NegativeBinomial(spread),
        }
    }

    /// Whether its data are counts.
    #[must_use]
    pub const fn is_count(self) -> bool {
        matches!(self, Self::Poisson | Self::NegativeBinomial)
    }

    /// Its spread, if nothing is said; none has none.
    #[must_use]
    pub const fn default_sigma(self) -> Option<Sigma> {
        match self {
            // A tenth of the range of a pixel.
            Self::Gaussian | Self::Laplace => Some(Sigma::Fixed(0.1)),
            Self::DiscretizedLogistic => Some(Sigma::Named(SigmaName::Learned)),
            Self::NegativeBinomial => Some(Sigma::Named(SigmaName::PerDimension)),
            Self::Bernoulli | Self::ContinuousBernoulli | Self::Poisson => None,
        }
    }
}

/// How wide a likelihood is: a number, `learned` or `per-dimension`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sigma {
    /// This wide.
    Fixed(f64),
    /// As it is learned.
    Named(SigmaName),
}

/// What is learned of a spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SigmaName {
    /// One number for all dimensions.
    Learned,
    /// A number for each dimension.
    PerDimension,
}

impl Sigma {
    /// As the model takes it.
    #[must_use]
    pub const fn spread(self) -> Spread {
        match self {
            Self::Fixed(sigma) => Spread::Fixed(sigma as f32),
            Self::Named(SigmaName::Learned) => Spread::Learned,
            Self::Named(SigmaName::PerDimension) => Spread::PerDimension,
        }
    }
}

impl std::str::FromStr for Sigma {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "learned" => Ok(Self::Named(SigmaName::Learned)),
            "per-dimension" => Ok(Self::Named(SigmaName::PerDimension)),
            _ => text.parse().map(Self::Fixed).map_err(|_| {
                format!("expected a number, learned or per-dimension, found `{text}`")
            }),
        }
    }
}

/// Whether grey pixels are drawn as black or white, their brightness the probability of white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binarize {
    /// They stay grey.
    None,
    /// White is what is brighter than one half.
    Threshold,
    /// Drawn once.
    Static,
    /// Training images are drawn anew at every step, test images once.
    Dynamic,
}

/// How the output's bias starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputBias {
    /// As every bias does.
    Init,
    /// Such that the decoder starts at the mean of the training images.
    Data,
}

/// What is minimised; docs/models.md has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveName {
    /// The negative ELBO.
    Elbo,
    /// With a KL term that is drawn to a capacity.
    Capacity,
    /// With its KL term taken apart.
    BetaTcvae,
    /// With a maximum mean discrepancy; at beta 0 that of WAE-MMD.
    InfoVae,
    /// The importance-weighted bound.
    Iwae,
    /// The same with the doubly reparameterized gradient.
    Dreg,
}

/// What to do when a loss is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// The run ends with an error.
    Stop,
    /// The run goes on from its last checkpoint at half the learning rate, a few times.
    Rollback,
}
