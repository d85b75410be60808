//! What a run reports: the lines of metrics.jsonl.

use serde::{Deserialize, Serialize};
use vae_recipe::Metric;
use vae_spec::Losses;

/// How far an epoch is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Means over this epoch so far.
    pub train: Losses,
    /// Weight of the KL term now.
    pub beta: f32,
    /// Learning rate now.
    pub lr: f32,
    /// Training speed of this epoch so far.
    pub images_per_second: f64,
}

/// One epoch's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Means over the epoch's steps, each taken before its update.
    pub train: Losses,
    /// Means over the validation images, after the epoch; the loss at the weights that terms have in the end.
    pub validation: Losses,
    /// Weight of the KL term at the epoch's last step.
    #[serde(default)]
    pub beta: f32,
    /// Learning rate at the epoch's last step.
    #[serde(default)]
    pub lr: f32,
    /// Latent dimensions that tell images apart: the variance of `mu` over the validation images is above 0.01.
    #[serde(default)]
    pub active_units: usize,
    /// What the latents say of which image they are of, nats: an estimate that cannot exceed the logarithm of 2000, or of
    /// the number of validation images if there are fewer.
    #[serde(default)]
    pub mutual_information: f64,
    /// Divergence of each latent dimension from the standard normal, means over the validation images, nats.
    #[serde(default)]
    pub kl_per_dimension: Vec<f64>,
    /// Training speed, without validation.
    pub images_per_second: f64,
    /// Whether no earlier epoch was better.
    pub is_best: bool,
}

impl EpochReport {
    /// The number that `metric` names, with its sign changed where more is better; none if there is no such number.
    #[must_use]
    pub fn cost(&self, metric: &Metric) -> Option<f64> {
        let term = |losses: &Losses, term: &str| match term {
            "loss" => Some(losses.loss),
            "recon" => Some(losses.recon),
            "kl" => Some(losses.kl),
            "elbo" => Some(losses.recon + losses.kl),
            "index_code_mi" => losses.index_code_mi,
            "total_correlation" => losses.total_correlation,
            "dimension_wise_kl" => losses.dimension_wise_kl,
            "mmd" => losses.mmd,
            _ => None,
        };
        let name = metric.name();
        match name.split_once('.') {
            Some(("validation", name)) => term(&self.validation, name),
            Some(("train", name)) => term(&self.train, name),
            None if name == "active_units" => Some(-(self.active_units as f64)),
            None if name == "mutual_information" => Some(-self.mutual_information),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use vae_spec::ObjectiveKind;

    use super::*;

    #[test]
    fn every_named_number_is_in_a_report() {
        let losses = Losses::of_terms(ObjectiveKind::BetaTc, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let report = EpochReport {
            train: losses,
            validation: Losses {
                loss: 7.0,
                ..losses
            },
            active_units: 8,
            mutual_information: 9.0,
            ..EpochReport::default()
        };
        let cost = |name: &str| report.cost(&name.parse().expect("any text"));
        for name in Metric::names(ObjectiveKind::BetaTc) {
            assert!(cost(&name).is_some(), "{name}");
        }
        assert_eq!(cost(Metric::default().name()), Some(7.0));
        assert_eq!(cost("train.elbo"), Some(5.0));
        assert_eq!(cost("train.total_correlation"), Some(5.0));
        // More of these is better.
        assert_eq!(cost("active_units"), Some(-8.0));
        assert_eq!(cost("mutual_information"), Some(-9.0));
        for unknown in ["validation.mmd", "loss", "test.loss", "epoch"] {
            assert_eq!(cost(unknown), None, "{unknown}");
        }
    }
}
