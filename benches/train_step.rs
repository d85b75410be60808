//! Training throughput of the presets' networks on each engine and device, on the built-in digits, in images per second.
//!
//! Each engine first trains for a few steps and must lower its loss. On a machine without a GPU the wgpu rows are skipped: a
//! software adapter says nothing about speed.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod workload;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vae_fused::FusedEngine;
use vae_kernels::gpu::{Gpu, GraphicsApi};
use vae_spec::{Engine, EngineSetup, Optimizer, OptimizerConfig, Step, Wait, Weights};

use workload::{digits, network, training_images};

/// (hidden, latent, batch): the article's network, that of pytorch/examples, and the latter with large batches.
const NETWORKS: [(usize, usize, usize); 4] = [
    (256, 2, 100),
    (400, 20, 128),
    (400, 20, 1024),
    (400, 20, 8192),
];
/// Steps per timed call: losses are read back, and the device synchronized, once per call, as the trainer does.
const STEPS: u64 = 32;

fn backend(c: &mut Criterion, name: &str, engine: impl Fn(&EngineSetup<'_>) -> Box<dyn Engine>) {
    let digits = digits();
    let mut group = c.benchmark_group(format!("train_step/{name}"));
    group.sample_size(20);
    for (hidden, latent, batch) in NETWORKS {
        let model = network(hidden, latent);
        let weights = Weights::initial(&model, 0);
        let setup = EngineSetup::new(&model, &weights, OptimizerConfig::new(Optimizer::Adam), 0);
        let mut engine = engine(&setup);
        let images = training_images(&digits);
        engine
            .train_on(images)
            .unwrap_or_else(|error| panic!("{error}"));
        let rows: Vec<u32> = (0..batch as u32).collect();
        let mut step = 0;
        let mut steps = |engine: &mut dyn Engine| {
            for _ in 0..STEPS {
                engine
                    .train_step(&rows, &Step::plain(step, 1e-3))
                    .unwrap_or_else(|error| panic!("{error}"));
                step += 1;
            }
            let losses = engine
                .take_losses(Wait::ForAll)
                .unwrap_or_else(|error| panic!("{error}"));
            (losses[0].loss, losses[losses.len() - 1].loss)
        };
        let (first, last) = steps(engine.as_mut());
        assert!(
            last < 0.8 * first,
            "{name}: the loss went from {first} to {last}"
        );
        group.throughput(Throughput::Elements(STEPS * batch as u64));
        group.bench_function(
            BenchmarkId::from_parameter(format!("784-{hidden}-{latent}/batch {batch}")),
            |b| {
                b.iter(|| steps(engine.as_mut()));
            },
        );
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    backend(c, "fused/cpu", |setup| Box::new(FusedEngine::cpu(setup)));
    backend(c, "burn/ndarray", |setup| vae_burn::ndarray(setup));
    match Gpu::open(GraphicsApi::Any) {
        Ok(gpu) if gpu.report.is_hardware() => {
            backend(c, "fused/wgpu", |setup| {
                Box::new(FusedEngine::gpu(setup, &gpu).unwrap_or_else(|error| panic!("{error}")))
            });
            backend(c, "burn/wgpu", |setup| vae_burn_wgpu::wgpu(setup, &gpu));
        }
        _ => println!("skipped: train_step/wgpu: no hardware adapter"),
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
