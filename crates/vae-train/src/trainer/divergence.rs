//! Divergence: finds the step, tensor and samples where a value became NaN or infinite, and rolls back.

use std::fmt;
use std::sync::Arc;

use vae_kernels::cpu;
use vae_recipe::{Binarize, OnNan};
use vae_rng::{Generator, Stream};
use vae_run::Rollback;
use vae_spec::{Batch, Losses, NamedTensor, Wait};

use super::Training;
use crate::TrainError;

/// Maximum number of rollbacks, each of which halves the learning rate.
const ROLLBACKS: usize = 3;
/// Maximum number of samples of a batch to name.
const SHOWN: usize = 8;

/// Report of a run whose loss or weights are NaN or infinite.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Step within the epoch, counted from 1.
    pub step: usize,
    /// Losses of that step, if they were not finite.
    pub losses: Option<Losses>,
    /// Description of the first tensor that was not finite.
    pub first: Option<String>,
    /// Identifiers of that step's samples in their source, and their minimum and maximum value.
    pub batch: Option<(Vec<String>, [f32; 2])>,
    /// Advice for the user.
    pub advice: &'static str,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            epoch,
            step,
            losses,
            first,
            batch,
            advice,
        } = self;
        write!(f, "epoch {epoch}, step {step}: ")?;
        match losses {
            Some(Losses {
                loss, recon, kl, ..
            }) => {
                write!(f, "the loss is {loss} (recon {recon}, kl {kl})")?;
            }
            None => f.write_str("the weights are no longer finite")?,
        }
        if let Some(first) = first {
            write!(f, "\n  first number that is not finite: {first}")?;
        }
        if let Some((names, [low, high])) = batch {
            let shown = &names[..names.len().min(SHOWN)];
            let more = if names.len() > shown.len() {
                ", .."
            } else {
                ""
            };
            write!(
                f,
                "\n  in that batch: training images {}{more} ({} in all), values from {low} to {high}",
                shown.join(", "),
                names.len()
            )?;
        }
        write!(f, "\n  {advice}")
    }
}

impl Training<'_> {
    /// The error for NaN or infinity in the losses of the last known step, or in the weights after it.
    pub(super) fn diverged(&self, losses: Option<Losses>, first: Option<String>) -> TrainError {
        TrainError::Diverged(Box::new(Divergence {
            epoch: self.epoch,
            step: self.losses.len(),
            losses,
            first,
            batch: None,
            advice: "",
        }))
    }

    /// Completes the report by repeating the steps since the last checkpoint, then rolls back to it if enabled; returns a message
    /// for the user.
    pub(super) fn recover(
        &mut self,
        mut divergence: Box<Divergence>,
    ) -> Result<String, TrainError> {
        self.go_back()?;
        self.repeat(&mut divergence)?;
        if self.task.recipe.on_nan == OnNan::Stop || self.rollbacks == ROLLBACKS {
            // The last good state is on disk.
            self.writer.flush()?;
            return Err(TrainError::Diverged(divergence));
        }
        self.go_back()?;
        self.rollbacks += 1;
        self.lr_scale *= 0.5;
        let lr = self.step(self.manifest.steps).lr;
        let notice = format!(
            "{divergence}\n  going back to the checkpoint after step {} of the epoch, at learning rate {lr} (try {} of {ROLLBACKS})",
            self.losses.len(),
            self.rollbacks
        );
        self.folder.log_rollback(&Rollback {
            rollback: self.rollbacks,
            epoch: self.epoch,
            step: self.losses.len(),
            lr,
            reason: divergence.to_string(),
        })?;
        let snapshot = self.last_good.snapshot.clone();
        self.checkpoint(snapshot)?;
        Ok(notice)
    }

    /// Restores the last checkpoint.
    pub(super) fn go_back(&mut self) -> Result<(), TrainError> {
        let state = Arc::clone(&self.last_good);
        // Two engines at a time may exceed the device's memory.
        drop(self.engine.take());
        self.engine = Some(self.task.engine(&state.snapshot)?);
        if let Some(team) = &mut self.team {
            team.open(&state.snapshot)?;
        }
        self.losses.clone_from(&state.losses);
        let position = &state.position;
        self.epoch = position.epoch;
        self.manifest.steps = position.manifest.steps;
        self.manifest.epochs = position.manifest.epochs;
        self.plateau = position.plateau;
        self.stopping = position.stopping;
        Ok(())
    }

    /// Repeats the steps up to that of `divergence`, and finds where its values stop being finite.
    fn repeat(&mut self, divergence: &mut Divergence) -> Result<(), TrainError> {
        let order = self.task.order(self.epoch);
        let bad = divergence.step.saturating_sub(1);
        let batches: Vec<&[u32]> = order
            .chunks(self.task.recipe.effective_batch_size())
            .collect();
        let done = self.losses.len();
        for (index, batch) in batches.iter().enumerate().take(bad).skip(done) {
            let step = self.step(self.manifest.steps);
            self.train_step(index, batch, &step)?;
            self.manifest.steps += 1;
        }
        // Whatever they are, they were seen before.
        match &mut self.team {
            Some(team) => team.losses.clear(),
            None => drop(self.engine()?.take_losses(Wait::ForAll)?),
        }
        let Some(places) = batches.get(bad) else {
            return Ok(());
        };
        let step = self.step(self.manifest.steps);
        let (images, corrupted) = self.training_batch(places, step.number)?;
        let labels = self
            .task
            .preprocessing
            .labels(&self.task.train.subset(places))?;
        let pixels = self.task.recipe.image.length();
        let size = step.micro_batch.min(places.len());
        let mut bad = None;
        for (index, images) in images.chunks(size * pixels).enumerate() {
            let first = index * size;
            let rows = first..first + images.len() / pixels;
            let batch = Batch {
                images,
                corrupted: corrupted
                    .as_ref()
                    .map(|images| &images[rows.start * pixels..rows.end * pixels]),
                labels: labels.get(rows).unwrap_or_default(),
                first_row: first as u32,
            };
            let trace = self.engine()?.trace(&batch, &step)?;
            bad = trace
                .iter()
                .find_map(|tensor| first_not_finite(tensor, first));
            if bad.is_some() {
                break;
            }
        }
        divergence.advice = advice(bad.as_ref().map(|(name, _)| name.as_str()));
        divergence.first = bad.map(|(_, words)| words).or(divergence.first.take());
        let range = [f32::INFINITY, f32::NEG_INFINITY];
        let range = images
            .iter()
            .fold(range, |[low, high], &x| [low.min(x), high.max(x)]);
        let name = |&place: &u32| self.task.train.id(place as usize).into_owned();
        divergence.batch = Some((places.iter().map(name).collect(), range));
        Ok(())
    }

    /// The training samples at `places` as the engine sees them at `step`, and the corrupted encoder input, if any.
    pub(super) fn training_batch(
        &self,
        places: &[u32],
        step: u64,
    ) -> Result<(Vec<f32>, Option<Vec<f32>>), TrainError> {
        let (recipe, images) = (self.task.recipe, &self.task.train);
        let binarization = Generator::new(recipe.seed, Stream::Binarization);
        let binarization = (recipe.binarize == Binarize::Dynamic).then_some((binarization, step));
        let (array, length) = (&images.array, images.image_length());
        let rows = self.task.dataset_rows(places);
        let values = cpu::gather(&array.pixels, array.element, length, &rows, 0, binarization);
        let corrupted = self
            .task
            .preprocessing
            .corruption(images)?
            .map(|corruption| {
                let mut corrupted = values.clone();
                let generator = Generator::new(recipe.seed, Stream::Corruption);
                cpu::corrupt(&mut corrupted, length, corruption, generator, step, 0);
                corrupted
            });
        Ok((values, corrupted))
    }
}

/// The tensor's name and a description of its first value that is not finite, if any; its rows are those of the batch from
/// `first` on.
fn first_not_finite(tensor: &NamedTensor, first: usize) -> Option<(String, String)> {
    let NamedTensor {
        name,
        shape,
        values,
    } = tensor;
    let index = values.iter().position(|value| !value.is_finite())?;
    let columns = shape.last().copied().unwrap_or(1).max(1);
    let value = values[index];
    let is_gradient = name.starts_with("gradient of ");
    let first = if is_gradient { 0 } else { first };
    let (row, column) = (first + index / columns, index % columns);
    let words = format!("`{name}`, {shape:?}: {value} in row {row}, column {column}");
    Some((name.clone(), words))
}

/// Advice by the name of the first tensor that was not finite.
fn advice(first: Option<&str>) -> &'static str {
    match first {
        Some("images") => {
            "the images themselves are not finite: look at them with `vae-gpu data info`"
        }
        Some("kl" | "z" | "mu" | "log_var" | "mu and log_var") => {
            "the posterior overflows: a lower --lr, --clip-norm 10, data of a smaller --scale or a warm-up (--kl-schedule linear:10) usually helps; --on-nan rollback tries lower rates by itself"
        }
        Some("recon" | "output") => {
            "the likelihood overflows: a larger --sigma, a lower --lr or --clip-norm 10 usually helps; --on-nan rollback tries lower rates by itself"
        }
        _ => {
            "a lower --lr or --clip-norm 10 usually helps; --on-nan rollback tries lower rates by itself"
        }
    }
}
