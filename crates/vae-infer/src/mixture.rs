//! Gaussian mixtures in the latent space: the standard prior, learned priors, and densities fitted to posteriors.
//!
//! Computed on the host in f64, for sampling and evaluation, not for training.

mod fit;
mod normal;

use std::ops::Range;

use vae_rng::Generator;

pub(crate) use normal::{normal_probability, normal_quantile};

pub use normal::Normal;

/// A weighted mixture of normals, `p(z) = sum_k w_k N(z; m_k, S_k)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Natural logarithms of the normalized weights, `[components]`.
    log_weights: Vec<f64>,
    /// Components, at least one.
    normals: Vec<Normal>,
}

impl Mixture {
    /// The standard normal in `latent` dimensions.
    #[must_use]
    pub fn standard(latent: usize) -> Self {
        let zeros = vec![0.0; latent];
        Self::diagonal(&[0.0], &zeros, &zeros, latent)
    }

    /// A mixture of diagonal normals: `means` and `log_vars` are `[components, latent]`, and `log_weights`, `[components]`, need
    /// not be normalized (they are the logits of a softmax).
    #[must_use]
    pub fn diagonal(log_weights: &[f32], means: &[f32], log_vars: &[f32], latent: usize) -> Self {
        let log_weights: Vec<f64> = log_weights.iter().copied().map(f64::from).collect();
        let parameters = means
            .chunks_exact(latent)
            .zip(log_vars.chunks_exact(latent));
        let normals = parameters
            .map(|(mean, log_var)| {
                let log_var = log_var.iter().copied().map(f64::from);
                Normal::diagonal(mean.iter().copied().map(f64::from).collect(), log_var)
            })
            .collect();
        Self::normalized(log_weights, normals)
    }

    /// A mixture of normals with full covariance: `means` are `[components, latent]`, `covariances`
    /// `[components, latent, latent]`, and `weights`, `[components]`, need not sum to 1.
    ///
    /// # Errors
    /// If a covariance is not positive definite.
    pub fn full(
        weights: &[f64],
        means: &[f64],
        covariances: &[f64],
        latent: usize,
    ) -> Result<Self, String> {
        let parameters = means
            .chunks_exact(latent)
            .zip(covariances.chunks_exact(latent * latent));
        let normals = (1..).zip(parameters).map(|(component, (mean, covariance))| {
            Normal::full(mean.to_vec(), covariance).ok_or_else(|| {
                format!("component {component}: expected a positive definite covariance, found {covariance:?}")
            })
        });
        let log_weights = weights.iter().map(|weight| weight.ln()).collect();
        Ok(Self::normalized(
            log_weights,
            normals.collect::<Result<_, _>>()?,
        ))
    }

    fn normalized(mut log_weights: Vec<f64>, normals: Vec<Normal>) -> Self {
        let total = log_sum_exp(&log_weights);
        log_weights.iter_mut().for_each(|weight| *weight -= total);
        Self {
            log_weights,
            normals,
        }
    }

    /// Number of latent dimensions.
    #[must_use]
    pub fn latent(&self) -> usize {
        self.normals[0].mean().len()
    }

    /// The components: each normalized weight with its normal.
    pub fn components(&self) -> impl ExactSizeIterator<Item = (f64, &Normal)> {
        let weights = self.log_weights.iter().map(|log_weight| log_weight.exp());
        weights.zip(&self.normals)
    }

    /// `log p(z)` of one `z`, `[latent]`, nats.
    #[must_use]
    pub fn log_density(&self, z: &[f32]) -> f64 {
        let mut deviation = vec![[0.0]; z.len()];
        let terms = self.log_weights.iter().zip(&self.normals);
        let terms: Vec<f64> = terms
            .map(|(log_weight, normal)| {
                normal.deviate(z, &mut deviation);
                let [log_density] = normal.log_densities(&mut deviation);
                log_weight + log_density
            })
            .collect();
        log_sum_exp(&terms)
    }

    /// Draws the samples at `places`, `[places, latent]`: each is determined by `generator`, its place and the other arguments, so
    /// that a range of places is a part of all.
    ///
    /// The standard normals that a component scales and shifts are first truncated at `truncation` on either side (truncated,
    /// not clamped) and then multiplied by `temperature`. So a low temperature concentrates draws around the means of their
    /// components and does not change the weights.
    #[must_use]
    pub fn sample(
        &self,
        generator: Generator,
        places: Range<u32>,
        temperature: f64,
        truncation: Option<f64>,
    ) -> Vec<f32> {
        // The standard normals take step 0.
        const CHOICE_STEP: u64 = 1;
        let (first, count) = (places.start, places.len());
        let mut z = standard_normals(generator, places, self.latent(), truncation);
        z.iter_mut().for_each(|z| *z *= temperature);
        let choices = generator.uniforms(CHOICE_STEP, first, count, 1);
        for (row, uniform) in z.chunks_exact_mut(self.latent()).zip(choices) {
            self.component_at(uniform.into()).transform(row);
        }
        z.into_iter().map(|z| z as f32).collect()
    }

    /// The component in whose part of `[0, 1)` the `uniform` falls.
    fn component_at(&self, uniform: f64) -> &Normal {
        let mut below = 0.0;
        let reached = self.components().find(|(weight, _)| {
            below += weight;
            uniform < below
        });
        // Weights may sum to a little less than 1.
        reached.map_or(&self.normals[self.normals.len() - 1], |(_, normal)| normal)
    }
}

/// Standard normals `[places, latent]`, truncated to within `truncation` of 0 if there is one.
fn standard_normals(
    generator: Generator,
    places: Range<u32>,
    latent: usize,
    truncation: Option<f64>,
) -> Vec<f64> {
    let (first, count) = (places.start, places.len());
    let Some(largest) = truncation else {
        let normals = generator.normals(0, first, count, latent);
        return normals.into_iter().map(f64::from).collect();
    };
    let outside = normal_probability(-largest);
    let uniforms = generator.uniforms(0, first, count, latent).into_iter();
    // Uniforms are multiples of 2^-24 starting at 0: half a step keeps them away from 0 and 1.
    let middle = uniforms.map(|u| f64::from(u) + 0.5f64.powi(25));
    middle
        .map(|u| normal_quantile(outside + u * (1.0 - 2.0 * outside)))
        .collect()
}

/// `log sum_i exp(values_i)`, without overflow.
pub(crate) fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - largest).exp()).sum();
    largest + sum.ln()
}

#[cfg(test)]
mod tests;
