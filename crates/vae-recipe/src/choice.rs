//! Choice of backend and engine.

use serde::{Deserialize, Serialize};

/// Backend chosen with `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// A hardware GPU if there is one, else the CPU.
    Auto,
    /// A GPU through whichever interface reaches the best adapter.
    Wgpu,
    /// A GPU through Vulkan.
    Vulkan,
    /// A GPU through Metal.
    Metal,
    /// A GPU through DirectX 12.
    Dx12,
    /// The CPU, through the fused engine.
    Cpu,
    /// The CPU, through burn's ndarray backend: slower, and the reference for everything else.
    Ndarray,
}

/// Engine chosen with `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The fused engine if it can run the model, else burn.
    Auto,
    /// burn's autodiff.
    Burn,
    /// The fused step program.
    Fused,
}
