//! The losses and the latents of the validation samples.

use vae_infer::{LatentUse, batches};
use vae_rng::{Generator, Stream};
use vae_spec::{Batch, Engine, Losses, Posterior};

use super::task::Task;
use super::team::{Order, Team};
use super::{Training, closed};
use crate::TrainError;

/// The losses and posteriors of a batch of validation samples.
pub(super) type Evaluated = (Losses, Posterior);

impl Task<'_> {
    /// The places of the validation samples, batch by batch.
    pub(super) fn validation_batches(&self) -> impl Iterator<Item = Vec<u32>> + use<> {
        batches(self.validation.count(), self.evaluation_batch())
    }

    /// Evaluates the validation samples at `places`, which follow each other, corrupted as in training.
    pub(super) fn evaluate(
        &self,
        engine: &mut dyn Engine,
        places: &[u32],
    ) -> Result<Evaluated, TrainError> {
        let (images, damaged) = self.preprocessing.corrupted(&self.validation, places)?;
        let first = places[0] as usize;
        let labels = self.validation_labels.get(first..first + places.len());
        let batch = Batch {
            images: &images,
            corrupted: damaged.as_deref(),
            labels: labels.unwrap_or_default(),
            first_row: places[0],
        };
        let losses = engine.evaluate(&batch, self.recipe.final_weighting())?;
        let posterior = engine.encode(&Batch {
            images: damaged.as_deref().unwrap_or(&images),
            ..batch
        })?;
        Ok((losses, posterior))
    }
}

impl Training<'_> {
    /// Mean losses over all validation samples, the use of their latents, and the means of these, `[count, latent]`.
    pub(super) fn evaluate(&mut self) -> Result<(Losses, LatentUse, Vec<f32>), TrainError> {
        let batches = self.evaluate_batches()?;
        let sizes = self.task.validation_batches().map(|places| places.len());
        let losses = batches.iter().map(|(losses, _)| *losses).zip(sizes);
        let losses = losses.collect();
        let (mut mu, mut log_var) = (Vec::new(), Vec::new());
        for (_, posterior) in batches {
            mu.extend(posterior.mu);
            log_var.extend(posterior.log_var);
        }
        let noise = Generator::new(self.task.recipe.seed, Stream::EvaluationNoise);
        let latent_use = LatentUse::of(&mu, &log_var, self.task.recipe.latent, noise);
        Ok((losses, latent_use, mu))
    }

    fn evaluate_batches(&mut self) -> Result<Vec<Evaluated>, TrainError> {
        let engine = self.engine.as_deref_mut().ok_or_else(closed)?;
        match &self.team {
            Some(team) => team.lead_validation(&self.task, engine),
            None => {
                let batches = self.task.validation_batches();
                batches
                    .map(|places| self.task.evaluate(engine, &places))
                    .collect()
            }
        }
    }
}

impl Team<'_> {
    /// Orders a validation, and takes part in it: the losses and posteriors of all batches of validation samples.
    fn lead_validation(
        &self,
        task: &Task<'_>,
        engine: &mut dyn Engine,
    ) -> Result<Vec<Evaluated>, TrainError> {
        self.give(Order::Validate)?;
        let of_all = self.validate(task, engine)?;
        let mut rests: Vec<&[u8]> = of_all.iter().map(Vec::as_slice).collect();
        let batches = task.validation_batches().enumerate();
        let evaluated = batches.map(|(index, places)| {
            let rest = &mut rests[index % of_all.len()];
            let values = places.len() * task.recipe.latent * size_of::<f32>();
            let losses = take(rest, size_of::<[f64; Losses::TERMS]>());
            let losses: [f64; Losses::TERMS] = bytemuck::pod_read_unaligned(losses);
            let posterior = Posterior {
                mu: bytemuck::pod_collect_to_vec(take(rest, values)),
                log_var: bytemuck::pod_collect_to_vec(take(rest, values)),
            };
            (Losses::from_array(losses), posterior)
        });
        Ok(evaluated.collect())
    }

    /// Evaluates every so many batches of validation samples; on the first process, what each of them found, as bytes.
    pub(super) fn validate(
        &self,
        task: &Task<'_>,
        engine: &mut dyn Engine,
    ) -> Result<Vec<Vec<u8>>, TrainError> {
        let (rank, size) = (self.group.rank(), self.group.size());
        let mut bytes = Vec::new();
        for places in task.validation_batches().skip(rank).step_by(size) {
            let (losses, Posterior { mu, log_var }) = task.evaluate(engine, &places)?;
            bytes.extend_from_slice(bytemuck::cast_slice(&losses.to_array()));
            bytes.extend_from_slice(bytemuck::cast_slice(&mu));
            bytes.extend_from_slice(bytemuck::cast_slice(&log_var));
        }
        Ok(self.group.gather(&bytes))
    }
}

/// The first bytes of `rest`, which become those behind them.
fn take<'b>(rest: &mut &'b [u8], bytes: usize) -> &'b [u8] {
    let (first, behind) = rest.split_at(bytes);
    *rest = behind;
    first
}
