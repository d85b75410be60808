//! Time from program start to the first training step, by phases, on the CPU and on the best adapter: measured only once per
//! process, because everything is warm afterwards. Drivers cache compiled shaders on disk: for a cold start clear their cache,
//! as `benches/gpu_tour.sh` does.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod workload;

use std::time::Instant;

use vae_data::Dataset;
use vae_fused::FusedEngine;
use vae_kernels::gpu::{Gpu, GraphicsApi};
use vae_spec::{Engine, EngineError, EngineSetup, Optimizer, OptimizerConfig, Step, Wait, Weights};

use workload::{digits, network, training_images};

fn main() {
    let digits = digits();
    phases("cpu", &digits, |setup| Ok(FusedEngine::cpu(setup)));
    let start = Instant::now();
    match Gpu::open(GraphicsApi::Any) {
        Ok(gpu) => {
            println!("{:>9.1} ms to open {}", milliseconds(start), gpu.report);
            phases("wgpu", &digits, |setup| FusedEngine::gpu(setup, &gpu));
        }
        Err(error) => println!("skipped: wgpu: {error}"),
    }
}

fn phases(
    name: &str,
    digits: &Dataset,
    engine: impl FnOnce(&EngineSetup<'_>) -> Result<FusedEngine, EngineError>,
) {
    let model = network(400, 20);
    let weights = Weights::initial(&model, 0);
    let setup = EngineSetup::new(&model, &weights, OptimizerConfig::new(Optimizer::Adam), 0);
    let images = training_images(digits);
    let rows: Vec<u32> = (0..128).collect();
    let step = |engine: &mut FusedEngine, number| {
        engine.train_step(&rows, &Step::plain(number, 1e-3))?;
        engine.take_losses(Wait::ForAll)
    };
    let train = || -> Result<(), EngineError> {
        let start = Instant::now();
        let mut engine = engine(&setup)?;
        engine.train_on(images)?;
        println!(
            "{name}: {:>9.1} ms to upload weights and images",
            milliseconds(start)
        );
        for (number, which) in [(0, "first"), (1, "second")] {
            let start = Instant::now();
            let losses = step(&mut engine, number)?;
            assert!(losses.len() == 1 && losses[0].loss.is_finite());
            println!(
                "{name}: {:>9.1} ms for the {which} step",
                milliseconds(start)
            );
        }
        Ok(())
    };
    train().unwrap_or_else(|error| panic!("{error}"));
}

fn milliseconds(start: Instant) -> f64 {
    1e3 * start.elapsed().as_secs_f64()
}
