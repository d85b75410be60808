//! A length of training: `10` epochs or `2000steps`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::positive;

/// A length of training, more than 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Span {
    /// Epochs, whole or not, written `10` or `0.5`.
    Epochs(f64),
    /// Steps of the optimizer, written `2000steps`.
    Steps(u64),
}

impl Span {
    /// Length in steps; a fraction of an epoch is not rounded.
    #[must_use]
    pub fn steps(self, steps_per_epoch: u64) -> f64 {
        match self {
            Self::Epochs(epochs) => epochs * steps_per_epoch as f64,
            Self::Steps(steps) => steps as f64,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epochs(epochs) => write!(f, "{epochs}"),
            Self::Steps(steps) => write!(f, "{steps}steps"),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = match text.strip_suffix("steps") {
            Some(steps) => steps.parse().ok().filter(|&n| n > 0).map(Self::Steps),
            None => positive(text).map(Self::Epochs),
        };
        span.ok_or_else(|| {
            format!("expected more than 0 epochs or steps, such as 10 or 2000steps, found `{text}`")
        })
    }
}

/// The completed fraction of `length` steps after `steps`, from 0 to 1; 1 if `length` is 0.
pub(super) fn progress(steps: f64, length: f64) -> f64 {
    if steps < length { steps / length } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_and_steps_read_back_and_count_in_steps() {
        for (text, steps) in [("10", 1000.0), ("0.5", 50.0), ("2000steps", 2000.0)] {
            let span: Span = text.parse().expect("well written");
            assert_eq!(span.to_string(), text);
            assert_eq!(span.steps(100), steps);
        }
    }

    #[test]
    fn an_empty_endless_or_unreadable_span_is_refused() {
        for text in [
            "", "0", "-1", "NaN", "inf", "steps", "0steps", "1.5steps", "-1steps", "10epochs",
        ] {
            let error = text.parse::<Span>().expect_err(text);
            assert!(error.contains("2000steps") && error.contains(&format!("`{text}`")));
        }
    }

    #[test]
    fn progress_stays_within_0_and_1_even_of_nothing() {
        for (steps, length, expected) in [
            (0.0, 4.0, 0.0),
            (1.0, 4.0, 0.25),
            (5.0, 4.0, 1.0),
            (0.0, 0.0, 1.0),
            (3.0, 0.0, 1.0),
            (0.0, -1.0, 1.0),
        ] {
            assert_eq!(progress(steps, length), expected, "{steps} of {length}");
        }
    }
}
