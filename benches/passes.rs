//! Where a fused training step's time goes: the median of each pass, over many steps, as a table.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use vae_data::Dataset;
use vae_model::{Engine, EngineSetup, Initialization, ModelConfig, OptimizerConfig, Weights};
use vae_train::FusedEngine;

/// (hidden, latent, batch): the article's, that of pytorch/examples, and the latter in large batches.
const NETWORKS: [(usize, usize, usize); 3] = [(256, 2, 100), (400, 20, 128), (400, 20, 1024)];
const WARM_UP: usize = 20;
const STEPS: usize = 200;

fn main() {
    let digits = Dataset::digits().unwrap_or_else(|error| panic!("{error}"));
    for (hidden, latent, batch) in NETWORKS {
        let model = ModelConfig {
            pixels: 784,
            hidden: vec![hidden],
            latent,
            init: Initialization::Glorot,
        };
        let weights = Weights::initial(&model, 0);
        let optimizer = OptimizerConfig::Adam;
        let mut engine = FusedEngine::new(&EngineSetup {
            model: &model,
            weights: &weights,
            optimizer,
            lr: 1e-3,
            seed: 0,
        });
        let indices: Vec<u32> = (0..batch as u32).collect();
        let images = digits.train.gather(&indices);
        let loss = |engine: &FusedEngine| {
            engine
                .evaluate(&images, 0)
                .map_or(f64::NAN, |losses| losses.total(1.0))
        };
        let before = loss(&engine);
        let steps: Vec<Vec<(&str, f64)>> = (0..WARM_UP + STEPS)
            .map(|step| engine.time_step(&images, step as u64))
            .skip(WARM_UP)
            .collect();
        let after = loss(&engine);
        assert!(
            after < 0.8 * before,
            "the loss went from {before} to {after}"
        );

        println!("784-{hidden}-{latent}, batch {batch}: microseconds, medians of {STEPS} steps");
        for (pass, (stem, _)) in steps[0].iter().enumerate() {
            println!(
                "{:>9.1}  {stem}",
                1e6 * median(steps.iter().map(|step| step[pass].1))
            );
        }
        println!(
            "{:>9.1}  whole step",
            1e6 * median(
                steps
                    .iter()
                    .map(|step| step.iter().map(|pass| pass.1).sum())
            )
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
