//! Everything that can be said of a trained model on some data, in one go.

use serde::Serialize;
use vae_data::Images;
use vae_rng::{Generator, Stream};

use crate::metrics::{Disentanglement, Factors, Labelled, Mean, Probes, Similarity, similarity};
use crate::{InferError, Inference, LatentUse, Score};

/// What a model is evaluated on.
#[derive(Clone, Debug)]
pub struct EvaluationData<'a> {
    /// The judged samples.
    pub images: &'a Images,
    /// Samples that classifiers of labels are fitted to, of the same classes; `None` for no classifiers.
    pub train: Option<&'a Images>,
    /// Known factors of the judged samples.
    pub factors: Option<&'a Factors>,
    /// Numbers of importance samples, which rise.
    pub counts: &'a [usize],
    /// The negative log-likelihoods by these numbers, `[counts][samples]`, if they were estimated before.
    pub nll: Option<Vec<Vec<f64>>>,
}

/// The negative log-likelihood by a number of importance samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Nll {
    /// Importance samples of each sample's posterior.
    pub importance_samples: usize,
    /// Nats per sample.
    pub nats: Mean,
    /// Bits per value of a sample.
    pub bits_per_dimension: f64,
}

/// Likeness of reconstructions, means over the samples: of images as brightness 0 to 1, of tables in the model's units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reconstruction {
    /// Mean squared error.
    pub mse: f64,
    /// Peak signal-to-noise ratio, dB; `None` for tables.
    pub psnr: Option<f64>,
    /// Structural similarity; `None` for tables and images below 7 x 7.
    pub ssim: Option<f64>,
}

/// The measures of a model, and those of each sample.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Number of judged samples.
    pub samples: usize,
    /// Values of a sample.
    pub dimensions: usize,
    /// The negative evidence lower bound at `beta = 1`, nats per sample.
    pub negative_elbo: Mean,
    /// The same in bits per value.
    pub bits_per_dimension: f64,
    /// Its reconstruction term, nats.
    pub recon: f64,
    /// Its divergence from the prior, nats.
    pub kl: f64,
    /// Estimates of the negative log-likelihood from the same draws.
    pub nll: Vec<Nll>,
    /// Latent dimensions whose mean varies (Burda et al. 2016).
    pub active_units: usize,
    /// Mutual information of latents and samples, nats.
    pub mutual_information: f64,
    /// Mean divergence of each latent dimension from the standard normal, nats.
    pub kl_per_dimension: Vec<f64>,
    /// How alike samples and the decoded means of their posteriors are.
    pub reconstruction: Reconstruction,
    /// What the posterior means tell of labels.
    pub labels: Option<Probes>,
    /// How far they keep known factors apart.
    pub factors: Option<Disentanglement>,
    /// Likelihood of each sample.
    #[serde(skip)]
    pub scores: Vec<Score>,
    /// Likeness of each sample and its reconstruction.
    #[serde(skip)]
    pub similarities: Vec<Similarity>,
}

impl Inference<'_> {
    /// Evaluates the model on `data`.
    ///
    /// # Errors
    /// If the device fails, or a conditional model finds no label.
    pub fn evaluate(&mut self, data: &EvaluationData<'_>) -> Result<Evaluation, InferError> {
        let images = data.images;
        let (latent, shape) = (self.latent(), self.shape());
        let bits = |nats: f64| nats / std::f64::consts::LN_2 / shape.length() as f64;
        let mut scores = self.score(images, None)?;
        let nll = match &data.nll {
            Some(nll) => nll.clone(),
            None => self.importance_nll(images, data.counts)?,
        };
        if let Some(last) = nll.last() {
            let pairs = scores.iter_mut().zip(last);
            pairs.for_each(|(score, &nll)| score.nll = Some(nll));
        }
        let of_counts = data.counts.iter().zip(&nll).map(|(&samples, nll)| {
            let nats = Mean::of(nll);
            Nll {
                importance_samples: samples,
                bits_per_dimension: bits(nats.mean),
                nats,
            }
        });
        let elbos: Vec<f64> = scores.iter().map(|score| -score.elbo()).collect();
        let negative_elbo = Mean::of(&elbos);
        let mean = |of: fn(&Score) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
        let posteriors = self.encode(images)?;
        let noise = Generator::new(self.seed(), Stream::EvaluationNoise);
        let latent_use = LatentUse::of(&posteriors.mu, &posteriors.log_var, latent, noise);
        let similarities = self.similarities(images, &posteriors.mu)?;
        let labels = match data.train {
            Some(train) => self.probes(train, images, &posteriors.mu)?,
            None => None,
        };
        Ok(Evaluation {
            samples: images.count(),
            dimensions: shape.length(),
            bits_per_dimension: bits(negative_elbo.mean),
            negative_elbo,
            recon: mean(|score| score.recon),
            kl: mean(|score| score.kl),
            nll: of_counts.collect(),
            active_units: latent_use.active_units,
            mutual_information: latent_use.mutual_information,
            kl_per_dimension: latent_use.kl_per_dimension,
            reconstruction: Reconstruction::of(&similarities, !shape.is_table()),
            labels,
            factors: data
                .factors
                .map(|factors| Disentanglement::of(&posteriors.mu, latent, factors)),
            scores,
            similarities,
        })
    }

    /// Likeness of samples and their reconstructions from the posterior means `mu`.
    fn similarities(&mut self, images: &Images, mu: &[f32]) -> Result<Vec<Similarity>, InferError> {
        use rayon::prelude::*;

        let shape = self.shape();
        let length = shape.length();
        let preprocessing = self.preprocessing();
        let in_units = |values: &mut [f32]| {
            if !shape.is_table() {
                preprocessing.to_pixels(values);
            }
        };
        let mut reconstructed = self.reconstruct_from(images, mu)?;
        in_units(&mut reconstructed);
        let pairs = reconstructed.par_chunks_exact(length).enumerate();
        let similarities = pairs.map(|(place, reconstruction)| {
            let mut image = images.gather(&[place as u32]);
            in_units(&mut image);
            similarity(&image, reconstruction, shape)
        });
        Ok(similarities.collect())
    }

    /// Accuracies of classifiers fitted to `train`; `None` if one of both has no labels, or other classes.
    fn probes(
        &mut self,
        train: &Images,
        test: &Images,
        mu: &[f32],
    ) -> Result<Option<Probes>, InferError> {
        let (Some(known), Some(asked)) = (train.classes(), test.classes()) else {
            return Ok(None);
        };
        let names = train.class_names();
        if names.len() < 2 || names != test.class_names() {
            return Ok(None);
        }
        let classes = names.len();
        let of_train = self.encode(train)?.mu;
        let fitted = Labelled {
            mu: &of_train,
            classes: &known,
        };
        let judged = Labelled {
            mu,
            classes: &asked,
        };
        Ok(Some(Probes::of(fitted, judged, self.latent(), classes)))
    }
}

impl Reconstruction {
    fn of(similarities: &[Similarity], is_image: bool) -> Self {
        let count = similarities.len() as f64;
        let mean = |of: fn(&Similarity) -> f64| similarities.iter().map(of).sum::<f64>() / count;
        let has_ssim = similarities.iter().all(|each| each.ssim.is_some());
        Self {
            mse: mean(|each| each.mse),
            psnr: is_image.then(|| mean(|each| each.psnr)),
            ssim: (is_image && has_ssim).then(|| mean(|each| each.ssim.unwrap_or_default())),
        }
    }
}
