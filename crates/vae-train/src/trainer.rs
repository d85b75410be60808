//! The training loop: epochs of steps, validation, best and last weights, pictures at the end. Emits [`Event`]s.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use vae_data::{Dataset, Images};
use vae_model::{Engine, EngineError, Losses, Snapshot, TrainingImages, Wait, Weights};
use vae_rng::{Generator, Stream};

use crate::{
    Binarize, DataSummary, Device, Manifest, Recipe, RunFolder, TrainError, manifold, plots,
    reconstructions, samples,
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
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Means over the epoch's steps, each taken before its update.
    pub train: Losses,
    /// Means over the test images, after the epoch.
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
    /// An epoch is done, validated and saved.
    Epoch(EpochReport),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; what it had learned is saved.
    Interrupted,
}

/// A run about to start.
pub struct Training<'a> {
    recipe: &'a Recipe,
    dataset: Cow<'a, Dataset>,
    device: &'a Device,
    engine: Box<dyn Engine>,
    folder: RunFolder,
    manifest: Manifest,
    epochs: Vec<EpochReport>,
    best: Weights,
}

impl<'a> Training<'a> {
    /// Fresh weights on `device`, to be trained into the new folder `path`.
    ///
    /// # Errors
    /// If the model does not fit the device, or the folder cannot be made.
    pub fn new(
        recipe: &'a Recipe,
        dataset: &'a Dataset,
        device: &'a Device,
        path: &Path,
    ) -> Result<Self, TrainError> {
        let model = recipe.model();
        let weights = Weights::initial(&model, recipe.seed);
        let batch = recipe.batch_size.max(EVALUATION_BATCH);
        let data = DataSummary::of(dataset);
        let dataset = recipe.see(dataset);
        let route = device.route(recipe.engine, &model, recipe.optimizer)?;
        let computed_by = format!("{device}; engine: {route}");
        let setup = recipe.setup(&model, &weights);
        let mut engine = device.engine(&setup, recipe.engine, batch)?;
        engine.train_on(TrainingImages {
            bytes: Arc::clone(&dataset.train.pixels),
            binarize: recipe.binarize == Binarize::Dynamic,
        })?;
        let folder = RunFolder::create(path, recipe)?;
        let manifest = Manifest::new(computed_by, data, model.parameter_count());
        // From here on the folder is a run that loads, whatever happens.
        folder.write_manifest(&manifest)?;
        folder.write_best(&weights)?;
        let epochs = Vec::new();
        Ok(Self {
            recipe,
            dataset,
            device,
            engine,
            folder,
            manifest,
            epochs,
            best: weights,
        })
    }

    /// Trains until all epochs are done or `interrupted` is set, saving after every epoch and at the end.
    ///
    /// # Errors
    /// If the device fails, the loss diverges, or the folder cannot be written; what was saved before stays.
    pub fn run(
        mut self,
        interrupted: &AtomicBool,
        mut on_event: impl FnMut(Event),
    ) -> Result<(Manifest, Outcome), TrainError> {
        let start = Instant::now();
        let mut outcome = Outcome::Finished;
        for epoch in 1..=self.recipe.epochs {
            let trained = self.train_epoch(epoch, interrupted, &mut on_event)?;
            self.manifest.seconds = start.elapsed().as_secs_f64();
            let Some((train, images_per_second)) = trained else {
                outcome = Outcome::Interrupted;
                break;
            };
            self.manifest.epochs = epoch;
            let snapshot = self.engine.snapshot()?;
            let report = self.validate(epoch, train, images_per_second, &snapshot.weights)?;
            self.save(&snapshot)?;
            self.folder.log(&report)?;
            self.epochs.push(report);
            on_event(Event::Epoch(report));
        }
        if outcome == Outcome::Interrupted {
            let snapshot = self.engine.snapshot()?;
            if self.manifest.best_epoch == 0 {
                self.best = snapshot.weights.clone();
                self.folder.write_best(&self.best)?;
            }
            self.save(&snapshot)?;
        }
        let manifest = self.manifest.clone();
        self.draw()?;
        Ok((manifest, outcome))
    }

    /// One pass over the training images: the mean losses and images per second, or `None` if interrupted.
    fn train_epoch(
        &mut self,
        epoch: usize,
        interrupted: &AtomicBool,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Option<(Losses, f64)>, TrainError> {
        let count = self.dataset.train.count();
        let order = Generator::new(self.recipe.seed, Stream::Shuffle)
            .permutation(epoch as u64, count as u32);
        let batches: Vec<&[u32]> = order.chunks(self.recipe.batch_size).collect();
        let start = Instant::now();
        let mut last_read = start;
        let mut losses: Vec<(Losses, usize)> = Vec::with_capacity(batches.len());
        for (index, batch) in batches.iter().enumerate() {
            if interrupted.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let beta = self.recipe.beta as f32;
            self.engine.train_step(batch, self.manifest.steps, beta)?;
            self.manifest.steps += 1;
            let is_last = index + 1 == batches.len();
            if last_read.elapsed() < READ_INTERVAL && !is_last {
                continue;
            }
            let wait = if is_last { Wait::ForAll } else { Wait::No };
            for step in self.engine.take_losses(wait)? {
                if !step.total(1.0).is_finite() {
                    return Err(TrainError::Diverged {
                        epoch,
                        step: losses.len() + 1,
                        losses: step,
                    });
                }
                losses.push((step, batches[losses.len()].len()));
            }
            last_read = Instant::now();
            if losses.is_empty() {
                continue;
            }
            let seen: usize = losses.iter().map(|(_, images)| images).sum();
            let progress = Progress {
                epoch,
                step: losses.len(),
                steps: batches.len(),
                train: losses.iter().copied().collect(),
                images_per_second: seen as f64 / start.elapsed().as_secs_f64(),
            };
            self.folder.log(&progress)?;
            on_event(Event::Progress(progress));
        }
        Ok(Some((
            losses.into_iter().collect(),
            count as f64 / start.elapsed().as_secs_f64(),
        )))
    }

    fn validate(
        &mut self,
        epoch: usize,
        train: Losses,
        images_per_second: f64,
        weights: &Weights,
    ) -> Result<EpochReport, TrainError> {
        let validation = evaluate(self.engine.as_mut(), &self.dataset.test)?;
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
            self.best = weights.clone();
            self.folder.write_best(&self.best)?;
            self.folder.write_manifest(&self.manifest)?;
        }
        Ok(EpochReport {
            epoch,
            train,
            validation,
            images_per_second,
            is_best,
        })
    }

    fn save(&self, snapshot: &Snapshot) -> Result<(), TrainError> {
        self.folder.write_last(&snapshot.weights)?;
        self.folder
            .write_optimizer(&snapshot.optimizer, &self.manifest)?;
        self.folder.write_manifest(&self.manifest)
    }

    /// All pictures, of the best weights.
    fn draw(self) -> Result<(), TrainError> {
        // Two engines at a time may be more than the device holds.
        drop(self.engine);
        let model = self.recipe.model();
        let setup = self.recipe.setup(&model, &self.best);
        let mut engine = self
            .device
            .engine(&setup, self.recipe.engine, EVALUATION_BATCH)?;
        let engine = engine.as_mut();
        let (size, latent, test) = (self.recipe.image, self.recipe.latent, &self.dataset.test);
        let write = |name: &str, png: Vec<u8>| self.folder.write(name, &png);
        write(
            "samples.png",
            samples(engine, size, latent, self.recipe.seed, 100)?.png()?,
        )?;
        let shown: Vec<u32> = (0..test.count().min(40) as u32).collect();
        write(
            "reconstructions.png",
            reconstructions(engine, test, &shown)?.png()?,
        )?;
        write(
            "loss.png",
            plots::loss(&self.epochs, self.recipe.beta as f32)?,
        )?;
        if latent == 2 {
            write("manifold.png", manifold(engine, size)?.png()?)?;
            write(
                "latent.png",
                plots::latent(&encode_means(engine, test)?, &test.labels)?,
            )?;
        }
        Ok(())
    }
}

/// Indices of all `images` in batches.
fn batches(images: &Images) -> impl Iterator<Item = Vec<u32>> {
    let count = images.count() as u32;
    (0..count)
        .step_by(EVALUATION_BATCH)
        .map(move |first| (first..count).take(EVALUATION_BATCH).collect())
}

/// The mean losses of all `images`.
fn evaluate(engine: &mut dyn Engine, images: &Images) -> Result<Losses, EngineError> {
    batches(images)
        .map(|batch| {
            Ok((
                engine.evaluate(&images.gather(&batch), batch[0])?,
                batch.len(),
            ))
        })
        .collect()
}

/// The posterior means of all `images`, `[count, latent]`.
fn encode_means(engine: &mut dyn Engine, images: &Images) -> Result<Vec<f32>, EngineError> {
    let mut means = Vec::new();
    for batch in batches(images) {
        means.extend(engine.encode(&images.gather(&batch))?.mu);
    }
    Ok(means)
}
