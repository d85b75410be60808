//! Whether a device computes what it should: each pass of step programs against its twin on the CPU, whole training steps, and the
//! engines against each other.

mod models;
mod passes;
mod steps;
#[cfg(test)]
mod tests;

use vae_kernels::executor::ExecutorError;
use vae_spec::{EngineError, NamedTensor};

pub use passes::{PassCheck, passes};
pub use steps::{KernelTime, StepCheck, engines, step_times, training};

/// A device failed while it was checked.
#[derive(Debug, thiserror::Error)]
#[error("the device failed: {0}")]
pub struct CheckError(String);

impl From<ExecutorError> for CheckError {
    fn from(error: ExecutorError) -> Self {
        Self(error.to_string())
    }
}

impl From<EngineError> for CheckError {
    fn from(error: EngineError) -> Self {
        Self(error.to_string())
    }
}

/// What differs between gradients that were computed in two ways, in words; `None` if rounding explains all of it.
#[must_use]
pub fn difference(found: &[NamedTensor], expected: &[NamedTensor]) -> Option<String> {
    let pairs = found.iter().zip(expected);
    let distances = pairs.map(|(found, expected)| {
        let distance = distance(&found.values, &expected.values) / CHAIN;
        (distance, &found.name)
    });
    let (worst, name) = distances.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (worst > 1.0).then(|| {
        format!("the gradient of `{name}` is {worst:.1} times as far as rounding brings it from what it should be")
    })
}

/// Rounding errors of a step grow over those that follow, and a gradient is the end of a chain of passes: so many times what a
/// pass alone may be off.
const CHAIN: f32 = 10.0;

/// The largest distance between numbers in units of what rounding may make of them; infinite if any is no number.
///
/// Sums of up to 1,000 terms in any order, of 24 bits, differ by some 1e-6 of the largest; functions by a few 2^-22 of their value,
/// and WGSL allows `exp` an error of `(3 + 2 |x|) 2^-24`. Fifty parts in a million of the largest are far above both, and far below
/// what a wrong formula, half precision (2^-11) or bfloat16 (2^-8) does.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    let largest = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
    let tolerance = |x: f32| 5e-5 * largest + 1e-5 * x.abs() + f32::MIN_POSITIVE;
    let pairs = found.iter().zip(expected);
    let distances = pairs.map(|(&found, &expected)| {
        if found == expected {
            0.0
        } else if found.is_finite() && expected.is_finite() {
            (found - expected).abs() / tolerance(expected)
        } else {
            f32::INFINITY
        }
    });
    distances.fold(0.0, f32::max)
}
