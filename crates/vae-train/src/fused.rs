//! The fused engine: a dense model's whole training step as a short program of fused passes, on the CPU or on a GPU.

mod plan;

use std::sync::Arc;

use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Arena, Executor, ExecutorError, Run, TrainingProgram, TrainingStep};
use vae_kernels::gpu::{Gpu, GpuExecutor};
use vae_kernels::program::{Rule, Update};
use vae_kernels::sample_kl::{LOG_VAR_MAX, LOG_VAR_MIN, Noise};
use vae_model::{
    Engine, EngineError, EngineSetup, Losses, ModelConfig, NamedTensor, Optimizer, OptimizerConfig,
    ParameterSpec, Posterior, Snapshot, TrainingImages, Wait, Weights,
};
use vae_rng::{Generator, Stream};

use plan::{DecodePlan, EncodePlan, Layers, LossPlan, NllPlan};

/// A dense model as step programs. Rerun with the same seed on the CPU it gives the same bits, whatever the number of
/// threads.
#[derive(Debug)]
pub struct FusedEngine {
    config: ModelConfig,
    loss: LossPlan,
    /// The loss where the encoder sees other images.
    denoising: LossPlan,
    nll: NllPlan,
    training: Arc<TrainingProgram>,
    encode: EncodePlan,
    decode: DecodePlan,
    executor: Box<dyn Executor>,
    optimizer: OptimizerConfig,
    noise: Generator,
    evaluation_noise: Generator,
    binarization: Generator,
    corruption: Generator,
    /// Whether the moments mean anything yet.
    has_moments: bool,
}

impl FusedEngine {
    /// An engine on the CPU with the weights of `setup`, which are of its model.
    #[must_use]
    pub fn cpu(setup: &EngineSetup<'_>) -> Self {
        let executor = Cpu::new(arena(setup.weights), moments(setup));
        Self::new(setup, Box::new(executor))
    }

    /// An engine on a GPU with the weights of `setup`, which are of its model.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn gpu(setup: &EngineSetup<'_>, gpu: &Gpu) -> Result<Self, EngineError> {
        let executor =
            GpuExecutor::new(gpu, &arena(setup.weights), &moments(setup)).map_err(failed)?;
        Ok(Self::new(setup, Box::new(executor)))
    }

    /// What keeps the fused engine from running `model` on `gpu`, where burn, which needs no more than one tensor in a
    /// binding, may still do it; `None` if nothing does.
    #[must_use]
    pub fn obstacle(model: &ModelConfig, optimizer: Optimizer, gpu: &Gpu) -> Option<String> {
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

    fn new(setup: &EngineSetup<'_>, executor: Box<dyn Executor>) -> Self {
        let layers = Layers::new(setup.model);
        let loss = plan::loss(&layers, false);
        Self {
            config: setup.model.clone(),
            training: Arc::new(loss.training(&TrainingImages::default())),
            loss,
            denoising: plan::loss(&layers, true),
            nll: plan::nll(&layers),
            encode: plan::encode(&layers),
            decode: plan::decode(&layers),
            executor,
            optimizer: setup.optimizer,
            noise: Generator::new(setup.seed, Stream::Noise),
            evaluation_noise: Generator::new(setup.seed, Stream::EvaluationNoise),
            binarization: Generator::new(setup.seed, Stream::Binarization),
            corruption: Generator::new(setup.seed, Stream::Corruption),
            has_moments: !setup.moments.is_empty(),
        }
    }

    /// One training step, timed: seconds of each kernel in order, with its stem; empty on a GPU without timestamps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn time_step(
        &mut self,
        rows: &[u32],
        step: u64,
    ) -> Result<Vec<(&'static str, f64)>, EngineError> {
        self.has_moments = true;
        let step = self.training_step(rows, step, 1.0);
        self.executor.time_step(step).map_err(failed)
    }

    fn training_step(&self, rows: &[u32], step: u64, beta: f32) -> TrainingStep {
        TrainingStep {
            program: Arc::clone(&self.training),
            run: self.training_run(step, beta),
            rows: rows.to_vec(),
            update: self.update(step + 1),
        }
    }

    const fn training_run(&self, step: u64, beta: f32) -> Run {
        self.run_with(self.noise, step, 0, beta)
    }

    /// For programs that draw nothing.
    const fn plain_run(&self) -> Run {
        self.training_run(0, 1.0)
    }

    const fn run_with(&self, generator: Generator, step: u64, first_row: u32, beta: f32) -> Run {
        Run {
            noise: Noise {
                generator,
                step,
                first_row,
            },
            binarization: self.binarization,
            corruption: self.corruption,
            beta,
        }
    }

    /// The `update`-th update, counted from 1.
    fn update(&self, update: u64) -> Update {
        let OptimizerConfig {
            optimizer,
            lr,
            weight_decay,
            momentum,
            clip_norm,
        } = self.optimizer;
        let rule = match optimizer {
            Optimizer::Rmsprop => Rule::Rmsprop {
                lr,
                rho: OptimizerConfig::RMSPROP_RHO,
                eps: OptimizerConfig::RMSPROP_EPS,
            },
            Optimizer::Adam | Optimizer::Adamw => {
                let [mean, square] = OptimizerConfig::adam_corrections(update);
                Rule::Adam {
                    step_size: (f64::from(lr) / mean) as f32,
                    root_correction: square.sqrt() as f32,
                    beta1: OptimizerConfig::ADAM_BETA1,
                    beta2: OptimizerConfig::ADAM_BETA2,
                    eps: OptimizerConfig::ADAM_EPS,
                    keep: 1.0 - lr * weight_decay,
                }
            }
            Optimizer::Sgd => Rule::Sgd { lr, momentum },
        };
        Update { rule, clip_norm }
    }

    /// The tensors of an arena, named as the parameters.
    fn tensors(&mut self, arena: Arena) -> Result<Vec<NamedTensor>, EngineError> {
        let values = self.executor.arena(arena).map_err(failed)?;
        let mut rest = &values[..];
        let tensor = |spec: ParameterSpec| {
            let (values, after) = rest.split_at(spec.shape.iter().product());
            rest = after;
            NamedTensor {
                name: spec.name,
                shape: spec.shape,
                values: values.to_vec(),
            }
        };
        Ok(self.config.parameters().into_iter().map(tensor).collect())
    }
}

/// All weights, in the order of [`ModelConfig::parameters`]; gradients and moments have the same layout.
fn arena(weights: &Weights) -> Vec<f32> {
    let values = weights.tensors().iter().flat_map(|tensor| &tensor.values);
    values.copied().collect()
}

/// The optimizer's moments, zero before the first step.
fn moments(setup: &EngineSetup<'_>) -> Vec<Vec<f32>> {
    if setup.moments.is_empty() {
        let zeros = vec![0.0; setup.model.parameter_count()];
        return vec![zeros; setup.optimizer.optimizer.moment_names().len()];
    }
    setup.moments.iter().map(arena).collect()
}

fn failed(error: ExecutorError) -> EngineError {
    EngineError::Device(error.0)
}

/// Rows of `values`, `[batch, columns]`.
fn batch(values: &[f32], columns: usize) -> usize {
    assert_eq!(
        values.len() % columns,
        0,
        "{} values are no whole number of rows of {columns}",
        values.len()
    );
    values.len() / columns
}

impl Engine for FusedEngine {
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError> {
        let plan = match images.corruption {
            Some(_) => &self.denoising,
            None => &self.loss,
        };
        self.training = Arc::new(plan.training(&images));
        let row_bytes = self.config.pixels * plan::element(&images).size();
        self.executor
            .set_images(images.bytes, row_bytes)
            .map_err(failed)
    }

    fn train_step(&mut self, rows: &[u32], step: u64, beta: f32) -> Result<(), EngineError> {
        self.has_moments = true;
        let step = self.training_step(rows, step, beta);
        self.executor.train(step).map_err(failed)
    }

    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError> {
        let losses = self.executor.losses(wait == Wait::ForAll).map_err(failed)?;
        let losses = losses.into_iter().map(|losses| Losses {
            recon: losses.recon.into(),
            kl: losses.kl.into(),
        });
        Ok(losses.collect())
    }

    fn gradients(
        &mut self,
        images: &[f32],
        step: u64,
        beta: f32,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        let (run, batch) = (
            self.training_run(step, beta),
            batch(images, self.config.pixels),
        );
        let inputs = [(self.loss.images, images)];
        self.executor
            .run(&self.loss.program, run, batch, &inputs, &[])
            .map_err(failed)?;
        self.tensors(Arena::Gradients)
    }

    fn evaluate(
        &mut self,
        images: &[f32],
        corrupted: Option<&[f32]>,
        first_row: u32,
    ) -> Result<Losses, EngineError> {
        let batch = batch(images, self.config.pixels);
        let run = self.run_with(self.evaluation_noise, 0, first_row, 1.0);
        let plan = match corrupted {
            Some(_) => &self.denoising,
            None => &self.loss,
        };
        let corrupted = corrupted.map(|corrupted| (plan.seen, corrupted));
        let inputs: Vec<_> = [(plan.images, images)]
            .into_iter()
            .chain(corrupted)
            .collect();
        let outputs = self
            .executor
            .run(&plan.forward, run, batch, &inputs, &[plan.recon, plan.kl])
            .map_err(failed)?;
        let mean = |values: &Vec<f32>| {
            values.iter().map(|&value| f64::from(value)).sum::<f64>() / batch as f64
        };
        Ok(Losses {
            recon: mean(&outputs[0]),
            kl: mean(&outputs[1]),
        })
    }

    fn nll(&mut self, z: &[f32], images: &[f32]) -> Result<Vec<f32>, EngineError> {
        let (run, batch) = (self.plain_run(), batch(z, self.config.latent));
        let NllPlan {
            program,
            z: z_buffer,
            images: images_buffer,
            recon,
        } = &self.nll;
        let inputs = [(*z_buffer, z), (*images_buffer, images)];
        let outputs = self
            .executor
            .run(program, run, batch, &inputs, &[*recon])
            .map_err(failed)?;
        let parts = outputs[0].len() / batch.max(1);
        let rows = outputs[0].chunks_exact(parts.max(1));
        let sum = |row: &[f32]| row.iter().map(|&part| f64::from(part)).sum::<f64>() as f32;
        Ok(rows.map(sum).collect())
    }

    fn encode(&mut self, images: &[f32]) -> Result<Posterior, EngineError> {
        let (run, batch) = (self.plain_run(), batch(images, self.config.pixels));
        let EncodePlan {
            program,
            images: buffer,
            posterior,
        } = &self.encode;
        let outputs = self
            .executor
            .run(program, run, batch, &[(*buffer, images)], &[*posterior])
            .map_err(failed)?;
        let latent = self.config.latent;
        let rows = || outputs[0].chunks_exact(2 * latent);
        let log_var = rows().flat_map(|row| &row[latent..]);
        Ok(Posterior {
            mu: rows().flat_map(|row| &row[..latent]).copied().collect(),
            log_var: log_var.map(|v| v.clamp(LOG_VAR_MIN, LOG_VAR_MAX)).collect(),
        })
    }

    fn decode(&mut self, z: &[f32]) -> Result<Vec<f32>, EngineError> {
        let (run, batch) = (self.plain_run(), batch(z, self.config.latent));
        let DecodePlan {
            program,
            z: buffer,
            means,
        } = &self.decode;
        let outputs = self
            .executor
            .run(program, run, batch, &[(*buffer, z)], &[*means])
            .map_err(failed)?;
        Ok(outputs.into_iter().next().unwrap_or_default())
    }

    fn snapshot(&mut self) -> Result<Snapshot, EngineError> {
        let kept = if self.has_moments {
            self.optimizer.optimizer.moment_names().len()
        } else {
            0
        };
        let mut weights = |arena| -> Result<Weights, EngineError> {
            let tensors = self.tensors(arena)?;
            Ok(Weights::from_tensors(&self.config, tensors)?)
        };
        Ok(Snapshot {
            weights: weights(Arena::Parameters)?,
            moments: (0..kept)
                .map(|index| weights(Arena::Moment(index)))
                .collect::<Result<_, _>>()?,
        })
    }
}
