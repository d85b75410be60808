//! A number of an epoch by name: what `--best-by` watches.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vae_spec::{Losses, ObjectiveKind};

use crate::EpochReport;
use crate::schedule::written_as_text;

/// For example `validation.loss`, as metrics.jsonl calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Metric(String);

/// Numbers of [`Losses`] that every objective has.
const TERMS: [&str; 4] = ["loss", "recon", "kl", "elbo"];
/// Numbers of an epoch beside its losses.
const OTHERS: [&str; 2] = ["active_units", "mutual_information"];

impl Metric {
    /// Those that an epoch has under an objective.
    #[must_use]
    pub fn names(kind: ObjectiveKind) -> Vec<String> {
        let terms = TERMS.iter().chain(kind.extra_terms());
        let of_part = |part: &'static str| terms.clone().map(move |term| format!("{part}.{term}"));
        let others = OTHERS.iter().map(ToString::to_string);
        of_part("validation")
            .chain(of_part("train"))
            .chain(others)
            .collect()
    }

    /// The number in `report`, with its sign changed where more is better; none if the report has no such number.
    #[must_use]
    pub fn cost(&self, report: &EpochReport) -> Option<f64> {
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
        match self.0.split_once('.') {
            Some(("validation", name)) => term(&report.validation, name),
            Some(("train", name)) => term(&report.train, name),
            None if self.0 == OTHERS[0] => Some(-(report.active_units as f64)),
            None if self.0 == OTHERS[1] => Some(-report.mutual_information),
            _ => None,
        }
    }
}

impl Default for Metric {
    fn default() -> Self {
        Self("validation.loss".into())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Metric {
    type Err = String;

    // Whether there is such a number is known when the objective is.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

written_as_text!(Metric);

#[cfg(test)]
mod tests {
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
        let cost = |name: &str| Metric(name.into()).cost(&report);
        for name in Metric::names(ObjectiveKind::BetaTc) {
            assert!(cost(&name).is_some(), "{name}");
        }
        assert_eq!(cost(&Metric::default().0), Some(7.0));
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
