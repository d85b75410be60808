//! Shared by the training benchmarks: the networks, and the built-in digits to train them on.
#![allow(dead_code, reason = "not every benchmark takes everything")]

use vae_data::Dataset;
use vae_spec::{Convolutions, Likelihood, ModelConfig, Spread, TrainingImages, Upsampling};

/// A network 784-`hidden`-`latent` with ReLU and a Bernoulli likelihood.
pub(crate) fn network(hidden: usize, latent: usize) -> ModelConfig {
    ModelConfig::dense(784, &[hidden], latent)
}

/// The network of the preset `conv`.
pub(crate) fn conv() -> ModelConfig {
    ModelConfig {
        image: [1, 28, 28],
        convolutions: Some(Convolutions {
            channels: vec![32, 64],
            kernel: 3,
            stride: 2,
            upsampling: Upsampling::Transposed,
            groups: None,
            residual_blocks: 0,
        }),
        decoder_hidden: Vec::new(),
        ..ModelConfig::dense(784, &[16], 2)
    }
}

/// A network for coloured images of 64 x 64, with group normalisation, residual blocks and a learned Gaussian.
pub(crate) fn photos() -> ModelConfig {
    ModelConfig {
        image: [3, PHOTO, PHOTO],
        convolutions: Some(Convolutions {
            channels: vec![32, 64, 128],
            kernel: 3,
            stride: 2,
            upsampling: Upsampling::Transposed,
            groups: Some(8),
            residual_blocks: 1,
        }),
        likelihood: Likelihood::Gaussian(Spread::Learned),
        ..ModelConfig::dense(3 * PHOTO * PHOTO, &[128], 64)
    }
}

/// Side of a photo.
const PHOTO: usize = 64;

pub(crate) fn digits() -> Dataset {
    Dataset::digits().unwrap_or_else(|error| panic!("{error}"))
}

/// The training images of `dataset`, not binarized.
pub(crate) fn training_images(dataset: &Dataset) -> TrainingImages {
    TrainingImages {
        bytes: dataset.train.array.pixels.clone(),
        count: dataset.train.count(),
        ..TrainingImages::default()
    }
}

/// Images for [`photos`]: digits in yellow, enlarged.
pub(crate) fn training_photos(dataset: &Dataset) -> TrainingImages {
    const COUNT: usize = 256;
    let photo = |place: usize| {
        let digit = dataset.train.bytes(place).to_vec();
        (0..3 * PHOTO * PHOTO).map(move |at| {
            let (channel, y, x) = (at / (PHOTO * PHOTO), at / PHOTO % PHOTO, at % PHOTO);
            let pixel = digit[y * 28 / PHOTO * 28 + x * 28 / PHOTO];
            if channel == 2 { pixel / 3 } else { pixel }
        })
    };
    TrainingImages {
        bytes: (0..COUNT).flat_map(photo).collect::<Vec<u8>>().into(),
        count: COUNT,
        ..TrainingImages::default()
    }
}
