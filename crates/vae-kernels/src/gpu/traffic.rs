//! What a training step asks of a GPU, counted without one.

use super::cost::Cores;
use super::gradients::Parts;
use super::kernel::{self, Lowering, Place};
use crate::executor::TrainingProgram;
use crate::program::{MatrixId, Pass, Update};

/// Storage buffers that a kernel may bind on GPUs of today; WebGPU promises 8.
const BINDINGS: usize = 64;

/// A training step on a large discrete GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Kernels that run one after the other.
    pub dispatches: usize,
    /// Bytes that they read and write, if each reads every number of its matrices and of its layers' parameters once. Tiles read some
    /// again, most of them from a cache.
    pub bytes: usize,
}

impl Traffic {
    /// Of a step on `batch` rows with `length` parameters.
    #[must_use]
    pub fn of(training: &TrainingProgram, update: Update, length: usize, batch: usize) -> Self {
        let program = &training.program;
        let gradients = Parts::choose(program, batch, Cores::LARGE, BINDINGS, length, u64::MAX);
        let lowering = Lowering {
            program,
            batch,
            cores: Cores::LARGE,
            bindings: BINDINGS,
            losses: &training.terms,
            gradients,
        };
        let mut kernels = kernel::of_program(lowering);
        let of_matrices = kernels.iter().flat_map(|kernel| &kernel.bindings);
        let of_matrices = of_matrices.map(|(_, place)| match *place {
            Place::Matrix(MatrixId(matrix)) => program.length(MatrixId(matrix), batch),
            _ => 0,
        });
        let matrices: usize = of_matrices.sum();
        let of_layers = program.passes.iter().map(|pass| match pass {
            Pass::DenseBackwardParameters { .. } | Pass::ConvolveBackwardWeight { .. } => {
                gradients.count * pass.parameters()
            }
            _ => pass.parameters(),
        });
        let layers: usize = of_layers.sum();
        // The gradients are read; parameters and moments are read and written.
        let updated = gradients.count + 2 + 2 * update.moments();
        kernels.extend(kernel::update(update, length, Place::Gradients, gradients));
        Self {
            dispatches: kernels.len(),
            bytes: (matrices + layers + updated * length) * size_of::<f32>(),
        }
    }
}
