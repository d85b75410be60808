//! The importance-sampled likelihood on burn's tensors.

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use vae_model::{Normals, repeat_rows};
use vae_rng::Noise;
use vae_spec::{Batch, Draws, EngineError, Evidence, IMPORTANCE_ROWS};

use super::{BurnEngine, read};
use crate::convolution::Convolve;
use crate::sample_kl::{SampleKl, sample_kl};

/// See [`vae_spec::Engine::importance_nll`].
pub(super) fn nll<B>(
    engine: &BurnEngine<B>,
    batch: &Batch<'_>,
    counts: &[usize],
) -> Result<Vec<Vec<f64>>, EngineError>
where
    B: AutodiffBackend<InnerBackend: SampleKl + Convolve> + SampleKl + Convolve,
{
    let pixels = engine.config.pixels();
    let images = batch.images.len() / pixels;
    let mut evidence = vec![Evidence::NONE; images];
    let mut found = Vec::new();
    for draws in Draws::of(counts) {
        let at_once = (IMPORTANCE_ROWS / draws.at_once).max(1);
        for first in (0..images).step_by(at_once) {
            let count = at_once.min(images - first);
            let part = Batch {
                images: &batch.images[first * pixels..][..count * pixels],
                labels: match batch.labels {
                    [] => &[],
                    labels => &labels[first..][..count],
                },
                corrupted: None,
                first_row: batch.first_row + first as u32,
            };
            for step in draws.steps() {
                let logs = log_weights(engine, &part, draws.at_once, step)?;
                let rows = logs.chunks_exact(draws.at_once);
                for (evidence, logs) in evidence[first..].iter_mut().zip(rows) {
                    logs.iter().for_each(|&log| evidence.add(log.into(), 1.0));
                }
            }
        }
        if counts.contains(&draws.end()) {
            let nll = evidence.iter().map(|evidence| evidence.nll(draws.end()));
            found.push(nll.collect());
        }
    }
    Ok(found)
}

/// `log p(x, z) - log q(z | x)` of each image's draws.
fn log_weights<B>(
    engine: &BurnEngine<B>,
    batch: &Batch<'_>,
    draws: usize,
    step: u64,
) -> Result<Vec<f32>, EngineError>
where
    B: AutodiffBackend<InnerBackend: SampleKl + Convolve> + SampleKl + Convolve,
{
    let vae = engine.evaluated();
    let images = engine.images(batch.images);
    let labels = engine.labels(batch.labels);
    let (mu, log_var) = vae.encode(images.clone(), labels.as_ref(), &mut |_, _| {});
    let [mu, log_var] = [mu, log_var].map(|values| repeat_rows(values, draws));
    let noise = Noise {
        generator: engine.generators.evaluation_noise,
        step,
        first_row: batch.first_row * draws as u32,
    };
    let (z, _) = sample_kl(mu.clone(), log_var.clone(), noise);
    let log_q = Normals::new(mu, log_var).log_densities(z.clone());
    let log_q: Tensor<_, 1> = log_q.sum_dim(1).squeeze_dim(1);
    let labels = labels.map(|labels| repeat_rows(labels, draws));
    let output = vae.decode(z.clone(), labels.as_ref(), &mut |_, _| {});
    let recon = vae.nll(output, repeat_rows(images, draws));
    read(vae.log_prior(z) - log_q - recon)
}
