//! The kernels of a program as plain data with their whole texts, for a page that runs them through WebGPU: the same files in
//! `shaders/`, with the same choices filled in, as on a device of this program.

use serde::Serialize;

use super::cost::Cores;
use super::gradients::Parts;
use super::kernel::{self, Access, Lowering, Place};
use crate::program::Program;

/// Storage buffers that a kernel may bind everywhere: WebGPU's default limit.
const BINDINGS: usize = 8;

/// A kernel, which is one dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortableKernel {
    /// Name of its file.
    pub stem: &'static str,
    /// Its text; the entry point is `main`.
    pub text: String,
    /// The uniform of binding 0.
    pub sizes: [u32; 4],
    /// What is behind binding 1 and on.
    pub bindings: Vec<Bound>,
    /// Workgroups in each dimension.
    pub workgroups: [u32; 3],
}

/// A buffer behind a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Index of the matrix; `None` for the parameters.
    pub matrix: Option<usize>,
    /// Whether the kernel writes it.
    pub is_written: bool,
}

/// The kernels of `program` for `batch` rows, whose matrices and parameters are all that it binds; `None` if it needs more, as
/// training does.
#[must_use]
pub fn portable_kernels(program: &Program, batch: usize) -> Option<Vec<PortableKernel>> {
    let kernels = kernel::of_program(Lowering {
        program,
        batch,
        cores: Cores::SMALL,
        bindings: BINDINGS,
        losses: &[],
        gradients: Parts::new(1, 0),
    });
    let portable = kernels.into_iter().map(|kernel| {
        let bound = |&(access, place): &(Access, Place)| {
            let matrix = match place {
                Place::Matrix(matrix) => Some(matrix.0),
                Place::Parameters => None,
                _ => return None,
            };
            Some(Bound {
                matrix,
                is_written: access == Access::Write,
            })
        };
        let bindings = kernel.bindings.iter().map(bound).collect::<Option<_>>()?;
        (!kernel.takes_step).then_some(PortableKernel {
            stem: kernel.stem,
            text: kernel.source,
            sizes: kernel.sizes,
            bindings,
            workgroups: kernel.workgroups,
        })
    });
    portable.collect()
}
