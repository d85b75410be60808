//! Published recipes.

use vae_model::{Initialization, Optimizer};

use super::RecipePatch;

/// A published recipe by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// 784-256-2, RMSprop as in Keras, batch 100, 10 epochs: the article "Variational Auto-Encoders" (notebook of vvkv).
    Article,
    /// 784-400-20, Adam, batch 128, 10 epochs: `vae/main.py` of pytorch/examples.
    Pytorch,
}

impl Preset {
    /// The settings that the preset names.
    #[must_use]
    pub fn patch(self) -> RecipePatch {
        let common = RecipePatch {
            lr: Some(1e-3),
            beta: Some(1.0),
            epochs: Some(10),
            ..RecipePatch::default()
        };
        let own = match self {
            Self::Article => RecipePatch {
                hidden: Some(vec![256]),
                latent: Some(2),
                init: Some(Initialization::Glorot),
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
        };
        own.over(common)
    }
}
