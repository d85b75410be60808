//! What several subjects share: the GPU or a visible skip, the measure of closeness, and the loss in plain loops.

pub(crate) mod plain_loss;

use std::sync::OnceLock;

use burn_wgpu::WgpuDevice;
use vae_kernels::gpu::{Gpu, GraphicsApi};
use vae_model::{Engine, EngineSetup};
use vae_train::FusedEngine;

/// An open GPU, software or hardware, or `None` with a visible skip; `VAE_GPU_TESTS=require` makes the skip a failure.
pub(crate) fn open_gpu() -> Option<Gpu> {
    match Gpu::open(GraphicsApi::Any) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let required =
                std::env::var_os("VAE_GPU_TESTS").is_some_and(|value| value == "require");
            assert!(!required, "VAE_GPU_TESTS=require, but {error}");
            eprintln!("skipped: no adapter ({error})");
            None
        }
    }
}

/// The same, handed to burn once for the whole process.
pub(crate) fn burn_device() -> Option<WgpuDevice> {
    static DEVICE: OnceLock<Option<WgpuDevice>> = OnceLock::new();
    DEVICE
        .get_or_init(|| open_gpu().map(Gpu::into_burn_device))
        .clone()
}

/// Who executes a model.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// burn on ndarray.
    Ndarray,
    /// burn on wgpu.
    Wgpu(WgpuDevice),
    /// The fused engine on the CPU.
    Cpu,
}

impl Route {
    /// Every route that this machine has but burn on ndarray, the reference.
    pub(crate) fn others() -> Vec<Self> {
        burn_device()
            .map(Self::Wgpu)
            .into_iter()
            .chain([Self::Cpu])
            .collect()
    }

    pub(crate) fn engine(&self, setup: &EngineSetup<'_>) -> Box<dyn Engine> {
        match self {
            Self::Ndarray => vae_burn::ndarray(setup).expect("its own weights"),
            Self::Wgpu(device) => vae_burn::wgpu(setup, device).expect("its own weights"),
            Self::Cpu => Box::new(FusedEngine::new(setup)),
        }
    }
}

/// The largest distance between `found` and `expected` in units of the tolerance of each element: at most 1 is equal.
/// Panics where there is nothing to compare or something not finite.
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
