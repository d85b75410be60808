//! The plots and image grids of a finished run.

use vae_infer::{EVALUATION_BATCH, Inference, manifold, reconstructions, samples};
use vae_view as view;

use super::Training;
use crate::TrainError;

/// Side of the manifold grid, as in the article.
const MANIFOLD_SIDE: usize = 15;
/// Number of images sampled from the prior.
const SAMPLES: usize = 100;
/// Number of images shown with their reconstructions.
const RECONSTRUCTIONS: usize = 40;

impl Training<'_> {
    /// Draws all pictures with the best weights.
    pub(super) fn draw(self) -> Result<(), TrainError> {
        // Two engines at a time may exceed the device's memory.
        drop(self.engine);
        let (steps, mut events) = (self.manifest.steps, self.events);
        let mut write = |name: &str, png: Vec<u8>| -> Result<(), TrainError> {
            if let Some(events) = &mut events {
                events.picture(steps, name.trim_end_matches(".png"), &png)?;
            }
            Ok(self.folder.write(name, &png)?)
        };
        let run = self.folder.path().file_name().unwrap_or_default();
        let run = &*run.to_string_lossy();
        let losses = self.epochs.iter().map(|report| {
            let parts = [&report.train, &report.validation];
            view::LossPoint {
                epoch: report.epoch,
                loss: parts.map(|losses| losses.loss),
                recon: parts.map(|losses| losses.recon),
                kl: parts.map(|losses| losses.kl),
            }
        });
        write("loss.png", view::loss(&losses.collect::<Vec<_>>(), run)?)?;
        let epochs = self.epochs.iter();
        let kl = epochs.map(|report| (report.epoch, &report.kl_per_dimension[..]));
        if let Some(png) = view::kl(&kl.collect::<Vec<_>>(), run)? {
            write("kl.png", png)?;
        }
        let model = self.task.recipe.model();
        let setup = self.task.recipe.inference_setup(&model, &self.best);
        let choice = self.task.recipe.engine;
        let route = self.task.device().route(choice, &model, &setup.optimizer)?;
        let engine = self
            .task
            .device()
            .engine(&setup, &route, EVALUATION_BATCH)?;
        let nobody = |_: vae_data::Progress<'_>| {};
        let mut inference = Inference::new(
            engine,
            self.task.recipe,
            &self.best,
            &self.task.preprocessing,
            &nobody,
        );
        let means = inference.encode(&self.task.validation)?.mu;
        let plane = view::Plane::most_active(&means, self.task.recipe.latent);
        let latent = view::scatter(&plane, &self.task.validation, run)?;
        write("latent.png", latent)?;
        if self.task.recipe.image.is_table() {
            return Ok(());
        }
        let samples = samples(&mut inference, self.task.recipe.seed, SAMPLES)?;
        write("samples.png", samples.png()?)?;
        let shown = self.task.validation.count().min(RECONSTRUCTIONS) as u32;
        let shown = self.task.validation.subset(&(0..shown).collect::<Vec<_>>());
        let reconstructions = reconstructions(&mut inference, &shown)?;
        write("reconstructions.png", reconstructions.png()?)?;
        if self.task.recipe.latent == 2 {
            if !self.task.recipe.classes.is_empty() {
                // For a conditional model, the manifold of its first class.
                inference.set_label(0);
            }
            let manifold = manifold(&mut inference, [0, 1], MANIFOLD_SIDE)?;
            write("manifold.png", manifold.png()?)?;
        }
        Ok(())
    }
}
