//! The steps of an epoch: their batches, learning rate and losses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vae_run::StepReport;
use vae_spec::{Losses, Step, Wait};

use super::read_ahead::ReadAhead;
use super::team::{Order, StepBatch, Team};
use super::{Training, closed};
use crate::{Event, TrainError};

/// Interval between reading losses back from the device: short enough for a progress bar, long enough to cost nothing.
const READ_INTERVAL: Duration = Duration::from_millis(200);

impl Training<'_> {
    /// Number of steps per epoch.
    pub(super) fn steps_per_epoch(&self) -> u64 {
        self.task
            .train
            .count()
            .div_ceil(self.task.recipe.effective_batch_size()) as u64
    }

    /// The step `number`, counted from 0 over the whole run.
    pub(super) fn step(&self, number: u64) -> Step {
        let steps = self.steps_per_epoch();
        let recipe = self.task.recipe;
        let factor = recipe
            .lr_schedule
            .factor(number, steps, recipe.epochs, &self.plateau);
        Step {
            number,
            lr: recipe.lr as f32 * factor * self.lr_scale,
            weighting: recipe.weighting(number, steps),
            micro_batch: recipe.batch_size,
        }
    }

    /// Trains the rest of an epoch; returns the samples per second, or `None` if interrupted.
    pub(super) fn train_epoch(
        &mut self,
        interrupted: &AtomicBool,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Option<f64>, TrainError> {
        let order = self.task.order(self.epoch);
        let batches: Vec<&[u32]> = order
            .chunks(self.task.recipe.effective_batch_size())
            .collect();
        let done = self.losses.len();
        let first_image: usize = batches.iter().take(done).map(|batch| batch.len()).sum();
        let mut read_ahead = ReadAhead::start(&self.task, self.team.as_ref(), &batches[done..]);
        let start = Instant::now();
        let mut last_read = start;
        let mut given = 0;
        for (index, batch) in batches.iter().enumerate().skip(done) {
            let is_stop_wanted = self.team.as_ref().is_some_and(|team| team.is_stop_wanted);
            if self.is_together() && (is_stop_wanted || interrupted.load(Ordering::Relaxed)) {
                self.take_losses(Wait::ForAll)?;
                return Ok(None);
            }
            let step = self.step(self.manifest.steps);
            if self.is_verification_due() {
                self.take_losses(Wait::ForAll)?;
                self.verify(batch, &step)?;
            }
            self.train_step(index, batch, &step)?;
            self.manifest.steps += 1;
            given += batch.len();
            if let Some(read_ahead) = &mut read_ahead {
                let share = self.team.as_ref().map(|team| team.share(batch.len()));
                read_ahead.advance(share.map_or(batch.len(), |share| share.len()));
            }
            let is_last = index + 1 == batches.len();
            if !is_last && self.is_together() && self.is_checkpoint_due() {
                self.take_losses(Wait::ForAll)?;
                let snapshot = self.snapshot()?;
                self.checkpoint(snapshot)?;
            }
            if let Some(notice) = self.disk_notice() {
                on_event(Event::Notice(notice));
            }
            if last_read.elapsed() < READ_INTERVAL && !is_last {
                continue;
            }
            self.take_losses(if is_last { Wait::ForAll } else { Wait::No })?;
            last_read = Instant::now();
            let known = &batches[..self.losses.len()];
            let seen: usize = known.iter().map(|batch| batch.len()).sum();
            if seen <= first_image {
                continue;
            }
            let progress = StepReport {
                epoch: self.epoch,
                step: self.losses.len(),
                steps: batches.len(),
                train: mean(&self.losses, &batches),
                beta: step.weighting.beta,
                lr: step.lr,
                images_per_second: (seen - first_image) as f64 / start.elapsed().as_secs_f64(),
            };
            self.folder.log_step(&progress)?;
            if let Some(events) = &mut self.events {
                let before = (self.epoch as u64 - 1) * batches.len() as u64;
                events.step(before + progress.step as u64, &progress)?;
            }
            on_event(Event::Progress(progress));
        }
        Ok(Some(given as f64 / start.elapsed().as_secs_f64()))
    }

    /// Whether the engine has the weights of the run: not between the averages of processes that train apart.
    fn is_together(&self) -> bool {
        self.team.as_ref().is_none_or(Team::is_together)
    }

    /// Trains on the batch `places`, that of this index of the epoch, alone or with the other processes.
    pub(super) fn train_step(
        &mut self,
        index: usize,
        places: &[u32],
        step: &Step,
    ) -> Result<(), TrainError> {
        let rows = self.task.dataset_rows(places);
        let steps = self.steps_per_epoch();
        let engine = self.engine.as_deref_mut().ok_or_else(closed)?;
        let Some(team) = &mut self.team else {
            return Ok(engine.train_step(&rows, step)?);
        };
        team.give(Order::Step {
            epoch: self.epoch,
            index,
            step: *step,
        })?;
        let batch = StepBatch {
            rows: &rows,
            step,
            is_last: index as u64 + 1 == steps,
        };
        Ok(team.step(engine, batch, false)?)
    }

    pub(super) fn take_losses(&mut self, wait: Wait) -> Result<(), TrainError> {
        let losses = match &mut self.team {
            Some(team) => std::mem::take(&mut team.losses),
            None => self.engine()?.take_losses(wait)?,
        };
        for losses in losses {
            self.losses.push(losses);
            let is_good = [losses.loss, losses.recon, losses.kl]
                .iter()
                .all(|x| x.is_finite());
            if !is_good {
                return Err(self.diverged(Some(losses), None));
            }
        }
        Ok(())
    }
}

fn mean(losses: &[Losses], batches: &[&[u32]]) -> Losses {
    let sizes = batches.iter().map(|batch| batch.len());
    losses.iter().copied().zip(sizes).collect()
}
