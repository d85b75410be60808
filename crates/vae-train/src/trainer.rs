//! The training loop: epochs of steps, validation, best and last weights, checkpoints, pictures at the end. Emits
//! [`Event`]s.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vae_data::{Dataset, Element, Images, Prefetch};
use vae_model::{Engine, Losses, Snapshot, TrainingImages, Wait, Weights};
use vae_rng::{Generator, Stream};

use crate::manifest::FORMAT_VERSION;
use crate::resume::Interrupted;
use crate::state::{Position, State};
use crate::writer::Writer;
use crate::{
    Binarize, DataSummary, Device, Inference, Manifest, Recipe, RunFolder, Sight, TrainError,
    manifold, plots, reconstructions, samples,
};

/// How often losses are read back from the device: often enough for a progress bar, seldom enough to cost nothing.
const READ_INTERVAL: Duration = Duration::from_millis(200);
/// Images per call outside training: large enough to be fast, small enough for any device.
pub(crate) const EVALUATION_BATCH: usize = 1000;

/// How far an epoch is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Progress {
    /// Counted from 1.
    pub epoch: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Means over this epoch so far.
    pub train: Losses,
    /// Training speed of this epoch so far.
    pub images_per_second: f64,
}

/// One epoch's result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Means over the epoch's steps, each taken before its update.
    pub train: Losses,
    /// Means over the validation images, after the epoch.
    pub validation: Losses,
    /// Training speed, without validation.
    pub images_per_second: f64,
    /// Whether no earlier epoch had a lower validation loss.
    pub is_best: bool,
}

/// What happens during a run.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Some steps are done.
    Progress(Progress),
    /// An epoch is done and validated.
    Epoch(EpochReport),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; what it had learned is saved, and it can go on.
    Interrupted,
}

/// A run about to start or to go on.
pub struct Training<'a> {
    recipe: &'a Recipe,
    device: &'a Device,
    sight: Sight,
    train: Images,
    validation: Images,
    engine: Box<dyn Engine>,
    folder: Arc<RunFolder>,
    writer: Writer,
    manifest: Manifest,
    epochs: Vec<EpochReport>,
    best: Weights,
    /// The epoch being trained, counted from 1.
    epoch: usize,
    /// Of the epoch's steps whose losses are known.
    losses: Vec<Losses>,
    last_checkpoint: (Instant, u64),
}

impl<'a> Training<'a> {
    /// Fresh weights on `device`, to be trained into the new folder `path`.
    ///
    /// # Errors
    /// If the data do not fit the model, the model does not fit the device, or the folder cannot be made.
    pub fn new(
        recipe: &'a Recipe,
        dataset: &Dataset,
        device: &'a Device,
        path: &Path,
    ) -> Result<Self, TrainError> {
        let model = recipe.model();
        let snapshot = Snapshot {
            weights: Weights::initial(&model, recipe.seed),
            moments: Vec::new(),
        };
        let sight = Sight::fit(recipe, dataset)?;
        let (engine, [train, validation]) = prepare(recipe, &sight, dataset, device, &snapshot)?;
        let folder = Arc::new(RunFolder::create(path)?);
        let computed_by = computed_by(recipe, device)?;
        let manifest = Manifest::new(
            computed_by,
            DataSummary::of(dataset),
            model.parameter_count(),
        );
        let training = Self {
            recipe,
            device,
            train,
            validation,
            engine,
            writer: Writer::start(Arc::clone(&folder)),
            folder,
            manifest,
            epochs: Vec::new(),
            best: snapshot.weights.clone(),
            epoch: 1,
            losses: Vec::new(),
            last_checkpoint: (Instant::now(), 0),
            sight,
        };
        // From here on the folder is a run that loads and goes on, whatever happens.
        let scaling = training.sight.scaling();
        training.folder.write_best(&snapshot.weights, scaling)?;
        training
            .folder
            .write_state(&training.state(snapshot)?, scaling)?;
        training.folder.write_recipe(recipe)?;
        Ok(training)
    }

    /// The run that `interrupted` left, on `device`, to be trained on with `recipe`.
    ///
    /// # Errors
    /// If the data do not fit the model, the model does not fit the device, or the folder is locked or cannot be written.
    pub fn resume(
        interrupted: Interrupted,
        recipe: &'a Recipe,
        dataset: &Dataset,
        device: &'a Device,
    ) -> Result<Self, TrainError> {
        let Interrupted { path, state, best } = interrupted;
        let State {
            position,
            losses,
            snapshot,
        } = state;
        let sight = Sight::fit(recipe, dataset)?;
        let (engine, [train, validation]) = prepare(recipe, &sight, dataset, device, &snapshot)?;
        let (folder, epochs) = RunFolder::reopen(&path, position.metrics_bytes)?;
        let folder = Arc::new(folder);
        folder.write_recipe(recipe)?;
        let manifest = Manifest {
            device: computed_by(recipe, device)?,
            data: DataSummary::of(dataset),
            ..position.manifest
        };
        Ok(Self {
            recipe,
            device,
            sight,
            train,
            validation,
            engine,
            writer: Writer::start(Arc::clone(&folder)),
            folder,
            last_checkpoint: (Instant::now(), manifest.steps),
            manifest,
            epochs,
            best,
            epoch: position.epoch,
            losses,
        })
    }

    /// Trains until all epochs are done or `interrupted` is set, saving after every epoch, at checkpoints and at the end.
    ///
    /// # Errors
    /// If the device fails, the loss diverges, or the folder cannot be written; what was saved before stays.
    pub fn run(
        mut self,
        interrupted: &AtomicBool,
        mut on_event: impl FnMut(Event),
    ) -> Result<(Manifest, Outcome), TrainError> {
        let start = Instant::now();
        let seconds_before = self.manifest.seconds;
        let mut outcome = Outcome::Finished;
        while self.epoch <= self.recipe.epochs {
            let images_per_second = self.train_epoch(interrupted, &mut on_event)?;
            self.manifest.seconds = seconds_before + start.elapsed().as_secs_f64();
            let Some(images_per_second) = images_per_second else {
                outcome = Outcome::Interrupted;
                break;
            };
            self.manifest.epochs = self.epoch;
            let snapshot = self.engine.snapshot()?;
            let report = self.validate(images_per_second, &snapshot.weights)?;
            self.folder.log(&report)?;
            self.epochs.push(report);
            self.epoch += 1;
            self.losses.clear();
            self.checkpoint(snapshot)?;
            on_event(Event::Epoch(report));
        }
        if outcome == Outcome::Interrupted {
            let snapshot = self.engine.snapshot()?;
            if self.manifest.best_epoch == 0 {
                self.write_best(snapshot.weights.clone())?;
            }
            self.checkpoint(snapshot)?;
        }
        self.writer.finish()?;
        let manifest = self.manifest.clone();
        self.draw()?;
        Ok((manifest, outcome))
    }

    /// What is left of one pass over the training images: images per second, or `None` if interrupted.
    fn train_epoch(
        &mut self,
        interrupted: &AtomicBool,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Option<f64>, TrainError> {
        let order: Arc<[u32]> = Generator::new(self.recipe.seed, Stream::Shuffle)
            .permutation(self.epoch as u64, self.train.count() as u32)
            .into();
        let batches: Vec<&[u32]> = order.chunks(self.recipe.batch_size).collect();
        let done = self.losses.len();
        let first_image: usize = batches.iter().take(done).map(|batch| batch.len()).sum();
        let prefetch = self.recipe.stream.then(|| {
            let order = order[first_image..].into();
            Prefetch::start(&self.train, order)
        });
        let start = Instant::now();
        let mut last_read = start;
        let mut given = 0;
        for (index, batch) in batches.iter().enumerate().skip(done) {
            if interrupted.load(Ordering::Relaxed) {
                self.take_losses(Wait::ForAll)?;
                return Ok(None);
            }
            let rows: Vec<u32> = batch
                .iter()
                .map(|&place| self.train.rows[place as usize])
                .collect();
            let beta = self.recipe.beta as f32;
            self.engine.train_step(&rows, self.manifest.steps, beta)?;
            self.manifest.steps += 1;
            given += batch.len();
            if let Some(prefetch) = &prefetch {
                prefetch.advance(given);
            }
            let is_last = index + 1 == batches.len();
            if !is_last && self.is_checkpoint_due() {
                self.take_losses(Wait::ForAll)?;
                let snapshot = self.engine.snapshot()?;
                self.checkpoint(snapshot)?;
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
            let progress = Progress {
                epoch: self.epoch,
                step: self.losses.len(),
                steps: batches.len(),
                train: mean(&self.losses, &batches),
                images_per_second: (seen - first_image) as f64 / start.elapsed().as_secs_f64(),
            };
            self.folder.log(&progress)?;
            on_event(Event::Progress(progress));
        }
        Ok(Some(given as f64 / start.elapsed().as_secs_f64()))
    }

    fn take_losses(&mut self, wait: Wait) -> Result<(), TrainError> {
        for step in self.engine.take_losses(wait)? {
            self.losses.push(step);
            if !step.total(1.0).is_finite() {
                return Err(TrainError::Diverged {
                    epoch: self.epoch,
                    step: self.losses.len(),
                    losses: step,
                });
            }
        }
        Ok(())
    }

    fn validate(
        &mut self,
        images_per_second: f64,
        weights: &Weights,
    ) -> Result<EpochReport, TrainError> {
        let epoch = self.epoch;
        let validation = self.evaluate()?;
        let loss = validation.total(self.recipe.beta as f32);
        if !loss.is_finite() {
            return Err(TrainError::Diverged {
                epoch,
                step: 0,
                losses: validation,
            });
        }
        let is_best = self
            .manifest
            .best_validation_loss
            .is_none_or(|best| loss < best);
        if is_best {
            self.manifest.best_epoch = epoch;
            self.manifest.best_validation_loss = Some(loss);
            self.write_best(weights.clone())?;
        }
        let sizes = self.batch_sizes();
        Ok(EpochReport {
            epoch,
            train: self.losses.iter().copied().zip(sizes).collect(),
            validation,
            images_per_second,
            is_best,
        })
    }

    /// Images in each batch of an epoch.
    fn batch_sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, batch) = (self.train.count(), self.recipe.batch_size);
        (0..count)
            .step_by(batch)
            .map(move |first| batch.min(count - first))
    }

    /// The mean losses of all validation images, damaged as those of training.
    fn evaluate(&mut self) -> Result<Losses, TrainError> {
        let batches = batches(self.validation.count()).map(|places| {
            let (images, damaged) = self.sight.damaged(&self.validation, &places)?;
            let losses = self
                .engine
                .evaluate(&images, damaged.as_deref(), places[0])?;
            Ok((losses, places.len()))
        });
        batches.collect()
    }

    fn write_best(&mut self, weights: Weights) -> Result<(), TrainError> {
        self.best = weights.clone();
        let scaling = self.sight.scaling().cloned();
        self.writer
            .write(move |folder| folder.write_best(&weights, scaling.as_ref()))
    }

    fn is_checkpoint_due(&self) -> bool {
        let (time, step) = self.last_checkpoint;
        let steps = self.manifest.steps - step;
        let minutes = time.elapsed().as_secs_f64() / 60.0;
        let is_due = self
            .recipe
            .checkpoint_steps
            .is_some_and(|every| steps >= every)
            || minutes >= self.recipe.checkpoint_minutes;
        // A disk that is slower than this gets fewer checkpoints, and training is not held up.
        is_due && self.writer.is_idle()
    }

    fn checkpoint(&mut self, snapshot: Snapshot) -> Result<(), TrainError> {
        self.last_checkpoint = (Instant::now(), self.manifest.steps);
        let state = self.state(snapshot)?;
        let scaling = self.sight.scaling().cloned();
        self.writer
            .write(move |folder| folder.write_state(&state, scaling.as_ref()))
    }

    fn state(&self, snapshot: Snapshot) -> Result<State, TrainError> {
        Ok(State {
            position: Position {
                format_version: FORMAT_VERSION,
                recipe: self.recipe.clone(),
                manifest: self.manifest.clone(),
                epoch: self.epoch,
                metrics_bytes: self.folder.metrics_bytes()?,
            },
            losses: self.losses.clone(),
            snapshot,
        })
    }

    /// All pictures, of the best weights.
    fn draw(self) -> Result<(), TrainError> {
        // Two engines at a time may be more than the device holds.
        drop(self.engine);
        let write = |name: &str, png: Vec<u8>| self.folder.write(name, &png);
        write(
            "loss.png",
            plots::loss(&self.epochs, self.recipe.beta as f32)?,
        )?;
        let model = self.recipe.model();
        let setup = self.recipe.setup(&model, &self.best);
        let mut engine = self
            .device
            .engine(&setup, self.recipe.engine, EVALUATION_BATCH)?;
        let nobody = |_: vae_data::Progress<'_>| {};
        let mut inference = Inference::new(engine.as_mut(), self.recipe, &self.sight, &nobody);
        let means = inference.encode(&self.validation)?.mu;
        write(
            "latent.png",
            plots::latent(&means, self.recipe.latent, &self.validation)?,
        )?;
        if self.recipe.image.is_table() {
            return Ok(());
        }
        write(
            "samples.png",
            samples(&mut inference, self.recipe.seed, 100)?.png()?,
        )?;
        let shown: Vec<u32> = (0..self.validation.count().min(40) as u32).collect();
        write(
            "reconstructions.png",
            reconstructions(&mut inference, &self.validation.subset(&shown))?.png()?,
        )?;
        if self.recipe.latent == 2 {
            write(
                "manifold.png",
                manifold(&mut inference, [0, 1], MANIFOLD_SIDE)?.png()?,
            )?;
        }
        Ok(())
    }
}

/// Side of the manifold grid: the article's.
const MANIFOLD_SIDE: usize = 15;

/// An engine that goes on from `snapshot`, and the images as it sees them: training and validation.
fn prepare(
    recipe: &Recipe,
    sight: &Sight,
    dataset: &Dataset,
    device: &Device,
    Snapshot { weights, moments }: &Snapshot,
) -> Result<(Box<dyn Engine>, [Images; 2]), TrainError> {
    let train = sight.train(&dataset.train)?;
    let validation = sight.try_on(&dataset.validation)?;
    let model = recipe.model();
    let setup = vae_model::EngineSetup {
        moments,
        ..recipe.setup(&model, weights)
    };
    let batch = recipe.batch_size.max(EVALUATION_BATCH);
    let mut engine = device.engine(&setup, recipe.engine, batch)?;
    engine.train_on(TrainingImages {
        bytes: train.array.pixels.clone(),
        is_float: train.array.element == Element::F32,
        binarize: recipe.binarize == Binarize::Dynamic,
        corruption: sight.corruption(&train)?,
    })?;
    Ok((engine, [train, validation]))
}

/// The device and the engine, in words.
fn computed_by(recipe: &Recipe, device: &Device) -> Result<String, TrainError> {
    let route = device.route(recipe.engine, &recipe.model(), recipe.optimizer)?;
    Ok(format!("{device}; engine: {route}"))
}

fn mean(losses: &[Losses], batches: &[&[u32]]) -> Losses {
    let sizes = batches.iter().map(|batch| batch.len());
    losses.iter().copied().zip(sizes).collect()
}

/// The places of `count` images in batches.
pub(crate) fn batches(count: usize) -> impl Iterator<Item = Vec<u32>> {
    let count = count as u32;
    (0..count)
        .step_by(EVALUATION_BATCH)
        .map(move |first| (first..count).take(EVALUATION_BATCH).collect())
}
