//! Objectives as plain data: what is minimised, and how its terms are weighted.

use serde::{Deserialize, Serialize};

/// What training minimises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The bound, or what stands in for it.
    pub kind: ObjectiveKind,
    /// Draws of `z` for each image.
    pub samples: usize,
    /// How the divergence from the prior is computed.
    pub kl: KlEstimate,
    /// The least that the divergence counts as, for [`ObjectiveKind::Elbo`].
    pub free_bits: Option<FreeBits>,
}

impl Objective {
    /// The negative ELBO with one draw and the divergence in closed form.
    pub const ELBO: Self = Self {
        kind: ObjectiveKind::Elbo,
        samples: 1,
        kl: KlEstimate::Analytic,
        free_bits: None,
    };
}

/// Which objective.
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
        /// Of the discrepancy.
        weight: f32,
        /// By which it is measured.
        kernel: MmdKernel,
    },
    /// `-log mean_k p(x, z_k) / q(z_k | x)` (Burda, Grosse and Salakhutdinov 2016)
    Iwae,
    /// The same bound; the encoder's gradient is doubly reparameterized (Tucker et al. 2019).
    Dreg,
}

impl ObjectiveKind {
    /// What is logged beside the loss, `recon` and `kl`.
    #[must_use]
    pub const fn extra_terms(self) -> &'static [&'static str] {
        match self {
            Self::BetaTc => &["index_code_mi", "total_correlation", "dimension_wise_kl"],
            Self::Mmd { .. } => &["mmd"],
            Self::Elbo | Self::Capacity | Self::Iwae | Self::Dreg => &[],
        }
    }
}

/// How the divergence of a posterior from the prior is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KlEstimate {
    /// In closed form; there is one for the standard normal prior.
    Analytic,
    /// `log q(z | x) - log p(z)` at the draws.
    Sampled,
}

/// By what two sets of latents are compared; `d` is a distance, and `c` twice the latent dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MmdKernel {
    /// Inverse multiquadratic: `sum_s s c / (s c + d^2)` for s of 0.1, 0.2, 0.5, 1, 2, 5 and 10.
    Imq,
    /// Gaussian: `exp(-d^2 / c)`.
    Rbf,
}

/// The least that parts of the divergence count as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreeBits {
    /// For each part, nats.
    pub nats: f32,
    /// What a part is.
    pub per: FreeBitsPer,
    /// Whether a part's mean over the batch counts as that much, or the part of each image.
    pub after_batch_mean: bool,
}

/// A part of the latent dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeBitsPer {
    /// Each dimension.
    Dimension,
    /// So many dimensions, one after the other.
    Group(usize),
    /// All together.
    Total,
}

/// How the terms of an objective are weighted at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighting {
    /// The schedule's factor, 0 to 1.
    pub anneal: f32,
    /// Weight of the divergence: the factor times the recipe's beta.
    pub beta: f32,
    /// Of [`ObjectiveKind::Capacity`], nats.
    pub capacity: f32,
}

impl Weighting {
    /// All terms alike.
    pub const PLAIN: Self = Self {
        anneal: 1.0,
        beta: 1.0,
        capacity: 0.0,
    };
}
