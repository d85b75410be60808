//! The burn engine: the model trained through burn's autodiff, on any of its backends, here on the CPU (`ndarray`);
//! `vae-burn-wgpu` is the same on a GPU.
//!
//! These two are the places where the generic model code meets concrete backends. They take minutes to compile and seldom change, so
//! they are crates of their own and give out engines as [`Engine`] trait objects: everything above them rebuilds in seconds.

mod convolution;
mod engine;
mod optimizer;
pub mod sample_kl;

use burn_autodiff::Autodiff;
use burn_ndarray::{NdArray, NdArrayDevice};
use vae_spec::{Engine, EngineSetup};

pub use engine::BurnEngine;

/// The CPU backend: the reference that everything else is compared with.
pub type Cpu = NdArray<f32, i32>;

/// An engine on the CPU.
#[must_use]
pub fn ndarray(setup: &EngineSetup<'_>) -> Box<dyn Engine> {
    Box::new(BurnEngine::<Autodiff<Cpu>>::new(setup, NdArrayDevice::Cpu))
}
