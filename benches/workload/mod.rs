//! What the benchmarks of training share: the presets' network, and the built-in digits to train it on.

use vae_data::Dataset;
use vae_spec::{ModelConfig, TrainingImages};

/// 784-`hidden`-`latent`, ReLU, Bernoulli.
pub(crate) fn network(hidden: usize, latent: usize) -> ModelConfig {
    ModelConfig::dense(784, &[hidden], latent)
}

pub(crate) fn digits() -> Dataset {
    Dataset::digits().unwrap_or_else(|error| panic!("{error}"))
}

/// The grey training images of `dataset`.
pub(crate) fn training_images(dataset: &Dataset) -> TrainingImages {
    TrainingImages {
        bytes: dataset.train.array.pixels.clone(),
        ..TrainingImages::default()
    }
}
