//! Snapshots, best weights and checkpoints.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use vae_run::{FORMAT_VERSION, Position, State};
use vae_spec::{EngineError, Snapshot, Weights, WeightsError};

use super::Training;
use crate::{Event, TrainError};

/// How long a complete run waits for room on the disk, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(2);

impl Training<'_> {
    /// Current weights and optimizer moments.
    pub(super) fn snapshot(&mut self) -> Result<Snapshot, TrainError> {
        self.engine()?.snapshot().map_err(|error| match error {
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

    pub(super) fn write_best(&mut self, weights: Weights) {
        self.best = weights.clone();
        self.writer.write_best(weights);
    }

    /// A message if a checkpoint cannot be written, once for each reason, or is written after all.
    pub(super) fn disk_notice(&mut self) -> Option<String> {
        match self.writer.trouble() {
            Some(error) => {
                let error = with_cause(&error);
                let is_new = self.trouble.as_ref() != Some(&error);
                self.trouble = Some(error.clone());
                is_new.then(|| {
                    format!("{error}; training goes on, and the next checkpoint tries again")
                })
            }
            None if self.trouble.is_some() && self.writer.is_written() => {
                self.trouble = None;
                Some("the checkpoint is written after all".to_owned())
            }
            None => None,
        }
    }

    /// Waits until everything is on disk, for some time also for room on it.
    pub(super) fn finish_writing(
        &self,
        interrupted: &AtomicBool,
        on_event: &mut impl FnMut(Event),
    ) -> Result<(), TrainError> {
        let end = Instant::now() + PATIENCE;
        let mut is_said = false;
        loop {
            let Err(error) = self.writer.flush() else {
                return Ok(());
            };
            if interrupted.load(Ordering::Relaxed) || Instant::now() > end {
                return Err(error.into());
            }
            if !std::mem::replace(&mut is_said, true) {
                on_event(Event::Notice(format!(
                    "{}; the run is complete but not saved: this is tried again for {} minutes, or until Ctrl-C",
                    with_cause(&error),
                    PATIENCE.as_secs() / 60
                )));
            }
            thread::sleep(PAUSE);
        }
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
        self.writer.write_state(state);
        Ok(())
    }
}

/// An error in one line.
fn with_cause(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
