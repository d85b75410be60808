//! Profile of a fused training step: the cost of a launch on a hardware GPU, and the median time of each kernel over many
//! steps, on the CPU and on the GPU with timestamps, as tables.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod workload;

use std::time::Instant;

use vae_fused::FusedEngine;
use vae_kernels::gpu::{Gpu, GraphicsApi};
use vae_rng::{Generator, Stream};
use vae_spec::{
    Engine, EngineSetup, ModelConfig, Optimizer, OptimizerConfig, Step, TrainingImages, Wait,
    Weights,
};

use workload::{conv, digits, network, photos, training_images, training_photos};

/// What is profiled.
struct Profile {
    name: &'static str,
    model: ModelConfig,
    images: TrainingImages,
    batch: usize,
    /// Steps before those that are timed, and their number.
    steps: [usize; 2],
}

/// The article's network, that of pytorch/examples, also with large batches, and two of convolutions.
fn profiles() -> Vec<Profile> {
    let digits = digits();
    let dense = |name, hidden, latent, batch| Profile {
        name,
        model: network(hidden, latent),
        images: training_images(&digits),
        batch,
        steps: [1_000, 200],
    };
    vec![
        dense("784-256-2", 256, 2, 100),
        dense("784-400-20", 400, 20, 128),
        dense("784-400-20", 400, 20, 1024),
        dense("784-400-20", 400, 20, 8192),
        Profile {
            name: "conv",
            model: conv(),
            images: training_images(&digits),
            batch: 128,
            steps: [40, 20],
        },
        Profile {
            name: "64 x 64 x 3, 32-64-128, normalised, residual",
            model: photos(),
            images: training_photos(&digits),
            batch: 32,
            steps: [8, 8],
        },
    ]
}

fn main() {
    // A filter argument, as in the other benchmarks.
    if !std::env::args().any(|argument| argument == "wgpu") {
        println!("on the CPU");
        for profile in profiles().iter().filter(|profile| profile.batch < 8192) {
            table(profile, FusedEngine::cpu);
        }
    }
    match Gpu::open(GraphicsApi::Any) {
        Ok(gpu) if gpu.report.is_hardware() => {
            let checked = Gpu::open(GraphicsApi::Any).map(Gpu::with_checked_shaders);
            let checked = checked.unwrap_or_else(|error| panic!("{error}"));
            launches(&gpu);
            for (gpu, how) in [(&gpu, "trusted"), (&checked, "checked")] {
                println!("on {}, {how} shaders", gpu.report);
                for profile in profiles() {
                    table(&profile, |setup| {
                        FusedEngine::gpu(setup, gpu).unwrap_or_else(|error| panic!("{error}"))
                    });
                }
            }
        }
        _ => println!("skipped: passes on a GPU: no hardware adapter"),
    }
}

/// Times a chain of nearly empty dispatches, each waiting for the one before.
fn launches(gpu: &Gpu) {
    const LAUNCHES: u32 = 1_000;
    let (device, queue) = gpu.device_and_queue();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(
            "@group(0) @binding(0) var<storage, read_write> count: u32;
            @compute @workgroup_size(1) fn main() { count += 1u; }"
                .into(),
        ),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4,
            usage,
            mapped_at_creation: false,
        })
    };
    let count = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let copy = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry {
            binding: 0,
            resource: count.as_entire_binding(),
        }],
    });
    let wait = || {
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let run = |_| {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        for _ in 0..LAUNCHES {
            pass.dispatch_workgroups(1, 1, 1);
        }
        drop(pass);
        encoder.copy_buffer_to_buffer(&count, 0, &copy, 0, 4);
        let commands = encoder.finish();
        let start = Instant::now();
        queue.submit([commands]);
        wait();
        start.elapsed().as_secs_f64()
    };
    let runs: Vec<f64> = (0..20).map(run).collect();
    copy.map_async(wgpu::MapMode::Read, .., |result| {
        result.unwrap_or_else(|error| panic!("{error}"));
    });
    wait();
    let counted: Vec<u32> = bytemuck::pod_collect_to_vec(&copy.get_mapped_range(..));
    assert_eq!(counted, [20 * LAUNCHES]);
    println!(
        "{:>9.2}  microseconds for each of {LAUNCHES} dependent dispatches of one thread",
        1e6 * median(runs.into_iter()) / f64::from(LAUNCHES)
    );
}

fn table(profile: &Profile, engine: impl Fn(&EngineSetup<'_>) -> FusedEngine) {
    let Profile {
        name,
        model,
        images,
        batch,
        steps: [warm_up, timed],
    } = profile;
    let mut engine = engine(&EngineSetup::new(
        model,
        &Weights::initial(model, 0),
        OptimizerConfig::new(Optimizer::Adam),
        0,
    ));
    engine
        .train_on(images.clone())
        .unwrap_or_else(|error| panic!("{error}"));
    let steps: Vec<Vec<(&str, f64)>> = (0..warm_up + timed)
        .map(|step| {
            let order = Generator::new(0, Stream::Shuffle);
            let rows = order.permutation(step as u64, images.count as u32);
            let rows = &rows[..(*batch).min(images.count)];
            let times = engine.time_step(rows, &Step::plain(step as u64, 1e-3));
            times.unwrap_or_else(|error| panic!("{error}"))
        })
        .skip(*warm_up)
        .collect();
    if steps[0].is_empty() {
        println!("skipped: the adapter has no timestamps");
        return;
    }
    let losses = engine.take_losses(Wait::ForAll);
    let losses = losses.unwrap_or_else(|error| panic!("{error}"));
    let (first, last) = (losses[0].loss, losses[losses.len() - 1].loss);
    assert!(last < 0.8 * first, "the loss went from {first} to {last}");

    let traffic = engine.traffic(*batch);
    println!(
        "{name}, batch {batch}: microseconds, medians of {timed} steps, {} kernels a step; on a large GPU {} dispatches that read and write {:.1} MB",
        steps[0].len(),
        traffic.dispatches,
        traffic.bytes as f64 / 1e6
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
        1e6 * queued(&mut engine, *batch, *warm_up)
    );
}

/// Seconds per step for many queued steps, as in training: the minimum of five runs.
fn queued(engine: &mut FusedEngine, batch: usize, steps: usize) -> f64 {
    let rows: Vec<u32> = (0..batch as u32).collect();
    let run = |_| {
        let start = Instant::now();
        for step in 0..steps {
            engine
                .train_step(&rows, &Step::plain(step as u64, 1e-3))
                .unwrap_or_else(|error| panic!("{error}"));
        }
        engine
            .take_losses(Wait::ForAll)
            .unwrap_or_else(|error| panic!("{error}"));
        start.elapsed().as_secs_f64() / steps as f64
    };
    (0..5).map(run).fold(f64::INFINITY, f64::min)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
