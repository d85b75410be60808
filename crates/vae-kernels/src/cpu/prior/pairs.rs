//! Densities of all latents under all normals: for each latent its normals side by side.

use crate::cpu::vectorized::vectorized;
use rayon::prelude::*;
use vae_spec::{LOG_VAR_MAX, LOG_VAR_MIN};

use super::lanes::{LANES, log_sum_exp, padded, sum};
use crate::cpu::sample_kl::LN_TAU;
use crate::cpu::special::exp;

/// Normals of a task of the gradients with respect to them.
const BLOCK: usize = 4 * LANES;
/// What a normal that only fills a vector counts: nothing.
const NOTHING: f32 = -1e30;

/// Normals, transposed: `[latent, count]`, padded.
#[derive(Debug)]
pub(super) struct Components {
    count: usize,
    latent: usize,
    mu: Vec<f32>,
    /// Inverse variances.
    inverse: Vec<f32>,
    /// Log-densities at the means.
    peaks: Vec<f32>,
    /// Whether the log-variance is not clamped.
    is_inside: Vec<bool>,
    /// Logarithms of the weights.
    log_weights: Vec<f32>,
}

impl Components {
    /// `count` normals, of each of which `of` tells means, log-variances and the logarithm of its weight.
    pub(super) fn new<'a>(
        count: usize,
        latent: usize,
        of: impl Fn(usize) -> (&'a [f32], &'a [f32], f32),
    ) -> Self {
        let length = padded(count);
        let mut all = Self {
            count,
            latent,
            mu: vec![0.0; latent * length],
            inverse: vec![0.0; latent * length],
            peaks: vec![0.0; latent * length],
            is_inside: vec![false; latent * length],
            log_weights: vec![NOTHING; length],
        };
        for normal in 0..count {
            let (mu, log_var, log_weight) = of(normal);
            all.log_weights[normal] = log_weight;
            for (j, (&mu, &log_var)) in mu.iter().zip(log_var).enumerate() {
                let at = j * length + normal;
                let v = log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX);
                (all.mu[at], all.inverse[at]) = (mu, exp(-v));
                all.peaks[at] = -0.5 * (v + LN_TAU);
                all.is_inside[at] = (LOG_VAR_MIN..=LOG_VAR_MAX).contains(&log_var);
            }
        }
        all
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    const fn length(&self) -> usize {
        padded(self.count)
    }

    /// Adds the log-densities of latent `j` at `z` to `logs`, those of the normals from `first` on.
    #[inline(always)]
    fn add_log_densities(&self, j: usize, z: f32, first: usize, logs: &mut [f32]) {
        let start = j * self.length() + first;
        let length = logs.len();
        let of = |values| &<[f32]>::split_at(values, start).1[..length];
        let normals = of(&self.mu).iter().zip(of(&self.inverse));
        for (log, ((mu, inverse), peak)) in logs.iter_mut().zip(normals.zip(of(&self.peaks))) {
            let distance = z - mu;
            *log += peak - 0.5 * (distance * distance * inverse);
        }
    }

    /// Logarithms of the weighted densities at `z`, of the normals from `first` on.
    #[inline(always)]
    fn joint(&self, z: &[f32], first: usize, logs: &mut [f32]) {
        logs.copy_from_slice(&self.log_weights[first..][..logs.len()]);
        for (j, &z) in z.iter().enumerate() {
            self.add_log_densities(j, z, first, logs);
        }
    }

    /// The same of latent `j` alone.
    #[inline(always)]
    fn single(&self, j: usize, z: f32, first: usize, logs: &mut [f32]) {
        logs.copy_from_slice(&self.log_weights[first..][..logs.len()]);
        self.add_log_densities(j, z, first, logs);
    }
}

/// See [`crate::program::PriorPass::PairsForward`]; `sums` has rows of `columns`.
pub(super) fn forward(z: &[f32], components: &Components, columns: usize, sums: &mut [f32]) {
    let rows = sums.par_chunks_exact_mut(columns);
    let rows = rows.zip(z.par_chunks_exact(components.latent));
    let logs = || vec![0.0; components.length()];
    rows.for_each_init(logs, |logs, (sums, z)| {
        vectorized(
            #[inline(always)]
            || {
                components.joint(z, 0, logs);
                sums[0] = log_sum_exp(logs);
                for (j, sum) in sums[1..].iter_mut().enumerate() {
                    components.single(j, z[j], 0, logs);
                    *sum = log_sum_exp(logs);
                }
            },
        );
    });
}

/// All pairs with what the loss holds of their sums.
pub(super) struct Pairs<'a, 'c> {
    z: &'a [f32],
    sums: &'a [f32],
    components: &'c Components,
    /// Number of sums of a row.
    columns: usize,
    scale: f32,
    factors: Option<&'a [f32]>,
}

/// Gradients with respect to normals, in blocks of them.
pub(super) struct Blocks<'c> {
    components: &'c Components,
    /// Those of the means, then of the log-variances, `[latent, BLOCK]` each; and those of the logarithms of the weights.
    blocks: Vec<(Vec<f32>, Vec<f32>)>,
    /// The sum of the rows' factors of the first sum.
    whole: f32,
}

impl<'a, 'c> Pairs<'a, 'c> {
    pub(super) fn new(
        z: &'a [f32],
        sums: &'a [f32],
        components: &'c Components,
        scale: f32,
        factors: Option<&'a [f32]>,
    ) -> Self {
        Self {
            z,
            sums,
            columns: sums.len() * components.latent / z.len(),
            components,
            scale,
            factors,
        }
    }

    const fn has_singles(&self) -> bool {
        self.columns > 1
    }

    /// The derivative of the loss with respect to the first sum of a row.
    fn factor(&self, row: usize) -> f32 {
        let sign = if self.has_singles() { 1.0 } else { -1.0 };
        sign * self.scale * self.factors.map_or(1.0, |factors| factors[row])
    }

    /// Shares of the normals from `first` on in the sums of latent `j`: of the first sum, less those of the latent's own.
    #[inline(always)]
    fn shares(&self, row: usize, j: usize, first: usize, joint: &[f32], shares: &mut [f32]) {
        shares.copy_from_slice(joint);
        if self.has_singles() {
            let (z, sum) = (
                self.z[row * self.components.latent + j],
                self.sums[row * self.columns + 1 + j],
            );
            let mut logs = [0.0; BLOCK];
            for (index, shares) in shares.chunks_mut(BLOCK).enumerate() {
                let logs = &mut logs[..shares.len()];
                self.components.single(j, z, first + index * BLOCK, logs);
                for (share, log) in shares.iter_mut().zip(logs) {
                    *share -= exp(*log - sum);
                }
            }
        }
    }

    #[inline(always)]
    fn joint(&self, row: usize, first: usize, joint: &mut [f32]) {
        let latent = self.components.latent;
        let z = &self.z[row * latent..][..latent];
        self.components.joint(z, first, joint);
        let sum = self.sums[row * self.columns];
        joint.iter_mut().for_each(|log| *log = exp(*log - sum));
    }

    /// See [`crate::program::PriorPass::PairsBackwardRows`].
    pub(super) fn backward_rows(&self, d_z: &mut [f32]) {
        let latent = self.components.latent;
        let length = self.components.length();
        let buffers = || [vec![0.0; length], vec![0.0; length]];
        let rows = d_z.par_chunks_exact_mut(latent).enumerate();
        rows.for_each_init(buffers, |[joint, shares], (row, d_z)| {
            vectorized(
                #[inline(always)]
                || {
                    self.joint(row, 0, joint);
                    let factor = self.factor(row);
                    for (j, d_z) in d_z.iter_mut().enumerate() {
                        self.shares(row, j, 0, joint, shares);
                        let z = self.z[row * latent + j];
                        let of = |values| &<[f32]>::split_at(values, j * length).1[..length];
                        let (mu, inverse) = (of(&self.components.mu), of(&self.components.inverse));
                        let slope = |[share, mu, inverse]: [f32; 3]| share * (mu - z) * inverse;
                        *d_z += factor * sum([&*shares, mu, inverse], slope);
                    }
                },
            );
        });
    }

    /// See [`crate::program::PriorPass::PairsBackwardNormals`].
    pub(super) fn backward_normals(&self) -> Blocks<'c> {
        let firsts = (0..self.components.length()).into_par_iter().step_by(BLOCK);
        let rows = self.sums.len() / self.columns;
        Blocks {
            components: self.components,
            blocks: firsts.map(|first| self.block(first, rows)).collect(),
            whole: (0..rows).map(|row| self.factor(row)).sum(),
        }
    }

    fn block(&self, first: usize, rows: usize) -> (Vec<f32>, Vec<f32>) {
        let latent = self.components.latent;
        let length = BLOCK.min(self.components.length() - first);
        let mut gradients = vec![0.0; 2 * latent * BLOCK];
        let (d_mu, d_log_var) = gradients.split_at_mut(latent * BLOCK);
        let mut d_logits = vec![0.0; BLOCK];
        let (mut joint, mut shares) = ([0.0; BLOCK], [0.0; BLOCK]);
        let (joint, shares) = (&mut joint[..length], &mut shares[..length]);
        vectorized(
            #[inline(always)]
            || {
                for row in 0..rows {
                    self.joint(row, first, joint);
                    let factor = self.factor(row);
                    for (d_logit, share) in d_logits.iter_mut().zip(&*joint) {
                        *d_logit += factor * share;
                    }
                    for j in 0..latent {
                        self.shares(row, j, first, joint, shares);
                        let z = self.z[row * latent + j];
                        let start = j * self.components.length() + first;
                        let of = |values| &<[f32]>::split_at(values, start).1[..length];
                        let (mu, inverse) = (of(&self.components.mu), of(&self.components.inverse));
                        let d_mu = &mut d_mu[j * BLOCK..][..length];
                        let d_log_var = &mut d_log_var[j * BLOCK..][..length];
                        for at in 0..length {
                            let distance = z - mu[at];
                            let scaled = distance * inverse[at];
                            let share = factor * shares[at];
                            d_mu[at] += share * scaled;
                            d_log_var[at] += 0.5 * share * (distance * scaled - 1.0);
                        }
                    }
                }
            },
        );
        (gradients, d_logits)
    }
}

impl Blocks<'_> {
    /// Calls `write` with each normal, latent and gradients of mean and log-variance.
    pub(super) fn write(&self, mut write: impl FnMut(usize, usize, [f32; 2])) {
        let (latent, length) = (self.components.latent, self.components.length());
        for normal in 0..self.components.count {
            let (gradients, _) = &self.blocks[normal / BLOCK];
            for j in 0..latent {
                let at = j * BLOCK + normal % BLOCK;
                let is_inside = self.components.is_inside[j * length + normal];
                let d_log_var = gradients[latent * BLOCK + at];
                write(
                    normal,
                    j,
                    [gradients[at], if is_inside { d_log_var } else { 0.0 }],
                );
            }
        }
    }

    /// The gradients of the logarithms of the weights before they are normalised.
    pub(super) fn write_logits(&self, d_logits: &mut [f32]) {
        for (normal, d_logit) in d_logits.iter_mut().enumerate() {
            let (_, shares) = &self.blocks[normal / BLOCK];
            let weight = self.components.log_weights[normal].exp();
            *d_logit = shares[normal % BLOCK] - self.whole * weight;
        }
    }
}

/// See [`crate::program::PriorPass::Correlation`]; `normaliser` is the logarithm of what the sums are divided by.
pub(super) fn correlation(
    [posterior, z, sums]: [&[f32]; 3],
    latent: usize,
    normaliser: f32,
    information: &mut [f32],
    correlation: &mut [f32],
) {
    let rows = posterior
        .chunks_exact(2 * latent)
        .zip(z.chunks_exact(latent).zip(sums.chunks_exact(1 + latent)));
    let outputs = information.iter_mut().zip(correlation);
    for ((posterior, (z, sums)), (information, correlation)) in rows.zip(outputs) {
        let (mu, log_var) = posterior.split_at(latent);
        let conditional = (0..latent).map(|j| {
            let v = log_var[j].clamp(LOG_VAR_MIN, LOG_VAR_MAX);
            let distance = z[j] - mu[j];
            -0.5 * (distance * distance * exp(-v) + v + LN_TAU)
        });
        let marginal = sums[0] - normaliser;
        let product: f32 = sums[1..].iter().map(|sum| sum - normaliser).sum();
        *information = conditional.sum::<f32>() - marginal;
        *correlation = marginal - product;
    }
}
