//! The CPU twin of `shaders/step/sample_kl_forward.wgsl` and `shaders/step/sample_kl_backward.wgsl`.

use rayon::prelude::*;
use vae_rng::{Noise, normals_of_block};

use super::special::exp;
use vae_spec::{LOG_VAR_MAX, LOG_VAR_MIN};

/// Latents of a task: drawing their noise takes several times as long as handing the task out.
const TASK: usize = 256;

/// `z` and `kl` of each row of `posterior`, mu | log_var.
pub(super) fn forward(posterior: &[f32], noise: Noise, z: &mut [f32], kl: &mut [f32]) {
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
                    *kl += 0.5 * (mu * mu + exp(v) - v - 1.0);
                }
            }
        }
    });
}

/// `d_posterior`, d_mu | d_log_var, where the loss contains `d_kl` times each row's `kl`.
pub(super) fn backward(
    [posterior, z, d_z]: [&[f32]; 3],
    latent: usize,
    d_kl: f32,
    d_posterior: &mut [f32],
) {
    let inputs = posterior
        .chunks_exact(2 * latent)
        .zip(z.chunks_exact(latent).zip(d_z.chunks_exact(latent)));
    for ((posterior, (z, d_z)), d_posterior) in inputs.zip(d_posterior.chunks_exact_mut(2 * latent))
    {
        let (mu, log_var) = posterior.split_at(latent);
        let (d_mu, d_log_var) = d_posterior.split_at_mut(latent);
        for j in 0..latent {
            d_mu[j] = d_z[j] + d_kl * mu[j];
            let is_inside = (LOG_VAR_MIN..=LOG_VAR_MAX).contains(&log_var[j]);
            d_log_var[j] = if is_inside {
                0.5 * (d_z[j] * (z[j] - mu[j]) + d_kl * (exp(log_var[j]) - 1.0))
            } else {
                0.0
            };
        }
    }
}
