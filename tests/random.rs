//! `shaders/random.wgsl` against `vae-rng`: bit-identical integers, normals equal up to rounding.

use vae_kernels::gpu::Gpu;
use vae_rng::{Generator, Stream, normals_of_block, philox4x32_10};

use crate::common::{distance, gpu};

const BLOCKS: usize = 4096;

/// Entry point: each thread writes one block and its four normals.
const ENTRY: &str = "
struct Counter { key: vec2<u32>, step: vec2<u32> }
@group(0) @binding(0) var<storage, read_write> counter: Counter;
@group(0) @binding(1) var<storage, read_write> words: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> normals: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = philox4x32_10(vec4<u32>(id.x % 64u, id.x / 64u, counter.step), counter.key);
    words[id.x] = block;
    normals[id.x] = normals_of_block(block);
}";

/// The 64-bit product of two words on any GPU.
const PRODUCT: &str = include_str!("../shaders/multiply.wgsl");
/// The same where integers have 64 bits.
const PRODUCT_INT64: &str = include_str!("../shaders/multiply_int64.wgsl");

/// The products that `gpu` can compute.
fn products(gpu: &Gpu) -> Vec<&'static str> {
    let (device, _) = gpu.device_and_queue();
    let has_int64 = device.features().contains(wgpu::Features::SHADER_INT64);
    let int64 = has_int64.then_some(PRODUCT_INT64);
    if int64.is_none() {
        eprintln!("skipped: 64-bit integers, which this adapter does not have");
    }
    [PRODUCT].into_iter().chain(int64).collect()
}

/// The words and normals of `generator` at `step`, rows of 64 blocks, as the GPU computes them with this `product`.
fn on_gpu(gpu: &Gpu, product: &str, key: [u32; 2], step: u64) -> (Vec<u32>, Vec<f32>) {
    use wgpu::{BufferUsages, util::DeviceExt};
    let (device, queue) = gpu.device_and_queue();
    let source = [product, include_str!("../shaders/random.wgsl"), ENTRY].concat();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let bytes = 16 * BLOCKS as u64;
    let counter = [key[0], key[1], step as u32, (step >> 32) as u32];
    let counter = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: None,
        contents: bytemuck::cast_slice(&counter),
        usage: BufferUsages::STORAGE,
    });
    let buffer = |usage, size| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let outputs = [(); 2].map(|()| buffer(BufferUsages::STORAGE | BufferUsages::COPY_SRC, bytes));
    let read = buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST, 2 * bytes);
    let entries = [(0, &counter), (1, &outputs[0]), (2, &outputs[1])].map(|(binding, buffer)| {
        wgpu::BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        }
    });
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups(BLOCKS as u32 / 64, 1, 1);
    drop(pass);
    for (index, output) in outputs.iter().enumerate() {
        encoder.copy_buffer_to_buffer(output, 0, &read, index as u64 * bytes, bytes);
    }
    queue.submit([encoder.finish()]);
    read.map_async(wgpu::MapMode::Read, .., |result| {
        result.expect("a mapped buffer");
    });
    device
        .poll(wgpu::PollType::wait_indefinitely())
        .expect("a working device");
    let data = read.get_mapped_range(..).to_vec();
    let (words, normals) = data.split_at(bytes as usize);
    (
        bytemuck::cast_slice(words).to_vec(),
        bytemuck::cast_slice(normals).to_vec(),
    )
}

/// The same words and normals computed on the CPU.
fn on_cpu(generator: Generator, step: u64) -> (Vec<u32>, Vec<f32>) {
    let blocks = (0..BLOCKS as u32).map(|id| generator.block(step, id / 64, id % 64));
    (
        blocks.clone().flatten().collect(),
        blocks.flat_map(normals_of_block).collect(),
    )
}

#[test]
fn wgsl_draws_the_integers_and_normals_of_rust() {
    let Some(gpu) = gpu() else { return };
    let cases = [(0, 0), (7, 3), (u64::MAX, 1 << 40)];
    let cases = cases.map(|case| {
        products(gpu)
            .into_iter()
            .map(move |product| (case, product))
    });
    for ((seed, step), product) in cases.into_iter().flatten() {
        let generator = Generator::new(seed, Stream::Noise);
        let (words, normals) = on_gpu(gpu, product, generator.key(), step);
        let (expected_words, expected_normals) = on_cpu(generator, step);
        assert_eq!(words, expected_words);
        // Radius: up to 5.77, whose square root halves the 4 + 3 roundings of the logarithm and adds 3 of its own; sine and
        // cosine: 4 roundings of 1. With fused or separate multiply-adds that is at most 5.77 * 12 * 2^-24.
        let worst = distance(&normals, &expected_normals, |_| 4.2e-6);
        assert!(worst <= 1.0, "{worst} tolerances");
    }
}

#[test]
fn a_philox_with_one_round_less_or_a_swapped_key_is_told_apart() {
    let generator = Generator::new(7, Stream::Noise);
    let [low, high] = generator.key();
    assert_ne!(
        philox4x32_10([0, 0, 3, 0], [high, low]),
        generator.block(3, 0, 0)
    );
    let Some(gpu) = gpu() else { return };
    let (words, normals) = on_gpu(gpu, PRODUCT, [high, low], 3);
    let (expected_words, expected_normals) = on_cpu(generator, 3);
    assert_ne!(words, expected_words);
    assert!(distance(&normals, &expected_normals, |_| 4.2e-6) > 1000.0);
}

#[test]
fn a_product_that_loses_a_carry_is_told_apart() {
    let Some(gpu) = gpu() else { return };
    let wrong = PRODUCT.replace(" + (low_high >> 16u)", "");
    assert_ne!(wrong, PRODUCT);
    let generator = Generator::new(7, Stream::Noise);
    let (words, _) = on_gpu(gpu, &wrong, generator.key(), 3);
    assert_ne!(words, on_cpu(generator, 3).0);
}
