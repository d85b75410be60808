//! The burn engine: the model trained through burn's autodiff, on the CPU (`ndarray`) or on a GPU (`wgpu`).
//!
//! This is the one place where the generic model code meets concrete backends. It compiles for minutes and seldom
//! changes, so it is a crate of its own and gives out only [`Engine`] trait objects: everything above it rebuilds in
//! seconds.

mod engine;
mod optimizer;

use burn_autodiff::Autodiff;
use burn_ndarray::{NdArray, NdArrayDevice};
use burn_wgpu::Wgpu;
use vae_kernels::gpu::{Failure, Gpu};
use vae_spec::{Engine, EngineSetup};

pub use engine::BurnEngine;

/// The CPU backend: the reference that everything else is compared with.
pub type Cpu = NdArray<f32, i32>;
/// The GPU backend.
pub type Shaders = Wgpu<f32, i32, u32>;

/// An engine on the CPU.
#[must_use]
pub fn ndarray(setup: &EngineSetup<'_>) -> Box<dyn Engine> {
    Box::new(BurnEngine::<Autodiff<Cpu>>::new(
        setup,
        NdArrayDevice::Cpu,
        Failure::default(),
    ))
}

/// An engine on a GPU.
#[must_use]
pub fn wgpu(setup: &EngineSetup<'_>, gpu: &Gpu) -> Box<dyn Engine> {
    Box::new(BurnEngine::<Autodiff<Shaders>>::new(
        setup,
        gpu.burn_device(),
        gpu.failure(),
    ))
}
