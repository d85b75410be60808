//! The importance-sampled likelihood: programs of many draws of some images at once, run until all draws are made. Only the running
//! sums of the weights are read back, once for all runs of a program.

use vae_kernels::executor::Run;
use vae_rng::Noise;
use vae_spec::network::Network;
use vae_spec::{Batch, Draws, EngineError, Evidence, IMPORTANCE_ROWS, Prior};

use crate::plan::{Model, Plan};
use crate::{FusedEngine, run_plan};

/// See [`vae_spec::Engine::importance_nll`].
pub(super) fn nll(
    engine: &mut FusedEngine,
    batch: &Batch<'_>,
    counts: &[usize],
) -> Result<Vec<Vec<f64>>, EngineError> {
    let network = Network::new(&engine.config);
    let model = Model {
        config: &engine.config,
        network: &network,
        layout: &engine.layout,
    };
    let has_pseudo_inputs = matches!(engine.config.prior, Prior::Vamp { .. });
    let encode = model.encode(has_pseudo_inputs);
    let draws = Draws::of(counts);
    let plans: Vec<Plan> = draws
        .iter()
        .map(|draws| model.importance(draws.at_once))
        .collect();
    let pixels = engine.config.pixels();
    let images = batch.images.len() / pixels;
    let mut evidence = vec![Evidence::NONE; images];
    let mut found = Vec::new();
    for (draws, plan) in draws.into_iter().zip(&plans) {
        let at_once = (IMPORTANCE_ROWS / draws.at_once).max(1);
        for first in (0..images).step_by(at_once) {
            let count = at_once.min(images - first);
            let values = &batch.images[first * pixels..][..count * pixels];
            let labels = match batch.labels {
                [] => &[],
                labels => &labels[first..][..count],
            };
            let first_row = batch.first_row + first as u32;
            let sums = sums(engine, [&encode, plan], values, labels, first_row, draws)?;
            for (evidence, [largest, sum]) in evidence[first..].iter_mut().zip(sums) {
                evidence.add(largest.into(), sum.into());
            }
        }
        if counts.contains(&draws.end()) {
            let nll = evidence.iter().map(|evidence| evidence.nll(draws.end()));
            found.push(nll.collect());
        }
    }
    Ok(found)
}

/// The largest log-weight of each image's draws, and the sum of all weights in its units.
fn sums(
    engine: &mut FusedEngine,
    [encode, plan]: [&Plan; 2],
    images: &[f32],
    labels: &[u32],
    first_row: u32,
    draws: Draws,
) -> Result<Vec<[f32; 2]>, EngineError> {
    let (plain, average) = (engine.plain_run(), engine.average());
    let generator = engine.generators.evaluation_noise;
    let runs = draws.steps().map(|step| Run {
        noise: Noise {
            generator,
            step,
            first_row,
        },
        ..plain
    });
    let runs: Vec<Run> = runs.collect();
    let executor = engine.executor.as_mut();
    let posterior = run_plan(executor, average, encode, &[plain], &[images], labels)?;
    let none = [f32::MIN, 0.0].repeat(images.len() / engine.config.pixels());
    let inputs = [images, &none, &posterior];
    let sums = run_plan(executor, average, plan, &runs, &inputs, labels)?;
    Ok(sums.as_chunks::<2>().0.to_vec())
}
