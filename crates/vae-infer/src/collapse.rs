//! Use of the latent units, and warnings about inactive ones (posterior collapse).

use rayon::prelude::{IntoParallelIterator, ParallelIterator};
use vae_rng::Generator;

use crate::mixture::log_sum_exp;

/// Measures of how much information the posteriors of a model carry about the data.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentUse {
    /// KL divergence of the posterior from the standard normal, averaged over samples, nats: `[latent]`.
    pub kl_per_dimension: Vec<f64>,
    /// Number of dimensions whose posterior mean has a variance above [`Self::ACTIVE`] over the samples (Burda, Grosse and
    /// Salakhutdinov 2016).
    pub active_units: usize,
    /// Estimate of the mutual information `I(x; z)` between `z` and the sample that it came from, nats, where `x` is one of
    /// `n`, at most [`Self::IMAGES`], samples. It is between 0 and `ln n` (noise can take it below 0), so a model that tells
    /// its samples apart reaches `ln 2000 = 7.6` and no more.
    pub mutual_information: f64,
}

impl LatentUse {
    /// Threshold on the variance of the mean above which a unit is active (Burda, Grosse and Salakhutdinov 2016).
    pub const ACTIVE: f64 = 0.01;
    /// Maximum number of samples for the estimate of the mutual information: its cost is quadratic in it.
    pub const IMAGES: usize = 2000;

    /// Latent use of posteriors `N(mu, exp(log_var))`, both `[samples, latent]`, of at least one sample. The same `noise` gives
    /// the same estimate, on any number of threads.
    #[must_use]
    pub fn of(mu: &[f32], log_var: &[f32], latent: usize, noise: Generator) -> Self {
        let dimensions = (0..latent).into_par_iter().map(|dimension| {
            let column = |values: &[f32]| -> Vec<f64> {
                let column = values.iter().skip(dimension).step_by(latent);
                column.copied().map(f64::from).collect()
            };
            let (mu, log_var) = (column(mu), column(log_var));
            (divergence(&mu, &log_var), variance(&mu))
        });
        let (kl_per_dimension, variances): (Vec<_>, Vec<_>) = dimensions.collect();
        Self {
            kl_per_dimension,
            active_units: variances.iter().filter(|&&x| x > Self::ACTIVE).count(),
            mutual_information: mutual_information(mu, log_var, latent, noise),
        }
    }

    /// A warning about inactive units, if there are any and more than `before`.
    #[must_use]
    pub fn warning(&self, before: Option<&Self>) -> Option<String> {
        const REMEDIES: &str =
            "a KL warm-up (--kl-schedule linear:10 or cyclical), --free-bits 0.1, a smaller --beta";
        if self.dead_units() <= before.map_or(0, Self::dead_units) {
            return None;
        }
        let active = self.active_units;
        let latent = self.kl_per_dimension.len();
        let limit = Self::ACTIVE;
        if active == 0 {
            return Some(format!(
                "posterior collapse: none of the {latent} latent units is active (variance of mu above {limit}), so \
                 every image is decoded alike. What usually helps: {REMEDIES}"
            ));
        }
        let are = if active == 1 { "is" } else { "are" };
        let others = match self.dead_units() {
            1 => "the other carries",
            _ => "the others carry",
        };
        Some(format!(
            "{active} of {latent} latent units {are} active (variance of mu above {limit}); {others} nothing. What \
             usually helps: {REMEDIES}, or fewer dimensions (--latent)"
        ))
    }

    fn dead_units(&self) -> usize {
        self.kl_per_dimension.len() - self.active_units
    }
}

/// Mean of `KL(N(mu, exp(log_var)) || N(0, 1)) = (mu^2 + exp(log_var) - log_var - 1) / 2`, nats (Kingma and Welling
/// 2014, appendix B).
fn divergence(mu: &[f64], log_var: &[f64]) -> f64 {
    let terms = mu.iter().zip(log_var);
    let terms = terms.map(|(mu, log_var)| 0.5 * (mu * mu + log_var.exp() - log_var - 1.0));
    terms.sum::<f64>() / mu.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|x| (x - mean).powi(2));
    squares.sum::<f64>() / count
}

/// `mean_i (log q(z_i | x_i) - log 1/n sum_j q(z_i | x_j))` with one draw `z_i` of `q(z | x_i)`: the mean of `log q(z |
/// x)` less that of the aggregate posterior `log q(z)` (Hoffman and Johnson 2016; He et al. 2019, "Lagging Inference
/// Networks").
///
/// One draw serves both terms, so their noise cancels where posteriors are alike. The sum includes `j = i`, so no term
/// exceeds `ln n`.
fn mutual_information(mu: &[f32], log_var: &[f32], latent: usize, noise: Generator) -> f64 {
    let images = mu.len() / latent;
    let count = images.min(LatentUse::IMAGES);
    // Evenly spaced, because samples may be sorted by class.
    let places: Vec<usize> = (0..count).map(|i| i * images / count).collect();
    let chosen = |values: &[f32]| -> Vec<f64> {
        let rows = places.iter().flat_map(|i| &values[i * latent..][..latent]);
        rows.copied().map(f64::from).collect()
    };
    let (mu, log_var) = (chosen(mu), chosen(log_var));
    let inverse_deviation: Vec<f64> = log_var
        .iter()
        .map(|log_var| (-0.5 * log_var).exp())
        .collect();
    let log_peaks: Vec<f64> = log_var
        .chunks_exact(latent)
        .map(|log_var| -0.5 * log_var.iter().sum::<f64>())
        .collect();
    let eps = noise.normals(0, 0, count, latent);
    let terms = (0..count).into_par_iter().map(|i| {
        let eps = &eps[i * latent..][..latent];
        let posterior = mu[i * latent..]
            .iter()
            .zip(&inverse_deviation[i * latent..]);
        let draw = posterior
            .zip(eps)
            .map(|((mu, scale), &eps)| mu + f64::from(eps) / scale);
        let z: Vec<f64> = draw.collect();
        let posteriors = mu
            .chunks_exact(latent)
            .zip(inverse_deviation.chunks_exact(latent));
        // Without the power of 2 pi, which is common to all.
        let log_densities: Vec<f64> = posteriors
            .zip(&log_peaks)
            .map(|((mu, scale), log_peak)| {
                let distances = z.iter().zip(mu).zip(scale);
                let distances = distances.map(|((z, mu), scale)| ((z - mu) * scale).powi(2));
                log_peak - 0.5 * distances.sum::<f64>()
            })
            .collect();
        log_densities[i] - (log_sum_exp(&log_densities) - (count as f64).ln())
    });
    // Summed in sample order: a parallel sum would depend on the number of threads.
    terms.collect::<Vec<f64>>().iter().sum::<f64>() / count as f64
}

#[cfg(test)]
mod tests;
