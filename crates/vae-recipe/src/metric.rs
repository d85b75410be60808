//! Epoch metrics by name, as `--best-by` takes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vae_spec::ObjectiveKind;

use crate::schedule::written_as_text;

/// Name of an epoch metric as in metrics.jsonl, for example `validation.loss`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Metric(String);

/// Terms of [`Losses`](vae_spec::Losses) that every objective reports.
const TERMS: [&str; 4] = ["loss", "recon", "kl", "elbo"];
/// Metrics of an epoch other than its losses, of which more is better.
const OTHERS: [&str; 2] = ["active_units", "mutual_information"];

impl Metric {
    /// All metrics of an epoch under the objective `kind`.
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

    /// The name in metrics.jsonl.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether more of it is better.
    #[must_use]
    pub fn is_gain(&self) -> bool {
        OTHERS.contains(&self.name())
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

    // Which names exist depends on the objective, so they are checked later.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

written_as_text!(Metric);
