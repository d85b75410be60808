//! A process that follows the orders of the first one of its group.

use std::sync::atomic::{AtomicBool, Ordering};

use vae_data::Dataset;
use vae_device::Device;
use vae_recipe::Recipe;
use vae_spec::Engine;

use super::closed;
use super::read_ahead::ReadAhead;
use super::task::Task;
use super::team::{Order, StepBatch, Team};
use crate::{Outcome, TrainError};

/// Trains with the other processes of `team`, of which this one is not the first, until that one ends the run, whose folder it alone
/// writes. If `interrupted` is set, the run is stopped, and resumed from there, as if the first one had been interrupted.
///
/// # Errors
/// If the data do not fit the model, the model does not fit the device, or the device fails.
pub fn follow(
    mut team: Team<'_>,
    recipe: &Recipe,
    dataset: &Dataset,
    device: &Device,
    interrupted: &AtomicBool,
) -> Result<Outcome, TrainError> {
    let task = Task::new(recipe, dataset, device)?;
    let mut engine: Option<Box<dyn Engine>> = None;
    let mut epoch = Epoch::default();
    loop {
        match team.receive()? {
            Order::Open { moments } => {
                // Two engines at a time may exceed the device's memory.
                drop(engine.take());
                let snapshot = team.receive_state(&recipe.model(), moments);
                engine = Some(task.engine(&snapshot)?);
            }
            Order::Step {
                epoch: number,
                index,
                step,
            } => {
                // It goes back after a rollback.
                if (epoch.number, epoch.next) != (number, index) {
                    epoch = Epoch::from(number, index, &task, &team);
                }
                let rows = task.dataset_rows(epoch.next_batch(recipe.effective_batch_size()));
                let batch = StepBatch {
                    rows: &rows,
                    step: &step,
                    is_last: epoch.is_over(recipe.effective_batch_size()),
                };
                let is_stop_wanted = interrupted.load(Ordering::Relaxed);
                let engine = engine.as_deref_mut().ok_or_else(closed)?;
                team.step(engine, batch, is_stop_wanted)?;
                // The first process keeps them.
                team.losses.clear();
                if let Some(read_ahead) = &mut epoch.read_ahead {
                    read_ahead.advance(team.share(rows.len()).len());
                }
            }
            Order::Validate => {
                let engine = engine.as_deref_mut().ok_or_else(closed)?;
                team.validate(&task, engine)?;
            }
            Order::End { is_interrupted } => {
                return Ok(match is_interrupted {
                    true => Outcome::Interrupted,
                    false => Outcome::Finished,
                });
            }
        }
    }
}

/// Where in an epoch this process is.
#[derive(Debug, Default)]
struct Epoch {
    number: usize,
    order: Vec<u32>,
    /// Index of the next batch.
    next: usize,
    read_ahead: Option<ReadAhead>,
}

impl Epoch {
    /// An epoch from the batch `index` on.
    fn from(number: usize, index: usize, task: &Task<'_>, team: &Team<'_>) -> Self {
        let order = task.order(number);
        let batches: Vec<&[u32]> = order.chunks(task.recipe.effective_batch_size()).collect();
        let rest = batches.get(index..).unwrap_or_default();
        Self {
            number,
            next: index,
            read_ahead: ReadAhead::start(task, Some(team), rest),
            order,
        }
    }

    fn next_batch(&mut self, size: usize) -> &[u32] {
        let batch = self.order.chunks(size).nth(self.next);
        self.next += 1;
        batch.unwrap_or_default()
    }

    /// Whether all batches were taken.
    const fn is_over(&self, size: usize) -> bool {
        self.next * size >= self.order.len()
    }
}
