//! The CPU twin of `shaders/sample_kl_forward.wgsl` and `shaders/sample_kl_backward.wgsl`.

use rayon::prelude::*;
use vae_rng::normals_of_block;

use super::elementwise::exp;
use crate::sample_kl::{LOG_VAR_MAX, LOG_VAR_MIN, Noise};

/// Rows of a task: drawing noise is most of the work.
const TASK_ROWS: usize = 32;

/// `z` and `kl`, one row after the other.
pub(super) fn forward(mu: &[f32], log_var: &[f32], noise: Noise, z: &mut [f32], kl: &mut [f32]) {
    let latent = mu.len() / kl.len();
    let inputs = mu
        .par_chunks(TASK_ROWS * latent)
        .zip(log_var.par_chunks(TASK_ROWS * latent));
    let outputs = z
        .par_chunks_mut(TASK_ROWS * latent)
        .zip(kl.par_chunks_mut(TASK_ROWS));
    inputs
        .zip(outputs)
        .enumerate()
        .for_each(|(task, ((mu, log_var), (z, kl)))| {
            let first_row = noise.first_row + (task * TASK_ROWS) as u32;
            let rows = mu.chunks_exact(latent).zip(log_var.chunks_exact(latent));
            for (row, ((mu, log_var), (z, kl))) in
                (first_row..).zip(rows.zip(z.chunks_exact_mut(latent).zip(kl)))
            {
                *kl = 0.0;
                for (quad, ((mu, log_var), z)) in
                    (0..).zip(mu.chunks(4).zip(log_var.chunks(4)).zip(z.chunks_mut(4)))
                {
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

/// `[d_mu, d_log_var]` from `[mu, log_var, z, d_z]`, where the loss holds `d_kl` times each row's `kl`.
pub(super) fn backward(
    [mu, log_var, z, d_z]: [&[f32]; 4],
    d_kl: f32,
    [d_mu, d_log_var]: &mut [Vec<f32>; 2],
) {
    let inputs = mu.iter().zip(log_var).zip(z.iter().zip(d_z));
    for (((mu, v), (z, d_z)), (d_mu, d_log_var)) in inputs.zip(d_mu.iter_mut().zip(d_log_var)) {
        *d_mu = d_z + d_kl * mu;
        let is_inside = (LOG_VAR_MIN..=LOG_VAR_MAX).contains(v);
        *d_log_var = if is_inside {
            0.5 * (d_z * (z - mu) + d_kl * (exp(*v) - 1.0))
        } else {
            0.0
        };
    }
}
