//! GPUs: finding and opening one, and the executor that runs step programs on it as compute shaders.

mod adapter;
mod bottleneck;
mod cost;
mod executor;
mod gradients;
mod kernel;
mod link;
mod portable;
mod prepared;
mod source;
mod step;
mod tile;
mod traffic;

pub use adapter::{AdapterReport, Failure, Gpu, GpuError, GpuId, GraphicsApi, adapters};
pub use executor::GpuExecutor;
pub use portable::{Bound, PortableKernel, portable_kernels};
pub(crate) use source::{OP_BACKWARD, OP_FORWARD, OP_FORWARD_INT64};
#[cfg(test)]
pub(crate) use source::{valid, valid_with};
pub use traffic::Traffic;
