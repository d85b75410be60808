//! Where a fused training step's time goes: the median of each kernel over many steps, on the CPU and on a hardware GPU
//! with timestamps, as a table.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod workload;

use std::time::Instant;

use vae_kernels::gpu::{Gpu, GraphicsApi};
use vae_model::{
    Batch, Engine, EngineSetup, Optimizer, OptimizerConfig, Step, Wait, Weighting, Weights,
};
use vae_rng::{Generator, Stream};
use vae_train::FusedEngine;

use workload::{digits, network, training_images};

/// (hidden, latent, batch): the article's, that of pytorch/examples, and the latter in large batches.
const NETWORKS: [(usize, usize, usize); 4] = [
    (256, 2, 100),
    (400, 20, 128),
    (400, 20, 1024),
    (400, 20, 8192),
];
const WARM_UP: usize = 1_000;
const STEPS: usize = 200;

fn main() {
    // As the other benchmarks take a name to look for.
    if !std::env::args().any(|argument| argument == "wgpu") {
        println!("on the CPU");
        for network in &NETWORKS[..3] {
            table(*network, FusedEngine::cpu);
        }
    }
    match Gpu::open(GraphicsApi::Any) {
        Ok(gpu) if gpu.report.is_hardware() => {
            let checked = Gpu::open(GraphicsApi::Any).map(Gpu::with_checked_shaders);
            let checked = checked.unwrap_or_else(|error| panic!("{error}"));
            for (gpu, how) in [(&gpu, "trusted"), (&checked, "checked")] {
                println!("on {}, {how} shaders", gpu.report);
                for network in NETWORKS {
                    table(network, |setup| {
                        FusedEngine::gpu(setup, gpu).unwrap_or_else(|error| panic!("{error}"))
                    });
                }
            }
        }
        _ => println!("skipped: passes on a GPU: no hardware adapter"),
    }
}

fn table(
    (hidden, latent, batch): (usize, usize, usize),
    engine: impl Fn(&EngineSetup<'_>) -> FusedEngine,
) {
    let digits = digits();
    let model = network(hidden, latent);
    let mut engine = engine(&EngineSetup::new(
        &model,
        &Weights::initial(&model, 0),
        OptimizerConfig::new(Optimizer::Adam),
        0,
    ));
    let images = training_images(&digits);
    engine
        .train_on(images)
        .unwrap_or_else(|error| panic!("{error}"));
    let images = digits.train.gather(&(0..100).collect::<Vec<u32>>());
    let loss = |engine: &mut FusedEngine| {
        engine
            .evaluate(&Batch::of(&images), Weighting::PLAIN)
            .map_or(f64::NAN, |losses| losses.loss)
    };
    let before = loss(&mut engine);
    let steps: Vec<Vec<(&str, f64)>> = (0..WARM_UP + STEPS)
        .map(|step| {
            let order = Generator::new(0, Stream::Shuffle);
            let rows = order.permutation(step as u64, digits.train.count() as u32);
            let times = engine.time_step(&rows[..batch], &Step::plain(step as u64, 1e-3));
            times.unwrap_or_else(|error| panic!("{error}"))
        })
        .skip(WARM_UP)
        .collect();
    if steps[0].is_empty() {
        println!("skipped: the adapter has no timestamps");
        return;
    }
    let after = loss(&mut engine);
    assert!(
        after < 0.8 * before,
        "the loss went from {before} to {after}"
    );

    println!(
        "784-{hidden}-{latent}, batch {batch}: microseconds, medians of {STEPS} steps, {} kernels a step",
        steps[0].len()
    );
    for (index, (stem, _)) in steps[0].iter().enumerate() {
        println!(
            "{:>9.1}  {stem}",
            1e6 * median(steps.iter().map(|step| step[index].1))
        );
    }
    let whole = steps
        .iter()
        .map(|step| step.iter().map(|kernel| kernel.1).sum());
    println!("{:>9.1}  all", 1e6 * median(whole));
    println!(
        "{:>9.1}  a step of many in a row, nothing timed within",
        1e6 * queued(&mut engine, batch)
    );
}

/// Seconds a step where many follow each other, as in training: the least of five runs.
fn queued(engine: &mut FusedEngine, batch: usize) -> f64 {
    let rows: Vec<u32> = (0..batch as u32).collect();
    let run = |_| {
        let start = Instant::now();
        for step in 0..WARM_UP {
            engine
                .train_step(&rows, &Step::plain(step as u64, 1e-3))
                .unwrap_or_else(|error| panic!("{error}"));
        }
        engine
            .take_losses(Wait::ForAll)
            .unwrap_or_else(|error| panic!("{error}"));
        start.elapsed().as_secs_f64() / WARM_UP as f64
    };
    (0..5).map(run).fold(f64::INFINITY, f64::min)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
