//! Learning rate schedules.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::span::progress;
use super::{Span, positive, split_first};

/// Learning rate schedule: a factor that multiplies the base rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LrSchedule {
    /// Constant factor of 1.
    Constant,
    /// Multiplied at given epochs, as by PyTorch's `MultiStepLR`.
    Steps {
        /// Number of finished epochs before each change: at least 1, increasing.
        epochs: Vec<u64>,
        /// Factor of each change, more than 0.
        factor: f64,
    },
    /// Multiplied by this, more than 0, after every epoch, as by PyTorch's `ExponentialLR`.
    Exponential(f64),
    /// Cosine decay to 0 at the end of the run (Loshchilov and Hutter 2017, one cycle), after a linear warm-up over the span,
    /// if there is one.
    Cosine(Option<Span>),
    /// Multiplied whenever the watched metric stops improving, as by PyTorch's `ReduceLROnPlateau` with its defaults, but
    /// without a minimum learning rate.
    Plateau {
        /// Factor of each change, between 0 and 1.
        factor: f64,
        /// Epochs in a row without improvement that are tolerated: the next such epoch changes the rate.
        patience: usize,
    },
}

impl LrSchedule {
    /// Default factor of [`Self::Plateau`], as in PyTorch.
    pub const PLATEAU_FACTOR: f64 = 0.1;
    /// Default patience of [`Self::Plateau`], as in PyTorch.
    pub const PLATEAU_PATIENCE: usize = 10;

    /// The factor at `step`, counted from 0 over the whole run; [`Self::Plateau`] takes it from `plateau`.
    #[must_use]
    pub fn factor(&self, step: u64, steps_per_epoch: u64, epochs: usize, plateau: &Plateau) -> f32 {
        let finished = step.checked_div(steps_per_epoch).unwrap_or(0);
        let factor = match self {
            Self::Constant => 1.0,
            Self::Steps { epochs, factor } => {
                let changes = epochs.iter().filter(|&&epoch| epoch <= finished).count();
                factor.powf(changes as f64)
            }
            Self::Exponential(factor) => factor.powf(finished as f64),
            Self::Cosine(warmup) => {
                let step = step as f64;
                let warmup = warmup.map_or(0.0, |span| span.steps(steps_per_epoch));
                if step < warmup {
                    // This step counts as done, because a rate of 0 would waste the first step.
                    progress(step + 1.0, warmup)
                } else {
                    let run = Span::Epochs(epochs as f64).steps(steps_per_epoch);
                    (1.0 + (PI * progress(step - warmup, run - warmup)).cos()) / 2.0
                }
            }
            Self::Plateau { .. } => plateau.factor,
        };
        factor as f32
    }

    /// Parses what follows `steps:` as [`Self::Steps`].
    fn read_steps(text: &str) -> Option<Self> {
        let (epochs, factor) = text.split_once(':')?;
        let epochs: Vec<u64> = epochs
            .split(',')
            .map(|epoch| epoch.parse().ok())
            .collect::<Option<_>>()?;
        let increasing = !epochs.contains(&0) && epochs.is_sorted_by(|a, b| a < b);
        let factor = positive(factor)?;
        increasing.then_some(Self::Steps { epochs, factor })
    }

    /// Parses what follows `plateau` as [`Self::Plateau`].
    fn read_plateau(text: Option<&str>) -> Option<Self> {
        let (factor, patience) = text.map_or((None, None), |text| {
            let (factor, patience) = split_first(text);
            (Some(factor), patience)
        });
        let factor = factor.map_or(Some(Self::PLATEAU_FACTOR), positive)?;
        let patience = patience.map_or(Some(Self::PLATEAU_PATIENCE), |text| text.parse().ok())?;
        (factor < 1.0).then_some(Self::Plateau { factor, patience })
    }
}

/// State of [`LrSchedule::Plateau`], saved in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// Best (lowest) metric so far.
    pub best: Option<f64>,
    /// Epochs since the best metric or the last change of the rate.
    pub bad_epochs: usize,
    /// Current factor of the learning rate.
    pub factor: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            best: None,
            bad_epochs: 0,
            factor: 1.0,
        }
    }
}

impl Plateau {
    /// Relative improvement below which a metric does not count as better, PyTorch's default.
    const THRESHOLD: f64 = 1e-4;

    /// Updates the state with the metric of a finished epoch, lower is better; does nothing with other schedules. While the KL
    /// weight rises, so does the loss: leave out the first [`KlSchedule::ramp_epochs`](super::KlSchedule::ramp_epochs).
    ///
    /// PyTorch's `best (1 - threshold)` lies above a negative best, which densities can have, and counts worse values as
    /// better; here the threshold lies below the best whatever its sign. NaN and infinity are never better.
    pub fn end_epoch(&mut self, schedule: &LrSchedule, metric: f64) {
        let LrSchedule::Plateau { factor, patience } = schedule else {
            return;
        };
        let best = self.best.unwrap_or(f64::INFINITY);
        if metric.is_finite() && metric < best * (1.0 - Self::THRESHOLD * best.signum()) {
            self.best = Some(metric);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs > *patience {
            self.factor *= factor;
            self.bad_epochs = 0;
        }
    }
}

impl fmt::Display for LrSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Steps { epochs, factor } => {
                let epochs: Vec<String> = epochs.iter().map(u64::to_string).collect();
                write!(f, "steps:{}:{factor}", epochs.join(","))
            }
            Self::Exponential(factor) => write!(f, "exponential:{factor}"),
            Self::Cosine(None) => f.write_str("cosine"),
            Self::Cosine(Some(warmup)) => write!(f, "cosine:{warmup}"),
            Self::Plateau { factor, patience } => write!(f, "plateau:{factor}:{patience}"),
        }
    }
}

impl FromStr for LrSchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (schedule, expected) = match split_first(text) {
            ("constant", None) => (Some(Self::Constant), ""),
            ("steps", Some(rest)) => (
                Self::read_steps(rest),
                "increasing epochs from 1 and a factor of more than 0, such as steps:20,40:0.1",
            ),
            ("exponential", Some(factor)) => (
                positive(factor).map(Self::Exponential),
                "a factor of more than 0, such as exponential:0.95",
            ),
            ("cosine", warmup) => {
                let warmup = warmup.map(str::parse).transpose()?;
                (Some(Self::Cosine(warmup)), "")
            }
            ("plateau", rest) => (
                Self::read_plateau(rest),
                "a factor between 0 and 1 and epochs of patience, such as plateau:0.1:10",
            ),
            _ => (
                None,
                "constant, steps:20,40:0.1, exponential:0.95, cosine:5 or plateau:0.1:10, for example",
            ),
        };
        schedule.ok_or_else(|| format!("expected {expected}, found `{text}`"))
    }
}

#[cfg(test)]
mod tests;
