//! The burn engine: the model trained through burn's autodiff, on the CPU (`ndarray`) or on a GPU (`wgpu`).
//!
//! This is the one place where the generic model code meets concrete backends. It takes minutes to compile and seldom changes, so
//! it is a crate of its own and gives out engines as [`Engine`] trait objects: everything above it rebuilds in seconds.

mod convolution;
mod engine;
mod guarded;
mod optimizer;
pub mod sample_kl;

use std::sync::{Mutex, PoisonError};

use burn_autodiff::Autodiff;
use burn_ndarray::{NdArray, NdArrayDevice};
use burn_wgpu::{RuntimeOptions, Wgpu, WgpuDevice, WgpuSetup};
use vae_kernels::gpu::{Gpu, GpuId};
use vae_spec::{Engine, EngineSetup};

pub use engine::BurnEngine;
use guarded::Guarded;

/// The CPU backend: the reference that everything else is compared with.
pub type Cpu = NdArray<f32, i32>;
/// The GPU backend.
pub type Shaders = Wgpu<f32, i32, u32>;

/// An engine on the CPU.
#[must_use]
pub fn ndarray(setup: &EngineSetup<'_>) -> Box<dyn Engine> {
    Box::new(BurnEngine::<Autodiff<Cpu>>::new(setup, NdArrayDevice::Cpu))
}

/// An engine on a GPU.
#[must_use]
pub fn wgpu(setup: &EngineSetup<'_>, gpu: &Gpu) -> Box<dyn Engine> {
    let engine = BurnEngine::<Autodiff<Shaders>>::new(setup, device(gpu));
    let (device, _) = gpu.device_and_queue();
    Box::new(Guarded::new(Box::new(engine), device, gpu.failure()))
}

/// `gpu` as a burn device, with a memory pool of its own; the same one at every call.
#[must_use]
pub fn device(gpu: &Gpu) -> WgpuDevice {
    static KNOWN: Mutex<Vec<(GpuId, WgpuDevice)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, same)) = known.iter().find(|(known, _)| *known == gpu.id()) {
        return same.clone();
    }
    let (device, queue) = gpu.device_and_queue();
    let (instance, adapter) = gpu.instance_and_adapter();
    let setup = WgpuSetup {
        instance: instance.clone(),
        adapter: adapter.clone(),
        device: device.clone(),
        queue: queue.clone(),
        backend: adapter.get_info().backend,
    };
    let new = burn_wgpu::init_device(setup, RuntimeOptions::default());
    known.push((gpu.id(), new.clone()));
    new
}
