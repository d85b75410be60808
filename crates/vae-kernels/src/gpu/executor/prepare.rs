//! Lowers programs and updates to dispatches, with the buffers that they need, cached for the next time.

use std::rc::Rc;

use wgpu::Buffer;

use super::GpuExecutor;
use crate::executor::{ExecutorError, TrainingProgram};
use crate::gpu::gradients::Parts;
use crate::gpu::kernel::{self, Lowering, Place};
use crate::gpu::link::Link;
use crate::gpu::prepared::Dispatch;
use crate::program::{MatrixId, Places, Program, Touched, Update};

/// Number of programs, each at some batch size, whose matrices are cached; only tests use more.
const KEPT: usize = 6;

/// What is done with the gradients of a piece of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Then {
    /// They are added to those of the pieces before, if there are any.
    Accumulate {
        /// Whether there are none.
        is_first: bool,
    },
    /// They update the parameters: those of a batch in one piece, or those added up.
    Update {
        /// The choices of [`kernel::update_choices`].
        choices: Vec<&'static str>,
        /// Whether they are those added up.
        is_accumulated: bool,
    },
}

/// The matrices of a program at some batch size, in buffers that some of them share.
#[derive(Debug, Default)]
pub(super) struct Matrices {
    buffers: Vec<Buffer>,
    places: Places,
    lengths: Vec<usize>,
}

impl Matrices {
    fn new(
        link: &Link,
        program: &Program,
        batch: usize,
        kernels: &[kernel::Kernel],
        kept: &[MatrixId],
    ) -> Result<Self, ExecutorError> {
        let lengths = program.lengths(batch);
        let steps: Vec<Touched> = kernels.iter().map(kernel::Kernel::touched).collect();
        let places = Places::new(&lengths, &steps, kept);
        let bytes = places.lengths().iter();
        let bytes: Vec<usize> = bytes.map(|length| length * size_of::<f32>()).collect();
        let buffers = link.storages(&bytes);
        Ok(Self {
            buffers: buffers.ok_or_else(|| ExecutorError::OutOfMemory {
                bytes: bytes.iter().sum(),
                rows: batch,
            })?,
            places,
            lengths,
        })
    }

    /// Where a matrix begins its buffer, and its bytes.
    ///
    /// # Panics
    /// If no kernel touches it and it is not kept.
    #[expect(
        clippy::expect_used,
        reason = "a fault of the program, as the trait says"
    )]
    pub(super) fn of(&self, matrix: MatrixId) -> (&Buffer, usize) {
        let place = self.places.of(matrix).expect("a matrix in use");
        let bytes = self.lengths[matrix.0] * size_of::<f32>();
        (&self.buffers[place], bytes)
    }

    fn binding(&self, matrix: MatrixId) -> wgpu::BufferBinding<'_> {
        let (buffer, bytes) = self.of(matrix);
        wgpu::BufferBinding {
            buffer,
            offset: 0,
            size: wgpu::BufferSize::new(bytes as u64),
        }
    }
}

/// A program at some batch size, with its matrices and kernels.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) program: Program,
    pub(super) batch: usize,
    /// Whether the kernels also sum the losses.
    pub(super) is_training: bool,
    kept: Vec<MatrixId>,
    pub(super) gradients: Parts,
    pub(super) matrices: Matrices,
    pub(super) dispatches: Vec<Dispatch>,
}

/// The kernels that follow the gradients of a piece.
#[derive(Debug)]
pub(super) struct Following {
    then: Then,
    /// The parts in which the gradients come.
    parts: Parts,
    dispatches: Rc<[Dispatch]>,
}

impl GpuExecutor {
    /// `program` at `batch` rows; if it is that of `training`, its kernels also sum its losses. Matrices that are `kept` are filled before
    /// it runs or read behind it.
    pub(super) fn prepare(
        &mut self,
        program: &Program,
        batch: usize,
        training: Option<&TrainingProgram>,
        kept: &[MatrixId],
    ) -> Result<Rc<Prepared>, ExecutorError> {
        let is_training = training.is_some();
        let is_same = |prepared: &&Rc<Prepared>| {
            (prepared.batch, prepared.is_training) == (batch, is_training)
                && prepared.kept == kept
                && prepared.program == *program
        };
        if let Some(prepared) = self.prepared.iter().find(is_same) {
            return Ok(Rc::clone(prepared));
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
        let kernels = kernel::of_program(Lowering {
            program,
            batch,
            cores: self.cores,
            bindings,
            losses: training.map_or(&[], |training| &training.terms),
            gradients,
        });
        let matrices = Matrices::new(&self.link, program, batch, &kernels, kept)?;
        let dispatches = self.dispatches(&kernels, &matrices);
        let prepared = Rc::new(Prepared {
            program: program.clone(),
            batch,
            is_training,
            kept: kept.to_vec(),
            gradients,
            matrices,
            dispatches,
        });
        self.prepared.push_back(Rc::clone(&prepared));
        Ok(prepared)
    }

    pub(super) fn dispatches(
        &mut self,
        kernels: &[kernel::Kernel],
        matrices: &Matrices,
    ) -> Vec<Dispatch> {
        let Self {
            pipelines,
            parameters,
            gradients,
            accumulated,
            moments,
            square_sums,
            images,
            rows,
            losses,
            ..
        } = self;
        let arena = |place| match place {
            Place::Matrix(_) | Place::Parameters => &*parameters,
            Place::Gradients => &*gradients,
            Place::Accumulated => &*accumulated,
            Place::Moments => &*moments,
            Place::Images => &images.buffer,
            Place::Labels => &images.labels,
            Place::Rows => &*rows,
            Place::Losses => &*losses,
            Place::SquareSums => &*square_sums,
        };
        let binding = |place| match place {
            Place::Matrix(matrix) => matrices.binding(matrix),
            place => arena(place).as_entire_buffer_binding(),
        };
        pipelines.make(kernels);
        let kernels = kernels.iter();
        kernels
            .map(|kernel| pipelines.dispatch(kernel, binding))
            .collect()
    }

    /// The kernels that add up the gradients of a piece, which come in `parts`.
    pub(super) fn prepare_accumulate(&mut self, is_first: bool, parts: Parts) -> Rc<[Dispatch]> {
        self.make_room_to_accumulate();
        self.prepare_then(Then::Accumulate { is_first }, parts, |length| {
            vec![kernel::accumulate(is_first, length, parts)]
        })
    }

    /// The kernels of `update`, whatever its constants, for gradients in `parts`, or added up.
    pub(super) fn prepare_update(
        &mut self,
        update: Update,
        parts: Parts,
        is_accumulated: bool,
    ) -> Rc<[Dispatch]> {
        let bytes = update.moments() * self.length * size_of::<f32>();
        assert!(
            bytes as u64 <= self.moments.size(),
            "too few moments for {update:?}"
        );
        let (place, parts) = match is_accumulated {
            true => (Place::Accumulated, Parts::new(1, self.length)),
            false => (Place::Gradients, parts),
        };
        let then = Then::Update {
            choices: kernel::update_choices(&update),
            is_accumulated,
        };
        self.prepare_then(then, parts, |length| {
            kernel::update(update, length, place, parts)
        })
    }

    fn prepare_then(
        &mut self,
        then: Then,
        parts: Parts,
        kernels: impl FnOnce(usize) -> Vec<kernel::Kernel>,
    ) -> Rc<[Dispatch]> {
        let is_same = |made: &&Following| made.then == then && made.parts == parts;
        if let Some(made) = self.following.iter().find(is_same) {
            return Rc::clone(&made.dispatches);
        }
        let dispatches: Rc<[Dispatch]> = self
            .dispatches(&kernels(self.length), &Matrices::default())
            .into();
        self.following.push(Following {
            then,
            parts,
            dispatches: Rc::clone(&dispatches),
        });
        dispatches
    }

    /// Makes the buffer of sums of gradients.
    pub(super) fn make_room_to_accumulate(&mut self) {
        let bytes = (self.length * size_of::<f32>()) as u64;
        if self.accumulated.size() < bytes {
            self.accumulated = self.link.storage(bytes as usize);
            self.following.clear();
        }
    }

    /// Grows the buffer of the gradients to hold `parts`.
    pub(super) fn make_room_for(&mut self, parts: Parts) {
        let bytes = parts.length() * size_of::<f32>();
        if self.gradients.size() < bytes as u64 {
            self.gradients = self.link.storage(bytes);
            self.prepared.clear();
            self.following.clear();
        }
    }
}
