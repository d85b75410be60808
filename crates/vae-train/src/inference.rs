//! A trained model at work: whole data sets through an engine, a batch at a time.

use vae_data::{Images, Progress, Shape, Watch};
use vae_model::{Engine, EngineError, Posterior};
use vae_rng::{Generator, Stream};

use crate::trainer::{EVALUATION_BATCH, batches};
use crate::{Recipe, Sight};

/// What a model says of one image, nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Negative log-likelihood of the image given one draw of its posterior.
    pub recon: f64,
    /// Divergence of the posterior from the prior.
    pub kl: f64,
    /// Negative log-likelihood of the image, estimated with importance samples from the posterior: `-log mean_k p(x, z_k) /
    /// q(z_k | x)` (Burda, Grosse and Salakhutdinov 2016), if asked for.
    pub nll: Option<f64>,
}

impl Score {
    /// The lower bound of the log-likelihood that training raises.
    #[must_use]
    pub fn elbo(&self) -> f64 {
        -(self.recon + self.kl)
    }
}

/// An engine with all that is needed to use it.
pub struct Inference<'a> {
    engine: &'a mut dyn Engine,
    sight: &'a Sight,
    watch: Watch<'a>,
    latent: usize,
    shape: Shape,
    seed: u64,
}

impl<'a> Inference<'a> {
    /// The model of `recipe` on `engine`; images are those that `sight` gives, and `watch` hears how far long work is.
    pub fn new(
        engine: &'a mut dyn Engine,
        recipe: &Recipe,
        sight: &'a Sight,
        watch: Watch<'a>,
    ) -> Self {
        Self {
            engine,
            sight,
            watch,
            latent: recipe.latent,
            shape: recipe.image,
            seed: recipe.seed,
        }
    }

    /// Latent dimensions.
    #[must_use]
    pub const fn latent(&self) -> usize {
        self.latent
    }

    /// Of an image.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How the model sees data.
    #[must_use]
    pub const fn sight(&self) -> &'a Sight {
        self.sight
    }

    fn tell(&self, what: &str, done: usize, total: usize) {
        (self.watch)(Progress {
            what,
            done: done as u64,
            total: Some(total as u64),
            bytes: false,
        });
    }

    /// The posteriors of `images`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn encode(&mut self, images: &Images) -> Result<Posterior, EngineError> {
        let mut all = Posterior {
            mu: Vec::new(),
            log_var: Vec::new(),
        };
        for places in batches(images.count()) {
            let Posterior { mu, log_var } = self.engine.encode(&images.gather(&places))?;
            all.mu.extend(mu);
            all.log_var.extend(log_var);
            self.tell("encoding", all.mu.len() / self.latent, images.count());
        }
        Ok(all)
    }

    /// One draw from each of `posteriors`: that which an evaluation of these images takes.
    #[must_use]
    pub fn draw(&self, posteriors: &Posterior) -> Vec<f32> {
        let rows = posteriors.mu.len() / self.latent;
        self.draws(posteriors, 0, 0, rows)
    }

    fn draws(&self, posteriors: &Posterior, step: u64, first_row: u32, rows: usize) -> Vec<f32> {
        let noise = Generator::new(self.seed, Stream::EvaluationNoise);
        let eps = noise.normals(step, first_row, rows, self.latent);
        let Posterior { mu, log_var } = posteriors;
        let draws = mu.iter().zip(log_var).zip(eps);
        draws
            .map(|((mu, log_var), eps)| mu + (0.5 * log_var).exp() * eps)
            .collect()
    }

    /// Mean images of latents `[count, latent]`, in units of the model: `[count, pixels]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn decode(&mut self, z: &[f32]) -> Result<Vec<f32>, EngineError> {
        let mut images = Vec::new();
        for batch in z.chunks(EVALUATION_BATCH * self.latent) {
            images.extend(self.engine.decode(batch)?);
            let done = images.len() / self.shape.length();
            self.tell("decoding", done, z.len() / self.latent);
        }
        Ok(images)
    }

    /// What the model makes of the posterior means of `images`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn reconstruct(&mut self, images: &Images) -> Result<Vec<f32>, EngineError> {
        let mu = self.encode(images)?.mu;
        self.decode(&mu)
    }

    /// The scores of `images`, their log-likelihoods estimated with `samples` draws, if any.
    ///
    /// # Errors
    /// If the device fails.
    pub fn score(
        &mut self,
        images: &Images,
        samples: Option<usize>,
    ) -> Result<Vec<Score>, EngineError> {
        let mut scores = Vec::with_capacity(images.count());
        for places in batches(images.count()) {
            let values = images.gather(&places);
            let posteriors = self.engine.encode(&values)?;
            let z = self.draws(&posteriors, 0, places[0], places.len());
            let recon = self.engine.nll(&z, &values)?;
            let kl = posteriors
                .mu
                .chunks(self.latent)
                .zip(posteriors.log_var.chunks(self.latent));
            let first = scores.len();
            scores.extend(recon.iter().zip(kl).map(|(&recon, (mu, log_var))| Score {
                recon: recon.into(),
                kl: divergence(mu, log_var),
                nll: None,
            }));
            let Some(samples) = samples else {
                self.tell("scoring", scores.len(), images.count());
                continue;
            };
            for (row, &place) in places.iter().enumerate() {
                let posterior = Posterior {
                    mu: posteriors.mu[row * self.latent..][..self.latent].to_vec(),
                    log_var: posteriors.log_var[row * self.latent..][..self.latent].to_vec(),
                };
                let image = &values[row * self.shape.length()..][..self.shape.length()];
                scores[first + row].nll = Some(self.importance(&posterior, image, place, samples)?);
                self.tell("scoring", first + row + 1, images.count());
            }
        }
        Ok(scores)
    }

    /// `-log mean_k p(x, z_k) / q(z_k | x)` of one image.
    fn importance(
        &mut self,
        posterior: &Posterior,
        image: &[f32],
        place: u32,
        samples: usize,
    ) -> Result<f64, EngineError> {
        let mut weights = Vec::with_capacity(samples);
        while weights.len() < samples {
            let count = EVALUATION_BATCH.min(samples - weights.len());
            let repeated = |values: &[f32]| values.repeat(count);
            let posteriors = Posterior {
                mu: repeated(&posterior.mu),
                log_var: repeated(&posterior.log_var),
            };
            // Draws of an image are the rows of a step of its own; step 0 is that of plain evaluations.
            let z = self.draws(
                &posteriors,
                u64::from(place) + 1,
                weights.len() as u32,
                count,
            );
            let recon = self.engine.nll(&z, &repeated(image))?;
            for (z, recon) in z.chunks(self.latent).zip(recon) {
                let terms = z.iter().zip(&posterior.mu).zip(&posterior.log_var);
                // log p(z) - log q(z | x): the constants cancel.
                let prior_over_posterior: f64 = terms
                    .map(|((&z, &mu), &log_var)| {
                        let [z, mu, log_var] = [z, mu, log_var].map(f64::from);
                        0.5 * (log_var + (z - mu).powi(2) * (-log_var).exp() - z * z)
                    })
                    .sum();
                weights.push(prior_over_posterior - f64::from(recon));
            }
        }
        Ok(-log_mean_exp(&weights))
    }
}

/// Divergence of a normal from the standard normal, nats.
fn divergence(mu: &[f32], log_var: &[f32]) -> f64 {
    let terms = mu.iter().zip(log_var).map(|(&mu, &log_var)| {
        let [mu, log_var] = [mu, log_var].map(f64::from);
        0.5 * (mu * mu + log_var.exp() - log_var - 1.0)
    });
    terms.sum()
}

fn log_mean_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - largest).exp()).sum();
    largest + (sum / values.len() as f64).ln()
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
    fn means_of_exponentials_survive_large_numbers() {
        assert!((log_mean_exp(&[-1000.0, -1000.0]) + 1000.0).abs() < 1e-12);
        assert!((log_mean_exp(&[0.0, 3f64.ln()]) - 2f64.ln()).abs() < 1e-12);
    }
}
