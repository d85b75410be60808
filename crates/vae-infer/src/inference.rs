//! Inference with a trained model: whole data sets through an engine, in batches.

mod score;

use vae_data::{Images, OnProgress, Progress, Shape};
use vae_device::{Device, DeviceError};
use vae_recipe::{EngineChoice, Preprocessing, Recipe};
use vae_rng::{Generator, Stream};
use vae_run::SavedRun;
use vae_spec::{
    Batch, Engine, EngineError, LOG_VAR_MAX, LOG_VAR_MIN, ModelConfig, Posterior, Prior, Weights,
};

use crate::{InferError, Mixture};

pub use score::Score;

/// Batch size for inference: large enough to be fast, small enough for any device.
pub const EVALUATION_BATCH: usize = 1000;

/// The indices of `count` samples in batches of `size`.
pub fn batches(count: usize, size: usize) -> impl Iterator<Item = Vec<u32>> {
    let count = count as u32;
    (0..count)
        .step_by(size)
        .map(move |first| (first..count).take(size).collect())
}

/// An engine with everything needed to run a trained model.
pub struct Inference<'a> {
    engine: Box<dyn Engine>,
    preprocessing: &'a Preprocessing,
    on_progress: OnProgress<'a>,
    config: ModelConfig,
    /// Weights, for the prior and the likelihood's scale.
    weights: &'a Weights,
    shape: Shape,
    seed: u64,
    label: Option<u32>,
    prior: Option<Mixture>,
    /// Place of the first sample that is given among all samples, which selects the noise.
    first: u32,
}

impl<'a> Inference<'a> {
    /// The model of `recipe` with `weights` on `engine`. Images passed to it must be preprocessed by `preprocessing`.
    /// `on_progress` receives the progress of long operations.
    pub fn new(
        engine: Box<dyn Engine>,
        recipe: &Recipe,
        weights: &'a Weights,
        preprocessing: &'a Preprocessing,
        on_progress: OnProgress<'a>,
    ) -> Self {
        Self {
            engine,
            preprocessing,
            on_progress,
            config: recipe.model(),
            weights,
            shape: recipe.image,
            seed: recipe.seed,
            label: None,
            prior: None,
            first: 0,
        }
    }

    /// The model of `run` on `device`.
    ///
    /// # Errors
    /// If the model does not fit the device.
    pub fn open(
        run: &'a SavedRun,
        device: &Device,
        on_progress: OnProgress<'a>,
    ) -> Result<Self, DeviceError> {
        let model = run.recipe.model();
        let setup = run.recipe.inference_setup(&model, &run.weights);
        let route = device.route(EngineChoice::Auto, &model, &setup.optimizer)?;
        let engine = device.engine(&setup, &route, EVALUATION_BATCH)?;
        let (weights, preprocessing) = (&run.weights, &run.preprocessing);
        Ok(Self::new(
            engine,
            &run.recipe,
            weights,
            preprocessing,
            on_progress,
        ))
    }

    /// The samples and latents that are given are those from place `first` on of a larger set, as whose parts they draw their noise
    /// and take their classes in turn.
    #[must_use]
    pub fn starting_at(self, first: u32) -> Self {
        Self { first, ..self }
    }

    /// Sets the class with which latents that belong to no image are decoded; without it they take each class in turn.
    pub const fn set_label(&mut self, class: u32) {
        self.label = Some(class);
    }

    /// Number of latent dimensions.
    #[must_use]
    pub const fn latent(&self) -> usize {
        self.config.latent
    }

    /// Shape of a sample.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Seed of the run.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Preprocessing of the model's data.
    #[must_use]
    pub const fn preprocessing(&self) -> &'a Preprocessing {
        self.preprocessing
    }

    fn report(&self, what: &str, done: usize, total: usize) {
        (self.on_progress)(Progress {
            what,
            done: done as u64,
            total: Some(total as u64),
            bytes: false,
        });
    }

    /// The prior: the trained one, or that of [`Self::set_prior`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn prior(&mut self) -> Result<&Mixture, EngineError> {
        let prior = match self.prior.take() {
            Some(prior) => prior,
            None => self.trained_prior()?,
        };
        Ok(self.prior.insert(prior))
    }

    /// Replaces the trained prior by `prior`.
    pub fn set_prior(&mut self, prior: Mixture) {
        self.prior = Some(prior);
    }

    fn trained_prior(&mut self) -> Result<Mixture, EngineError> {
        let latent = self.config.latent;
        Ok(match self.config.prior {
            Prior::Normal => Mixture::standard(latent),
            Prior::Mixture { .. } => {
                let [logits, mu] =
                    ["prior.logits", "prior.mu"].map(|name| self.weights.values(name));
                let log_var = self.weights.values("prior.log_var").iter();
                let log_var: Vec<f32> =
                    log_var.map(|v| v.clamp(LOG_VAR_MIN, LOG_VAR_MAX)).collect();
                Mixture::diagonal(logits, mu, &log_var, latent)
            }
            Prior::Vamp { inputs } => {
                let [low, high] = self.config.likelihood.range();
                let images = self.weights.values("prior.images").iter();
                let images: Vec<f32> = images.map(|x| x.clamp(low, high)).collect();
                let Posterior { mu, log_var } = self.engine.encode(&Batch::of(&images))?;
                Mixture::diagonal(&vec![0.0; inputs], &mu, &log_var, latent)
            }
        })
    }

    /// The posteriors of `images`.
    ///
    /// # Errors
    /// If the device fails, or a conditional model finds no label.
    pub fn encode(&mut self, images: &Images) -> Result<Posterior, InferError> {
        let mut all = Posterior {
            mu: Vec::new(),
            log_var: Vec::new(),
        };
        let labels = self.preprocessing.labels(images)?;
        for places in batches(images.count(), EVALUATION_BATCH) {
            let values = images.gather(&places);
            let batch = Batch {
                labels: of(&labels, &places),
                ..Batch::of(&values)
            };
            let Posterior { mu, log_var } = self.engine.encode(&batch)?;
            all.mu.extend(mu);
            all.log_var.extend(log_var);
            self.report("encoding", all.mu.len() / self.latent(), images.count());
        }
        Ok(all)
    }

    /// One draw from each of `posteriors`, the same as in an evaluation of these samples.
    #[must_use]
    pub fn draw(&self, posteriors: &Posterior) -> Vec<f32> {
        let rows = posteriors.mu.len() / self.latent();
        self.draws(posteriors, 0, self.first, rows)
    }

    fn draws(&self, posteriors: &Posterior, step: u64, first_row: u32, rows: usize) -> Vec<f32> {
        let noise = Generator::new(self.seed, Stream::EvaluationNoise);
        let eps = noise.normals(step, first_row, rows, self.latent());
        let Posterior { mu, log_var } = posteriors;
        let draws = mu.iter().zip(log_var).zip(eps);
        draws
            .map(|((mu, log_var), eps)| mu + (0.5 * log_var).exp() * eps)
            .collect()
    }

    /// Decodes latents `[count, latent]` to the means of the likelihood, in units of the model: `[count, pixels]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn decode(&mut self, z: &[f32]) -> Result<Vec<f32>, EngineError> {
        let labels = self.free_labels(z.len() / self.latent());
        self.means(z, &labels)
    }

    /// The same with a class for each of the latents, `[count]`, for a conditional model.
    ///
    /// # Errors
    /// If the device fails.
    pub fn decode_as(&mut self, z: &[f32], classes: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.means(z, classes)
    }

    /// Samples from the likelihood given latents `[count, latent]`, in units of the model: `[count, pixels]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn draw_pixels(&mut self, z: &[f32], seed: u64) -> Result<Vec<f32>, EngineError> {
        let labels = self.free_labels(z.len() / self.latent());
        let mut images = self.outputs(z, &labels)?;
        let generator = Generator::new(seed, Stream::Pixels);
        let (likelihood, pixels) = (self.config.likelihood, self.config.pixels());
        let (first, spread) = (self.first as usize, self.weights.spread(&self.config));
        for (row, image) in images.chunks_exact_mut(pixels).enumerate() {
            let spread = spread.iter().cycle();
            for ((pixel, value), &spread) in image.iter_mut().enumerate().zip(spread) {
                let mut drawn = 0;
                // Each pixel has its own stream of uniforms, as many as needed.
                let mut uniform = || {
                    let place = ((first + row) * pixels + pixel) as u64;
                    let [uniform] = generator.uniforms(place, drawn, 1, 1)[..] else {
                        return 0.5;
                    };
                    drawn += 1;
                    // Uniforms are multiples of 2^-24 starting at 0: half a step keeps them away from 0 and 1.
                    f64::from(uniform) + 0.5f64.powi(25)
                };
                *value = likelihood.sample((*value).into(), spread, &mut uniform) as f32;
            }
        }
        Ok(images)
    }

    /// Classes for `count` latents that belong to no image.
    fn free_labels(&self, count: usize) -> Vec<u32> {
        match (self.config.classes as u32, self.label) {
            (0, _) => Vec::new(),
            (_, Some(class)) => vec![class; count],
            (classes, None) => {
                let first = self.first % classes;
                (0..classes)
                    .cycle()
                    .skip(first as usize)
                    .take(count)
                    .collect()
            }
        }
    }

    fn means(&mut self, z: &[f32], labels: &[u32]) -> Result<Vec<f32>, EngineError> {
        let mut images = self.outputs(z, labels)?;
        let (likelihood, spread) = (self.config.likelihood, self.weights.spread(&self.config));
        for image in images.chunks_exact_mut(self.config.pixels()) {
            for (value, &spread) in image.iter_mut().zip(spread.iter().cycle()) {
                *value = likelihood.mean_of((*value).into(), spread) as f32;
            }
        }
        Ok(images)
    }

    fn outputs(&mut self, z: &[f32], labels: &[u32]) -> Result<Vec<f32>, EngineError> {
        let mut images = Vec::new();
        for places in batches(z.len() / self.latent(), EVALUATION_BATCH) {
            let first = places[0] as usize;
            let rows = &z[first * self.latent()..][..places.len() * self.latent()];
            images.extend(self.engine.decode(rows, of(labels, &places))?);
            let done = images.len() / self.shape.length();
            self.report("decoding", done, z.len() / self.latent());
        }
        Ok(images)
    }

    /// Reconstructions: the posterior means of `images`, decoded.
    ///
    /// # Errors
    /// If the device fails, or a conditional model finds no label.
    pub fn reconstruct(&mut self, images: &Images) -> Result<Vec<f32>, InferError> {
        let mu = self.encode(images)?.mu;
        self.reconstruct_from(images, &mu)
    }

    /// The same from the posterior means `mu` of `images`.
    pub(crate) fn reconstruct_from(
        &mut self,
        images: &Images,
        mu: &[f32],
    ) -> Result<Vec<f32>, InferError> {
        let labels = self.preprocessing.labels(images)?;
        Ok(self.means(mu, &labels)?)
    }
}

/// The labels at the consecutive `places`; empty if there are no labels.
fn of<'a>(labels: &'a [u32], places: &[u32]) -> &'a [u32] {
    if labels.is_empty() {
        return labels;
    }
    &labels[places[0] as usize..][..places.len()]
}
