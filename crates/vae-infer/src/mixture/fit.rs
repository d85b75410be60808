//! Fits mixtures to latent vectors by expectation maximisation (EM; Dempster, Laird and Rubin 1977).
//!
//! Bit-identical for any number of threads: rows are summed in chunks of a fixed size, and chunks in order.

use std::array;

use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};
use vae_rng::Generator;

use super::{Mixture, Normal, log_sum_exp};

/// Rows per task: enough to hide the cost of a task, few enough to keep many threads busy.
const CHUNK: usize = 1024;
/// Number of chunks whose moments are in memory at a time.
const AT_ONCE: usize = 64;
/// Generator step for choosing the initial means: sampling from a mixture uses the steps below.
const START_STEP: u64 = 2;
/// Rows that a thread processes at once: enough for independent sums, few enough for registers.
const LANES: usize = 8;
/// Convergence threshold: minimum increase of the mean log-likelihood per iteration, nats.
const IMPROVEMENT: f64 = 1e-4;
/// Maximum number of iterations.
const ITERATIONS: usize = 100;
/// Regularization added to the variances of a component, as a fraction of the mean variance of the data: it keeps the
/// covariance of a component positive definite when its rows lie in a plane.
const RIDGE: f64 = 1e-6;
/// A component with less total responsibility than this is not updated: its moments would be mostly rounding errors.
const EMPTY: f64 = 1e-6;

impl Mixture {
    /// Fits a mixture of `components` normals with full covariance to the rows of `z`, `[rows, latent]`. The initial means are
    /// rows chosen with `generator` by k-means++ (Arthur and Vassilvitskii 2007).
    ///
    /// # Errors
    /// If there are fewer than `components * (latent + 1)` rows, a row contains NaN or infinity, or all rows are the same.
    pub fn fit(
        z: &[f32],
        latent: usize,
        components: usize,
        generator: Generator,
    ) -> Result<Self, String> {
        if latent == 0 || components == 0 || !z.len().is_multiple_of(latent) {
            return Err(format!(
                "expected at least one component and rows of at least one number, found {components} components, \
                 and {} numbers in rows of {latent}",
                z.len()
            ));
        }
        let rows = z.len() / latent;
        let needed = components.saturating_mul(latent + 1);
        if rows < needed {
            return Err(format!(
                "expected at least {needed} latent vectors for {components} components in {latent} dimensions, found \
                 {rows}: use fewer components or more images"
            ));
        }
        if let Some(place) = z.iter().position(|z| !z.is_finite()) {
            return Err(format!(
                "expected finite latent vectors, found {} in row {}",
                z[place],
                place / latent + 1
            ));
        }
        // Compared exactly: the computed variance of equal rows may be a rounding error.
        if z.chunks_exact(latent).all(|row| *row == z[..latent]) {
            return Err("expected latent vectors that differ, found the same in every row".into());
        }
        let ridge = RIDGE * mean_variance(z, latent);
        let mut mixture = Self::start(z, latent, components, ridge, generator);
        let mut before = f64::NEG_INFINITY;
        for _ in 0..ITERATIONS {
            let (log_likelihood, next) = mixture.iterate(z, ridge);
            if log_likelihood - before < IMPROVEMENT {
                break;
            }
            (before, mixture) = (log_likelihood, next);
        }
        Ok(mixture)
    }

    /// Initial mixture: equal spherical normals at rows that are far apart, each chosen with a probability proportional to its
    /// squared distance from the nearest earlier one.
    fn start(
        z: &[f32],
        latent: usize,
        components: usize,
        ridge: f64,
        generator: Generator,
    ) -> Self {
        let mut distances = vec![1.0; z.len() / latent];
        let mut is_first = true;
        let mut means = Vec::with_capacity(components * latent);
        for uniform in generator.uniforms(START_STEP, 0, components, 1) {
            let target = f64::from(uniform) * distances.iter().sum::<f64>();
            let mut below = 0.0;
            let reached = distances.iter().position(|distance| {
                below += distance;
                target < below
            });
            // There is none if every row is already a mean.
            let centre = &z[reached.unwrap_or(0) * latent..][..latent];
            means.extend_from_slice(centre);
            let nearest = distances.par_chunks_mut(CHUNK);
            nearest
                .zip(z.par_chunks(CHUNK * latent))
                .for_each(|(distances, rows)| {
                    for (distance, row) in distances.iter_mut().zip(rows.chunks_exact(latent)) {
                        let new = squared_distance(row, centre);
                        *distance = if is_first { new } else { distance.min(new) };
                    }
                });
            is_first = false;
        }
        let variance = distances.iter().sum::<f64>() / z.len() as f64 + ridge;
        let normals = means.chunks_exact(latent).map(|mean| {
            let mean = mean.iter().copied().map(f64::from).collect();
            Normal::diagonal(mean, std::iter::repeat_n(variance.ln(), latent))
        });
        Self::normalized(vec![0.0; components], normals.collect())
    }

    /// One EM iteration: returns the mean log-likelihood of the rows of `z` before it, nats, and the new mixture.
    fn iterate(&self, z: &[f32], ridge: f64) -> (f64, Self) {
        let latent = self.latent();
        let side = latent + 1;
        let mut log_likelihood = 0.0;
        let mut moments = vec![0.0; self.normals.len() * side * side];
        // A few chunks at a time, as each has its own moments; added up in order, whatever the number of threads.
        for rows in z.chunks(AT_ONCE * CHUNK * latent) {
            let chunks: Vec<(f64, Vec<f64>)> = rows
                .par_chunks(CHUNK * latent)
                .map(|rows| self.moments(rows))
                .collect();
            for (chunk_log_likelihood, chunk) in chunks {
                log_likelihood += chunk_log_likelihood;
                moments.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
            }
        }
        let moments = moments.chunks_exact(side * side);
        let log_weights = moments.clone().map(|moments| moments[0].ln()).collect();
        let normals = self.normals.iter().zip(moments);
        let normals = normals.map(|(normal, moments)| maximise(normal, moments, ridge));
        let rows = (z.len() / latent) as f64;
        (
            log_likelihood / rows,
            Self::normalized(log_weights, normals.collect()),
        )
    }

    /// The log-likelihood of the rows of `z`, nats, and the moments of each component: `sum_i r_i d_i d_i^T`, the lower
    /// triangle of `[latent + 1, latent + 1]`, where `r_i` is the component's responsibility for row `i` and `d_i` is a
    /// 1 followed by the row's deviation from the component's mean.
    ///
    /// The 1 puts the count and the means into the same sum; using deviations from a nearby mean instead of the rows themselves
    /// avoids cancellation in the difference of moments that is the covariance.
    fn moments(&self, z: &[f32]) -> (f64, Vec<f64>) {
        let latent = self.latent();
        let side = latent + 1;
        let components = self.normals.len();
        let mut deviations = vec![[1.0; LANES]; components * side];
        let mut scaled = vec![[0.0; LANES]; latent];
        // Logarithms of w_k N(z_i; m_k, S_k), `[LANES, components]`.
        let mut terms = vec![0.0; LANES * components];
        let mut log_likelihood = 0.0;
        let mut moments = vec![0.0; components * side * side];
        for rows in z.chunks(LANES * latent) {
            let normals = self.log_weights.iter().zip(&self.normals);
            for (component, ((log_weight, normal), deviations)) in
                normals.zip(deviations.chunks_exact_mut(side)).enumerate()
            {
                normal.deviate(rows, &mut deviations[1..]);
                scaled.copy_from_slice(&deviations[1..]);
                let log_densities = normal.log_densities(&mut scaled);
                for (terms, log_density) in terms.chunks_exact_mut(components).zip(log_densities) {
                    terms[component] = log_weight + log_density;
                }
            }
            // From here on the terms are responsibilities: 0 for a lane without a row.
            let (with_row, without) = terms.split_at_mut(rows.len() / latent * components);
            without.fill(0.0);
            for terms in with_row.chunks_exact_mut(components) {
                let log_density = log_sum_exp(terms);
                log_likelihood += log_density;
                terms
                    .iter_mut()
                    .for_each(|term| *term = (*term - log_density).exp());
            }
            let sums = moments.chunks_exact_mut(side * side);
            for (component, (sums, x)) in sums.zip(deviations.chunks_exact(side)).enumerate() {
                let weights = array::from_fn(|lane| terms[lane * components + component]);
                add_outer_products(sums, weights, x);
            }
        }
        (log_likelihood, moments)
    }
}

/// Adds `sum_l weights_l x_l x_l^T`, where the `x_l` are the columns of `x`, to the lower triangle of `sums`.
fn add_outer_products(sums: &mut [f64], weights: [f64; LANES], x: &[[f64; LANES]]) {
    for (i, sums) in sums.chunks_exact_mut(x.len()).enumerate() {
        let weighted: [f64; LANES] = array::from_fn(|lane| weights[lane] * x[i][lane]);
        for (sum, x) in sums[..=i].iter_mut().zip(x) {
            let [a, b, c, d, e, f, g, h] = array::from_fn(|lane| weighted[lane] * x[lane]);
            // Paired in the order of vector registers.
            *sum += ((a + e) + (c + g)) + ((b + f) + (d + h));
        }
    }
}

/// The updated normal from `moments` about the mean of the current `normal`, as computed by [`Mixture::moments`].
fn maximise(normal: &Normal, moments: &[f64], ridge: f64) -> Normal {
    let latent = normal.mean().len();
    let side = latent + 1;
    let count = moments[0];
    if count < EMPTY {
        return normal.clone();
    }
    let shift: Vec<f64> = moments[side..]
        .iter()
        .step_by(side)
        .map(|sum| sum / count)
        .collect();
    let mut covariance = vec![0.0; latent * latent];
    for i in 0..latent {
        for j in 0..=i {
            let x = moments[(i + 1) * side + j + 1] / count - shift[i] * shift[j];
            covariance[i * latent + j] = x;
            covariance[j * latent + i] = x;
        }
        covariance[i * latent + i] += ridge;
    }
    let mean = normal.mean().iter().zip(&shift);
    let mean = mean.map(|(mean, shift)| mean + shift).collect();
    // The ridge is far above rounding errors, so the Cholesky factor always exists.
    Normal::full(mean, &covariance).unwrap_or_else(|| normal.clone())
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum()
}

/// The variance of a dimension over the rows of `z`, `[rows, latent]`, averaged over dimensions.
fn mean_variance(z: &[f32], latent: usize) -> f64 {
    let rows = (z.len() / latent) as f64;
    let variances = (0..latent).map(|dimension| {
        let column = || {
            z.iter()
                .skip(dimension)
                .step_by(latent)
                .copied()
                .map(f64::from)
        };
        let mean = column().sum::<f64>() / rows;
        column().map(|z| (z - mean).powi(2)).sum::<f64>() / rows
    });
    variances.sum::<f64>() / latent as f64
}

#[cfg(test)]
mod tests;
