//! Parts of the KL divergence, and the functions of them that the loss may hold instead.

use super::super::rearrange::each_row;
use super::super::special::exp;
use crate::program::Gate;
use vae_spec::{LOG_VAR_MAX, LOG_VAR_MIN};

/// See [`crate::program::PriorPass::KlParts`].
pub(super) fn parts(posterior: &[f32], latent: usize, groups: usize, parts: &mut [f32]) {
    let size = latent / groups;
    each_row(parts, groups, |row, parts| {
        let (mu, log_var) = posterior[row * 2 * latent..][..2 * latent].split_at(latent);
        for (group, part) in parts.iter_mut().enumerate() {
            let latents = group * size..(group + 1) * size;
            let kl = latents.map(|j| {
                let v = log_var[j].clamp(LOG_VAR_MIN, LOG_VAR_MAX);
                0.5 * (mu[j] * mu[j] + exp(v) - v - 1.0)
            });
            *part = kl.sum();
        }
    });
}

/// See [`crate::program::PriorPass::Gate`].
pub(super) fn gate(
    gate: Gate,
    capacity: f32,
    rows: usize,
    kl: &[f32],
    factors: &mut [f32],
    cost: &mut [f32],
) {
    let groups = kl.len() / rows;
    let at_least = |kl: f32, nats: f32| {
        let counts = kl > nats;
        (f32::from(counts), if kl <= nats { nats } else { kl })
    };
    for group in 0..groups {
        let of_group = || (group..kl.len()).step_by(groups);
        let mean = || {
            let sum: f64 = of_group().map(|at| f64::from(kl[at])).sum();
            (sum / rows as f64) as f32
        };
        let of_all = match gate {
            Gate::AtLeast(_) => None,
            Gate::MeanAtLeast(nats) => Some(at_least(mean(), nats)),
            Gate::Capacity => {
                let beyond = mean() - capacity;
                Some((beyond.signum(), beyond.abs()))
            }
        };
        for at in of_group() {
            let (factor, value) = match (of_all, gate) {
                (Some(of_all), _) => of_all,
                (None, Gate::AtLeast(nats)) => at_least(kl[at], nats),
                (None, _) => continue,
            };
            (factors[at], cost[at]) = (factor, value);
        }
    }
}
