//! The CPU twin of `shaders/step/sample_kl_forward.wgsl` and `shaders/step/sample_kl_backward.wgsl`.

use rayon::prelude::*;
use vae_rng::Noise;

use super::draws;
use super::special::exp;
use super::vectorized::vectorized;
use vae_spec::{LOG_VAR_MAX, LOG_VAR_MIN};

use crate::program::{KlGradient, KlPath};

/// Latents of a task: drawing their noise takes several times as long as handing the task out.
const TASK: usize = 256;

/// `ln(2 pi)`
pub(super) const LN_TAU: f32 = 1.837_877_1;

/// What `kl` becomes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term {
    /// The closed form.
    Analytic,
    /// `log q(z | x) - log p(z)` at the draw.
    Sampled,
    /// `log q(z | x)` at the draw.
    LogPosterior,
}

/// `z` and `kl` of each row of `posterior`, mu | log_var.
pub(super) fn forward(posterior: &[f32], noise: Noise, term: Term, z: &mut [f32], kl: &mut [f32]) {
    let latent = z.len() / kl.len();
    let rows = TASK.div_ceil(latent);
    let quads = latent.div_ceil(4);
    let tasks = posterior
        .par_chunks(rows * 2 * latent)
        .zip(z.par_chunks_mut(rows * latent))
        .zip(kl.par_chunks_mut(rows));
    let scratch = || (Vec::new(), vec![0.0; latent]);
    tasks
        .enumerate()
        .for_each_init(scratch, |(eps, terms), (task, ((posterior, z), kl))| {
            let first_row = noise.first_row.wrapping_add((task * rows) as u32);
            draws::normals(Noise { first_row, ..noise }, kl.len(), quads, eps);
            let posteriors = posterior
                .chunks_exact(2 * latent)
                .zip(z.chunks_exact_mut(latent));
            let rows = posteriors.zip(eps.chunks_exact(4 * quads)).zip(kl);
            for (((posterior, z), eps), kl) in rows {
                let inputs = [&posterior[..latent], &posterior[latent..], eps];
                match term {
                    Term::Analytic => row(inputs, z, terms, |mu, v, _, _| {
                        0.5 * (mu * mu + exp(v) - v - 1.0)
                    }),
                    Term::Sampled => row(inputs, z, terms, |_, v, eps, z| {
                        0.5 * (z * z - v - eps * eps)
                    }),
                    Term::LogPosterior => row(inputs, z, terms, |_, v, eps, _| {
                        -0.5 * (LN_TAU + v + eps * eps)
                    }),
                }
                *kl = terms.iter().fold(0.0, |sum, term| sum + term);
            }
        });
}

/// `z` of one row, and what each latent adds to `kl`: `term` of `mu, v, eps, z`.
fn row(
    [mu, log_var, eps]: [&[f32]; 3],
    z: &mut [f32],
    terms: &mut [f32],
    term: impl Fn(f32, f32, f32, f32) -> f32,
) {
    vectorized(
        #[inline(always)]
        || {
            let inputs = mu.iter().zip(log_var).zip(eps);
            let outputs = z.iter_mut().zip(&mut *terms);
            for (((mu, log_var), eps), (z, of_term)) in inputs.zip(outputs) {
                let v = log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX);
                *z = mu + exp(0.5 * v) * eps;
                *of_term = term(*mu, v, *eps, *z);
            }
        },
    );
}

/// How the loss depends on each row's `kl`.
pub(super) struct Loss<'a> {
    /// Its derivative with respect to `kl`, without the row's factors.
    pub(super) d_kl: f32,
    pub(super) beta: f32,
    /// Draws of each row of the batch, whose factors have the mean 1 if they are importance weights.
    pub(super) draws: f32,
    pub(super) through: KlGradient,
    /// `[rows, groups]`
    pub(super) factors: Option<&'a [f32]>,
}

/// `d_posterior`, d_mu | d_log_var, of as many rows as `z` has.
pub(super) fn backward(
    [posterior, z, d_z]: [&[f32]; 3],
    latent: usize,
    loss: &Loss<'_>,
    d_posterior: &mut [f32],
) {
    let groups = loss
        .factors
        .map_or(1, |factors| factors.len() * latent / z.len());
    let rows = TASK.div_ceil(latent);
    let inputs = posterior.par_chunks(rows * 2 * latent).zip(
        z.par_chunks(rows * latent)
            .zip(d_z.par_chunks(rows * latent)),
    );
    let tasks = inputs.zip(d_posterior.par_chunks_mut(rows * 2 * latent));
    tasks
        .enumerate()
        .for_each(|(task, ((posterior, (z, d_z)), d_posterior))| {
            let inputs = posterior
                .chunks_exact(2 * latent)
                .zip(z.chunks_exact(latent).zip(d_z.chunks_exact(latent)));
            let of_task = inputs.zip(d_posterior.chunks_exact_mut(2 * latent));
            for (row, ((posterior, (z, d_z)), d_posterior)) in (task * rows..).zip(of_task) {
                let factors = loss
                    .factors
                    .map(|factors| &factors[row * groups..][..groups]);
                backward_row(posterior, [z, d_z], factors, loss, d_posterior);
            }
        });
}

fn backward_row(
    posterior: &[f32],
    [z, d_z]: [&[f32]; 2],
    factors: Option<&[f32]>,
    loss: &Loss<'_>,
    d_posterior: &mut [f32],
) {
    let latent = z.len();
    let (mu, log_var) = posterior.split_at(latent);
    let (d_mu, d_log_var) = d_posterior.split_at_mut(latent);
    let size = latent / factors.map_or(1, <[f32]>::len);
    let standard = if loss.through.learned_prior { 0.0 } else { 1.0 };
    for j in 0..latent {
        let factor = factors.map_or(1.0, |factors| factors[j / size]);
        let w = loss.d_kl * factor;
        let from_mu = z[j] - mu[j];
        let (g, twice) = match loss.through.path {
            KlPath::Analytic => (
                d_z[j] + w * mu[j],
                d_z[j] * from_mu + w * (exp(log_var[j]) - 1.0),
            ),
            KlPath::Sampled => {
                let g = d_z[j] + standard * w * z[j];
                (g, g * from_mu - w)
            }
            KlPath::DoublyReparameterized => {
                let v = log_var[j].clamp(LOG_VAR_MIN, LOG_VAR_MAX);
                let f = loss.beta * factor / loss.draws + (1.0 - loss.beta);
                let g = f * (d_z[j] + w * (standard * z[j] - from_mu * exp(-v)));
                (g, g * from_mu)
            }
        };
        d_mu[j] = g;
        let is_inside = (LOG_VAR_MIN..=LOG_VAR_MAX).contains(&log_var[j]);
        d_log_var[j] = if is_inside { 0.5 * twice } else { 0.0 };
    }
}
