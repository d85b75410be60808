//! `sample_kl` forward and backward: the fused kernel against plain tensor operations, by batch and latent size.
//!
//! On a machine without a GPU the wgpu rows are skipped: a software adapter says nothing about speed.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;

use burn::tensor::{Tensor, backend::AutodiffBackend};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArrayDevice;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vae_burn::Cpu;
use vae_burn::sample_kl::{SampleKl, reference, sample_kl};
use vae_burn_wgpu::Shaders;
use vae_kernels::gpu::{self, GraphicsApi};
use vae_rng::{Generator, Noise, Stream};

const SIZES: [[usize; 2]; 4] = [[100, 2], [128, 20], [1024, 64], [8192, 256]];
/// On a GPU also matrices of 67 MB, which fit no GPU's cache: their time is that of its memory.
const LARGE: [usize; 2] = [65_536, 256];

type Op<B> = fn(Tensor<B, 2>, Tensor<B, 2>, Noise) -> (Tensor<B, 2>, Tensor<B, 1>);

fn fused<B: SampleKl>(
    mu: Tensor<B, 2>,
    log_var: Tensor<B, 2>,
    noise: Noise,
) -> (Tensor<B, 2>, Tensor<B, 1>) {
    sample_kl(mu, log_var, noise)
}

fn plain<B: SampleKl>(
    mu: Tensor<B, 2>,
    log_var: Tensor<B, 2>,
    noise: Noise,
) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let latent = mu.dims()[1];
    let packed = reference::forward(mu, log_var, noise);
    (
        packed.clone().narrow(1, 0, latent),
        packed.narrow(1, latent, 1).squeeze_dim(1),
    )
}

/// One forward and backward pass; returns the loss, so that the device has to finish.
fn pass<B: AutodiffBackend>(op: Op<B>, inputs: &[Tensor<B, 2>; 2], step: u64) -> f32 {
    let [mu, log_var] = inputs.clone();
    let noise = Noise {
        generator: Generator::new(0, Stream::Noise),
        step,
        first_row: 0,
    };
    let (z, kl) = op(mu.clone(), log_var.clone(), noise);
    let loss = z.square().mean() + kl.mean();
    let gradients = loss.backward();
    let gradients =
        [mu, log_var].map(|input| input.grad(&gradients).map(|gradient| gradient.abs().sum()));
    let total = gradients
        .into_iter()
        .flatten()
        .fold(loss.inner(), |sum, gradient| sum + gradient);
    total.into_data().iter::<f32>().next().unwrap_or(f32::NAN)
}

fn backend<B: AutodiffBackend<InnerBackend: SampleKl> + SampleKl>(
    c: &mut Criterion,
    name: &str,
    device: &B::Device,
    sizes: impl Iterator<Item = [usize; 2]>,
) {
    let mut group = c.benchmark_group(format!("sample_kl/{name}"));
    for [batch, latent] in sizes {
        let inputs = [1, 2].map(|step| {
            let values = Generator::new(0, Stream::Init).normals(step, 0, batch, latent);
            Tensor::<B, 1>::from_floats(&values[..], device)
                .reshape([batch, latent])
                .require_grad()
        });
        let (expected, found) = (pass(plain::<B>, &inputs, 0), pass(fused::<B>, &inputs, 0));
        assert!(
            (found / expected - 1.0).abs() < 1e-3,
            "fused {found}, plain {expected}"
        );
        group.throughput(Throughput::Elements((batch * latent) as u64));
        for (form, op) in [("fused", fused::<B> as Op<B>), ("plain", plain::<B>)] {
            let mut step = 0;
            group.bench_function(BenchmarkId::new(form, format!("{batch}x{latent}")), |b| {
                b.iter(|| {
                    step += 1;
                    black_box(pass(op, &inputs, step))
                });
            });
        }
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    let sizes = SIZES.into_iter();
    backend::<Autodiff<Cpu>>(c, "ndarray", &NdArrayDevice::Cpu, sizes.clone());
    match gpu::Gpu::open(GraphicsApi::Any) {
        Ok(gpu) if gpu.report.is_hardware() => {
            let device = vae_burn_wgpu::device(&gpu);
            backend::<Autodiff<Shaders>>(c, "wgpu", &device, sizes.chain([LARGE]));
        }
        _ => println!("skipped: sample_kl/wgpu: no hardware adapter"),
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
