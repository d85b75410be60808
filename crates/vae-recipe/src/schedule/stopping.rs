//! Early stopping, when the watched metric no longer improves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::split_first;

/// Early stopping rule, written `patience[:min_delta[:warmup]]`, such as `10:0.5:20`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stopping {
    /// Epochs in a row without improvement after which to stop, at least 1.
    pub patience: usize,
    /// Minimum improvement: an epoch is better if its metric is lower than the best by more than this.
    pub min_delta: f64,
    /// Number of first epochs to ignore: while the KL weight rises, so does the loss
    /// ([`KlSchedule::ramp_epochs`](super::KlSchedule::ramp_epochs)).
    pub warmup: usize,
}

/// State of early stopping, saved in checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoppingState {
    /// Best (lowest) metric so far.
    pub best: Option<f64>,
    /// Epochs since the best metric.
    pub since: usize,
}

impl Stopping {
    /// Updates the state with the metric of `epoch`, counted from 1, lower is better. NaN and infinity are never better.
    pub fn end_epoch(&self, state: &mut StoppingState, epoch: usize, metric: f64) {
        if epoch <= self.warmup {
            return;
        }
        let best = state.best.unwrap_or(f64::INFINITY);
        if metric.is_finite() && metric < best - self.min_delta {
            state.best = Some(metric);
            state.since = 0;
        } else {
            state.since += 1;
        }
    }

    /// Whether the run should stop.
    #[must_use]
    pub const fn is_over(&self, state: &StoppingState) -> bool {
        state.since >= self.patience
    }
}

impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            patience,
            min_delta,
            warmup,
        } = self;
        write!(f, "{patience}:{min_delta}:{warmup}")
    }
}

impl FromStr for Stopping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (patience, rest) = split_first(text);
            let (min_delta, warmup) = rest.map_or(("0", None), split_first);
            Some(Self {
                patience: patience.parse().ok().filter(|&patience| patience > 0)?,
                min_delta: min_delta
                    .parse()
                    .ok()
                    .filter(|delta: &f64| *delta >= 0.0 && delta.is_finite())?,
                warmup: warmup.unwrap_or("0").parse().ok()?,
            })
        };
        read().ok_or_else(|| {
            format!(
                "expected epochs of patience, from 1, then a least change and epochs of warm-up, \
                 both from 0, such as 10 or 10:0.5:20, found `{text}`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The epoch after which the run stops.
    fn stops(text: &str, metrics: &[f64]) -> Option<usize> {
        let stopping: Stopping = text.parse().expect("well written");
        let mut state = StoppingState::default();
        (1..).zip(metrics).find_map(|(epoch, &metric)| {
            stopping.end_epoch(&mut state, epoch, metric);
            stopping.is_over(&state).then_some(epoch)
        })
    }

    #[test]
    fn it_stops_after_as_many_epochs_without_a_better_one_as_it_has_patience() {
        assert_eq!(stops("1", &[3.0, 2.0, 2.0]), Some(3));
        assert_eq!(stops("2", &[3.0, 2.0, 2.0, 2.5]), Some(4));
        assert_eq!(stops("2", &[3.0, 4.0, 2.0, 4.0, 1.0, 1.0]), None);
    }

    #[test]
    fn a_small_gain_counts_from_min_delta_on_and_against_the_best_not_the_last() {
        assert_eq!(stops("2:0.5", &[3.0, 2.5, 2.5]), Some(3));
        // Each less than 0.5 lower, but together 0.75 below the best.
        assert_eq!(stops("2:0.5", &[3.0, 2.625, 2.25, 2.0, 2.0]), Some(5));
    }

    #[test]
    fn epochs_of_the_warm_up_neither_set_the_best_nor_count() {
        assert_eq!(stops("1", &[0.0, 3.0, 2.0, 2.0]), Some(2));
        assert_eq!(stops("1:0:1", &[0.0, 3.0, 2.0, 2.0]), Some(4));
        assert_eq!(stops("1:0:4", &[0.0, 3.0, 2.0, 2.0]), None);
    }

    #[test]
    fn what_is_no_number_is_never_better() {
        assert_eq!(stops("2", &[f64::NAN, f64::NAN]), Some(2));
        assert_eq!(
            stops("2", &[f64::NEG_INFINITY, 1.0, f64::INFINITY, 0.0]),
            None
        );
    }

    #[test]
    fn a_run_resumed_from_its_state_stops_at_the_same_epoch() {
        let stopping: Stopping = "2:0.25:1".parse().expect("well written");
        let mut state = StoppingState::default();
        let metrics = [9.0, 3.0, 2.5, 2.5, 2.5];
        for (epoch, metric) in (1..).zip(metrics) {
            let text = serde_json::to_string(&state).expect("writes");
            state = serde_json::from_str(&text).expect("reads");
            stopping.end_epoch(&mut state, epoch, metric);
            assert_eq!(stopping.is_over(&state), epoch == 5);
        }
        assert_eq!(state.best, Some(2.5));
        assert_eq!(state.since, 2);
    }

    #[test]
    fn what_is_written_reads_back_and_what_cannot_be_is_refused() {
        for (text, full) in [("10", "10:0:0"), ("10:0.5", "10:0.5:0"), ("3:0:7", "3:0:7")] {
            let stopping: Stopping = text.parse().expect("well written");
            assert_eq!(stopping.to_string(), full);
            assert_eq!(full.parse(), Ok(stopping));
        }
        for text in [
            "", "0", "-1", "1.5", "10:", "10:-1", "10:inf", "10:0:", "10:0:-1", "10:0:1:1",
        ] {
            let error = text.parse::<Stopping>().expect_err(text);
            assert!(error.contains("such as 10"), "{error}");
        }
    }
}
