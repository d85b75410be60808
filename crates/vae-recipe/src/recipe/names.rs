//! Settings that are one of a list of names.

use serde::{Deserialize, Serialize};
use vae_spec::{Likelihood, Spread};

/// Likelihood by name; its parameters are separate settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LikelihoodName {
    /// Bernoulli distribution of each pixel.
    Bernoulli,
    /// Continuous Bernoulli distribution of each pixel, on [0, 1].
    ContinuousBernoulli,
    /// Normal distribution of each pixel with standard deviation `sigma`.
    Gaussian,
    /// Laplace distribution of each pixel with scale `sigma`.
    Laplace,
    /// Logistic distribution of scale `sigma`, discretized into 256 bins per pixel.
    DiscretizedLogistic,
    /// Poisson distribution of counts.
    Poisson,
    /// Negative binomial distribution of overdispersed counts; `sigma` is the inverse dispersion.
    NegativeBinomial,
}

impl LikelihoodName {
    /// The likelihood with this `spread`.
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

    /// Whether the data must be counts.
    #[must_use]
    pub const fn is_count(self) -> bool {
        matches!(self, Self::Poisson | Self::NegativeBinomial)
    }

    /// Default of `sigma` for images, or for a table; `None` if the likelihood has no such parameter.
    #[must_use]
    pub const fn default_sigma(self, is_table: bool) -> Option<Sigma> {
        match self {
            Self::Gaussian | Self::Laplace if is_table => Some(Sigma::Named(SigmaName::Learned)),
            // A tenth of a pixel's range.
            Self::Gaussian | Self::Laplace => Some(Sigma::Fixed(0.1)),
            Self::DiscretizedLogistic => Some(Sigma::Named(SigmaName::Learned)),
            Self::NegativeBinomial => Some(Sigma::Named(SigmaName::PerDimension)),
            Self::Bernoulli | Self::ContinuousBernoulli | Self::Poisson => None,
        }
    }
}

/// Scale parameter of a likelihood: a number, `learned` or `per-dimension`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sigma {
    /// Fixed value.
    Fixed(f64),
    /// Learned, in this way.
    Named(SigmaName),
}

/// How a scale parameter is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SigmaName {
    /// One parameter shared by all dimensions.
    Learned,
    /// One parameter per dimension.
    PerDimension,
}

impl Sigma {
    /// The value for the model config.
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

/// Binarization of grayscale pixels; where drawn, the brightness is the probability of white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binarize {
    /// No binarization.
    None,
    /// White if brighter than one half.
    Threshold,
    /// Drawn once, before training.
    Static,
    /// Drawn anew at every step for training images, once for test images.
    Dynamic,
}

/// Initialization of the output bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputBias {
    /// The same initialization as all other biases.
    Init,
    /// The mean of the training data, so that the decoder's initial output matches it.
    Data,
}

/// Training objective; docs/models.md has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveName {
    /// The negative ELBO.
    Elbo,
    /// Capacity-controlled beta-VAE: the KL term is held near a target.
    Capacity,
    /// beta-TCVAE: the KL term decomposed into three weighted parts.
    BetaTcvae,
    /// InfoVAE: the ELBO with a maximum mean discrepancy added; at beta 0 the objective of WAE-MMD.
    InfoVae,
    /// The importance-weighted bound (IWAE).
    Iwae,
    /// The importance-weighted bound with the doubly reparameterized gradient (DReG).
    Dreg,
}

/// What to do when the device fails during training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDeviceLost {
    /// Stop the run with an error; it can be resumed from its last checkpoint.
    Stop,
    /// Go on from the last checkpoint on the CPU.
    Cpu,
}

/// What to do when a loss or weight is NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// Stop the run with an error.
    Stop,
    /// Resume from the last checkpoint at half the learning rate, a few times at most.
    Rollback,
}
