//! Lowers programs and updates to dispatches, with the buffers that they need, cached for the next time.

use std::rc::Rc;

use wgpu::Buffer;

use super::GpuExecutor;
use crate::executor::TrainingProgram;
use crate::gpu::gradients::Parts;
use crate::gpu::kernel::{self, Lowering, Place};
use crate::gpu::prepared::Dispatch;
use crate::program::{self, Program, Update};

/// Number of programs, each at some batch size, whose matrices are cached; only tests use more.
const KEPT: usize = 6;

/// What the kernels of an update depend on: the choices of [`kernel::update_choices`] and the parts of the gradients.
pub(super) type UpdateKey = (Vec<&'static str>, Parts);

/// A program at some batch size, with its matrices and kernels.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) program: Program,
    pub(super) batch: usize,
    /// Whether the kernels also sum the losses.
    pub(super) is_training: bool,
    pub(super) gradients: Parts,
    pub(super) matrices: Vec<Buffer>,
    pub(super) dispatches: Vec<Dispatch>,
}

impl GpuExecutor {
    /// `program` at `batch` rows; if it is that of `training`, its kernels also sum its losses.
    pub(super) fn prepare(
        &mut self,
        program: &Program,
        batch: usize,
        training: Option<&TrainingProgram>,
    ) -> Rc<Prepared> {
        let is_training = training.is_some();
        let is_same = |prepared: &&Rc<Prepared>| {
            (prepared.batch, prepared.is_training) == (batch, is_training)
                && prepared.program == *program
        };
        if let Some(prepared) = self.prepared.iter().find(is_same) {
            return Rc::clone(prepared);
        }
        if self.prepared.len() == KEPT {
            self.prepared.pop_front();
        }
        let limits = self.link.device.limits();
        let bindings = limits.max_storage_buffers_per_shader_stage as usize;
        // Only a step's update sums the parts.
        let gradients = if is_training {
            let bytes = limits.max_storage_buffer_binding_size;
            Parts::choose(program, batch, self.cores, bindings, self.length, bytes)
        } else {
            Parts::new(1, self.length)
        };
        self.make_room_for(gradients);
        let matrix = |columns| self.link.storage(batch * columns * size_of::<f32>());
        let matrices: Vec<Buffer> = program.columns.iter().copied().map(matrix).collect();
        let kernels = kernel::of_program(Lowering {
            program,
            batch,
            cores: self.cores,
            bindings,
            losses: training.map(|training| [training.recon, training.kl]),
            gradients,
        });
        let dispatches = self.dispatches(&kernels, &matrices);
        let prepared = Rc::new(Prepared {
            program: program.clone(),
            batch,
            is_training,
            gradients,
            matrices,
            dispatches,
        });
        self.prepared.push_back(Rc::clone(&prepared));
        prepared
    }

    pub(super) fn dispatches(
        &mut self,
        kernels: &[kernel::Kernel],
        matrices: &[Buffer],
    ) -> Vec<Dispatch> {
        let Self {
            pipelines,
            parameters,
            gradients,
            moments,
            square_sums,
            images,
            rows,
            losses,
            ..
        } = self;
        let buffer = |place| match place {
            Place::Matrix(program::MatrixId(index)) => &matrices[index],
            Place::Parameters => &*parameters,
            Place::Gradients => &*gradients,
            Place::Moments => &*moments,
            Place::Images => &images.buffer,
            Place::Labels => &images.labels,
            Place::Rows => &*rows,
            Place::Losses => &*losses,
            Place::SquareSums => &*square_sums,
        };
        pipelines.make(kernels);
        let kernels = kernels.iter();
        kernels
            .map(|kernel| pipelines.dispatch(kernel, buffer))
            .collect()
    }

    /// The kernels of `update`, whatever its constants, for gradients in `parts`.
    pub(super) fn prepare_update(&mut self, update: Update, parts: Parts) -> Rc<[Dispatch]> {
        let key = (kernel::update_choices(&update), parts);
        if let Some((_, dispatches)) = self.updates.iter().find(|(made, _)| *made == key) {
            return Rc::clone(dispatches);
        }
        let bytes = update.moments() * self.length * size_of::<f32>();
        assert!(
            bytes as u64 <= self.moments.size(),
            "too few moments for {update:?}"
        );
        let dispatches: Rc<[Dispatch]> = self
            .dispatches(&kernel::update(update, self.length, parts), &[])
            .into();
        self.updates.push((key, Rc::clone(&dispatches)));
        dispatches
    }

    /// Grows the buffer of the gradients to hold `parts`.
    pub(super) fn make_room_for(&mut self, parts: Parts) {
        let bytes = parts.length() * size_of::<f32>();
        if self.gradients.size() < bytes as u64 {
            self.gradients = self.link.storage(bytes);
            self.prepared.clear();
            self.updates.clear();
        }
    }
}
