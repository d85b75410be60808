//! The fused engine: a model's whole training step as a short program of fused passes, on the CPU or on a GPU.

mod engine;
mod importance;
mod layout;
mod loss;
mod memory;
mod parts;
mod plan;
mod portable;
mod tape;
mod update;

use std::sync::Arc;

use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{
    Arena, Executor, ExecutorError, Run, StepLosses, TrainingProgram, TrainingStep,
};
use vae_kernels::gpu::{Gpu, GpuExecutor, Traffic};
use vae_kernels::program::{MatrixId, Update};
use vae_rng::{Generator, Generators, Noise};
use vae_spec::network::Network;
use vae_spec::{
    Batch, EngineError, EngineSetup, Losses, ModelConfig, NamedTensor, OptimizerConfig, Part, Step,
    TrainingImages, Weighting,
};

pub use memory::Memory;
pub use portable::PortableDecoder;

use layout::Layout;
use loss::LossPlan;
use parts::{in_parts, rows};
use plan::{Model, Plan};

/// A model as step programs. Rerun with the same seed on the CPU it gives the same bits, whatever the number of threads.
#[derive(Debug)]
pub struct FusedEngine {
    config: ModelConfig,
    layout: Layout,
    loss: LossPlan,
    /// The loss where the encoder sees corrupted images.
    denoising: LossPlan,
    nll: Plan,
    training: Arc<TrainingProgram>,
    encode: Plan,
    decode: Plan,
    executor: Box<dyn Executor>,
    optimizer: OptimizerConfig,
    generators: Generators,
    /// Number of training images.
    data_count: usize,
    /// Whether there is optimizer state: not before the first step.
    has_moments: bool,
    /// Sizes of the last step's batch and micro-batch, and the rows of it that were computed at once.
    piece: ([usize; 2], usize),
    /// Rows that are evaluated, encoded or decoded at once, as far as the memory has shown.
    at_once: usize,
}

/// The plans that make one row of another.
#[derive(Clone, Copy)]
enum Which {
    Nll,
    Encode,
    Decode,
}

impl FusedEngine {
    /// An engine on the CPU with the weights of `setup`, which must be of its model.
    #[must_use]
    pub fn cpu(setup: &EngineSetup<'_>) -> Self {
        let network = Network::new(setup.model);
        let layout = Layout::new(&network, setup.model.image);
        let executor = Cpu::new(layout.arena(setup.weights), moments(setup, &layout));
        Self::new(setup, &network, layout, Box::new(executor))
    }

    /// An engine on a GPU with the weights of `setup`, which must be of its model.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn gpu(setup: &EngineSetup<'_>, gpu: &Gpu) -> Result<Self, EngineError> {
        let network = Network::new(setup.model);
        let layout = Layout::new(&network, setup.model.image);
        let (parameters, moments) = (layout.arena(setup.weights), moments(setup, &layout));
        let executor = GpuExecutor::new(gpu, &parameters, &moments).map_err(failed)?;
        Ok(Self::new(setup, &network, layout, Box::new(executor)))
    }

    /// Why the fused engine cannot run `model` on `gpu`, where burn, which needs no more than one tensor in a binding, may still
    /// do it; `None` if it can.
    #[must_use]
    pub fn obstacle(model: &ModelConfig, optimizer: &OptimizerConfig, gpu: &Gpu) -> Option<String> {
        let arena = 4 * model.parameter_count() as u64;
        let moments = arena * optimizer.moment_names().len() as u64;
        let limit = gpu.largest_tensor();
        (moments.max(arena) > limit).then(|| {
            format!(
                "the fused engine keeps all moments of the optimizer together, {moments} bytes, and {} allows {limit}",
                gpu.report
            )
        })
    }

    fn new(
        setup: &EngineSetup<'_>,
        network: &Network,
        layout: Layout,
        executor: Box<dyn Executor>,
    ) -> Self {
        let model = Model {
            config: setup.model,
            network,
            layout: &layout,
        };
        let loss = model.loss(&setup.objective, false);
        Self {
            config: setup.model.clone(),
            training: Arc::new(loss.training(&TrainingImages::default())),
            loss,
            denoising: model.loss(&setup.objective, true),
            nll: model.nll(),
            encode: model.encode(false),
            decode: model.decode(),
            layout,
            executor,
            optimizer: setup.optimizer,
            generators: Generators::new(setup.seed),
            data_count: 0,
            has_moments: !setup.moments.is_empty(),
            piece: ([0; 2], 0),
            at_once: usize::MAX,
        }
    }

    /// The program of a training step.
    #[must_use]
    pub fn training_program(&self) -> &TrainingProgram {
        &self.training
    }

    /// What a training step on `batch` rows asks of a large GPU.
    #[must_use]
    pub fn traffic(&self, batch: usize) -> Traffic {
        let update = update::update(&self.optimizer, 1, 1.0);
        let length = self.config.parameter_count();
        Traffic::of(&self.training, update, length, batch)
    }

    /// One training step, timed: seconds of each kernel in order, with its stem; empty on a GPU without timestamps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn time_step(
        &mut self,
        rows: &[u32],
        step: &Step,
    ) -> Result<Vec<(&'static str, f64)>, EngineError> {
        let step = self.training_step(Part::whole(rows), step);
        self.executor.time_step(step).map_err(failed)
    }

    fn training_step(&mut self, part: Part<'_>, step: &Step) -> TrainingStep {
        let Part { rows, first, batch } = part;
        self.has_moments = true;
        let sizes = [rows.len(), step.micro_batch];
        if self.piece.0 != sizes {
            // What the matrices take is not worked out anew for each step.
            self.piece = (sizes, piece(&self.loss, sizes[0], sizes[1]));
        }
        TrainingStep {
            program: Arc::clone(&self.training),
            run: self.training_run(step.number, step.weighting),
            piece: self.piece.1,
            rows: rows.to_vec(),
            first,
            batch,
            update: self.update_of(step),
        }
    }

    /// Number of moments that there are.
    fn kept_moments(&self) -> usize {
        match self.has_moments {
            true => self.optimizer.moment_names().len(),
            false => 0,
        }
    }

    /// The arenas that training changes.
    fn trained(&self) -> impl Iterator<Item = Arena> + use<> {
        let moments = (0..self.kept_moments()).map(Arena::Moment);
        [Arena::Parameters].into_iter().chain(moments)
    }

    fn update_of(&self, step: &Step) -> Update {
        update::update(&self.optimizer, step.number + 1, step.lr)
    }

    fn losses_of(&self, step: &StepLosses) -> Losses {
        let terms = step.terms.map(f64::from);
        self.loss.losses(step.loss.into(), &terms)
    }

    const fn training_run(&self, step: u64, weighting: Weighting) -> Run {
        self.run_with(self.generators.noise, step, 0, weighting)
    }

    /// A run of a program that draws nothing.
    const fn plain_run(&self) -> Run {
        self.training_run(0, Weighting::PLAIN)
    }

    const fn run_with(
        &self,
        generator: Generator,
        step: u64,
        first_row: u32,
        weighting: Weighting,
    ) -> Run {
        Run {
            noise: Noise {
                generator,
                step,
                first_row,
            },
            binarization: self.generators.binarization,
            corruption: self.generators.corruption,
            prior: (self.generators.prior_noise, step),
            data_count: self.data_count,
            weighting,
        }
    }

    /// Index of the moment that is the average of the weights, if one is kept.
    fn average(&self) -> Option<usize> {
        self.optimizer.ema?;
        Some(self.optimizer.optimizer.moment_names().len())
    }

    /// A training step's forward and backward passes without its update; the gradients are left in their arena.
    fn run_loss(
        &mut self,
        batch: &Batch<'_>,
        step: &Step,
        outputs: &[MatrixId],
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let count = row_count(batch.images, self.config.pixels());
        let run = self.run_with(
            self.generators.noise,
            step.number,
            batch.first_row,
            step.weighting,
        );
        let plan = LossPlan::of([&self.loss, &self.denoising], batch);
        let labels = floats(batch.labels);
        let inputs = plan.inputs(batch, &labels);
        self.executor
            .run(&plan.program, &[run], count, &inputs, outputs)
            .map_err(failed)
    }

    /// Runs the plan on rows of inputs, each with its columns, and their labels, in parts if the memory is full.
    fn run_rows(
        &mut self,
        which: Which,
        inputs: &[(&[f32], usize)],
        labels: &[u32],
    ) -> Result<Vec<f32>, EngineError> {
        let (run, average) = (self.plain_run(), self.average());
        let plan = match which {
            Which::Nll => &self.nll,
            Which::Encode => &self.encode,
            Which::Decode => &self.decode,
        };
        let count = row_count(inputs[0].0, inputs[0].1);
        let most = &mut self.at_once;
        let parts = on_average(self.executor.as_mut(), average, |executor| {
            in_parts(count, most, |range| {
                let inputs = inputs.iter();
                let inputs: Vec<&[f32]> = inputs
                    .map(|(values, columns)| rows(values, *columns, &range))
                    .collect();
                run_plan(executor, plan, &[run], &inputs, rows(labels, 1, &range))
            })
        })?;
        Ok(parts.concat())
    }

    /// The tensors of an arena, named like the parameters.
    fn tensors(&mut self, arena: Arena) -> Result<Vec<NamedTensor>, EngineError> {
        let values = self.executor.arena(arena).map_err(failed)?;
        Ok(self.layout.tensors(&values))
    }
}

/// Rows of a batch of `rows` that are computed at once: all of them, for that is the fastest, unless their matrices take much
/// memory, or the loss depends on which rows are together.
fn piece(plan: &LossPlan, rows: usize, micro_batch: usize) -> usize {
    /// Bytes of matrices that every device has.
    const SMALL: usize = 1 << 28;
    let is_small = plan.bytes(rows) <= SMALL;
    match is_small && !plan.couples_rows() {
        true => rows.max(1),
        false => micro_batch.min(rows.max(1)),
    }
}

/// Does `work` with the parameters swapped for their average, if `average` is the moment that holds one.
fn on_average<T>(
    executor: &mut dyn Executor,
    average: Option<usize>,
    work: impl FnOnce(&mut dyn Executor) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let exchange = |executor: &mut dyn Executor| match average {
        Some(moment) => executor.exchange(moment).map_err(failed),
        None => Ok(()),
    };
    exchange(executor)?;
    let done = work(executor);
    exchange(executor)?;
    done
}

/// Runs `plan` on rows of its inputs and their labels.
fn run_plan(
    executor: &mut dyn Executor,
    plan: &Plan,
    runs: &[Run],
    values: &[&[f32]],
    labels: &[u32],
) -> Result<Vec<f32>, EngineError> {
    let count = row_count(values[0], plan.program.columns[plan.inputs[0].0]);
    let labels = floats(labels);
    let labels = plan.labels.map(|matrix| (matrix, &labels[..]));
    let inputs = plan.inputs.iter().copied().zip(values.iter().copied());
    let inputs: Vec<_> = inputs.chain(labels).collect();
    let outputs = executor.run(&plan.program, runs, count, &inputs, &[plan.output]);
    let outputs = outputs.map_err(failed)?;
    Ok(outputs.into_iter().next().unwrap_or_default())
}

/// The classes of labels as the passes read them.
fn floats(labels: &[u32]) -> Vec<f32> {
    labels.iter().map(|&label| label as f32).collect()
}

/// The optimizer's moments, zero before the first step, and the average of the weights, which starts as the weights.
fn moments(setup: &EngineSetup<'_>, layout: &Layout) -> Vec<Vec<f32>> {
    if setup.moments.is_empty() {
        let zeros = vec![0.0; setup.model.parameter_count()];
        let moments = vec![zeros; setup.optimizer.optimizer.moment_names().len()];
        let average = setup.optimizer.ema.map(|_| layout.arena(setup.weights));
        return moments.into_iter().chain(average).collect();
    }
    let moments = setup.moments.iter();
    moments.map(|moments| layout.arena(moments)).collect()
}

fn failed(error: ExecutorError) -> EngineError {
    match error {
        ExecutorError::Failed(message) => EngineError::Device(message),
        ExecutorError::OutOfMemory { bytes, rows } => EngineError::OutOfMemory { bytes, rows },
    }
}

/// Number of rows of `values`, `[rows, columns]`.
fn row_count(values: &[f32], columns: usize) -> usize {
    assert_eq!(
        values.len() % columns,
        0,
        "{} values are no whole number of rows of {columns}",
        values.len()
    );
    values.len() / columns
}
