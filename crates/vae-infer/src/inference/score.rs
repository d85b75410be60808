//! Likelihood of samples under a model.

use vae_data::Images;
use vae_spec::{Batch, Prior};

use super::{EVALUATION_BATCH, Inference, batches, of};
use crate::InferError;

/// Likelihood terms of one sample, nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Reconstruction term: negative log-likelihood of the sample given one draw from its posterior.
    pub recon: f64,
    /// KL divergence of the posterior from the prior; for a learned prior its estimate at that draw.
    pub kl: f64,
    /// Negative log-likelihood of the sample, estimated with importance samples from the posterior: `-log mean_k p(x, z_k) /
    /// q(z_k | x)` (Burda, Grosse and Salakhutdinov 2016), if requested.
    pub nll: Option<f64>,
}

impl Score {
    /// The evidence lower bound (ELBO).
    #[must_use]
    pub fn elbo(&self) -> f64 {
        -(self.recon + self.kl)
    }
}

impl Inference<'_> {
    /// Scores `images`; with `samples`, also estimates log-likelihoods with that many draws.
    ///
    /// # Errors
    /// If the device fails, or a conditional model finds no label.
    pub fn score(
        &mut self,
        images: &Images,
        samples: Option<usize>,
    ) -> Result<Vec<Score>, InferError> {
        let latent = self.latent();
        let labels = self.preprocessing.labels(images)?;
        let prior = match self.config.prior {
            Prior::Normal => None,
            Prior::Mixture { .. } | Prior::Vamp { .. } => Some(self.prior()?.clone()),
        };
        let mut scores = Vec::with_capacity(images.count());
        for places in batches(images.count(), EVALUATION_BATCH) {
            let values = images.gather(&places);
            let batch = Batch {
                labels: of(&labels, &places),
                ..Batch::of(&values)
            };
            let posteriors = self.engine.encode(&batch)?;
            let z = self.draws(&posteriors, 0, self.first + places[0], places.len());
            let recon = self.engine.nll(&z, &batch)?;
            for (row, &recon) in recon.iter().enumerate() {
                let of_row = |values: &[f32]| values[row * latent..][..latent].to_vec();
                let (mu, log_var, z) = (
                    of_row(&posteriors.mu),
                    of_row(&posteriors.log_var),
                    of_row(&z),
                );
                let kl = match &prior {
                    None => divergence(&mu, &log_var),
                    // There is no closed form: estimated at the draw.
                    Some(prior) => log_normal(&z, &mu, &log_var) - prior.log_density(&z),
                };
                scores.push(Score {
                    recon: recon.into(),
                    kl,
                    nll: None,
                });
            }
            self.report("scoring", scores.len(), images.count());
        }
        if let Some(samples) = samples {
            let nll = self.importance_nll(images, &[samples])?;
            let nll = nll.into_iter().flatten();
            for (score, nll) in scores.iter_mut().zip(nll) {
                score.nll = Some(nll);
            }
        }
        Ok(scores)
    }

    /// `-log mean_k p(x, z_k) / q(z_k | x)` of each sample by each of `counts` draws from its posterior, which rise (Burda,
    /// Grosse and Salakhutdinov 2016): `[counts, samples]`, nats.
    ///
    /// # Errors
    /// If the device fails, or a conditional model finds no label.
    pub fn importance_nll(
        &mut self,
        images: &Images,
        counts: &[usize],
    ) -> Result<Vec<Vec<f64>>, InferError> {
        let labels = self.preprocessing.labels(images)?;
        let mut all = vec![Vec::with_capacity(images.count()); counts.len()];
        for places in batches(images.count(), EVALUATION_BATCH) {
            let values = images.gather(&places);
            let batch = Batch {
                images: &values,
                labels: of(&labels, &places),
                corrupted: None,
                first_row: self.first + places[0],
            };
            let nll = self.engine.importance_nll(&batch, counts)?;
            for (all, nll) in all.iter_mut().zip(nll) {
                all.extend(nll);
            }
            let done = places[0] as usize + places.len();
            self.report("estimating likelihoods", done, images.count());
        }
        Ok(all)
    }
}

/// KL divergence of a normal from the standard normal, nats.
fn divergence(mu: &[f32], log_var: &[f32]) -> f64 {
    let terms = mu.iter().zip(log_var).map(|(&mu, &log_var)| {
        let [mu, log_var] = [mu, log_var].map(f64::from);
        0.5 * (mu * mu + log_var.exp() - log_var - 1.0)
    });
    terms.sum()
}

/// Log-density of a normal at `z`, nats.
fn log_normal(z: &[f32], mu: &[f32], log_var: &[f32]) -> f64 {
    let terms = z.iter().zip(mu).zip(log_var).map(|((&z, &mu), &log_var)| {
        let [z, mu, log_var] = [z, mu, log_var].map(f64::from);
        -0.5 * (std::f64::consts::TAU.ln() + log_var + (z - mu).powi(2) * (-log_var).exp())
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divergence_is_the_closed_form() {
        assert_eq!(divergence(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
        // One half of (1 + e - 1 - 1).
        assert!((divergence(&[1.0], &[1.0]) - 0.5 * (1f64.exp() - 1.0)).abs() < 1e-12);
    }

    #[test]
    fn a_normal_is_densest_at_its_mean() {
        // At the mean -ln(2 pi v) / 2, one standard deviation away 1/2 less.
        let at_mean = -0.5 * (std::f64::consts::TAU * 1f64.exp()).ln();
        assert!((log_normal(&[3.0], &[3.0], &[1.0]) - at_mean).abs() < 1e-12);
        assert!(
            (log_normal(&[4.0], &[3.0], &[0.0]) + 0.5 * (std::f64::consts::TAU.ln() + 1.0)).abs()
                < 1e-12
        );
    }
}
