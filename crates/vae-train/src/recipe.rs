//! A recipe: everything that decides a run. Flags, a config file, a preset and the defaults are patches laid over each
//! other; what results is written to the run folder as `config.toml`, and that file is a config file again.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vae_data::Dataset;
use vae_model::{EngineSetup, Initialization, ModelConfig, OptimizerConfig, Weights};

use crate::{BackendChoice, TrainError};

/// Declares each setting once, for the complete recipe and for the patch in which every setting may be absent.
macro_rules! settings {
    ($($(#[$doc:meta])* $setting:ident: $type:ty,)*) => {
        /// A complete recipe.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Recipe { $($(#[$doc])* pub $setting: $type,)* }

        /// Some settings of a [`Recipe`].
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RecipePatch { $($(#[$doc])* pub $setting: Option<$type>,)* }

        impl RecipePatch {
            /// These settings, and `below` where they are silent.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($setting: self.$setting.or(below.$setting),)* }
            }

            fn complete(self) -> Option<Recipe> {
                Some(Recipe { $($setting: self.$setting?,)* })
            }
        }
    };
}

settings! {
    /// `digits` or a folder.
    data: String,
    /// Height and width of the images; found in the data, and checked against them if given.
    image: [usize; 2],
    /// Where it is computed.
    backend: BackendChoice,
    /// Widths of the encoder's hidden layers; the decoder mirrors them.
    hidden: Vec<usize>,
    /// Latent dimensions.
    latent: usize,
    /// How weights start.
    init: Initialization,
    /// How weights are stepped.
    optimizer: OptimizerConfig,
    /// Learning rate.
    lr: f64,
    /// Weight of the KL term.
    beta: f64,
    /// Images per step.
    batch_size: usize,
    /// Passes over the training images.
    epochs: usize,
    /// Decides weights, order and noise.
    seed: u64,
}

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
                optimizer: Some(OptimizerConfig::Rmsprop),
                batch_size: Some(100),
                ..RecipePatch::default()
            },
            Self::Pytorch => RecipePatch {
                hidden: Some(vec![400]),
                latent: Some(20),
                init: Some(Initialization::Pytorch),
                optimizer: Some(OptimizerConfig::Adam),
                batch_size: Some(128),
                ..RecipePatch::default()
            },
        };
        own.over(common)
    }
}

impl RecipePatch {
    /// The settings of a TOML file.
    ///
    /// # Errors
    /// If the file cannot be read, does not parse, or names a setting that does not exist.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = fs::read_to_string(path).map_err(|cause| TrainError::File {
            action: "read",
            path: path.to_owned(),
            cause,
        })?;
        toml::from_str(&text).map_err(|cause| TrainError::Config {
            path: path.to_owned(),
            cause: Box::new(cause),
        })
    }

    /// What is trained when nothing is said: the article's network on the built-in digits, with more epochs than the
    /// article's ten because there are fewer images.
    #[must_use]
    pub fn defaults() -> Self {
        let own = Self {
            data: Some("digits".into()),
            backend: Some(BackendChoice::Auto),
            epochs: Some(60),
            seed: Some(0),
            ..Self::default()
        };
        own.over(Preset::Article.patch())
    }
}

impl Recipe {
    /// Completes `patch` with the defaults and checks it against the data.
    ///
    /// # Errors
    /// If a setting is out of range, or the patch was made for images of another size.
    pub fn resolve(patch: RecipePatch, dataset: &Dataset) -> Result<Self, TrainError> {
        let found = [dataset.train.height, dataset.train.width];
        let wrong = |setting, expected: &str, found: String| {
            Err(TrainError::Setting {
                setting,
                expected: expected.to_owned(),
                found,
            })
        };
        if let Some(expected) = patch.image.filter(|expected| *expected != found) {
            let expected = format!("{expected:?} as the config says");
            return wrong("image", &expected, format!("{found:?} in {}", dataset.name));
        }
        let patch = RecipePatch {
            image: Some(found),
            ..patch.over(RecipePatch::defaults())
        };
        let Some(recipe) = patch.complete() else {
            return wrong("config", "every setting", "one without a default".into());
        };
        if recipe.hidden.contains(&0) {
            return wrong(
                "hidden",
                "widths of at least 1",
                format!("{:?}", recipe.hidden),
            );
        }
        for (setting, value) in [
            ("latent", recipe.latent),
            ("batch_size", recipe.batch_size),
            ("epochs", recipe.epochs),
        ] {
            if value == 0 {
                return wrong(setting, "at least 1", "0".into());
            }
        }
        if !(recipe.lr.is_finite() && recipe.lr > 0.0) {
            return wrong("lr", "a number above 0", recipe.lr.to_string());
        }
        if !(recipe.beta.is_finite() && recipe.beta >= 0.0) {
            return wrong("beta", "a number of at least 0", recipe.beta.to_string());
        }
        Ok(recipe)
    }

    /// The network.
    #[must_use]
    pub fn model(&self) -> ModelConfig {
        let [height, width] = self.image;
        ModelConfig {
            pixels: height * width,
            hidden: self.hidden.clone(),
            latent: self.latent,
            init: self.init,
        }
    }

    /// What an engine for this recipe is built from; `model` is [`Self::model`].
    #[must_use]
    pub fn setup<'a>(&self, model: &'a ModelConfig, weights: &'a Weights) -> EngineSetup<'a> {
        EngineSetup {
            model,
            weights,
            optimizer: self.optimizer,
            lr: self.lr as f32,
            seed: self.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> Dataset {
        Dataset::digits().expect("built in")
    }

    #[test]
    fn the_default_is_the_article_on_the_digits() {
        let recipe = Recipe::resolve(RecipePatch::default(), &digits()).expect("valid");
        assert_eq!(
            (recipe.data.as_str(), &recipe.hidden[..], recipe.latent),
            ("digits", &[256][..], 2)
        );
        assert_eq!(
            (recipe.optimizer, recipe.batch_size, recipe.image),
            (OptimizerConfig::Rmsprop, 100, [28, 28])
        );
    }

    #[test]
    fn flags_win_over_config_over_preset_over_default() {
        let patch = |latent, lr, epochs| RecipePatch {
            latent,
            lr,
            epochs,
            ..RecipePatch::default()
        };
        let flags = patch(Some(5), None, None);
        let config = patch(Some(6), Some(0.5), None);
        let patch = flags.over(config).over(Preset::Pytorch.patch());
        let recipe = Recipe::resolve(patch, &digits()).expect("valid");
        assert_eq!(
            (recipe.latent, recipe.lr, recipe.epochs, recipe.seed),
            (5, 0.5, 10, 0)
        );
    }

    #[test]
    fn the_written_config_reads_back_as_itself() {
        let recipe = Recipe::resolve(Preset::Pytorch.patch(), &digits()).expect("valid");
        let text = toml::to_string(&recipe).expect("serialisable");
        let patch: RecipePatch = toml::from_str(&text).expect("its own output");
        assert_eq!(Recipe::resolve(patch, &digits()).expect("valid"), recipe);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |patch| {
            Recipe::resolve(patch, &digits())
                .expect_err("out of range")
                .to_string()
        };
        let none = RecipePatch::default;
        assert_eq!(
            message(RecipePatch {
                latent: Some(0),
                ..none()
            }),
            "latent: expected at least 1, found 0"
        );
        assert_eq!(
            message(RecipePatch {
                lr: Some(-1.0),
                ..none()
            }),
            "lr: expected a number above 0, found -1"
        );
        assert_eq!(
            message(RecipePatch {
                beta: Some(f64::NAN),
                ..none()
            }),
            "beta: expected a number of at least 0, found NaN"
        );
        assert_eq!(
            message(RecipePatch {
                image: Some([32, 32]),
                ..none()
            }),
            "image: expected [32, 32] as the config says, found [28, 28] in digits"
        );
    }
}
