//! KL annealing: schedules of the KL weight, against posterior collapse.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::span::progress;
use super::{Span, split_first};

/// Schedule of the KL weight: a factor in [0, 1] that multiplies beta. A rise without a span takes half of the run. `t` is
/// the completed fraction of the span, 0 at the first step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KlSchedule {
    /// Constant factor of 1.
    Constant,
    /// `t`.
    Linear(Option<Span>),
    /// `(1 - cos(pi t)) / 2`.
    Cosine(Option<Span>),
    /// `1 / (1 + exp(-12 (t - 1/2)))`, scaled to be 0 at the start and 1 at the end (a sigmoid as in Bowman et al.
    /// 2016).
    Sigmoid(Option<Span>),
    /// The cyclical annealing schedule of Fu et al. 2019 with R = 1/2: each cycle rises linearly in its first half and
    /// stays at 1 in its second. The paper rounds cycles up to whole steps, which cuts the last one short; here they
    /// are not rounded.
    Cyclical {
        /// Number of cycles, M, at least 1.
        cycles: u32,
        /// Length of all cycles together, by default the whole run; the factor is 1 afterwards.
        span: Option<Span>,
    },
}

impl KlSchedule {
    /// Default number of cycles: M of Fu et al. 2019.
    pub const CYCLES: u32 = 4;
    /// Width of the sigmoid's input range.
    const SIGMOID_WIDTH: f64 = 12.0;

    /// The factor at `step`, counted from 0 over the whole run.
    #[must_use]
    pub fn factor(&self, step: u64, steps_per_epoch: u64, epochs: usize) -> f32 {
        let step = step as f64;
        let length = self.length(steps_per_epoch, epochs);
        let t = progress(step, length);
        let factor = match *self {
            Self::Constant => 1.0,
            Self::Linear(_) => t,
            Self::Cosine(_) => (1.0 - (PI * t).cos()) / 2.0,
            Self::Sigmoid(_) => {
                let logistic = |t: f64| 1.0 / (1.0 + (-Self::SIGMOID_WIDTH * (t - 0.5)).exp());
                (logistic(t) - logistic(0.0)) / (logistic(1.0) - logistic(0.0))
            }
            Self::Cyclical { cycles, .. } => {
                let cycles = f64::from(cycles);
                // Multiplied before dividing, so that the first step of a cycle is exactly at 0.
                let passed = if t < 1.0 {
                    step * cycles / length
                } else {
                    cycles
                };
                // The end belongs to the last cycle: 1 from then on.
                let tau = passed - passed.floor().min(cycles - 1.0);
                (2.0 * tau).min(1.0)
            }
        };
        factor as f32
    }

    /// Warm-up epochs, rounded up, until the factor stays at 1; more than `epochs` if the run ends earlier.
    #[must_use]
    pub fn ramp_epochs(&self, steps_per_epoch: u64, epochs: usize) -> usize {
        let length = self.length(steps_per_epoch, epochs);
        let ramp = match *self {
            // The last of the half cycles stays at 1.
            Self::Cyclical { cycles, .. } => {
                let halves = 2.0 * f64::from(cycles);
                length * (halves - 1.0) / halves
            }
            _ => length,
        };
        (ramp / steps_per_epoch as f64).ceil() as usize
    }

    /// Length of the span in steps.
    fn length(&self, steps_per_epoch: u64, epochs: usize) -> f64 {
        let run = Span::Epochs(epochs as f64);
        let half = Span::Epochs(epochs as f64 / 2.0);
        let span = match *self {
            Self::Constant => return 0.0,
            Self::Linear(span) | Self::Cosine(span) | Self::Sigmoid(span) => span.unwrap_or(half),
            Self::Cyclical { span, .. } => span.unwrap_or(run),
        };
        span.steps(steps_per_epoch)
    }
}

impl fmt::Display for KlSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, span) = match *self {
            Self::Constant => ("constant", None),
            Self::Linear(span) => ("linear", span),
            Self::Cosine(span) => ("cosine", span),
            Self::Sigmoid(span) => ("sigmoid", span),
            Self::Cyclical { span, .. } => ("cyclical", span),
        };
        f.write_str(kind)?;
        if let Self::Cyclical { cycles, .. } = self {
            write!(f, ":{cycles}")?;
        }
        span.map_or(Ok(()), |span| write!(f, ":{span}"))
    }
}

impl FromStr for KlSchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |expected: &str| format!("expected {expected}, found `{text}`");
        let span = |text: Option<&str>| text.map(str::parse).transpose();
        let (kind, rest) = split_first(text);
        match (kind, rest) {
            ("constant", None) => Ok(Self::Constant),
            ("linear", _) => Ok(Self::Linear(span(rest)?)),
            ("cosine", _) => Ok(Self::Cosine(span(rest)?)),
            ("sigmoid", _) => Ok(Self::Sigmoid(span(rest)?)),
            ("cyclical", None) => Ok(Self::Cyclical {
                cycles: Self::CYCLES,
                span: None,
            }),
            ("cyclical", Some(rest)) => {
                let (cycles, rest) = split_first(rest);
                let cycles = cycles.parse().ok().filter(|&cycles| cycles > 0);
                Ok(Self::Cyclical {
                    cycles: cycles
                        .ok_or_else(|| wrong("1 cycle or more, such as cyclical:4:20"))?,
                    span: span(rest)?,
                })
            }
            _ => Err(wrong(
                "constant, linear:10, cosine:2000steps, sigmoid or cyclical:4:20, for example",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
