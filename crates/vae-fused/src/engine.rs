//! [`Engine`] for [`FusedEngine`].

use std::sync::Arc;

use vae_kernels::executor::{Arena, Run};
use vae_kernels::program::Coefficient;
use vae_spec::{
    Batch, Engine, EngineError, LOG_VAR_MAX, LOG_VAR_MIN, Losses, NamedTensor, Part, Posterior,
    Snapshot, Step, TrainingImages, Wait, Weighting, Weights,
};

use crate::loss::LossPlan;
use crate::parts::{in_parts, rows};
use crate::{FusedEngine, Which, failed, floats, importance, on_average, row_count};

impl Engine for FusedEngine {
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError> {
        let plan = match images.corruption {
            Some(_) => &self.denoising,
            None => &self.loss,
        };
        self.training = Arc::new(plan.training(&images));
        self.data_count = images.count;
        let row_bytes = self.config.pixels() * images.element.size();
        self.executor
            .set_images(images.bytes, images.labels, row_bytes)
            .map_err(failed)
    }

    fn train_on_part(&mut self, part: Part<'_>, step: &Step) -> Result<(), EngineError> {
        let step = self.training_step(part, step);
        self.executor.train(step).map_err(failed)
    }

    fn part_gradients(
        &mut self,
        part: Part<'_>,
        step: &Step,
        gradients: &mut Vec<f32>,
    ) -> Result<Losses, EngineError> {
        let step = self.training_step(part, step);
        let losses = self.executor.gradients(&step, gradients).map_err(failed)?;
        Ok(self.losses_of(&losses))
    }

    fn update(&mut self, gradients: &mut Vec<f32>, step: &Step) -> Result<(), EngineError> {
        self.has_moments = true;
        let update = self.update_of(step);
        self.executor.update(update, gradients).map_err(failed)
    }

    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError> {
        let losses = self.executor.losses(wait == Wait::ForAll).map_err(failed)?;
        Ok(losses.iter().map(|step| self.losses_of(step)).collect())
    }

    fn gradients(
        &mut self,
        batch: &Batch<'_>,
        step: &Step,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        self.run_loss(batch, step, &[])?;
        self.tensors(Arena::Gradients)
    }

    fn trace(&mut self, batch: &Batch<'_>, step: &Step) -> Result<Vec<NamedTensor>, EngineError> {
        let plan = LossPlan::of([&self.loss, &self.denoising], batch);
        let names = plan.names.clone();
        let buffers: Vec<_> = names.iter().map(|(_, buffer)| *buffer).collect();
        let values = self.run_loss(batch, step, &buffers)?;
        let count = row_count(batch.images, self.config.pixels());
        let plan = LossPlan::of([&self.loss, &self.denoising], batch);
        let named = names
            .into_iter()
            .zip(values)
            .map(|((name, matrix), values)| NamedTensor {
                name,
                shape: vec![
                    plan.program.rows[matrix.0].of(count),
                    plan.program.columns[matrix.0],
                ],
                values,
            });
        let named: Vec<_> = named.collect();
        let gradients = self.tensors(Arena::Gradients)?.into_iter();
        let gradients = gradients.map(|gradient| NamedTensor {
            name: format!("gradient of {}", gradient.name),
            ..gradient
        });
        Ok(named.into_iter().chain(gradients).collect())
    }

    fn evaluate(&mut self, batch: &Batch<'_>, weighting: Weighting) -> Result<Losses, EngineError> {
        let count = row_count(batch.images, self.config.pixels());
        let run = Run {
            // Training steps count from 0: this is none of them.
            prior: (self.generators.prior_noise, u64::MAX),
            ..self.run_with(
                self.generators.evaluation_noise,
                0,
                batch.first_row,
                weighting,
            )
        };
        let plan = LossPlan::of([&self.loss, &self.denoising], batch);
        let (terms, outputs) = (&plan.terms, plan.term_matrices());
        let (average, pixels) = (self.average(), self.config.pixels());
        let mut whole = usize::MAX;
        // The loss of rows that are compared with each other is that of all of them.
        let most = match plan.couples_rows() {
            true => &mut whole,
            false => &mut self.at_once,
        };
        let parts = on_average(self.executor.as_mut(), average, |executor| {
            in_parts(count, most, |range| {
                let first_row = batch.first_row + range.start as u32;
                let batch = Batch {
                    images: rows(batch.images, pixels, &range),
                    corrupted: batch.corrupted.map(|images| rows(images, pixels, &range)),
                    labels: rows(batch.labels, 1, &range),
                    first_row,
                };
                let mut run = run;
                run.noise.first_row = first_row;
                let labels = floats(batch.labels);
                let inputs = plan.inputs(&batch, &labels);
                let values = executor.run(&plan.forward, &[run], range.len(), &inputs, &outputs);
                values.map_err(failed)
            })
        })?;
        let means = terms.iter().enumerate().map(|(index, term)| {
            let values = parts.iter().flat_map(|values| &values[index]);
            let sum: f64 = values.map(|&value| f64::from(value)).sum();
            sum / plan.forward.rows[term.matrix.0].of(count) as f64
        });
        let means: Vec<f64> = means.collect();
        let parts = terms.iter().zip(&means);
        let parts = parts.filter(|(term, _)| term.coefficient != Coefficient::Zero);
        let loss = parts.map(|(term, mean)| f64::from(term.coefficient.of(weighting)) * mean);
        Ok(plan.losses(loss.sum(), &means))
    }

    fn nll(&mut self, z: &[f32], batch: &Batch<'_>) -> Result<Vec<f32>, EngineError> {
        let inputs = [
            (z, self.config.latent),
            (batch.images, self.config.pixels()),
        ];
        let parts = self.run_rows(Which::Nll, &inputs, batch.labels)?;
        let rows = parts.chunks_exact(self.nll.program.columns[self.nll.output.0]);
        let sum = |row: &[f32]| row.iter().map(|&part| f64::from(part)).sum::<f64>() as f32;
        Ok(rows.map(sum).collect())
    }

    fn importance_nll(
        &mut self,
        batch: &Batch<'_>,
        counts: &[usize],
    ) -> Result<Vec<Vec<f64>>, EngineError> {
        importance::nll(self, batch, counts)
    }

    fn encode(&mut self, batch: &Batch<'_>) -> Result<Posterior, EngineError> {
        let images = [(batch.images, self.config.pixels())];
        let posterior = self.run_rows(Which::Encode, &images, batch.labels)?;
        let latent = self.config.latent;
        let rows = || posterior.chunks_exact(2 * latent);
        let log_var = rows().flat_map(|row| &row[latent..]);
        Ok(Posterior {
            mu: rows().flat_map(|row| &row[..latent]).copied().collect(),
            log_var: log_var.map(|v| v.clamp(LOG_VAR_MIN, LOG_VAR_MAX)).collect(),
        })
    }

    fn decode(&mut self, z: &[f32], labels: &[u32]) -> Result<Vec<f32>, EngineError> {
        let z = [(z, self.config.latent)];
        self.run_rows(Which::Decode, &z, labels)
    }

    fn snapshot(&mut self) -> Result<Snapshot, EngineError> {
        let kept = self.kept_moments();
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

    fn numbers(&mut self) -> Result<Vec<f32>, EngineError> {
        let mut numbers = Vec::new();
        for arena in self.trained() {
            numbers.extend(self.executor.arena(arena).map_err(failed)?);
        }
        Ok(numbers)
    }

    fn set_numbers(&mut self, numbers: &[f32]) -> Result<(), EngineError> {
        let arenas = self.trained();
        let arenas = arenas.zip(numbers.chunks(self.config.parameter_count()));
        for (arena, numbers) in arenas {
            self.executor.set_arena(arena, numbers).map_err(failed)?;
        }
        Ok(())
    }
}
