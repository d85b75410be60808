//! Shared by the training benchmarks: the presets' network, and the built-in digits to train it on.

use vae_data::Dataset;
use vae_spec::{ModelConfig, TrainingImages};

/// A network 784-`hidden`-`latent` with ReLU and a Bernoulli likelihood.
pub(crate) fn network(hidden: usize, latent: usize) -> ModelConfig {
    ModelConfig::dense(784, &[hidden], latent)
}

pub(crate) fn digits() -> Dataset {
    Dataset::digits().unwrap_or_else(|error| panic!("{error}"))
}

/// The training images of `dataset`, not binarized.
pub(crate) fn training_images(dataset: &Dataset) -> TrainingImages {
    TrainingImages {
        bytes: dataset.train.array.pixels.clone(),
        ..TrainingImages::default()
    }
}
