//! Published recipes.

use serde::Deserialize;
use vae_spec::{Activation, Initialization, Optimizer};

use super::{Binarize, ObjectiveName, OutputBias, RecipePatch};
use crate::LrSchedule;

/// A published recipe by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// 784-256-2, RMSprop as in Keras, batch 100, 10 epochs: the article "Variational Auto-Encoders" (notebook of vvkv).
    Article,
    /// 784-400-20, Adam, batch 128, 10 epochs: `vae/main.py` of pytorch/examples.
    Pytorch,
    /// Convolutions of 32 and 64 channels, dense 16, 2 latents, Adam, batch 128, 30 epochs: Keras's example.
    Conv,
    /// 784-200-200-50, 50 importance samples, dynamic binarization, batch 20, 3280 epochs in eight stages: the
    /// paper "Importance Weighted Autoencoders" (Burda, Grosse and Salakhutdinov 2016) on one stochastic layer.
    IwaeK50,
}

impl Preset {
    /// The settings of the preset.
    #[must_use]
    pub fn patch(self) -> RecipePatch {
        let common = RecipePatch {
            lr: Some(1e-3),
            epochs: Some(10),
            init: Some(Initialization::Glorot),
            ..RecipePatch::default()
        };
        let own = match self {
            Self::Article => RecipePatch {
                hidden: Some(vec![256]),
                latent: Some(2),
                optimizer: Some(Optimizer::Rmsprop),
                batch_size: Some(100),
                ..RecipePatch::default()
            },
            Self::Pytorch => RecipePatch {
                hidden: Some(vec![400]),
                latent: Some(20),
                init: Some(Initialization::Pytorch),
                optimizer: Some(Optimizer::Adam),
                batch_size: Some(128),
                ..RecipePatch::default()
            },
            Self::Conv => RecipePatch {
                channels: Some(vec![32, 64]),
                hidden: Some(vec![16]),
                decoder_hidden: Some(Some(Vec::new())),
                latent: Some(2),
                optimizer: Some(Optimizer::Adam),
                batch_size: Some(128),
                epochs: Some(30),
                ..RecipePatch::default()
            },
            Self::IwaeK50 => RecipePatch {
                hidden: Some(vec![200, 200]),
                latent: Some(50),
                activation: Some(Activation::Tanh),
                output_bias: Some(OutputBias::Data),
                binarize: Some(Binarize::Dynamic),
                objective: Some(ObjectiveName::Iwae),
                samples: Some(Some(50)),
                optimizer: Some(Optimizer::Adam),
                eps: Some(Some(1e-4)),
                // Stage i, from 0 to 7, lasts 3^i epochs at 0.001 * 10^(-i / 7).
                lr_schedule: Some(LrSchedule::Steps {
                    epochs: vec![1, 4, 13, 40, 121, 364, 1093],
                    factor: 10f64.powf(-1.0 / 7.0),
                }),
                batch_size: Some(20),
                epochs: Some(3280),
                ..RecipePatch::default()
            },
        };
        own.over(common)
    }
}
