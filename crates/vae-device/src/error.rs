//! Why a device cannot compute a model.

use vae_kernels::gpu::GpuError;
use vae_spec::EngineError;

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No GPU could be opened.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The fused engine was asked for and cannot run the model.
    #[error("engine fused: {0}; without --engine fused, burn takes over")]
    NotFused(String),
    /// The model or the batch does not fit the device.
    #[error(
        "{tensor}: {bytes} bytes, but {device} allows {limit} in one tensor; {advice} a smaller --hidden or --batch-size, or \
         --backend cpu"
    )]
    TooLarge {
        /// The tensor.
        tensor: String,
        /// Its size, bytes.
        bytes: u64,
        /// What fits, if anything.
        advice: String,
        /// The device's name.
        device: String,
        /// Its limit, bytes.
        limit: u64,
    },
}
