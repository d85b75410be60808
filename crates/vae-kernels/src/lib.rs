//! Step programs and their executors: compute shaders on a GPU, their twins on the CPU.
//!
//! [`program`] is the list of passes as plain data, [`executor`] the trait that [`cpu`] and [`gpu`] implement; the passes'
//! shaders are `shaders/step/<stem>.wgsl`. [`sample_kl`] is the shader text of the fused reparameterised sample as an operation
//! for other engines. Nothing here knows a network or a file.

pub mod cpu;
pub mod executor;
pub mod gpu;
pub mod program;
pub mod sample_kl;
