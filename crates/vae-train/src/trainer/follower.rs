//! A process that follows the orders of the first one of its group.

use std::sync::atomic::{AtomicBool, Ordering};

use vae_data::Dataset;
use vae_device::Device;
use vae_recipe::Recipe;
use vae_spec::Engine;

use super::closed;
use super::task::Task;
use super::team::{Order, Team};
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
    let mut shuffled = (0, Vec::new());
    loop {
        match team.receive()? {
            Order::Open { moments } => {
                // Two engines at a time may exceed the device's memory.
                drop(engine.take());
                let snapshot = team.receive_state(&recipe.model(), moments);
                engine = Some(task.engine(&snapshot)?);
            }
            Order::Step { epoch, index, step } => {
                if shuffled.0 != epoch {
                    shuffled = (epoch, task.order(epoch));
                }
                let mut batches = shuffled.1.chunks(recipe.effective_batch_size());
                let rows = task.dataset_rows(batches.nth(index).unwrap_or_default());
                let is_stop_wanted = interrupted.load(Ordering::Relaxed);
                let engine = engine.as_deref_mut().ok_or_else(closed)?;
                team.step(engine, &rows, &step, is_stop_wanted)?;
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
