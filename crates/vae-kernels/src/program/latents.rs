//! What the loss holds of its terms, and how the gradient of a posterior follows from it.

use vae_spec::Weighting;

use super::MatrixId;

/// A factor in the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coefficient {
    /// The number is reported, and not in the loss.
    Zero,
    /// 1
    One,
    /// The step's beta.
    Beta,
    /// The step's factor of the KL schedule.
    Anneal,
    /// Beta less that factor.
    BetaLessAnneal,
    /// The same at every step.
    Fixed(f32),
}

impl Coefficient {
    /// Its value at a step.
    #[must_use]
    pub fn of(self, weighting: Weighting) -> f32 {
        match self {
            Self::Zero => 0.0,
            Self::One => 1.0,
            Self::Beta => weighting.beta,
            Self::Anneal => weighting.anneal,
            Self::BetaLessAnneal => weighting.beta - weighting.anneal,
            Self::Fixed(value) => value,
        }
    }

    /// The same as an expression of a shader.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Zero => "0.0".into(),
            Self::One => "1.0".into(),
            Self::Beta => "step.beta".into(),
            Self::Anneal => "step.anneal".into(),
            Self::BetaLessAnneal => "(step.beta - step.anneal)".into(),
            Self::Fixed(value) => format!("{value:e}"),
        }
    }
}

/// How much a row's term counts in the loss, which is the mean over the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// The same for all rows.
    pub coefficient: Coefficient,
    /// `[rows, groups]`: a factor for each row, or for each group of its latents.
    pub factors: Option<MatrixId>,
}

impl Weight {
    /// The same for all rows.
    #[must_use]
    pub const fn all(coefficient: Coefficient) -> Self {
        Self {
            coefficient,
            factors: None,
        }
    }
}

/// How the gradient of the posterior follows from that of `z`. The loss holds `w` times each row's `kl`, where `w` is `weight` over
/// the number of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlGradient {
    /// The formula.
    pub path: KlPath,
    /// What the loss holds of `kl`.
    pub weight: Weight,
    /// Whether `d_z` holds the part of the prior already, which is not the standard normal.
    pub learned_prior: bool,
}

/// The formulas of [`KlGradient`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlPath {
    /// Through `kl` in closed form.
    Analytic,
    /// Through `kl` at the draw: `g = d_z + w z`, `d_mu = g`, `d_log_var = (g (z - mu) - w) / 2`; the path of `log q` through `z`
    /// cancels its own derivative. With a learned prior `g = d_z`.
    Sampled,
    /// `g = f (d_z + w (z - (z - mu) / var))`, `d_mu = g`, `d_log_var = g (z - mu) / 2`, `f = beta v + 1 - beta`, where the row's
    /// factor is `v` times the number of draws (Tucker et al. 2019). With a learned prior `z` is left out.
    DoublyReparameterized,
}

impl KlGradient {
    /// That of `kl` in closed form, weighted by beta.
    pub const ANALYTIC: Self = Self::of(KlPath::Analytic, Weight::all(Coefficient::Beta));

    /// With the standard normal prior.
    #[must_use]
    pub const fn of(path: KlPath, weight: Weight) -> Self {
        Self {
            path,
            weight,
            learned_prior: false,
        }
    }
}
