//! Importance weights of each row's draws, the CPU twin of `shaders/step/importance.wgsl` and `shaders/step/importance_sum.wgsl`.

/// See [`crate::program::Pass::Importance`].
pub(super) fn importance(
    [recon, kl]: [&[f32]; 2],
    beta: f32,
    weights: &mut [f32],
    bound: &mut [f32],
) {
    let draws = weights.len() / bound.len();
    let parts = recon.len() / kl.len();
    let rows = recon
        .chunks_exact(parts * draws)
        .zip(kl.chunks_exact(draws))
        .zip(weights.chunks_exact_mut(draws).zip(bound));
    for ((recon, kl), (weights, bound)) in rows {
        let draws_of = recon.chunks_exact(parts).zip(kl).zip(&mut *weights);
        for ((recon, kl), weight) in draws_of {
            *weight = -recon.iter().sum::<f32>() - beta * kl;
        }
        let largest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for weight in &mut *weights {
            *weight = (*weight - largest).exp();
            sum += *weight;
        }
        let mean = sum / draws as f32;
        weights.iter_mut().for_each(|weight| *weight /= mean);
        *bound = -(largest + mean.ln());
    }
}

/// See [`crate::program::Pass::ImportanceSum`].
pub(super) fn sum([recon, kl]: [&[f32]; 2], sums: &mut [f32]) {
    let (sums, _) = sums.as_chunks_mut::<2>();
    let draws = kl.len() / sums.len();
    let parts = recon.len() / kl.len();
    let rows = recon
        .chunks_exact(parts * draws)
        .zip(kl.chunks_exact(draws));
    for ((recon, kl), [largest, sum]) in rows.zip(sums) {
        for (recon, kl) in recon.chunks_exact(parts).zip(kl) {
            let log_weight = -recon.iter().sum::<f32>() - kl;
            let both = largest.max(log_weight);
            *sum = *sum * (*largest - both).exp() + (log_weight - both).exp();
            *largest = both;
        }
    }
}
