//! How the learning rate changes over training.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::span::progress;
use super::{Span, positive, split_first};

/// The factor of the learning rate over training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LrSchedule {
    /// 1 throughout.
    Constant,
    /// Multiplied at the start of some epochs, as PyTorch's `MultiStepLR` does it.
    Steps {
        /// Finished epochs before each change: from 1, increasing.
        epochs: Vec<u64>,
        /// Of each change, more than 0.
        factor: f64,
    },
    /// Multiplied by this, more than 0, after every epoch, as PyTorch's `ExponentialLR` does it.
    Exponential(f64),
    /// Half a cosine down to 0 at the end of the run (Loshchilov and Hutter 2017, one cycle), after a linear rise over
    /// the span, if there is one.
    Cosine(Option<Span>),
    /// Multiplied whenever the watched metric no longer falls, as PyTorch's `ReduceLROnPlateau` does it with its
    /// defaults, but with no least learning rate.
    Plateau {
        /// Of each change, between 0 and 1.
        factor: f64,
        /// Epochs in a row that may pass without a better metric: the next such epoch changes the rate.
        patience: usize,
    },
}

impl LrSchedule {
    /// Of [`Self::Plateau`] if nothing is said, as in PyTorch.
    pub const PLATEAU_FACTOR: f64 = 0.1;
    /// Of [`Self::Plateau`] if nothing is said, as in PyTorch.
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
                    // Of the steps with this one, for a rate of 0 would waste the first.
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

    /// [`Self::Steps`] of what follows `steps:`.
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

    /// [`Self::Plateau`] of what follows `plateau`.
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

/// What [`LrSchedule::Plateau`] remembers from epoch to epoch, saved in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The lowest metric so far that counted as better.
    pub best: Option<f64>,
    /// Epochs since then or since the last change of the rate.
    pub bad_epochs: usize,
    /// Of the learning rate now.
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
    /// The share of the best by which a metric must be lower to count as better, PyTorch's default.
    const THRESHOLD: f64 = 1e-4;

    /// Takes in the metric of a finished epoch, of which lower is better; nothing happens with other schedules.
    /// While the weight of the KL term rises, so does the loss: leave out the first
    /// [`KlSchedule::ramp_epochs`](super::KlSchedule::ramp_epochs).
    ///
    /// PyTorch's `best (1 - threshold)` lies above a negative best, as densities have, and takes what is worse for
    /// better; here the threshold lies below the best whatever its sign. What is not finite is never better.
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
