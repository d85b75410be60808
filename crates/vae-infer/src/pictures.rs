//! Image grids from a model: samples from the prior, reconstructions, paths through the latent space.

use vae_data::Images;
use vae_rng::{Generator, Stream};
use vae_spec::EngineError;
use vae_view::{Grid, square_columns};

use crate::mixture::normal_quantile;
use crate::{InferError, Inference};

/// A grid with `columns` of `images`, `[count, pixels]` in units of the model.
#[must_use]
pub fn grid(inference: &Inference<'_>, mut images: Vec<f32>, columns: usize) -> Grid {
    inference.preprocessing().to_pixels(&mut images);
    Grid {
        images,
        columns,
        shape: inference.shape(),
        gap: 2,
    }
}

/// `count` images decoded from samples of the prior.
///
/// # Errors
/// If the device fails.
pub fn samples(
    inference: &mut Inference<'_>,
    seed: u64,
    count: usize,
) -> Result<Grid, EngineError> {
    let generator = Generator::new(seed, Stream::Prior);
    let z = inference
        .prior()?
        .sample(generator, 0..count as u32, 1.0, None);
    let images = inference.decode(&z)?;
    Ok(grid(inference, images, square_columns(count)))
}

/// Versions of the same images below each other: each of `kinds`, `[count, pixels]`, is a line, in blocks of at most ten
/// columns.
#[must_use]
pub fn stacked(inference: &Inference<'_>, kinds: &[&[f32]]) -> Grid {
    const COLUMNS: usize = 10;
    let length = inference.shape().length();
    let count = kinds[0].len() / length;
    let columns = count.clamp(1, COLUMNS);
    let mut images = Vec::new();
    for first in (0..count).step_by(columns) {
        let shown = columns.min(count - first);
        for kind in kinds {
            images.extend_from_slice(&kind[first * length..][..shown * length]);
            // A short last row is padded with black, so that the next kind starts a new row.
            images.resize(images.len() + (columns - shown) * length, f32::NEG_INFINITY);
        }
    }
    grid(inference, images, columns)
}

/// `images` with the reconstruction from the posterior mean below each.
///
/// # Errors
/// If the device fails.
pub fn reconstructions(inference: &mut Inference<'_>, images: &Images) -> Result<Grid, InferError> {
    let reconstructed = inference.reconstruct(images)?;
    let places: Vec<u32> = (0..images.count() as u32).collect();
    Ok(stacked(
        inference,
        &[&images.gather(&places), &reconstructed],
    ))
}

/// Images decoded on a grid of quantiles of the standard normal, 0.05 to 0.95: one latent dimension increases to the right,
/// one upwards; all others are 0.
///
/// # Errors
/// If the device fails.
pub fn manifold(
    inference: &mut Inference<'_>,
    [right, up]: [usize; 2],
    side: usize,
) -> Result<Grid, EngineError> {
    let mut z = vec![0.0; side * side * inference.latent()];
    let axis = quantiles(side);
    for (row, &high) in axis.iter().rev().enumerate() {
        for (column, &far) in axis.iter().enumerate() {
            let place = (row * side + column) * inference.latent();
            z[place + right] = far;
            z[place + up] = high;
        }
    }
    let images = inference.decode(&z)?;
    Ok(Grid {
        gap: 0,
        ..grid(inference, images, side)
    })
}

/// `count` quantiles of the standard normal, from 0.05 to 0.95.
fn quantiles(count: usize) -> Vec<f32> {
    let step = 0.9 / (count.max(2) - 1) as f64;
    let probabilities = (0..count).map(|i| 0.05 + step * i as f64);
    probabilities.map(|p| normal_quantile(p) as f32).collect()
}

/// Latent traversal: one row for each of `dimensions`, in which that coordinate of `base` takes the quantiles of the standard
/// normal.
///
/// # Errors
/// If the device fails.
pub fn traversal(
    inference: &mut Inference<'_>,
    base: &[f32],
    dimensions: &[usize],
    steps: usize,
) -> Result<Grid, EngineError> {
    let axis = quantiles(steps);
    let point = |dimension: usize, value: f32| {
        let mut z = base.to_vec();
        z[dimension] = value;
        z
    };
    let points = dimensions
        .iter()
        .flat_map(|&dimension| axis.iter().flat_map(move |&value| point(dimension, value)));
    let z: Vec<f32> = points.collect();
    let images = inference.decode(&z)?;
    Ok(grid(inference, images, steps))
}

/// Path of an interpolation between latent vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Linear interpolation.
    Linear,
    /// Spherical interpolation with a linearly interpolated norm: between draws of a normal in many dimensions a straight line
    /// passes through points that are unlike any draw (White 2016).
    Spherical,
}

impl Walk {
    /// `steps` points from `from` to `to`, both included: `[steps, latent]`.
    #[must_use]
    pub fn points(self, from: &[f32], to: &[f32], steps: usize) -> Vec<f32> {
        let norm = |z: &[f32]| z.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let norms = [norm(from), norm(to)];
        let dot: f64 = from
            .iter()
            .zip(to)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum();
        let angle = (dot / (norms[0] * norms[1])).clamp(-1.0, 1.0).acos();
        // Parallel or opposite vectors do not define a unique great circle.
        let is_straight =
            self == Self::Linear || !(1e-4..std::f64::consts::PI - 1e-4).contains(&angle);
        let weights = |t: f64| {
            if is_straight {
                return [1.0 - t, t];
            }
            let length = (1.0 - t) * norms[0] + t * norms[1];
            let share = |t: f64, norm: f64| (t * angle).sin() / angle.sin() * length / norm;
            [share(1.0 - t, norms[0]), share(t, norms[1])]
        };
        let steps = (0..steps).map(|step| step as f64 / (steps.max(2) - 1) as f64);
        let point = |t: f64| {
            let [a, b] = weights(t);
            let pairs = from.iter().zip(to);
            pairs.map(move |(&x, &y)| (a * f64::from(x) + b * f64::from(y)) as f32)
        };
        steps.flat_map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spherical_walk_keeps_its_distance_from_the_middle_where_a_straight_one_does_not() {
        let (from, to) = ([1.0, 0.0], [0.0, 3.0]);
        let straight = Walk::Linear.points(&from, &to, 3);
        assert_eq!(straight, [1.0, 0.0, 0.5, 1.5, 0.0, 3.0]);
        let round = Walk::Spherical.points(&from, &to, 3);
        let root = 2f32.sqrt();
        for (found, expected) in round.iter().zip([1.0, 0.0, root, root, 0.0, 3.0]) {
            assert!((found - expected).abs() < 1e-6, "{round:?}");
        }
        let same = Walk::Spherical.points(&from, &from, 2);
        assert_eq!(same, [1.0, 0.0, 1.0, 0.0]);
    }
}
