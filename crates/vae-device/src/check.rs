//! Whether a device computes what it should: each pass of step programs against its twin on the CPU, whole training steps, and the
//! engines against each other.

mod models;
mod passes;
mod steps;
#[cfg(test)]
mod tests;

use vae_kernels::executor::ExecutorError;
use vae_rng::{Generator, Stream};
use vae_spec::{EngineError, ModelConfig, NamedTensor, Weights};

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

/// How often weights are rounded anew before a difference of gradients is taken for an error.
const ROUNDINGS: u64 = 32;

/// What differs between gradients that were computed in two ways, in words; `None` if rounding explains all of it.
///
/// A gradient jumps where an activation has its kink, and where its terms cancel their rounding errors are all that is left. So what
/// no rounding of its own explains is compared with what rounding does to the weights: `rounded` computes the expected gradients
/// with those of [`rounded`], of each number that it is given.
///
/// # Errors
/// Those of `rounded`.
pub fn difference<E>(
    found: &[NamedTensor],
    expected: &[NamedTensor],
    mut rounded: impl FnMut(u64) -> Result<Vec<NamedTensor>, E>,
) -> Result<Option<String>, E> {
    // Several jumps may add up in one number.
    const JUMPS: f32 = 4.0;
    let lengths = expected.iter().map(|tensor| tensor.values.len());
    let mut jumps: Vec<Vec<f32>> = lengths.map(|length| vec![0.0; length]).collect();
    for number in 0.. {
        let pairs = found.iter().zip(expected).zip(&jumps);
        let distances = pairs.map(|((found, expected), jumps)| {
            let jumps = jumps.iter().copied();
            let distance = distance_beyond(jumps, &found.values, &expected.values);
            (distance / CHAIN, &found.name)
        });
        let worst = distances.max_by(|(one, _), (other, _)| one.total_cmp(other));
        let Some((worst, name)) = worst.filter(|(worst, _)| *worst > 1.0) else {
            break;
        };
        if number == ROUNDINGS || worst.is_infinite() {
            return Ok(Some(format!(
                "the gradient of `{name}` is {worst:.1} times as far as rounding brings it from what it should be"
            )));
        }
        for ((jumps, moved), expected) in jumps.iter_mut().zip(&rounded(number)?).zip(expected) {
            let values = moved.values.iter().zip(&expected.values);
            for (jump, (moved, expected)) in jumps.iter_mut().zip(values) {
                *jump = jump.max(JUMPS * (moved - expected).abs());
            }
        }
    }
    Ok(None)
}

/// The weights, each rounded otherwise by some of the last of its 24 bits, which is what the rounding errors of a layer amount to.
#[must_use]
pub fn rounded(model: &ModelConfig, weights: &Weights, number: u64) -> Weights {
    const SHARE: f32 = 2e-6;
    let mut values = weights.to_flat();
    let uniforms = Generator::new(number, Stream::Init).uniforms(0, 0, 1, values.len());
    for (value, u) in values.iter_mut().zip(uniforms) {
        *value *= 1.0 + SHARE * (2.0 * u - 1.0);
    }
    Weights::from_flat(model, &values)
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
    distance_beyond(std::iter::repeat(0.0), found, expected)
}

/// As [`distance`], of what each number is off beyond what is explained otherwise.
fn distance_beyond(explained: impl Iterator<Item = f32>, found: &[f32], expected: &[f32]) -> f32 {
    let largest = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
    let tolerance = |x: f32| 5e-5 * largest + 1e-5 * x.abs() + f32::MIN_POSITIVE;
    let pairs = found.iter().zip(expected).zip(explained);
    let distances = pairs.map(|((&found, &expected), explained)| {
        if found == expected {
            0.0
        } else if found.is_finite() && expected.is_finite() {
            ((found - expected).abs() - explained) / tolerance(expected)
        } else {
            f32::INFINITY
        }
    });
    distances.fold(0.0, f32::max)
}
