//! Shared by several test modules: the GPU or a visible skip, the distance between results, and the loss in plain loops.

pub(crate) mod plain_loss;
pub(crate) mod playground;
pub(crate) mod program;
pub(crate) mod variants;

use std::sync::OnceLock;

use vae_fused::FusedEngine;
use vae_kernels::gpu::{Gpu, GraphicsApi};
use vae_rng::{Generator, Stream};
use vae_spec::{Engine, EngineSetup};

/// An open GPU, software or hardware, once for the whole process, or `None` with a visible skip; `VAE_GPU_TESTS=require`
/// makes the skip a failure.
pub(crate) fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(open).as_ref()
}

/// The same, treated as a GPU with a single core.
pub(crate) fn gpu_with_one_core() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| open().map(Gpu::with_one_core)).as_ref()
}

fn open() -> Option<Gpu> {
    match Gpu::open(GraphicsApi::Any) {
        Ok(gpu) => Some(gpu.with_checked_shaders()),
        Err(error) => {
            let required =
                std::env::var_os("VAE_GPU_TESTS").is_some_and(|value| value == "require");
            assert!(!required, "VAE_GPU_TESTS=require, but {error}");
            eprintln!("skipped: no adapter ({error})");
            None
        }
    }
}

/// Engine and backend that run a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// burn on ndarray.
    Ndarray,
    /// burn on wgpu.
    Wgpu,
    /// The fused engine on the CPU.
    Cpu,
    /// The fused engine on wgpu.
    FusedWgpu,
}

impl Route {
    /// Every route available on this machine except burn on ndarray, the reference.
    pub(crate) fn others() -> Vec<Self> {
        let mut routes = vec![Self::Cpu];
        if gpu().is_some() {
            routes.extend([Self::Wgpu, Self::FusedWgpu]);
        }
        routes
    }

    /// Every available route, including the reference.
    pub(crate) fn all() -> Vec<Self> {
        [vec![Self::Ndarray], Self::others()].concat()
    }

    pub(crate) fn engine(self, setup: &EngineSetup<'_>) -> Box<dyn Engine> {
        let gpu = || gpu().expect("a route of this machine");
        match self {
            Self::Ndarray => vae_burn::ndarray(setup),
            Self::Wgpu => vae_burn_wgpu::wgpu(setup, gpu()),
            Self::Cpu => Box::new(FusedEngine::cpu(setup)),
            Self::FusedWgpu => Box::new(FusedEngine::gpu(setup, gpu()).expect("a working device")),
        }
    }
}

/// Bytes as [`Engine::train_on`] takes them: noisy stripes, every fifth column bright, the following ones increasingly darker.
pub(crate) fn stripes(count: usize, pixels: usize) -> Vec<u8> {
    let uniforms = Generator::new(0, Stream::Shuffle).uniforms(0, 0, count, pixels);
    let pixels = uniforms.iter().enumerate();
    pixels
        .map(|(index, u)| ((0.5 + 0.5 * u) * (index % 5) as f32 / 4.0 * 255.0) as u8)
        .collect()
}

/// The largest distance between `found` and `expected` in units of the tolerance of each element: at most 1 counts as equal.
/// Panics if there is nothing to compare or a value is NaN or infinite.
pub(crate) fn distance(found: &[f32], expected: &[f32], tolerance: impl Fn(usize) -> f32) -> f32 {
    assert!(!expected.is_empty(), "nothing was compared");
    assert_eq!(found.len(), expected.len());
    let each = found
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(index, (found, expected))| {
            assert!(
                found.is_finite() && expected.is_finite(),
                "index {index}: {found} against {expected}"
            );
            (found - expected).abs() / tolerance(index)
        });
    each.fold(0.0, f32::max)
}
