//! Log-densities of latents: under the posterior they come from, and under the prior.

#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, backend::Backend};

use vae_spec::{LOG_VAR_MAX, LOG_VAR_MIN, Prior};

use crate::Vae;

/// Diagonal normals, one per row: means and logarithms of variances, `[count, latent]`.
#[derive(Clone, Debug)]
pub struct Normals<B: Backend> {
    /// Means, `[count, latent]`.
    pub mu: Tensor<B, 2>,
    /// Logarithms of the variances, `[count, latent]`, clamped.
    pub log_var: Tensor<B, 2>,
}

impl<B: Backend> Normals<B> {
    /// Normals with `log_var` clamped to [-30, 20]; its gradient is zero outside.
    pub fn new(mu: Tensor<B, 2>, log_var: Tensor<B, 2>) -> Self {
        let log_var = log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX);
        Self { mu, log_var }
    }

    /// The same normals, through which no gradient flows.
    #[must_use]
    pub fn detach(self) -> Self {
        Self {
            mu: self.mu.detach(),
            log_var: self.log_var.detach(),
        }
    }

    /// Each row `samples` times in succession.
    #[must_use]
    pub fn repeat(self, samples: usize) -> Self {
        Self {
            mu: repeat_rows(self.mu, samples),
            log_var: repeat_rows(self.log_var, samples),
        }
    }

    /// Log-density of each row of `z` under the normal of the same row, for each dimension: `[count, latent]`, nats.
    pub fn log_densities(&self, z: Tensor<B, 2>) -> Tensor<B, 2> {
        let scaled = (z - self.mu.clone()).square() * (-self.log_var.clone()).exp();
        log_density(scaled, self.log_var.clone())
    }

    /// Log-density of each row of `z` under each of the normals, for each dimension: `[rows, count, latent]`, nats.
    pub fn all_log_densities(&self, z: Tensor<B, 2>) -> Tensor<B, 3> {
        let mu = self.mu.clone().unsqueeze_dim::<3>(0);
        let log_var = self.log_var.clone().unsqueeze_dim::<3>(0);
        let distance = z.unsqueeze_dim::<3>(1) - mu;
        log_density(distance.square() * (-log_var.clone()).exp(), log_var)
    }
}

/// `-(ln(2 pi) + log_var + scaled) / 2`, `scaled` the squared distance in units of the variance.
fn log_density<B: Backend, const D: usize>(
    scaled: Tensor<B, D>,
    log_var: Tensor<B, D>,
) -> Tensor<B, D> {
    (scaled + log_var + std::f64::consts::TAU.ln()) * -0.5
}

/// Standard normal log-densities, for each dimension.
pub(crate) fn standard_log_densities<B: Backend>(z: Tensor<B, 2>) -> Tensor<B, 2> {
    (z.square() + std::f64::consts::TAU.ln()) * -0.5
}

/// `log sum exp x` along a dimension, which is kept with length 1.
pub(crate) fn log_sum_exp<B: Backend, const D: usize>(x: Tensor<B, D>, dim: usize) -> Tensor<B, D> {
    let largest = x.clone().max_dim(dim).detach();
    (x - largest.clone()).exp().sum_dim(dim).log() + largest
}

/// Each row of `x` `samples` times in succession.
pub fn repeat_rows<B: Backend>(x: Tensor<B, 2>, samples: usize) -> Tensor<B, 2> {
    if samples == 1 {
        return x;
    }
    let [rows, columns] = x.dims();
    let x = x.unsqueeze_dim::<3>(1).expand([rows, samples, columns]);
    x.reshape([rows * samples, columns])
}

impl<B: Backend> Vae<B> {
    /// The prior's log-density at each row of `z`, `[rows, latent]`: `[rows]`, nats.
    pub fn log_prior(&self, z: Tensor<B, 2>) -> Tensor<B, 1> {
        let Some((log_weights, normals)) = self.prior_components() else {
            return standard_log_densities(z).sum_dim(1).squeeze_dim(1);
        };
        let densities = normals.all_log_densities(z).sum_dim(2).squeeze_dim::<2>(2);
        log_sum_exp(densities + log_weights, 1).squeeze_dim(1)
    }

    /// Components of a learned prior: log-weights, `[1, components]`, and normals; `None` for the standard normal.
    pub fn prior_components(&self) -> Option<(Tensor<B, 2>, Normals<B>)> {
        let latent = self.config().latent;
        match self.config().prior {
            Prior::Normal => None,
            Prior::Mixture { components } => {
                let logits = self.of_prior(0, components);
                let log_weights = logits.clone() - log_sum_exp(logits, 1);
                let normals = Normals::new(self.of_prior(1, latent), self.of_prior(2, latent));
                Some((log_weights, normals))
            }
            Prior::Vamp { inputs } => {
                let images = self.of_prior(0, self.config().pixels());
                let [low, high] = self.config().likelihood.range();
                let images = images.clamp(low, high);
                let (mu, log_var) = self.encode(images, None, &mut |_, _| {});
                let options = (&mu.device(), mu.dtype());
                let log_weights = Tensor::full([1, inputs], -(inputs as f64).ln(), options);
                Some((log_weights, Normals::new(mu, log_var)))
            }
        }
    }
}
