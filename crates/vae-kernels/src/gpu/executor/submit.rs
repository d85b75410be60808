//! Submits steps to the GPU and reads their losses back.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;

use vae_spec::Weighting;
use wgpu::{Buffer, BufferUsages, PollType, SubmissionIndex};

use super::prepare::Prepared;
use super::{GpuExecutor, STEPS};
use crate::executor::{ExecutorError, StepLosses, TERMS, Term, TrainingProgram, TrainingStep};
use crate::gpu::kernel::LOSS_PARTS;
use crate::gpu::link::{Reading, failed};
use crate::gpu::prepared::{Dispatch, STEP_STRIDE};
use crate::gpu::step::StepConstants;

/// Submissions that may wait on the GPU before the CPU waits for it: one runs, one is ready.
const SUBMISSIONS: usize = 2;

/// Multiply-adds that a submission may have, unless one step alone has more: a fraction of a second on a small GPU, for
/// drivers stop what takes seconds, and a user who interrupts waits for what is submitted.
pub(super) const WORK: usize = 100_000_000_000;

/// Bytes of the losses of a step.
pub(super) const LOSSES: usize = LOSS_PARTS * size_of::<[f32; TERMS]>();

/// How a training step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the update of the parameters.
    Update,
    /// With its gradients added up, for they are of a part of a batch.
    Gradients,
}

/// A piece of a training step whose inputs are on the GPU.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) prepared: Rc<Prepared>,
    /// What is done with its gradients: they are added to others, or update the parameters, or both.
    then: Vec<Rc<[Dispatch]>>,
}

impl Staged {
    pub(super) fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        let then = self.then.iter().flat_map(|dispatches| &**dispatches);
        self.prepared.dispatches.iter().chain(then)
    }
}

/// What the losses of a step are made of.
#[derive(Clone, Debug)]
pub(super) struct Stepped {
    pieces: usize,
    /// The terms of the loss, with the rows of the batch that each is a mean over.
    program: Arc<TrainingProgram>,
    rows: usize,
    weighting: Weighting,
}

impl Stepped {
    pub(super) fn of(step: &TrainingStep) -> Self {
        Self {
            pieces: step.pieces().len(),
            program: Arc::clone(&step.program),
            rows: step.batch,
            weighting: step.run.weighting,
        }
    }

    /// Numbers that a step leaves of its losses.
    const fn parts(&self) -> usize {
        self.pieces * TERMS * LOSS_PARTS
    }

    /// The means of a batch's losses from the parts of their sums, `[pieces, LOSS_PARTS, TERMS]`.
    pub(super) fn losses(&self, parts: &[f32]) -> StepLosses {
        let (parts, _) = parts.as_chunks::<TERMS>();
        let TrainingProgram { program, terms } = &*self.program;
        let mean = |(which, term): (usize, &Term)| {
            let sum: f64 = parts.iter().map(|part| f64::from(part[which])).sum();
            let rows = program.rows[term.matrix.0].of(self.rows);
            (sum / rows as f64) as f32
        };
        StepLosses::new(terms, terms.iter().enumerate().map(mean), self.weighting)
    }
}

/// A submission whose losses are being read back.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) index: SubmissionIndex,
    pub(super) reading: Reading,
    pub(super) steps: Vec<Stepped>,
}

impl GpuExecutor {
    /// Number of rows that one submission may have.
    pub(super) fn rows_at_once(&self) -> usize {
        let rows = self.rows.size() as usize / size_of::<u32>();
        match self.images.streamed {
            Some(_) => rows.min(self.images.buffer.size() as usize / self.images.row_bytes),
            None => rows,
        }
    }

    /// Grows the buffers to hold a step of `rows` in so many `pieces`.
    pub(super) fn make_room(&mut self, rows: usize, pieces: usize) {
        let is_too_small = |buffer: &Buffer, bytes| buffer.size() < bytes as u64;
        if is_too_small(&self.steps, pieces * STEP_STRIDE as usize) {
            let bytes = pieces * STEP_STRIDE as usize;
            self.steps = self.link.buffer(bytes, BufferUsages::UNIFORM);
            self.steps_bound = self.pipelines.bind_steps(&self.steps);
            self.losses = self.link.storage(pieces * LOSSES);
            self.prepared.clear();
        }
        if is_too_small(&self.rows, rows * size_of::<u32>()) {
            self.rows = self.link.storage(rows * size_of::<u32>());
            self.prepared.clear();
        }
        let bytes = rows * self.images.row_bytes;
        if let Some((_, labels)) = &self.images.streamed {
            if is_too_small(&self.images.buffer, bytes) {
                self.images.buffer = self.link.storage(bytes);
                self.prepared.clear();
            }
            if !labels.is_empty() && is_too_small(&self.images.labels, rows * size_of::<u32>()) {
                self.images.labels = self.link.storage(rows * size_of::<u32>());
                self.prepared.clear();
            }
        }
    }

    /// Uploads what `steps` need and returns the kernels of their pieces.
    pub(super) fn stage(
        &mut self,
        steps: &[TrainingStep],
        end: End,
    ) -> Result<(Vec<Staged>, Vec<Stepped>), ExecutorError> {
        let mut rows: Vec<u32> = Vec::new();
        let mut constants = Vec::new();
        for step in steps {
            for (piece, of_piece) in step.pieces() {
                let slot = constants.len() / STEP_STRIDE as usize;
                let mut piece = StepConstants::new(&step.run, piece, Some(step.update));
                piece.rows = rows.len() as u32;
                piece.slot = slot as u32;
                constants.extend(bytemuck::bytes_of(&piece));
                constants.resize((slot + 1) * STEP_STRIDE as usize, 0u8);
                rows.extend(of_piece);
            }
        }
        self.link.queue.write_buffer(&self.steps, 0, &constants);
        if let Some((bytes, labels)) = &self.images.streamed {
            if !labels.is_empty() {
                let labels: Vec<u32> = rows.iter().map(|&row| labels[row as usize]).collect();
                self.link
                    .upload(&self.images.labels, bytemuck::cast_slice(&labels));
            }
            let length = self.images.row_bytes;
            let mut images = Vec::with_capacity(rows.len() * length);
            for &row in &rows {
                images.extend_from_slice(&bytes[row as usize * length..][..length]);
            }
            self.link.upload(&self.images.buffer, &images);
            rows = (0..rows.len() as u32).collect();
        }
        self.link.upload(&self.rows, bytemuck::cast_slice(&rows));
        let mut staged = Vec::new();
        for step in steps {
            staged.extend(self.stage_step(step, end)?);
        }
        Ok((staged, steps.iter().map(Stepped::of).collect()))
    }

    fn stage_step(&mut self, step: &TrainingStep, end: End) -> Result<Vec<Staged>, ExecutorError> {
        let count = step.pieces().len();
        let pieces = step.pieces().enumerate().map(|(index, (piece, _))| {
            let program = &step.program.program;
            let prepared = self.prepare(program, piece.rows, Some(&step.program), &[])?;
            let is_accumulated = count > 1 || end == End::Gradients;
            let parts = prepared.gradients;
            let mut then = Vec::new();
            if is_accumulated {
                then.push(self.prepare_accumulate(index == 0, parts));
            }
            if index + 1 == count && end == End::Update {
                then.push(self.prepare_update(step.update, parts, is_accumulated));
            }
            Ok(Staged { prepared, then })
        });
        pieces.collect()
    }

    /// Submits all pending steps.
    pub(super) fn flush(&mut self) -> Result<(), ExecutorError> {
        if self.pending.is_empty() {
            return self.link.check();
        }
        while self.submitted.len() >= SUBMISSIONS {
            self.collect(true)?;
        }
        let pending = std::mem::take(&mut self.pending);
        let (staged, steps) = self.stage(&pending, End::Update)?;
        let encoder = self.encode(&staged);
        let (index, reading) = self
            .link
            .submit_and_read(encoder, &[(&self.losses, 0, staged.len() * LOSSES)]);
        self.submitted.push_back(Submitted {
            index,
            reading,
            steps,
        });
        self.at_once = STEPS.min(2 * self.at_once);
        self.link.check()
    }

    /// The dispatches of `staged`, one piece behind the other.
    pub(super) fn encode(&mut self, staged: &[Staged]) -> wgpu::CommandEncoder {
        let mut encoder = self.link.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (slot, step) in staged.iter().enumerate() {
            for dispatch in step.dispatches() {
                dispatch.encode(&mut pass, &self.steps_bound, slot);
            }
        }
        drop(pass);
        if let Some(last) = staged.last() {
            self.left = last.prepared.gradients;
        }
        encoder
    }

    /// Collects the losses of finished submissions; waits for the oldest if `wait`.
    pub(super) fn collect(&mut self, wait: bool) -> Result<(), ExecutorError> {
        self.link.poll(match self.submitted.front() {
            Some(oldest) if wait => PollType::Wait {
                submission_index: Some(oldest.index.clone()),
                timeout: None,
            },
            _ => PollType::Poll,
        })?;
        while let Some(submitted) = self.submitted.front() {
            match submitted.reading.mapped.try_recv() {
                Ok(mapped) => mapped.map_err(failed)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(failed("a read-back was dropped")),
            }
            let losses = submitted.reading.values();
            let mut rest = &losses[..];
            for step in &submitted.steps {
                let (parts, behind) = rest.split_at(step.parts());
                self.finished.push(step.losses(parts));
                rest = behind;
            }
            self.submitted.pop_front();
        }
        Ok(())
    }
}
