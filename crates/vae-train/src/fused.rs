//! The fused engine: a dense model's whole training step as a short program of fused passes, on the CPU.

mod plan;

use std::time::Instant;

use vae_kernels::cpu::{Arguments, Scratch, run, run_pass, update};
use vae_kernels::program::{Buffer, Program, Update};
use vae_kernels::sample_kl::{LOG_VAR_MAX, LOG_VAR_MIN, Noise};
use vae_model::{
    Engine, EngineError, EngineSetup, Losses, ModelConfig, NamedTensor, OptimizerConfig, Posterior,
    Snapshot, Weights,
};
use vae_rng::{Generator, Stream};

use plan::{DecodePlan, EncodePlan, Layers, LossPlan};

/// A dense model on the CPU. Rerun with the same seed it gives the same bits, whatever the number of threads.
#[derive(Debug)]
pub struct FusedEngine {
    config: ModelConfig,
    loss: LossPlan,
    encode: EncodePlan,
    decode: DecodePlan,
    /// All weights, in the order of [`ModelConfig::parameters`]; the gradients and each moment have the same layout.
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    moments: Vec<Vec<f32>>,
    scratch: Scratch,
    optimizer: OptimizerConfig,
    lr: f32,
    noise: Generator,
    evaluation_noise: Generator,
    /// Of each step since the last [`Engine::take_losses`].
    losses: Vec<Losses>,
    updates: u64,
}

impl FusedEngine {
    /// An engine with the weights of `setup`, which are of its model.
    #[must_use]
    pub fn new(setup: &EngineSetup<'_>) -> Self {
        let layers = Layers::new(setup.model);
        let parameters = setup
            .weights
            .tensors()
            .iter()
            .flat_map(|tensor| &tensor.values)
            .copied()
            .collect();
        let arena = vec![0.0; setup.model.parameter_count()];
        Self {
            config: setup.model.clone(),
            loss: plan::loss(&layers),
            encode: plan::encode(&layers),
            decode: plan::decode(&layers),
            parameters,
            moments: vec![arena.clone(); setup.optimizer.moment_names().len()],
            gradients: arena,
            scratch: Scratch::default(),
            optimizer: setup.optimizer,
            lr: setup.lr,
            noise: Generator::new(setup.seed, Stream::Noise),
            evaluation_noise: Generator::new(setup.seed, Stream::EvaluationNoise),
            losses: Vec::new(),
            updates: 0,
        }
    }

    /// Runs `program` on `input`, `[batch, columns]`, in `scratch`.
    fn run(
        &self,
        program: &Program,
        (buffer, input): (Buffer, &[f32]),
        scratch: &mut Scratch,
        gradients: &mut [f32],
        (noise, beta): (Noise, f32),
    ) {
        let columns = program.columns[buffer.0];
        assert_eq!(
            input.len() % columns,
            0,
            "{} values are no whole number of rows of {columns}",
            input.len()
        );
        scratch.resize(program, input.len() / columns);
        scratch.matrix_mut(buffer).copy_from_slice(input);
        run(
            program,
            scratch,
            &mut Arguments {
                parameters: &self.parameters,
                gradients,
                noise,
                beta,
            },
        );
    }

    /// Runs a program without gradients in matrices of its own.
    fn forward(&self, program: &Program, input: (Buffer, &[f32]), noise: Noise) -> Scratch {
        let mut scratch = Scratch::default();
        self.run(program, input, &mut scratch, &mut [], (noise, 1.0));
        scratch
    }

    fn mean_losses(&self, scratch: &Scratch) -> Losses {
        let mean = |buffer| {
            let values = scratch.matrix(buffer);
            values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64
        };
        Losses {
            recon: mean(self.loss.recon),
            kl: mean(self.loss.kl),
        }
    }

    const fn training_noise(&self, step: u64) -> Noise {
        Noise {
            generator: self.noise,
            step,
            first_row: 0,
        }
    }

    /// The noise of programs that draw none.
    const fn no_noise(&self) -> Noise {
        self.training_noise(0)
    }

    /// This step's update rule; `update` counts from 1.
    fn update_rule(&self, update: u64) -> Update {
        match self.optimizer {
            OptimizerConfig::Rmsprop => Update::Rmsprop {
                lr: self.lr,
                rho: OptimizerConfig::RMSPROP_RHO,
                eps: OptimizerConfig::RMSPROP_EPS,
            },
            OptimizerConfig::Adam => {
                let [mean, square] = OptimizerConfig::adam_corrections(update);
                Update::Adam {
                    step_size: (f64::from(self.lr) / mean) as f32,
                    root_correction: square.sqrt() as f32,
                    beta1: OptimizerConfig::ADAM_BETA1,
                    beta2: OptimizerConfig::ADAM_BETA2,
                    eps: OptimizerConfig::ADAM_EPS,
                }
            }
        }
    }

    /// Runs one training step and times it: seconds of each pass in order, and of the update at the end.
    pub fn time_step(&mut self, images: &[f32], step: u64) -> Vec<(&'static str, f64)> {
        let columns = self.loss.program.columns[self.loss.images.0];
        self.scratch
            .resize(&self.loss.program, images.len() / columns);
        self.scratch
            .matrix_mut(self.loss.images)
            .copy_from_slice(images);
        let (noise, update_rule) = (self.training_noise(step), self.update_rule(step + 1));
        let mut times = Vec::new();
        for pass in &self.loss.program.passes {
            let (parameters, gradients) = (&self.parameters, &mut self.gradients[..]);
            let start = Instant::now();
            run_pass(
                pass,
                &mut self.scratch,
                &mut Arguments {
                    parameters,
                    gradients,
                    noise,
                    beta: 1.0,
                },
            );
            times.push((pass.stem(), start.elapsed().as_secs_f64()));
        }
        let start = Instant::now();
        update(
            update_rule,
            &mut self.parameters,
            &self.gradients,
            &mut self.moments,
        );
        times.push(("update", start.elapsed().as_secs_f64()));
        times
    }

    /// The tensors of an arena, each named with `prefix` before the parameter's name.
    fn tensors(&self, prefix: &str, arena: &[f32]) -> Vec<NamedTensor> {
        let mut rest = arena;
        let tensor = |spec: vae_model::ParameterSpec| {
            let (values, after) = rest.split_at(spec.shape.iter().product());
            rest = after;
            NamedTensor {
                name: format!("{prefix}{}", spec.name),
                shape: spec.shape,
                values: values.to_vec(),
            }
        };
        self.config.parameters().into_iter().map(tensor).collect()
    }
}

impl Engine for FusedEngine {
    fn train_step(&mut self, images: &[f32], step: u64, beta: f32) -> Result<(), EngineError> {
        let (mut scratch, mut gradients) = (
            std::mem::take(&mut self.scratch),
            std::mem::take(&mut self.gradients),
        );
        let noise = self.training_noise(step);
        let input = (self.loss.images, images);
        self.run(
            &self.loss.program,
            input,
            &mut scratch,
            &mut gradients,
            (noise, beta),
        );
        let losses = self.mean_losses(&scratch);
        self.losses.push(losses);
        update(
            self.update_rule(step + 1),
            &mut self.parameters,
            &gradients,
            &mut self.moments,
        );
        self.updates += 1;
        (self.scratch, self.gradients) = (scratch, gradients);
        Ok(())
    }

    fn gradients(
        &self,
        images: &[f32],
        step: u64,
        beta: f32,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        let mut gradients = vec![0.0; self.parameters.len()];
        let input = (self.loss.images, images);
        let noise = self.training_noise(step);
        self.run(
            &self.loss.program,
            input,
            &mut Scratch::default(),
            &mut gradients,
            (noise, beta),
        );
        Ok(self.tensors("", &gradients))
    }

    fn take_losses(&mut self) -> Result<Vec<Losses>, EngineError> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn evaluate(&self, images: &[f32], first_row: u32) -> Result<Losses, EngineError> {
        let noise = Noise {
            generator: self.evaluation_noise,
            step: 0,
            first_row,
        };
        Ok(self.mean_losses(&self.forward(&self.loss.forward, (self.loss.images, images), noise)))
    }

    fn encode(&self, images: &[f32]) -> Result<Posterior, EngineError> {
        let EncodePlan {
            program,
            images: buffer,
            mu,
            log_var,
            ..
        } = &self.encode;
        let scratch = self.forward(program, (*buffer, images), self.no_noise());
        let clamped = scratch
            .matrix(*log_var)
            .iter()
            .map(|v| v.clamp(LOG_VAR_MIN, LOG_VAR_MAX));
        Ok(Posterior {
            mu: scratch.matrix(*mu).to_vec(),
            log_var: clamped.collect(),
        })
    }

    fn decode(&self, z: &[f32]) -> Result<Vec<f32>, EngineError> {
        let DecodePlan {
            program,
            z: buffer,
            pixels,
        } = &self.decode;
        Ok(self
            .forward(program, (*buffer, z), self.no_noise())
            .matrix(*pixels)
            .to_vec())
    }

    fn snapshot(&self) -> Result<Snapshot, EngineError> {
        let weights = Weights::from_tensors(&self.config, self.tensors("", &self.parameters))?;
        let names = self.optimizer.moment_names().iter();
        let moments = names.zip(&self.moments).filter(|_| self.updates > 0);
        let optimizer = moments
            .flat_map(|(name, moment)| self.tensors(&format!("{name}."), moment))
            .collect();
        Ok(Snapshot { weights, optimizer })
    }
}
