//! Compute shaders and what launches them: opening a GPU, and `sample_kl`, the fused reparameterised sample and KL
//! divergence, as an operation over burn's backends.
//!
//! The fused engine's step program is here too: [`program`] is the list of passes as plain data, [`executor`] what runs one:
//! [`cpu`] or [`gpu`].
//!
//! A shader lives in `shaders/<stem>.wgsl`; the module of the same stem here holds its launch code and the plain-tensor
//! reference that it must equal. Nothing here knows a network or a file.

pub mod cpu;
pub mod executor;
pub mod gpu;
pub mod program;
pub mod sample_kl;
