//! Measures of reconstructions and latents, over plain numbers: no engine, no files.

mod disentanglement;
mod images;
mod lbfgs;
mod probes;
#[cfg(test)]
mod tests;

pub use disentanglement::{Disentanglement, Factors};
pub use images::{Similarity, similarity};
pub use probes::{Labelled, NEIGHBOURS, Probes};

/// Mean and its standard error.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Standard deviation of the sample over the root of its size; NaN of one number.
    pub standard_error: f64,
}

impl Mean {
    /// Of at least one number.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Self {
            mean,
            standard_error: (squares / (count - 1.0) / count).sqrt(),
        }
    }
}

/// Means and deviations of columns, to take them to mean 0 and deviation 1.
struct Standardization {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Standardization {
    /// Of rows of `columns` numbers; a column that does not vary has the deviation 1.
    fn of(values: &[f32], columns: usize) -> Self {
        let rows = values.len() / columns;
        let column = |j: usize| values.iter().skip(j).step_by(columns);
        let mean = |j: usize| column(j).map(|&x| f64::from(x)).sum::<f64>() / rows as f64;
        let means: Vec<f64> = (0..columns).map(mean).collect();
        let deviation = |j: usize| {
            let squares = column(j).map(|&x| (f64::from(x) - means[j]).powi(2));
            let deviation = (squares.sum::<f64>() / rows as f64).sqrt();
            if deviation > 0.0 { deviation } else { 1.0 }
        };
        Self {
            deviations: (0..columns).map(deviation).collect(),
            means,
        }
    }

    fn apply(&self, values: &[f32]) -> Vec<f64> {
        let columns = self.means.iter().zip(&self.deviations).cycle();
        let values = values.iter().zip(columns);
        values
            .map(|(&x, (mean, deviation))| (f64::from(x) - mean) / deviation)
            .collect()
    }
}
