//! One normal component of a mixture: its mean, and its covariance as a Cholesky factor.

use std::f64::consts::PI;

/// A normal distribution of latent vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Normal {
    /// Mean, `[latent]`.
    mean: Vec<f64>,
    factor: Factor,
    /// Log-density at the mean, nats.
    log_peak: f64,
}

/// The lower triangular Cholesky factor `L` of a covariance `L L^T`.
#[derive(Clone, Debug, PartialEq)]
enum Factor {
    /// Standard deviations, `[latent]`.
    Diagonal(Vec<f64>),
    /// `[latent, latent]`, row-major.
    Lower(Vec<f64>),
}

impl Normal {
    /// A normal with independent dimensions; `mean` and `log_var` are `[latent]`.
    pub(super) fn diagonal(mean: Vec<f64>, log_var: impl Iterator<Item = f64>) -> Self {
        let deviations = log_var.map(|log_var| (0.5 * log_var).exp()).collect();
        Self::new(mean, Factor::Diagonal(deviations))
    }

    /// A normal with full covariance `[latent, latent]`, of which only the lower triangle is read; `None` if it is not positive
    /// definite.
    pub(super) fn full(mean: Vec<f64>, covariance: &[f64]) -> Option<Self> {
        let factor = cholesky(covariance, mean.len())?;
        Some(Self::new(mean, Factor::Lower(factor)))
    }

    fn new(mean: Vec<f64>, factor: Factor) -> Self {
        let log_determinant: f64 = match &factor {
            Factor::Diagonal(deviations) => deviations.iter().map(|x| x.ln()).sum(),
            Factor::Lower(rows) => {
                let diagonal = rows.iter().step_by(mean.len() + 1);
                diagonal.map(|x| x.ln()).sum()
            }
        };
        let log_peak = -0.5 * mean.len() as f64 * (2.0 * PI).ln() - log_determinant;
        Self {
            mean,
            factor,
            log_peak,
        }
    }

    /// Mean, `[latent]`.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Covariance, `[latent, latent]`.
    #[must_use]
    pub fn covariance(&self) -> Vec<f64> {
        let latent = self.mean.len();
        let mut covariance = vec![0.0; latent * latent];
        match &self.factor {
            Factor::Diagonal(deviations) => {
                let diagonal = covariance.iter_mut().step_by(latent + 1);
                diagonal
                    .zip(deviations)
                    .for_each(|(variance, deviation)| *variance = deviation * deviation);
            }
            Factor::Lower(rows) => {
                let pairs = rows
                    .chunks_exact(latent)
                    .flat_map(|a| rows.chunks_exact(latent).map(move |b| dot(a, b)));
                covariance = pairs.collect();
            }
        }
        covariance
    }

    /// Writes `z - mean` of at most `N` rows of `z`, `[rows, latent]`, to the first columns of `deviations`, `[latent, N]`;
    /// further columns are unchanged.
    pub(super) fn deviate<const N: usize>(&self, z: &[f32], deviations: &mut [[f64; N]]) {
        for (lane, row) in z.chunks_exact(self.mean.len()).enumerate() {
            for ((deviation, &z), mean) in deviations.iter_mut().zip(row).zip(&self.mean) {
                deviation[lane] = f64::from(z) - mean;
            }
        }
    }

    /// Log-densities, nats, at the `deviations` from the mean, `[latent, N]`, which are overwritten by `L^-1` times them. `N`
    /// rows at a time share the loads of the factor and are independent of each other.
    pub(super) fn log_densities<const N: usize>(&self, deviations: &mut [[f64; N]]) -> [f64; N] {
        match &self.factor {
            Factor::Diagonal(scales) => {
                for (x, scale) in deviations.iter_mut().zip(scales) {
                    *x = x.map(|x| x / scale);
                }
            }
            Factor::Lower(rows) => solve(rows, deviations),
        }
        let mut log_densities = [self.log_peak; N];
        for x in deviations {
            for (log_density, x) in log_densities.iter_mut().zip(x) {
                *log_density -= 0.5 * *x * *x;
            }
        }
        log_densities
    }

    /// Transforms `eps`, `[latent]`, a draw from the standard normal, into a draw from this normal, in place.
    pub(super) fn transform(&self, eps: &mut [f64]) {
        match &self.factor {
            Factor::Diagonal(scales) => {
                eps.iter_mut()
                    .zip(scales)
                    .for_each(|(x, scale)| *x *= scale);
            }
            // Last row first, because a row needs the original values of those before it.
            Factor::Lower(rows) => {
                for (i, row) in rows.chunks_exact(eps.len()).enumerate().rev() {
                    eps[i] = dot(&row[..=i], &eps[..=i]);
                }
            }
        }
        eps.iter_mut()
            .zip(&self.mean)
            .for_each(|(x, mean)| *x += mean);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Forward substitution: each column of `x`, `[latent, N]`, becomes the solution `y` of `L y = x`.
fn solve<const N: usize>(rows: &[f64], x: &mut [[f64; N]]) {
    for (i, row) in rows.chunks_exact(x.len()).enumerate() {
        let (solved, x) = x.split_at_mut(i);
        let mut rest = x[0];
        for (factor, y) in row.iter().zip(solved) {
            for (rest, y) in rest.iter_mut().zip(y) {
                *rest -= factor * *y;
            }
        }
        x[0] = rest.map(|rest| rest / row[i]);
    }
}

/// The Cholesky factor of a symmetric `matrix`, `[side, side]`, row by row (Cholesky-Banachiewicz), if it is positive
/// definite.
fn cholesky(matrix: &[f64], side: usize) -> Option<Vec<f64>> {
    let mut rows = matrix.to_vec();
    for i in 0..side {
        let (done, row) = rows.split_at_mut(i * side);
        for (j, above) in done.chunks_exact(side).enumerate() {
            row[j] = (row[j] - dot(&row[..j], &above[..j])) / above[j];
        }
        let pivot = (row[i] - dot(&row[..i], &row[..i])).sqrt();
        if !(pivot.is_finite() && pivot > 0.0) {
            return None;
        }
        row[i] = pivot;
        row[i + 1..side].fill(0.0);
    }
    Some(rows)
}

/// The cumulative distribution function of the standard normal at `z`.
pub(crate) fn normal_probability(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The quantile of the standard normal at probability `p`, by bisection.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if normal_probability(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}
