//! The training loop: steps, validation, best and last weights, checkpoints, final plots. Emits [`Event`]s.

mod checkpoint;
mod device;
mod divergence;
mod epoch;
mod follower;
mod picture;
mod read_ahead;
mod steps;
mod task;
mod team;
mod validation;
mod verify;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use vae_data::Dataset;
use vae_device::Device;
use vae_recipe::{Plateau, Recipe, StoppingState};
use vae_run::{
    DataSummary, EpochReport, EventFile, FORMAT_VERSION, Interrupted, Manifest, Position,
    RunFolder, State, Writer,
};
use vae_spec::{Engine, EngineError, Losses, Snapshot, Weights};

use crate::{Event, Outcome, TrainError};

use task::Task;
use team::Order;

pub use device::DeviceLost;
pub use divergence::Divergence;
pub use follower::follow;
pub use team::Team;

/// A new or resumed training run.
pub struct Training<'a> {
    task: Task<'a>,
    /// The processes that train this run together, or the pieces of its batches.
    team: Option<Team<'a>>,
    /// None only while another takes its place.
    engine: Option<Box<dyn Engine>>,
    folder: Arc<RunFolder>,
    writer: Writer,
    /// Why the last checkpoint could not be written, if it could not.
    trouble: Option<String>,
    /// Event file for TensorBoard, if one is asked for, once training has begun.
    events: Option<EventFile>,
    manifest: Manifest,
    epochs: Vec<EpochReport>,
    best: Weights,
    /// Current epoch, counted from 1.
    epoch: usize,
    /// Losses of the epoch's steps, as far as known.
    losses: Vec<Losses>,
    plateau: Plateau,
    stopping: StoppingState,
    /// Whether the pictures of a finished run are drawn.
    has_pictures: bool,
    /// Factor on the learning rate from rollbacks.
    lr_scale: f32,
    rollbacks: usize,
    /// State of the last checkpoint.
    last_good: Arc<State>,
    last_checkpoint: (Instant, u64),
}

impl<'a> Training<'a> {
    /// A new run in the folder `path`, with initial weights, on `device`.
    ///
    /// # Errors
    /// If the data do not fit the model, the model does not fit the device, or the folder cannot be created.
    pub fn new(
        recipe: &'a Recipe,
        dataset: &Dataset,
        device: &'a Device,
        path: &Path,
    ) -> Result<Self, TrainError> {
        let task = Task::new(recipe, dataset, device)?;
        let snapshot = Snapshot {
            weights: task.initial_weights(),
            moments: Vec::new(),
        };
        let engine = task.engine(&snapshot)?;
        let folder = RunFolder::create(path)?;
        let data = DataSummary::of(dataset);
        let manifest = Manifest::new(task.computed_by(), data, recipe.model().parameter_count());
        let state = State {
            position: Position {
                format_version: FORMAT_VERSION,
                recipe: recipe.clone(),
                manifest,
                epoch: 1,
                metrics_bytes: 0,
                plateau: Plateau::default(),
                stopping: StoppingState::default(),
                lr_scale: 1.0,
                rollbacks: 0,
            },
            losses: Vec::new(),
            snapshot,
        };
        let best = state.snapshot.weights.clone();
        let training = Self::at(task, engine, folder, state, best, Vec::new())?;
        // From here on the folder is always a run that can be loaded and resumed.
        let scaling = training.task.preprocessing.scaling();
        training.folder.write_best(&training.best, scaling)?;
        training.folder.write_state(&training.last_good, scaling)?;
        training.folder.write_recipe(recipe)?;
        Ok(training)
    }

    /// Resumes the run `interrupted` with `recipe` on `device`.
    ///
    /// # Errors
    /// If the data do not fit the model, the model does not fit the device, or the folder is locked or cannot be written.
    pub fn resume(
        interrupted: Interrupted,
        recipe: &'a Recipe,
        dataset: &Dataset,
        device: &'a Device,
    ) -> Result<Self, TrainError> {
        let Interrupted {
            path,
            mut state,
            best,
        } = interrupted;
        let mut task = Task::new(recipe, dataset, device)?;
        let engine = task.engine(&state.snapshot)?;
        let (folder, epochs, unreadable) = RunFolder::reopen(&path, state.position.metrics_bytes)?;
        if !unreadable.is_empty() {
            let lines: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
            task.notices.push(format!(
                "metrics.jsonl: cannot be read in line {}; the plots leave these epochs out",
                lines.join(", ")
            ));
        }
        folder.write_recipe(recipe)?;
        let position = &mut state.position;
        position.manifest.device = task.computed_by();
        position.manifest.data = DataSummary::of(dataset);
        if recipe.epochs > position.recipe.epochs {
            // Asking for more epochs overrides an earlier early stop.
            position.stopping.since = 0;
        }
        folder.write_rest(&state, task.preprocessing.scaling())?;
        Self::at(task, engine, folder, state, best, epochs)
    }

    /// The same, led by this process, the first of `team`; the others call [`follow`].
    ///
    /// # Errors
    /// If the state of the run cannot be handed to them.
    pub fn with_team(mut self, mut team: Team<'a>) -> Result<Self, TrainError> {
        team.open(&self.last_good.snapshot)?;
        self.manifest.device = format!("{}; {} processes", self.manifest.device, team.group.size());
        self.team = Some(team);
        Ok(self)
    }

    /// The same without the pictures that a run draws when it ends.
    #[must_use]
    pub const fn without_pictures(mut self) -> Self {
        self.has_pictures = false;
        self
    }

    /// The run at `state`.
    fn at(
        task: Task<'a>,
        engine: Box<dyn Engine>,
        folder: RunFolder,
        state: State,
        best: Weights,
        epochs: Vec<EpochReport>,
    ) -> Result<Self, TrainError> {
        let folder = Arc::new(folder);
        let position = state.position.clone();
        let scaling = task.preprocessing.scaling().cloned();
        Ok(Self {
            team: None,
            task,
            engine: Some(engine),
            writer: Writer::start(Arc::clone(&folder), scaling),
            folder,
            trouble: None,
            events: None,
            has_pictures: true,
            last_checkpoint: (Instant::now(), position.manifest.steps),
            manifest: position.manifest,
            epochs,
            best,
            epoch: position.epoch,
            losses: state.losses.clone(),
            plateau: position.plateau,
            stopping: position.stopping,
            lr_scale: position.lr_scale,
            rollbacks: position.rollbacks,
            last_good: Arc::new(state),
        })
    }

    /// Trains until all epochs are done, early stopping ends the run, or `interrupted` is set, saving after every epoch, at
    /// checkpoints and at the end.
    ///
    /// # Errors
    /// If the device fails, the loss diverges, or the folder cannot be written; what was saved before is kept.
    pub fn run(
        mut self,
        interrupted: &AtomicBool,
        mut on_event: impl FnMut(Event),
    ) -> Result<(Manifest, Outcome), TrainError> {
        if self.team.is_none() && self.task.recipe.pieces > 1 {
            self.team = Some(Team::alone(self.task.recipe)?);
        }
        let start = Instant::now();
        let seconds_before = self.manifest.seconds;
        let mut outcome = Outcome::Finished;
        for notice in self.task.notices.drain(..) {
            on_event(Event::Notice(notice));
        }
        if self.task.recipe.tensorboard {
            let (folder, recipe) = (self.folder.path(), self.task.recipe);
            self.events = Some(EventFile::create(folder, recipe, self.manifest.steps)?);
        }
        while self.epoch <= self.task.recipe.epochs && !self.is_stopped() {
            let epoch = self.run_epoch(interrupted, &mut on_event);
            self.manifest.seconds = seconds_before + start.elapsed().as_secs_f64();
            let (report, snapshot) = match epoch {
                Ok(epoch) => epoch,
                Err(TrainError::Diverged(divergence)) => {
                    on_event(Event::Notice(self.recover(divergence)?));
                    continue;
                }
                Err(TrainError::Engine(EngineError::Device(message))) => {
                    on_event(Event::Notice(self.leave_device(message)?));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(report) = report else {
                if self.manifest.best_epoch == 0 {
                    self.write_best(self.evaluated(&snapshot));
                }
                self.checkpoint(snapshot)?;
                outcome = Outcome::Interrupted;
                break;
            };
            self.folder.log_epoch(&report)?;
            self.epochs.push(report.clone());
            self.epoch += 1;
            self.losses.clear();
            self.checkpoint(snapshot)?;
            on_event(Event::Epoch(report));
            let notices = [
                self.latent_notice(),
                self.start_notice(),
                self.disk_notice(),
            ];
            for notice in notices.into_iter().flatten() {
                on_event(Event::Notice(notice));
            }
        }
        if outcome == Outcome::Finished
            && self.is_stopped()
            && self.epoch <= self.task.recipe.epochs
        {
            on_event(Event::Notice(format!(
                "stopped early: {} was no better for {} epochs",
                self.task.recipe.best_by, self.stopping.since
            )));
        }
        if outcome == Outcome::Finished
            && let Some(notice) = self.gap_notice()
        {
            on_event(Event::Notice(notice));
        }
        if let Some(team) = &self.team {
            let is_interrupted = outcome == Outcome::Interrupted;
            team.give(Order::End { is_interrupted })?;
        }
        self.finish_writing(interrupted, &mut on_event)?;
        if let (Some(events), Outcome::Finished) = (&mut self.events, outcome) {
            events.end(self.manifest.steps)?;
        }
        let manifest = self.manifest.clone();
        if self.has_pictures {
            self.draw()?;
        }
        Ok((manifest, outcome))
    }

    fn engine(&mut self) -> Result<&mut (dyn Engine + 'static), EngineError> {
        self.engine.as_deref_mut().ok_or_else(closed)
    }

    /// Trains the rest of an epoch and validates it; returns the report, `None` if interrupted, and the snapshot.
    fn run_epoch(
        &mut self,
        interrupted: &AtomicBool,
        on_event: &mut impl FnMut(Event),
    ) -> Result<(Option<EpochReport>, Snapshot), TrainError> {
        let images_per_second = self.train_epoch(interrupted, on_event)?;
        let snapshot = self.snapshot()?;
        let Some(images_per_second) = images_per_second else {
            return Ok((None, snapshot));
        };
        self.manifest.epochs = self.epoch;
        let report = self.validate(images_per_second, &snapshot)?;
        Ok((Some(report), snapshot))
    }
}

fn closed() -> EngineError {
    EngineError::Device("it is closed".to_owned())
}
