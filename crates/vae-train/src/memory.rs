//! The memory that training takes, and whether there is as much.

use vae_data::Dataset;
use vae_device::{Device, Memory, Route, memory};
use vae_infer::EVALUATION_BATCH;
use vae_recipe::Recipe;

use crate::TrainError;

/// What training `recipe` on `dataset` takes on the fused engine.
#[must_use]
pub fn needed(recipe: &Recipe, dataset: &Dataset) -> Memory {
    // A batch holds no more than there is.
    let rows = recipe.batch_size.saturating_mul(recipe.accumulate);
    let rows = rows.min(dataset.train.count());
    Memory::of(
        &recipe.model(),
        &recipe.objective(),
        &recipe.optimizer_config(),
        recipe.corrupt.is_some(),
        [rows, recipe.batch_size],
        EVALUATION_BATCH.min(dataset.validation.count()),
    )
}

/// Refuses what the CPU's memory cannot hold, before anything is allocated.
pub(crate) fn check(
    recipe: &Recipe,
    dataset: &Dataset,
    device: &Device,
    route: &Route,
) -> Result<(), TrainError> {
    let (true, Route::Fused, Some(free)) = (device.is_cpu(), route, memory::available()) else {
        return Ok(());
    };
    let needed = needed(recipe, dataset);
    if needed.total() as u64 <= free {
        return Ok(());
    }
    Err(TrainError::Memory {
        batch_size: recipe.batch_size,
        needed: memory::bytes(needed.total() as u64),
        free: memory::bytes(free),
        advice: match needed.rows_in(free as usize) {
            0 => "a smaller network or fewer --samples may fit".to_owned(),
            fits => format!("a --batch-size of up to {fits} fits"),
        },
    })
}
