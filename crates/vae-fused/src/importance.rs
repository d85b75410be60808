//! The importance-sampled likelihood: programs of many draws of some images at once, run until all draws are made. Only the running
//! sums of the weights are read back, once for all runs of a program, and images are encoded once.

use vae_kernels::executor::Run;
use vae_rng::Noise;
use vae_spec::network::Network;
use vae_spec::{Batch, Draws, EngineError, Evidence, IMPORTANCE_ROWS, Prior};

use crate::parts::{in_parts, rows};
use crate::plan::{Model, Plan};
use crate::{FusedEngine, on_average, run_plan};

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
    let draws = Draws::of(counts).into_iter();
    let plans: Vec<(Draws, Plan)> = draws
        .map(|draws| (draws, model.importance(draws.at_once)))
        .collect();
    let (plain, average) = (engine.plain_run(), engine.average());
    let generator = engine.generators.evaluation_noise;
    let [pixels, columns] = [engine.config.pixels(), 2 * engine.config.latent];
    on_average(engine.executor.as_mut(), average, |executor| {
        let posteriors = run_plan(executor, &encode, &[plain], &[batch.images], batch.labels)?;
        let images = batch.images.len() / pixels;
        let (of_images, pseudo_inputs) = posteriors.split_at(images * columns);
        let mut evidence = vec![Evidence::NONE; images];
        let mut found = Vec::new();
        for (draws, plan) in &plans {
            let mut most = (IMPORTANCE_ROWS / draws.at_once).max(1);
            in_parts(images, &mut most, |range| {
                let labels = rows(batch.labels, 1, &range);
                let first_row = batch.first_row + range.start as u32;
                let runs = draws.steps().map(|step| Run {
                    noise: Noise {
                        generator,
                        step,
                        first_row,
                    },
                    ..plain
                });
                let runs: Vec<Run> = runs.collect();
                let values = rows(batch.images, pixels, &range);
                let posterior = [rows(of_images, columns, &range), pseudo_inputs].concat();
                let none = [f32::MIN, 0.0].repeat(range.len());
                let inputs = [values, &none, &posterior];
                let sums = run_plan(executor, plan, &runs, &inputs, labels)?;
                let (sums, _) = sums.as_chunks::<2>();
                for (evidence, &[largest, sum]) in evidence[range].iter_mut().zip(sums) {
                    evidence.add(largest.into(), sum.into());
                }
                Ok(())
            })?;
            if counts.contains(&draws.end()) {
                let nll = evidence.iter().map(|evidence| evidence.nll(draws.end()));
                found.push(nll.collect());
            }
        }
        Ok(found)
    })
}
