//! The burn engine on a GPU. A crate of its own for the compiler alone: what burn makes of its kernels for a GPU is half of the
//! program's code, is compiled beside the same for the CPU (`vae-burn`), and for its size instead of its speed.

mod guarded;

use std::sync::{Mutex, PoisonError};

use burn_autodiff::Autodiff;
use burn_wgpu::{RuntimeOptions, Wgpu, WgpuDevice, WgpuSetup};
use vae_burn::BurnEngine;
use vae_kernels::gpu::{Gpu, GpuId};
use vae_spec::{Engine, EngineSetup};

use guarded::Guarded;

/// The GPU backend.
pub type Shaders = Wgpu<f32, i32, u32>;

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
