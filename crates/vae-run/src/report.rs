//! Progress and epoch reports: the lines of metrics.jsonl.

use serde::{Deserialize, Serialize};
use vae_recipe::Metric;
use vae_spec::Losses;

/// Progress within an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Number of steps done in this epoch.
    pub step: usize,
    /// Number of steps per epoch.
    pub steps: usize,
    /// Mean training losses over this epoch so far.
    pub train: Losses,
    /// Current weight of the KL term.
    pub beta: f32,
    /// Current learning rate.
    pub lr: f32,
    /// Training throughput in this epoch so far, samples per second.
    pub images_per_second: f64,
}

/// Metrics of one epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Mean training losses over the epoch's steps, each taken before its update.
    pub train: Losses,
    /// Mean losses over the validation samples after the epoch, with the final weights of the loss terms.
    pub validation: Losses,
    /// Weight of the KL term at the epoch's last step.
    #[serde(default)]
    pub beta: f32,
    /// Learning rate at the epoch's last step.
    #[serde(default)]
    pub lr: f32,
    /// Number of active latent dimensions: the variance of `mu` over the validation samples is above 0.01.
    #[serde(default)]
    pub active_units: usize,
    /// Estimated mutual information between latents and samples, nats: it cannot exceed the logarithm of 2000, or of the number
    /// of validation samples if there are fewer.
    #[serde(default)]
    pub mutual_information: f64,
    /// KL divergence of each latent dimension from the standard normal, mean over the validation samples, nats.
    #[serde(default)]
    pub kl_per_dimension: Vec<f64>,
    /// Training throughput, without validation, samples per second.
    pub images_per_second: f64,
    /// Whether this is the best epoch so far.
    pub is_best: bool,
}

impl EpochReport {
    /// The value of `metric`, negated where higher is better; `None` if there is no such metric.
    #[must_use]
    pub fn cost(&self, metric: &Metric) -> Option<f64> {
        let sign = if metric.is_gain() { -1.0 } else { 1.0 };
        Some(sign * self.value(metric)?)
    }

    /// The value of `metric`; `None` if there is no such metric.
    #[must_use]
    pub fn value(&self, metric: &Metric) -> Option<f64> {
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
            None if name == "active_units" => Some(self.active_units as f64),
            None if name == "mutual_information" => Some(self.mutual_information),
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
        assert_eq!(
            report.value(&"active_units".parse().expect("any text")),
            Some(8.0)
        );
        // Higher is better for these.
        assert_eq!(cost("active_units"), Some(-8.0));
        assert_eq!(cost("mutual_information"), Some(-9.0));
        for unknown in ["validation.mmd", "loss", "test.loss", "epoch"] {
            assert_eq!(cost(unknown), None, "{unknown}");
        }
    }
}
