//! Snapshots, best weights and checkpoints.

use std::sync::Arc;
use std::time::Instant;

use vae_run::{FORMAT_VERSION, Position, State};
use vae_spec::{EngineError, Snapshot, Weights, WeightsError};

use super::Training;
use crate::TrainError;

impl Training<'_> {
    /// Current weights and optimizer moments.
    pub(super) fn snapshot(&mut self) -> Result<Snapshot, TrainError> {
        self.engine.snapshot().map_err(|error| match error {
            EngineError::Weights(bad @ WeightsError::NotFinite { .. }) => {
                self.diverged(None, Some(bad.to_string()))
            }
            error => error.into(),
        })
    }

    /// The weights that are evaluated and saved: their moving average, if there is one.
    pub(super) fn evaluated(&self, snapshot: &Snapshot) -> Weights {
        snapshot
            .evaluated(&self.task.recipe.optimizer_config())
            .clone()
    }

    pub(super) fn write_best(&mut self, weights: Weights) -> Result<(), TrainError> {
        self.best = weights.clone();
        let scaling = self.task.preprocessing.scaling().cloned();
        self.writer
            .write(move |folder| folder.write_best(&weights, scaling.as_ref()))?;
        Ok(())
    }

    pub(super) fn is_checkpoint_due(&self) -> bool {
        let (time, step) = self.last_checkpoint;
        let steps = self.manifest.steps - step;
        let minutes = time.elapsed().as_secs_f64() / 60.0;
        let is_due = self
            .task
            .recipe
            .checkpoint_steps
            .is_some_and(|every| steps >= every)
            || minutes >= self.task.recipe.checkpoint_minutes;
        // A slow disk gets fewer checkpoints, so that training does not wait for it.
        is_due && self.writer.is_idle()
    }

    pub(super) fn checkpoint(&mut self, snapshot: Snapshot) -> Result<(), TrainError> {
        self.last_checkpoint = (Instant::now(), self.manifest.steps);
        let state = Arc::new(State {
            position: Position {
                format_version: FORMAT_VERSION,
                recipe: self.task.recipe.clone(),
                manifest: self.manifest.clone(),
                epoch: self.epoch,
                metrics_bytes: self.folder.metrics_bytes()?,
                plateau: self.plateau,
                stopping: self.stopping,
                lr_scale: self.lr_scale,
                rollbacks: self.rollbacks,
            },
            losses: self.losses.clone(),
            snapshot,
        });
        self.last_good = Arc::clone(&state);
        let scaling = self.task.preprocessing.scaling().cloned();
        self.writer
            .write(move |folder| folder.write_state(&state, scaling.as_ref()))?;
        Ok(())
    }
}
