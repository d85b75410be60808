//! The training of one run, new or resumed, from its settings to its folder, and what is said of it.

use std::path::PathBuf;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use vae_data::fetch::FetchOptions;
use vae_data::{Dataset, Scale};
use vae_device::Device;
use vae_recipe::{BackendChoice, Recipe, RecipePatch};
use vae_run::{Interrupted, Manifest, Metrics, RunError, RunFolder};
use vae_train::{Group, Outcome, Team, TrainError, Training, follow};

use super::INTERRUPTED;
use super::progress::{Progress, ReportArguments, Subject};
use crate::report;

/// Where a run begins.
pub(crate) enum Start {
    /// With initial weights, in this folder, or in the next free one of `runs/`.
    New(Option<PathBuf>),
    /// At its last checkpoint.
    Resumed(Box<Interrupted>),
}

/// Trains one run after the other.
pub(crate) struct Session<'g> {
    fetch: FetchOptions,
    report: ReportArguments,
    /// The device of the last run, kept for the next on the same backend: opening one takes a while.
    device: Option<(BackendChoice, Device)>,
    stop: Option<Arc<AtomicBool>>,
    /// The processes that train a run together.
    group: Option<&'g dyn Group>,
}

impl<'g> Session<'g> {
    pub(crate) const fn new(fetch: FetchOptions, report: ReportArguments) -> Self {
        Self {
            fetch,
            report,
            device: None,
            stop: None,
            group: None,
        }
    }

    /// The same, with all of `group` training each run.
    pub(crate) fn with_group(self, group: &'g dyn Group) -> Self {
        Self {
            group: Some(group),
            ..self
        }
    }

    /// The data and the complete settings that `patch` asks for, and the scaling that it leaves to the data or not.
    pub(super) fn prepare(
        &self,
        patch: RecipePatch,
        is_resumed: bool,
    ) -> Result<(Dataset, Recipe, Scale)> {
        let patch = patch.over_defaults();
        let options = patch.read_options(self.fetch.clone());
        let name = patch.data.clone().unwrap_or_default();
        let is_quiet = self.report.is_quiet();
        let bar = report::on_progress();
        let on_progress = |progress: vae_data::Progress<'_>| {
            if !is_quiet {
                bar(progress);
            }
        };
        let dataset = Dataset::open(&name, &options, &patch.validation(), &on_progress)?;
        let asked = patch.scale.unwrap_or(Scale::Auto);
        let patch = if is_resumed && asked == Scale::Auto {
            RecipePatch {
                scale: Some(dataset.train.scale_by_type()),
                ..patch
            }
        } else {
            patch
        };
        let recipe = Recipe::resolve(patch, &dataset)?;
        Ok((dataset, recipe, asked))
    }

    /// Trains a run with the settings `patch`, and says what its `end` is to.
    pub(crate) fn train(
        &mut self,
        patch: RecipePatch,
        start: Start,
        end: impl FnOnce(Progress<'_>, &Manifest, Outcome),
    ) -> Result<Outcome> {
        let is_resumed = matches!(start, Start::Resumed(_));
        if let Some(group) = self.group {
            group.broadcast(&mut serde_json::to_vec(&(&patch, is_resumed))?);
        }
        let (dataset, recipe, asked) = self.prepare(patch, is_resumed)?;
        if let Start::Resumed(interrupted) = &start {
            interrupted.check(&dataset)?;
        }
        let (stop, group) = (self.stop.clone(), self.group);
        let (is_quiet, arguments) = (self.report.is_quiet(), self.report);
        let device = self.device(recipe.backend)?;
        let route = device.route(recipe.engine, &recipe.model(), &recipe.optimizer_config())?;
        let team = group.map(|group| Team::form(group, &recipe, &dataset, &route));
        let team = team.transpose()?;
        if !is_quiet {
            report::device(device);
            report::note(&format!("engine: {route}"));
            if let Some(group) = group {
                report::processes(group);
            }
            report::dataset(&dataset, &recipe, asked);
        }
        for text in &dataset.notes {
            report::note(text);
        }
        let mut epochs = Vec::new();
        let (path, training) = match start {
            Start::Resumed(interrupted) => {
                if !is_quiet {
                    report::resumed(&interrupted, &recipe);
                }
                let (epoch, _) = interrupted.position();
                epochs = Metrics::read(&interrupted.path)?.epochs;
                epochs.retain(|report| report.epoch < epoch);
                let path = interrupted.path.clone();
                let training = Training::resume(*interrupted, &recipe, &dataset, device)?;
                (path, training)
            }
            Start::New(Some(path)) => {
                let training = Training::new(&recipe, &dataset, device, &path)?;
                (path, training)
            }
            Start::New(None) => loop {
                let path = RunFolder::next_free(&dataset.name);
                match Training::new(&recipe, &dataset, device, &path) {
                    // A process that started at the same time was sooner.
                    Err(TrainError::Run(RunError::FolderLocked(_) | RunError::FolderTaken(_))) => {}
                    training => break (path, training?),
                }
            },
        };
        let subject = Subject {
            recipe: &recipe,
            dataset: &dataset,
            device,
            route: &route,
            run: &path,
        };
        let training = match team {
            Some(team) => training.with_team(team)?,
            None => training,
        };
        let stop = stop.map_or_else(stop_on_ctrl_c, Ok)?;
        let mut progress = Progress::start(arguments, subject, epochs);
        let (manifest, outcome) = training.run(&stop, |event| progress.event(event))?;
        end(progress, &manifest, outcome);
        Ok(outcome)
    }

    /// Trains the run that the first process of the group trains, as one of the others.
    pub(super) fn follow(mut self) -> Result<Outcome> {
        let Some(group) = self.group else {
            bail!("there is no process to follow");
        };
        let mut patch = Vec::new();
        group.broadcast(&mut patch);
        let (patch, is_resumed): (RecipePatch, bool) = serde_json::from_slice(&patch)?;
        let (dataset, recipe, _) = self.prepare(patch, is_resumed)?;
        let device = self.device(recipe.backend)?;
        let route = device.route(recipe.engine, &recipe.model(), &recipe.optimizer_config())?;
        let team = Team::form(group, &recipe, &dataset, &route)?;
        let stop = stop_on_ctrl_c()?;
        Ok(follow(team, &recipe, &dataset, device, &stop)?)
    }

    /// A flag that Ctrl-C sets from here on, also between runs: without this call, only while one is trained.
    pub(crate) fn stop(&mut self) -> Result<Arc<AtomicBool>> {
        let stop = self.stop.take().map_or_else(stop_on_ctrl_c, Ok)?;
        self.stop = Some(Arc::clone(&stop));
        Ok(stop)
    }

    /// Forgets the device: whatever failed may have broken it.
    pub(crate) fn close_device(&mut self) {
        self.device = None;
    }

    fn device(&mut self, backend: BackendChoice) -> Result<&Device> {
        let kept = self.device.take().filter(|(kept, _)| *kept == backend);
        let device = match kept {
            Some((_, device)) => device,
            None => {
                let [local, _] = self.group.map_or([0, 1], Group::local);
                Device::open_one_of(backend, local)?
            }
        };
        Ok(&self.device.insert((backend, device)).1)
    }
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
fn stop_on_ctrl_c() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            exit(INTERRUPTED.into());
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(flag)
}
