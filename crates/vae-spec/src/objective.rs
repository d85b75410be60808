//! Objectives as plain data: what is minimised, and how its terms are weighted.

use serde::{Deserialize, Serialize};

/// A training objective, with how its terms are estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Which objective is minimised.
    pub kind: ObjectiveKind,
    /// Number of draws of `z` for each row of the batch.
    pub samples: usize,
    /// How the KL divergence from the prior is computed.
    pub kl: KlEstimate,
    /// Free bits, the least that the KL divergence counts as; for [`ObjectiveKind::Elbo`].
    pub free_bits: Option<FreeBits>,
}

impl Objective {
    /// The negative ELBO with one draw and the KL divergence in closed form.
    pub const ELBO: Self = Self {
        kind: ObjectiveKind::Elbo,
        samples: 1,
        kl: KlEstimate::Analytic,
        free_bits: None,
    };
}

/// The objectives, as losses to minimise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObjectiveKind {
    /// `recon + beta kl` (Kingma and Welling 2014; Higgins et al. 2017)
    Elbo,
    /// `recon + beta |kl - capacity|` (Burgess et al. 2018)
    Capacity,
    /// `recon + anneal (mutual information + dimension-wise kl) + beta total correlation` (Chen et al. 2018)
    BetaTc,
    /// `recon + beta kl + weight MMD` (Zhao et al. 2019; with `beta = 0` Tolstikhin et al. 2018)
    Mmd {
        /// Weight of the discrepancy.
        weight: f32,
        /// Kernel of the discrepancy.
        kernel: MmdKernel,
    },
    /// `-log mean_k p(x, z_k) / q(z_k | x)` (Burda, Grosse and Salakhutdinov 2016)
    Iwae,
    /// The same bound; the encoder's gradient is doubly reparameterized (Tucker et al. 2019).
    Dreg,
}

impl ObjectiveKind {
    /// Names of the terms that are logged beside the loss, `recon` and `kl`.
    #[must_use]
    pub const fn extra_terms(self) -> &'static [&'static str] {
        match self {
            Self::BetaTc => &["index_code_mi", "total_correlation", "dimension_wise_kl"],
            Self::Mmd { .. } => &["mmd"],
            Self::Elbo | Self::Capacity | Self::Iwae | Self::Dreg => &[],
        }
    }
}

/// How the KL divergence of a posterior from the prior is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KlEstimate {
    /// The closed form, which only the standard normal prior has.
    Analytic,
    /// The Monte Carlo estimate `log q(z | x) - log p(z)` at the draws.
    Sampled,
}

/// Kernel of the maximum mean discrepancy of two sets of latents; `d` is the distance of two latents, and `c` twice the number of
/// latent dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MmdKernel {
    /// Inverse multiquadratic: `sum_s s c / (s c + d^2)` for s of 0.1, 0.2, 0.5, 1, 2, 5 and 10.
    Imq,
    /// Gaussian: `exp(-d^2 / c)`.
    Rbf,
}

impl MmdKernel {
    /// The `s` of [`Self::Imq`] (Tolstikhin et al. 2018, their code).
    pub const IMQ_SCALES: [f64; 7] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
}

/// Free bits: the least that parts of the KL divergence count as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreeBits {
    /// Least value of each part, nats.
    pub nats: f32,
    /// Grouping of the latent dimensions into parts.
    pub per: FreeBitsPer,
    /// Whether the least value applies to a part's mean over the batch, or to the part of each row.
    pub after_batch_mean: bool,
}

/// How latent dimensions are grouped into the parts of [`FreeBits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeBitsPer {
    /// Each dimension alone.
    Dimension,
    /// Groups of this many consecutive dimensions.
    Group(usize),
    /// All dimensions together.
    Total,
}

/// Weights of an objective's terms at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighting {
    /// Factor of the KL schedule, 0 to 1.
    pub anneal: f32,
    /// Weight of the KL divergence: the factor times the recipe's beta.
    pub beta: f32,
    /// Capacity of [`ObjectiveKind::Capacity`], nats.
    pub capacity: f32,
}

impl Weighting {
    /// Every weight 1, capacity 0.
    pub const PLAIN: Self = Self {
        anneal: 1.0,
        beta: 1.0,
        capacity: 0.0,
    };
}
