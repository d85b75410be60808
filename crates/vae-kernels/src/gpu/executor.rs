//! The GPU executor: queues training steps and submits many at once, so that neither the CPU nor the GPU waits for the other.
//! Dataset, parameters, optimizer state and losses stay on the GPU.

mod apart;
mod prepare;
mod submit;
mod timing;

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use wgpu::{BindGroup, Buffer, BufferUsages};

use super::adapter::Gpu;
use super::cost::Cores;
use super::gradients::Parts;
use super::kernel::SQUARE_SUMS;
use super::link::Link;
use super::prepared::{Pipelines, STEP_STRIDE};
use super::step::StepConstants;
use crate::executor::{Arena, Executor, ExecutorError, Piece, Run, StepLosses, TrainingStep};
use crate::program::{MatrixId, Program, Update};

use prepare::{Following, Prepared};
use submit::{LOSSES, Submitted, WORK};

/// Steps per submission: enough that submitting costs little beside them, few enough that losses come often.
const STEPS: usize = 32;
/// Steps of the first submission to an idle GPU, which waits for it; each later one doubles them, up to [`STEPS`].
const FIRST_STEPS: usize = 2;
/// Rows that the steps of a submission may have together, unless one step alone has more.
const ROWS: usize = 1 << 16;
/// Bytes of images that are uploaded with a submission where the dataset does not stay on the GPU, unless one step's images are
/// more.
const STREAM: usize = 1 << 25;
/// Executor on a GPU, with the parameters of one model.
#[derive(Debug)]
pub struct GpuExecutor {
    link: Link,
    pipelines: Pipelines,
    cores: Cores,
    /// Number of elements of each arena.
    length: usize,
    parameters: Buffer,
    gradients: Buffer,
    /// Sums of the gradients of a batch's pieces, once there are such.
    accumulated: Buffer,
    /// Layout in which the last program left the gradients.
    left: Parts,
    /// All moments, one arena after the other.
    moments: Buffer,
    square_sums: Buffer,
    images: ImageStore,
    rows: Buffer,
    steps: Buffer,
    steps_bound: BindGroup,
    losses: Buffer,
    prepared: VecDeque<Rc<Prepared>>,
    following: Vec<Following>,
    pending: Vec<TrainingStep>,
    /// Number of pieces of pending steps that are submitted together.
    at_once: usize,
    submitted: VecDeque<Submitted>,
    finished: Vec<StepLosses>,
}

/// Where [`crate::program::Pass::Gather`] finds the images.
#[derive(Debug)]
struct ImageStore {
    /// `[count, row_bytes]`, four bytes to a word: all images, or those of one submission.
    buffer: Buffer,
    count: usize,
    row_bytes: usize,
    /// Class of each row of `buffer`, or nothing.
    labels: Buffer,
    /// The dataset with its classes, where it is too large to stay on the GPU.
    streamed: Option<(Bytes, Vec<u32>)>,
}

impl GpuExecutor {
    /// An executor with the optimizer state `moments`, each as long as `parameters`.
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
            accumulated: link.storage(0),
            left: Parts::new(1, length),
            moments: link.storage(size_of_val(&moments[..])),
            square_sums: link.storage(SQUARE_SUMS * size_of::<f32>()),
            images: ImageStore {
                buffer: link.storage(0),
                count: 0,
                row_bytes: 0,
                labels: link.storage(0),
                streamed: None,
            },
            rows: link.storage(ROWS * size_of::<u32>()),
            steps,
            losses: link.storage(STEPS * LOSSES),
            prepared: VecDeque::new(),
            following: Vec::new(),
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

    /// As [`Executor::set_images`], but the images stay in host memory: each submission uploads its own while the one before is
    /// computed. For datasets that do not fit into the GPU's memory or into one binding.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn stream_images(
        &mut self,
        images: Bytes,
        labels: Vec<u32>,
        row_bytes: usize,
    ) -> Result<(), ExecutorError> {
        self.flush()?;
        self.prepared.clear();
        self.images = ImageStore {
            buffer: self.link.storage(STREAM),
            count: images.len() / row_bytes,
            row_bytes,
            labels: self.link.storage(if labels.is_empty() {
                0
            } else {
                ROWS * size_of::<u32>()
            }),
            streamed: Some((images, labels)),
        };
        self.link.check()
    }
}

impl GpuExecutor {
    /// The dispatches of at most [`STEPS`] runs of a program, one run behind the other.
    fn encode_runs(&self, prepared: &Prepared, runs: &[Run], batch: usize) -> wgpu::CommandEncoder {
        let mut constants = vec![0; runs.len() * STEP_STRIDE as usize];
        for (run, slot) in runs
            .iter()
            .zip(constants.chunks_exact_mut(STEP_STRIDE as usize))
        {
            let of_run = StepConstants::new(run, Piece::whole(batch), None);
            let bytes = bytemuck::bytes_of(&of_run);
            slot[..bytes.len()].copy_from_slice(bytes);
        }
        self.link.queue.write_buffer(&self.steps, 0, &constants);
        let mut encoder = self.link.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for slot in 0..runs.len() {
            for dispatch in &prepared.dispatches {
                dispatch.encode(&mut pass, &self.steps_bound, slot);
            }
        }
        drop(pass);
        encoder
    }
}

impl Executor for GpuExecutor {
    fn set_images(
        &mut self,
        images: Bytes,
        labels: Vec<u32>,
        row_bytes: usize,
    ) -> Result<(), ExecutorError> {
        self.flush()?;
        self.prepared.clear();
        let bytes = images.len().next_multiple_of(size_of::<u32>());
        // Offsets into the dataset have 32 bits.
        let fits = bytes as u64 <= self.link.device.limits().max_storage_buffer_binding_size
            && u32::try_from(images.len()).is_ok();
        let scope = self
            .link
            .device
            .push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let resident = fits.then(|| self.link.storage(bytes));
        let refused = pollster::block_on(scope.pop());
        let (Some(buffer), None) = (resident, refused) else {
            return self.stream_images(images, labels, row_bytes);
        };
        self.link.upload(&buffer, &images);
        let classes = self.link.storage(size_of_val(&labels[..]));
        self.link.upload(&classes, bytemuck::cast_slice(&labels));
        self.images = ImageStore {
            buffer,
            count: images.len() / row_bytes,
            row_bytes,
            labels: classes,
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
        let steps = self.pending.iter().chain([&step]);
        let rows: usize = steps.clone().map(|step| step.rows.len()).sum();
        let pieces: usize = steps.clone().map(|step| step.pieces().len()).sum();
        let work: usize = steps.map(TrainingStep::work).sum();
        if pieces > self.at_once || rows > self.rows_at_once() || work > WORK {
            self.flush()?;
        }
        self.make_room(step.rows.len(), step.pieces().len());
        self.pending.push(step);
        Ok(())
    }

    fn gradients(
        &mut self,
        step: &TrainingStep,
        gradients: &mut Vec<f32>,
    ) -> Result<StepLosses, ExecutorError> {
        self.backward(step, gradients)
    }

    fn update(&mut self, update: Update, gradients: &mut Vec<f32>) -> Result<(), ExecutorError> {
        self.apply(update, gradients)
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
        runs: &[Run],
        batch: usize,
        inputs: &[(MatrixId, &[f32])],
        outputs: &[MatrixId],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        self.flush()?;
        let filled = inputs.iter().map(|(matrix, _)| *matrix);
        let kept: Vec<_> = filled.chain(outputs.iter().copied()).collect();
        let prepared = self.prepare(program, batch, None, &kept)?;
        self.left = prepared.gradients;
        for &(matrix, values) in inputs {
            let (buffer, bytes) = prepared.matrices.of(matrix);
            assert_eq!(size_of_val(values), bytes, "an input's size");
            self.link.upload(buffer, bytemuck::cast_slice(values));
        }
        let at_once = (WORK / program.work(batch).max(1)).clamp(1, STEPS);
        for runs in runs.chunks(at_once) {
            let encoder = self.encode_runs(&prepared, runs, batch);
            self.link.queue.submit([encoder.finish()]);
        }
        let encoder = self.link.encoder();
        let part = |&output: &_| {
            let (buffer, bytes) = prepared.matrices.of(output);
            (buffer, 0, bytes)
        };
        let parts: Vec<_> = outputs.iter().map(part).collect();
        let values = self.link.wait_and_read(encoder, &parts)?;
        let mut rest = &values[..];
        let outputs = parts.iter().map(|(_, _, bytes)| {
            let (values, after) = rest.split_at(bytes / size_of::<f32>());
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

    fn set_arena(&mut self, arena: Arena, values: &[f32]) -> Result<(), ExecutorError> {
        self.flush()?;
        assert_eq!(values.len(), self.length, "the length of an arena");
        let (buffer, offset) = match arena {
            Arena::Parameters => (&self.parameters, 0),
            Arena::Gradients => (&self.gradients, 0),
            Arena::Moment(index) => (&self.moments, index * size_of_val(values)),
        };
        self.link
            .upload_at(buffer, offset, bytemuck::cast_slice(values));
        self.link.check()
    }

    fn time_step(&mut self, step: TrainingStep) -> Result<Vec<(&'static str, f64)>, ExecutorError> {
        self.timed(step)
    }
}
