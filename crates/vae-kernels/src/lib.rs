//! Compute shaders and what launches them: opening a GPU, and `sample_kl`, the fused reparameterised sample and KL
//! divergence, as an operation over burn's backends. [`convolution`] is another, for the CPU.
//!
//! The fused engine's step program is here too: [`program`] is the list of passes as plain data, [`executor`] what runs one:
//! [`cpu`] or [`gpu`].
//!
//! The op's shaders are `shaders/sample_kl_*.wgsl`, those of the passes `shaders/step/<stem>.wgsl`; the plain reference or the
//! twin that each must equal is here. Nothing here knows a network or a file.

pub mod convolution;
pub mod cpu;
pub mod executor;
pub mod gpu;
pub mod program;
pub mod sample_kl;
