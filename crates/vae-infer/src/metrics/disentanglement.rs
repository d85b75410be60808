//! How far each latent dimension stands for one known factor of the data.

use serde::Serialize;

use super::Standardization;

/// Bins of a latent dimension, of one width, in which its mutual information with a factor is counted.
const BINS: usize = 20;
/// Penalty of the regressions of DCI, which tell which latents a factor is read from.
const PENALTY: f64 = 0.01;

/// Known factors of samples: shape, size, place.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// `[count, factors]`: numbers, equal where a factor is the same.
    pub values: Vec<f32>,
    /// Number of factors.
    pub count: usize,
}

/// Measures of disentanglement, each at best 1. Factors count as numbers in their order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Disentanglement {
    /// Mutual information gap (Chen et al. 2018): by how much the latent dimension that tells most of a factor is ahead of the
    /// second, in shares of the factor's entropy.
    pub mig: f64,
    /// Separated attribute predictability (Kumar et al. 2018): the same with the share of variance that one dimension explains.
    pub sap: f64,
    /// Disentanglement of DCI (Eastwood and Williams 2018) by lasso regressions: whether a dimension matters for one factor only.
    pub disentanglement: f64,
    /// Completeness of DCI: whether one dimension alone matters for a factor.
    pub completeness: f64,
    /// Informativeness of DCI: the share of variance that the regressions explain, of every second sample, which they were not
    /// fitted to.
    pub informativeness: f64,
}

impl Disentanglement {
    /// Of the posterior means `mu`, `[count, latent]`.
    #[must_use]
    pub fn of(mu: &[f32], latent: usize, factors: &Factors) -> Self {
        let column = |values: &[f32], columns: usize, j: usize| -> Vec<f64> {
            let values = values.iter().skip(j).step_by(columns);
            values.copied().map(f64::from).collect()
        };
        let latents: Vec<Vec<f64>> = (0..latent).map(|j| column(mu, latent, j)).collect();
        let bins: Vec<Vec<usize>> = latents.iter().map(|values| binned(values)).collect();
        let (mut mig, mut sap) = (0.0, 0.0);
        for k in 0..factors.count {
            let factor = column(&factors.values, factors.count, k);
            let kinds = kinds(&factor);
            let entropy = mutual_information(&kinds, &kinds);
            let information = bins.iter().map(|bins| mutual_information(bins, &kinds));
            // A factor that does not vary tells nothing.
            if entropy > 0.0 {
                mig += gap(information.collect()) / entropy;
            }
            sap += gap(latents.iter().map(|z| explained(z, &factor)).collect());
        }
        let [disentanglement, completeness, informativeness] = importance(mu, latent, factors);
        Self {
            mig: mig / factors.count as f64,
            sap: sap / factors.count as f64,
            disentanglement,
            completeness,
            informativeness,
        }
    }
}

/// The largest number less the second largest.
fn gap(mut values: Vec<f64>) -> f64 {
    values.sort_by(|a, b| b.total_cmp(a));
    values[0] - values.get(1).copied().unwrap_or_default()
}

fn binned(values: &[f64]) -> Vec<usize> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = (high - low) / BINS as f64;
    let bin = |value: &f64| ((value - low) / width) as usize;
    values
        .iter()
        .map(|value| bin(value).min(BINS - 1))
        .collect()
}

/// Which of its values a factor has.
fn kinds(values: &[f64]) -> Vec<usize> {
    let mut all = values.to_vec();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let place = |value: &f64| all.partition_point(|other| other < value);
    values.iter().map(place).collect()
}

/// Mutual information of two discrete variables, nats.
fn mutual_information(a: &[usize], b: &[usize]) -> f64 {
    let size = |values: &[usize]| values.iter().max().map_or(0, |largest| largest + 1);
    let (rows, columns) = (size(a), size(b));
    let mut counts = vec![0usize; rows * columns];
    for (a, b) in a.iter().zip(b) {
        counts[a * columns + b] += 1;
    }
    let total = a.len() as f64;
    let of_row = |row: usize| counts[row * columns..][..columns].iter().sum::<usize>();
    let of_column = |column: usize| counts.iter().skip(column).step_by(columns).sum::<usize>();
    let of_columns: Vec<usize> = (0..columns).map(of_column).collect();
    let mut sum = 0.0;
    for row in 0..rows {
        let of_row = of_row(row) as f64;
        for column in 0..columns {
            let count = counts[row * columns + column] as f64;
            if count > 0.0 {
                let expected = of_row * of_columns[column] as f64 / total;
                sum += count / total * (count / expected).ln();
            }
        }
    }
    sum
}

/// The share of the variance of `y` that a line through `x` explains.
fn explained(x: &[f64], y: &[f64]) -> f64 {
    let count = x.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xx += (x - mean_x).powi(2);
        yy += (y - mean_y).powi(2);
        xy += (x - mean_x) * (y - mean_y);
    }
    if xx > 0.0 && yy > 0.0 {
        xy * xy / (xx * yy)
    } else {
        0.0
    }
}

/// Disentanglement, completeness and informativeness.
fn importance(mu: &[f32], latent: usize, factors: &Factors) -> [f64; 3] {
    let half = |values: &[f32], columns: usize, first: usize| -> Vec<f32> {
        let rows = values.chunks_exact(columns).skip(first).step_by(2);
        rows.flatten().copied().collect()
    };
    let [fit, held] = [0, 1].map(|first| half(mu, latent, first));
    let of_latents = Standardization::of(&fit, latent);
    let (fit, held) = (of_latents.apply(&fit), of_latents.apply(&held));
    let [targets, held_targets] = [0, 1].map(|first| half(&factors.values, factors.count, first));
    let of_factors = Standardization::of(&targets, factors.count);
    let targets = of_factors.apply(&targets);
    let held_targets = of_factors.apply(&held_targets);
    let mut weights = vec![0.0; latent * factors.count];
    let mut explained = 0.0;
    for k in 0..factors.count {
        let column = |values: &[f64]| -> Vec<f64> {
            values
                .iter()
                .skip(k)
                .step_by(factors.count)
                .copied()
                .collect()
        };
        let coefficients = lasso(&fit, &column(&targets), latent);
        let target = column(&held_targets);
        let mean = target.iter().sum::<f64>() / target.len() as f64;
        let (mut left, mut whole) = (0.0, 0.0);
        for (row, y) in held.chunks_exact(latent).zip(&target) {
            let predicted: f64 = row.iter().zip(&coefficients).map(|(x, w)| x * w).sum();
            left += (y - predicted).powi(2);
            whole += (y - mean).powi(2);
        }
        explained += 1.0 - left / whole;
        for (j, coefficient) in coefficients.iter().enumerate() {
            weights[j * factors.count + k] = coefficient.abs();
        }
    }
    let of_latent = |j: usize| weights[j * factors.count..][..factors.count].to_vec();
    let of_factor = |k: usize| {
        weights
            .iter()
            .skip(k)
            .step_by(factors.count)
            .copied()
            .collect()
    };
    [
        concentration((0..latent).map(of_latent)),
        concentration((0..factors.count).map(of_factor)),
        explained / factors.count as f64,
    ]
}

/// One less the entropies of rows in units of their largest, averaged by the rows' sums.
fn concentration(rows: impl Iterator<Item = Vec<f64>>) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for row in rows {
        let whole: f64 = row.iter().sum();
        let largest = (row.len() as f64).ln();
        let shares = row.iter().filter(|&&x| x > 0.0).map(|x| x / whole);
        let entropy: f64 = -shares.map(|p| p * p.ln()).sum::<f64>();
        // Of one factor, or one dimension, everything is concentrated.
        let lost = if largest > 0.0 {
            entropy / largest
        } else {
            0.0
        };
        sum += whole * (1.0 - lost);
        total += whole;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

/// Coefficients of a lasso regression of standardised numbers by coordinate descent: `|y - X w|^2 / (2 n) + PENALTY |w|_1` is least.
fn lasso(rows: &[f64], targets: &[f64], columns: usize) -> Vec<f64> {
    const MOST_ROUNDS: usize = 10_000;
    const SMALL: f64 = 1e-10;
    let count = targets.len() as f64;
    let mut weights = vec![0.0; columns];
    let mut residuals = targets.to_vec();
    let column = |j: usize| rows.iter().skip(j).step_by(columns);
    let squares: Vec<f64> = (0..columns)
        .map(|j| column(j).map(|x| x * x).sum::<f64>() / count)
        .collect();
    for _ in 0..MOST_ROUNDS {
        let mut moved: f64 = 0.0;
        for j in 0..columns {
            if squares[j] == 0.0 {
                continue;
            }
            let product: f64 = column(j).zip(&residuals).map(|(x, r)| x * r).sum();
            let pull = product / count + squares[j] * weights[j];
            let weight = pull.signum() * (pull.abs() - PENALTY).max(0.0) / squares[j];
            let by = weight - weights[j];
            if by != 0.0 {
                let pairs = residuals.iter_mut().zip(column(j));
                pairs.for_each(|(residual, x)| *residual -= by * x);
                weights[j] = weight;
            }
            moved = moved.max(by.abs());
        }
        if moved < SMALL {
            break;
        }
    }
    weights
}
