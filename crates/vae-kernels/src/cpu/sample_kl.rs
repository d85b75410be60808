//! The CPU twin of `shaders/step/sample_kl_forward.wgsl` and `shaders/step/sample_kl_backward.wgsl`.

use rayon::prelude::*;
use vae_rng::{Noise, normals_of_block};

use super::special::exp;
use vae_spec::{KlEstimate, LOG_VAR_MAX, LOG_VAR_MIN};

use crate::program::KlGradient;

/// Latents of a task: drawing their noise takes several times as long as handing the task out.
const TASK: usize = 256;

/// `z` and `kl` of each row of `posterior`, mu | log_var.
pub(super) fn forward(
    posterior: &[f32],
    noise: Noise,
    estimate: KlEstimate,
    z: &mut [f32],
    kl: &mut [f32],
) {
    let latent = z.len() / kl.len();
    let rows = TASK.div_ceil(latent);
    let tasks = posterior
        .par_chunks(rows * 2 * latent)
        .zip(z.par_chunks_mut(rows * latent))
        .zip(kl.par_chunks_mut(rows));
    tasks.enumerate().for_each(|(task, ((posterior, z), kl))| {
        let first_row = noise.first_row + (task * rows) as u32;
        let posteriors = posterior
            .chunks_exact(2 * latent)
            .zip(z.chunks_exact_mut(latent));
        for (row, ((posterior, z), kl)) in (first_row..).zip(posteriors.zip(kl)) {
            let (mu, log_var) = posterior.split_at(latent);
            let quads = mu.chunks(4).zip(log_var.chunks(4)).zip(z.chunks_mut(4));
            *kl = 0.0;
            for (quad, ((mu, log_var), z)) in (0..).zip(quads) {
                let eps = normals_of_block(noise.generator.block(noise.step, row, quad));
                for (((mu, log_var), z), eps) in mu.iter().zip(log_var).zip(z).zip(eps) {
                    let v = log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX);
                    *z = mu + exp(0.5 * v) * eps;
                    *kl += match estimate {
                        KlEstimate::Analytic => 0.5 * (mu * mu + exp(v) - v - 1.0),
                        KlEstimate::Sampled => 0.5 * (*z * *z - v - eps * eps),
                    };
                }
            }
        }
    });
}

/// How the loss depends on each row's `kl`.
pub(super) struct Loss<'a> {
    /// Its derivative with respect to `kl`, without the row's weight.
    pub(super) d_kl: f32,
    pub(super) beta: f32,
    /// Draws of each row of the batch, whose weights have the mean 1.
    pub(super) draws: f32,
    pub(super) through: KlGradient,
    pub(super) weights: Option<&'a [f32]>,
}

/// `d_posterior`, d_mu | d_log_var.
pub(super) fn backward(
    [posterior, z, d_z]: [&[f32]; 3],
    latent: usize,
    loss: &Loss<'_>,
    d_posterior: &mut [f32],
) {
    let inputs = posterior
        .chunks_exact(2 * latent)
        .zip(z.chunks_exact(latent).zip(d_z.chunks_exact(latent)));
    let rows = inputs.zip(d_posterior.chunks_exact_mut(2 * latent));
    for (row, ((posterior, (z, d_z)), d_posterior)) in rows.enumerate() {
        let (mu, log_var) = posterior.split_at(latent);
        let (d_mu, d_log_var) = d_posterior.split_at_mut(latent);
        let weight = loss.weights.map_or(1.0, |weights| weights[row]);
        let w = loss.d_kl * weight;
        for j in 0..latent {
            let from_mu = z[j] - mu[j];
            let (g, twice) = match loss.through {
                KlGradient::Analytic => (
                    d_z[j] + w * mu[j],
                    d_z[j] * from_mu + w * (exp(log_var[j]) - 1.0),
                ),
                KlGradient::Sampled | KlGradient::Weighted(_) => {
                    let g = d_z[j] + w * z[j];
                    (g, g * from_mu - w)
                }
                KlGradient::DoublyReparameterized(_) => {
                    let v = log_var[j].clamp(LOG_VAR_MIN, LOG_VAR_MAX);
                    let factor = loss.beta * weight / loss.draws + (1.0 - loss.beta);
                    let g = factor * (d_z[j] + w * (z[j] - from_mu * exp(-v)));
                    (g, g * from_mu)
                }
            };
            d_mu[j] = g;
            let is_inside = (LOG_VAR_MIN..=LOG_VAR_MAX).contains(&log_var[j]);
            d_log_var[j] = if is_inside { 0.5 * twice } else { 0.0 };
        }
    }
}
