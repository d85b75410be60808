//! The GPU executor: queues training steps and submits many at once, so that neither the processor nor the GPU waits for
//! the other. Data set, parameters, optimizer state and losses stay on the GPU.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc::TryRecvError;

use bytes::Bytes;
use vae_spec::Weighting;
use wgpu::{BindGroup, Buffer, BufferUsages, PollType, SubmissionIndex};

use super::adapter::Gpu;
use super::cost::Cores;
use super::gradients::Parts;
use super::kernel::{self, LOSS_PARTS, Lowering, Place, SQUARE_SUMS};
use super::link::{Link, Reading, failed};
use super::prepared::{Dispatch, Pipelines, STEP_STRIDE};
use super::step::StepConstants;
use crate::executor::{
    Arena, Executor, ExecutorError, Run, StepLosses, TrainingProgram, TrainingStep,
};
use crate::program::{self, Program, Update};

/// Steps of one submission: enough that submitting costs little beside them, few enough that losses come often.
const STEPS: usize = 32;
/// Steps of the first submission to an idle GPU, which waits for it; each one after it has twice as many, up to [`STEPS`].
const FIRST_STEPS: usize = 2;
/// Submissions that may wait on the GPU before the processor waits for it: one runs, one is ready.
const SUBMISSIONS: usize = 2;
/// Rows that the steps of a submission may have together, unless one step alone has more.
const ROWS: usize = 1 << 16;
/// Multiply-adds that a submission may have, unless one step alone has more: a fraction of a second on a small GPU, for
/// drivers stop what takes seconds, and a user who interrupts waits for what is submitted.
const WORK: usize = 100_000_000_000;
/// Bytes of images that are uploaded with a submission where the data set does not stay on the GPU, unless one step's
/// images are more.
const STREAM: usize = 1 << 25;
/// Bytes of the losses of a step.
const LOSSES: usize = LOSS_PARTS * size_of::<[f32; 2]>();
/// Programs at some batch whose matrices are kept; more are used by tests only.
const KEPT: usize = 6;

/// The parameters of one model, on a GPU.
#[derive(Debug)]
pub struct GpuExecutor {
    link: Link,
    pipelines: Pipelines,
    cores: Cores,
    /// Numbers in each arena.
    length: usize,
    parameters: Buffer,
    gradients: Buffer,
    /// How the last program left the gradients.
    left: Parts,
    /// All of them, one behind the other.
    moments: Buffer,
    square_sums: Buffer,
    images: ImageStore,
    rows: Buffer,
    steps: Buffer,
    steps_bound: BindGroup,
    losses: Buffer,
    prepared: VecDeque<Rc<Prepared>>,
    updates: Vec<(UpdateKey, Rc<[Dispatch]>)>,
    pending: Vec<TrainingStep>,
    /// How many of them the next submission has.
    at_once: usize,
    submitted: VecDeque<Submitted>,
    finished: Vec<StepLosses>,
}

/// What the kernels of an update hang on: the choices of [`kernel::update_choices`] and the parts of the gradients.
type UpdateKey = (Vec<&'static str>, Parts);

/// Where [`program::Pass::Gather`] finds the images.
#[derive(Debug)]
struct ImageStore {
    /// `[count, row_bytes]`, four to a word: all of them, or those of one submission.
    buffer: Buffer,
    count: usize,
    row_bytes: usize,
    /// The data set, where it is too large to stay on the GPU.
    streamed: Option<Bytes>,
}

/// A program at some batch, with its matrices and kernels.
#[derive(Debug)]
struct Prepared {
    program: Program,
    batch: usize,
    /// Whether the sums of the losses are left at the end.
    is_training: bool,
    gradients: Parts,
    matrices: Vec<Buffer>,
    dispatches: Vec<Dispatch>,
}

/// A training step whose numbers are on the GPU.
#[derive(Debug)]
struct Staged {
    prepared: Rc<Prepared>,
    update: Rc<[Dispatch]>,
    weighting: Weighting,
}

impl Staged {
    fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.prepared.dispatches.iter().chain(&*self.update)
    }
}

/// Losses on their way back.
#[derive(Debug)]
struct Submitted {
    index: SubmissionIndex,
    reading: Reading,
    /// The rows of each step, and its weights of the terms.
    steps: Vec<(usize, Weighting)>,
}

impl GpuExecutor {
    /// An executor whose optimizer remembers `moments`, each as long as `parameters`.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn new(gpu: &Gpu, parameters: &[f32], moments: &[Vec<f32>]) -> Result<Self, ExecutorError> {
        let moments = moments.concat();
        let link = Link::new(gpu);
        let length = parameters.len();
        let arena = size_of_val(parameters);
        let pipelines = Pipelines::new(gpu);
        let steps = link.buffer(STEPS * STEP_STRIDE as usize, BufferUsages::UNIFORM);
        let executor = Self {
            steps_bound: pipelines.bind_steps(&steps),
            pipelines,
            cores: gpu.cores(),
            length,
            parameters: link.storage(arena),
            gradients: link.storage(Parts::new(1, length).length() * size_of::<f32>()),
            left: Parts::new(1, length),
            moments: link.storage(size_of_val(&moments[..])),
            square_sums: link.storage(SQUARE_SUMS * size_of::<f32>()),
            images: ImageStore {
                buffer: link.storage(0),
                count: 0,
                row_bytes: 0,
                streamed: None,
            },
            rows: link.storage(ROWS * size_of::<u32>()),
            steps,
            losses: link.storage(STEPS * LOSSES),
            prepared: VecDeque::new(),
            updates: Vec::new(),
            pending: Vec::new(),
            at_once: FIRST_STEPS,
            submitted: VecDeque::new(),
            finished: Vec::new(),
            link,
        };
        executor
            .link
            .upload(&executor.parameters, bytemuck::cast_slice(parameters));
        executor
            .link
            .upload(&executor.moments, bytemuck::cast_slice(&moments));
        executor.link.check()?;
        Ok(executor)
    }

    /// As [`Executor::set_images`], but the images stay where they are: each submission uploads its own while the one before
    /// is computed. For data sets that the GPU cannot hold or a binding cannot show.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn stream_images(&mut self, images: Bytes, row_bytes: usize) -> Result<(), ExecutorError> {
        self.flush()?;
        self.prepared.clear();
        self.images = ImageStore {
            buffer: self.link.storage(STREAM),
            count: images.len() / row_bytes,
            row_bytes,
            streamed: Some(images),
        };
        self.link.check()
    }

    /// `program` at `batch`; that of `training`, if it is one, ends with the sums of its losses.
    fn prepare(
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
        // Only a step's update adds the parts up.
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

    fn dispatches(&mut self, kernels: &[kernel::Kernel], matrices: &[Buffer]) -> Vec<Dispatch> {
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
    fn prepare_update(&mut self, update: Update, parts: Parts) -> Rc<[Dispatch]> {
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

    /// Rows that one submission may have.
    fn rows_at_once(&self) -> usize {
        // Forward, d_W and d_input: three multiply-adds a row for each parameter.
        let rows = self.rows.size() as usize / size_of::<u32>();
        let rows = rows.min(WORK / (3 * self.length.max(1)));
        match self.images.streamed {
            Some(_) => rows.min(self.images.buffer.size() as usize / self.images.row_bytes),
            None => rows,
        }
    }

    /// Makes room for gradients in `parts`.
    fn make_room_for(&mut self, parts: Parts) {
        let bytes = parts.length() * size_of::<f32>();
        if self.gradients.size() < bytes as u64 {
            self.gradients = self.link.storage(bytes);
            self.prepared.clear();
            self.updates.clear();
        }
    }

    /// Makes room for a step of `rows`.
    fn make_room(&mut self, rows: usize) {
        let is_too_small = |buffer: &Buffer, bytes| buffer.size() < bytes as u64;
        if is_too_small(&self.rows, rows * size_of::<u32>()) {
            self.rows = self.link.storage(rows * size_of::<u32>());
            self.prepared.clear();
        }
        let bytes = rows * self.images.row_bytes;
        if self.images.streamed.is_some() && is_too_small(&self.images.buffer, bytes) {
            self.images.buffer = self.link.storage(bytes);
            self.prepared.clear();
        }
    }

    /// Uploads what the pending steps need and gives their kernels.
    fn stage(&mut self) -> Vec<Staged> {
        let pending = std::mem::take(&mut self.pending);
        let mut rows: Vec<u32> = Vec::new();
        let mut constants = vec![0u8; pending.len() * STEP_STRIDE as usize];
        let slots = constants.chunks_mut(STEP_STRIDE as usize);
        for (slot, (step, bytes)) in (0..).zip(pending.iter().zip(slots)) {
            let mut constants = StepConstants::new(&step.run, Some(step.update));
            constants.rows = rows.len() as u32;
            constants.slot = slot;
            bytes[..size_of::<StepConstants>()].copy_from_slice(bytemuck::bytes_of(&constants));
            rows.extend(&step.rows);
        }
        self.link.queue.write_buffer(&self.steps, 0, &constants);
        if let Some(bytes) = &self.images.streamed {
            let length = self.images.row_bytes;
            let mut images = Vec::with_capacity(rows.len() * length);
            for &row in &rows {
                images.extend_from_slice(&bytes[row as usize * length..][..length]);
            }
            self.link.upload(&self.images.buffer, &images);
            rows = (0..rows.len() as u32).collect();
        }
        self.link.upload(&self.rows, bytemuck::cast_slice(&rows));
        let prepare = |step: &TrainingStep| {
            let program = &step.program.program;
            let prepared = self.prepare(program, step.rows.len(), Some(&step.program));
            let update = self.prepare_update(step.update, prepared.gradients);
            Staged {
                prepared,
                update,
                weighting: step.run.weighting,
            }
        };
        pending.iter().map(prepare).collect()
    }

    /// Submits all pending steps.
    fn flush(&mut self) -> Result<(), ExecutorError> {
        if self.pending.is_empty() {
            return self.link.check();
        }
        while self.submitted.len() >= SUBMISSIONS {
            self.collect(true)?;
        }
        let staged = self.stage();
        let mut encoder = self.link.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (slot, step) in staged.iter().enumerate() {
            for dispatch in step.dispatches() {
                dispatch.encode(&mut pass, &self.steps_bound, slot);
            }
        }
        drop(pass);
        let steps = staged
            .iter()
            .map(|step| (step.prepared.batch, step.weighting));
        let steps = steps.collect();
        if let Some(last) = staged.last() {
            self.left = last.prepared.gradients;
        }
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

    /// Takes in the losses of submissions that are done; waits for the oldest if `wait`.
    fn collect(&mut self, wait: bool) -> Result<(), ExecutorError> {
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
            let steps = losses.chunks(2 * LOSS_PARTS).zip(&submitted.steps);
            self.finished.extend(
                steps.map(|(parts, &(batch, weighting))| mean_losses(parts, batch, weighting)),
            );
            self.submitted.pop_front();
        }
        Ok(())
    }
}

/// The means of a batch's losses from the parts of their sums, `[LOSS_PARTS, 2]`.
fn mean_losses(parts: &[f32], batch: usize, weighting: Weighting) -> StepLosses {
    let (parts, _) = parts.as_chunks::<2>();
    let mean = |which: usize| {
        let sum: f64 = parts.iter().map(|part| f64::from(part[which])).sum();
        (sum / batch as f64) as f32
    };
    StepLosses::new(mean(0), mean(1), weighting)
}

impl Executor for GpuExecutor {
    fn set_images(&mut self, images: Bytes, row_bytes: usize) -> Result<(), ExecutorError> {
        self.flush()?;
        self.prepared.clear();
        let bytes = images.len().next_multiple_of(size_of::<u32>());
        // Places in the data set are counted in 32 bits.
        let fits = bytes as u64 <= self.link.device.limits().max_storage_buffer_binding_size
            && u32::try_from(images.len()).is_ok();
        let scope = self
            .link
            .device
            .push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let resident = fits.then(|| self.link.storage(bytes));
        let refused = pollster::block_on(scope.pop());
        let (Some(buffer), None) = (resident, refused) else {
            return self.stream_images(images, row_bytes);
        };
        self.link.upload(&buffer, &images);
        self.images = ImageStore {
            buffer,
            count: images.len() / row_bytes,
            row_bytes,
            streamed: None,
        };
        self.link.check()
    }

    fn train(&mut self, step: TrainingStep) -> Result<(), ExecutorError> {
        let count = self.images.count;
        let is_there = |&row: &u32| (row as usize) < count;
        assert!(
            step.rows.iter().all(is_there),
            "a row beyond {count} images"
        );
        let waiting: usize = self.pending.iter().map(|step| step.rows.len()).sum();
        if self.pending.len() == self.at_once || waiting + step.rows.len() > self.rows_at_once() {
            self.flush()?;
        }
        self.make_room(step.rows.len());
        self.pending.push(step);
        Ok(())
    }

    fn losses(&mut self, wait: bool) -> Result<Vec<StepLosses>, ExecutorError> {
        if wait {
            self.flush()?;
        }
        self.collect(false)?;
        while wait && !self.submitted.is_empty() {
            self.collect(true)?;
        }
        if wait {
            self.at_once = FIRST_STEPS;
        }
        Ok(std::mem::take(&mut self.finished))
    }

    fn run(
        &mut self,
        program: &Program,
        run: Run,
        batch: usize,
        inputs: &[(program::MatrixId, &[f32])],
        outputs: &[program::MatrixId],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        self.flush()?;
        let constants = StepConstants::new(&run, None);
        self.link
            .queue
            .write_buffer(&self.steps, 0, bytemuck::bytes_of(&constants));
        let prepared = self.prepare(program, batch, None);
        self.left = prepared.gradients;
        for (program::MatrixId(index), values) in inputs {
            assert_eq!(
                values.len(),
                batch * program.columns[*index],
                "an input's size"
            );
            self.link
                .upload(&prepared.matrices[*index], bytemuck::cast_slice(values));
        }
        let mut encoder = self.link.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for dispatch in &prepared.dispatches {
            dispatch.encode(&mut pass, &self.steps_bound, 0);
        }
        drop(pass);
        let lengths: Vec<usize> = outputs
            .iter()
            .map(|output| batch * program.columns[output.0])
            .collect();
        let parts: Vec<_> = outputs
            .iter()
            .zip(&lengths)
            .map(|(output, length)| (&prepared.matrices[output.0], 0, length * size_of::<f32>()))
            .collect();
        let values = self.link.wait_and_read(encoder, &parts)?;
        let mut rest = &values[..];
        let outputs = lengths.iter().map(|&length| {
            let (values, after) = rest.split_at(length);
            rest = after;
            values.to_vec()
        });
        Ok(outputs.collect())
    }

    fn exchange(&mut self, moment: usize) -> Result<(), ExecutorError> {
        self.flush()?;
        let bytes = (self.length * size_of::<f32>()) as u64;
        let place = moment as u64 * bytes;
        let mut encoder = self.link.encoder();
        encoder.copy_buffer_to_buffer(&self.parameters, 0, &self.gradients, 0, bytes);
        encoder.copy_buffer_to_buffer(&self.moments, place, &self.parameters, 0, bytes);
        encoder.copy_buffer_to_buffer(&self.gradients, 0, &self.moments, place, bytes);
        self.link.queue.submit([encoder.finish()]);
        Ok(())
    }

    fn arena(&mut self, arena: Arena) -> Result<Vec<f32>, ExecutorError> {
        self.flush()?;
        let bytes = self.length * size_of::<f32>();
        let part = match arena {
            Arena::Parameters => (&self.parameters, 0, bytes),
            Arena::Gradients => (&self.gradients, 0, self.left.length() * size_of::<f32>()),
            Arena::Moment(index) => (&self.moments, index * bytes, bytes),
        };
        let mut values = self.link.wait_and_read(self.link.encoder(), &[part])?;
        if arena == Arena::Gradients {
            let (sums, rest) = values.split_at_mut(self.left.stride);
            for part in rest.chunks(self.left.stride) {
                sums.iter_mut().zip(part).for_each(|(sum, g)| *sum += g);
            }
            values.truncate(self.length);
        }
        Ok(values)
    }

    fn time_step(&mut self, step: TrainingStep) -> Result<Vec<(&'static str, f64)>, ExecutorError> {
        let features = self.link.device.features();
        if !features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            self.train(step)?;
            return Ok(Vec::new());
        }
        self.flush()?;
        self.train(step)?;
        let staged = self.stage();
        let dispatches: Vec<&Dispatch> = staged[0].dispatches().collect();
        let count = 2 * dispatches.len() as u32;
        let times = self
            .link
            .device
            .create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("times"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
        let mut encoder = self.link.encoder();
        for (index, dispatch) in (0..).zip(&dispatches) {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(dispatch.stem),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &times,
                    beginning_of_pass_write_index: Some(2 * index),
                    end_of_pass_write_index: Some(2 * index + 1),
                }),
            });
            dispatch.encode(&mut pass, &self.steps_bound, 0);
        }
        let bytes = count as usize * size_of::<u64>();
        let resolved = self
            .link
            .buffer(bytes, BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC);
        encoder.resolve_query_set(&times, 0..count, &resolved, 0);
        let parts = [(&resolved, 0, bytes), (&self.losses, 0, LOSSES)];
        let values = self.link.wait_and_read(encoder, &parts)?;
        let (ticks, losses) = values.split_at(bytes / size_of::<f32>());
        let Staged {
            prepared,
            weighting,
            ..
        } = &staged[0];
        self.finished
            .push(mean_losses(losses, prepared.batch, *weighting));
        self.left = prepared.gradients;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(ticks);
        let period = f64::from(self.link.queue.get_timestamp_period()) * 1e-9;
        let (ticks, _) = ticks.as_chunks::<2>();
        let seconds = ticks
            .iter()
            .map(|[begin, end]| end.saturating_sub(*begin) as f64 * period);
        Ok(dispatches
            .iter()
            .map(|dispatch| dispatch.stem)
            .zip(seconds)
            .collect())
    }
}
