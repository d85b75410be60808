//! A recipe: everything that decides a run. Flags, a config file, a preset and the defaults are patches laid over each
//! other; what results is written to the run folder as `config.toml`, and that file is a config file again.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vae_data::Dataset;
use vae_model::{
    Activation, EngineSetup, Initialization, Likelihood, ModelConfig, Optimizer, OptimizerConfig,
    Weights,
};
use vae_rng::{Generator, Stream};

use crate::{BackendChoice, EngineChoice, TrainError};

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

            /// A recipe, if no setting is silent.
            pub(crate) fn complete(self) -> Option<Recipe> {
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
    /// What computes it.
    engine: EngineChoice,
    /// Widths of the encoder's hidden layers; the decoder mirrors them.
    hidden: Vec<usize>,
    /// Latent dimensions.
    latent: usize,
    /// After every hidden layer.
    activation: Activation,
    /// What the decoder's output says of a pixel.
    likelihood: LikelihoodName,
    /// Standard deviation of a Gaussian likelihood.
    sigma: Option<f64>,
    /// Whether pixels are made black or white, and when.
    binarize: Binarize,
    /// How weights start.
    init: Initialization,
    /// How weights are stepped.
    optimizer: Optimizer,
    /// Learning rate.
    lr: f64,
    /// Of AdamW.
    weight_decay: Option<f64>,
    /// Of SGD.
    momentum: Option<f64>,
    /// The largest norm of all gradients together.
    clip_norm: Option<f64>,
    /// Weight of the KL term.
    beta: f64,
    /// Images per step.
    batch_size: usize,
    /// Passes over the training images.
    epochs: usize,
    /// Decides weights, order and noise.
    seed: u64,
}

/// A likelihood by name; its settings stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LikelihoodName {
    /// Each pixel is a coin.
    Bernoulli,
    /// Each pixel is a normal of standard deviation `sigma`.
    Gaussian,
}

/// Whether grey pixels are drawn as black or white, their brightness the probability of white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binarize {
    /// They stay grey.
    None,
    /// Drawn once.
    Static,
    /// Training images are drawn anew at every step, test images once.
    Dynamic,
}

/// What a Gaussian's standard deviation is if nothing is said: a tenth of the range of a pixel.
const SIGMA: f64 = 0.1;

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
            engine: Some(EngineChoice::Auto),
            activation: Some(Activation::Relu),
            likelihood: Some(LikelihoodName::Bernoulli),
            sigma: Some(None),
            binarize: Some(Binarize::None),
            weight_decay: Some(None),
            momentum: Some(None),
            clip_norm: Some(None),
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
        let Some(mut recipe) = patch.complete() else {
            return wrong("config", "every setting", "one without a default".into());
        };
        let defaults = OptimizerConfig::new(recipe.optimizer, 0.0);
        for (setting, value, default, belongs_to) in [
            (
                "sigma",
                &mut recipe.sigma,
                (recipe.likelihood == LikelihoodName::Gaussian).then_some(SIGMA),
                "likelihood gaussian",
            ),
            (
                "weight_decay",
                &mut recipe.weight_decay,
                (recipe.optimizer == Optimizer::Adamw).then_some(short(defaults.weight_decay)),
                "optimizer adamw",
            ),
            (
                "momentum",
                &mut recipe.momentum,
                (recipe.optimizer == Optimizer::Sgd).then_some(short(defaults.momentum)),
                "optimizer sgd",
            ),
        ] {
            match (*value, default) {
                (Some(found), None) => {
                    return wrong(
                        setting,
                        &format!("none without {belongs_to}"),
                        found.to_string(),
                    );
                }
                (found, default) => *value = found.or(default),
            }
        }
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
        if !is_positive(recipe.lr) {
            return wrong("lr", "a number above 0", recipe.lr.to_string());
        }
        for (setting, value) in [("sigma", recipe.sigma), ("clip_norm", recipe.clip_norm)] {
            if let Some(found) = value.filter(|value| !is_positive(*value)) {
                return wrong(setting, "a number above 0", found.to_string());
            }
        }
        for (setting, value) in [
            ("weight_decay", recipe.weight_decay),
            ("momentum", recipe.momentum),
        ] {
            if let Some(found) = value.filter(|value| !(0.0..1.0).contains(value)) {
                return wrong(setting, "a number from 0 to below 1", found.to_string());
            }
        }
        if !(recipe.beta == 0.0 || is_positive(recipe.beta)) {
            return wrong("beta", "a number of at least 0", recipe.beta.to_string());
        }
        Ok(recipe)
    }

    /// The data as the model sees it: black and white if the recipe says so, but for training images that are drawn anew at
    /// every step.
    #[must_use]
    pub fn see<'a>(&self, dataset: &'a Dataset) -> Cow<'a, Dataset> {
        if self.binarize == Binarize::None {
            return Cow::Borrowed(dataset);
        }
        let generator = |stream| Generator::new(self.seed, stream);
        let mut seen = dataset.clone();
        seen.test = seen
            .test
            .binarized(generator(Stream::EvaluationBinarization));
        if self.binarize == Binarize::Static {
            seen.train = seen.train.binarized(generator(Stream::Binarization));
        }
        Cow::Owned(seen)
    }

    /// The network.
    #[must_use]
    pub fn model(&self) -> ModelConfig {
        let [height, width] = self.image;
        ModelConfig {
            pixels: height * width,
            hidden: self.hidden.clone(),
            latent: self.latent,
            activation: self.activation,
            likelihood: match self.likelihood {
                LikelihoodName::Bernoulli => Likelihood::Bernoulli,
                LikelihoodName::Gaussian => Likelihood::Gaussian {
                    sigma: self.sigma.unwrap_or(SIGMA) as f32,
                },
            },
            init: self.init,
        }
    }

    /// What an engine for this recipe is built from; `model` is [`Self::model`].
    #[must_use]
    pub fn setup<'a>(&self, model: &'a ModelConfig, weights: &'a Weights) -> EngineSetup<'a> {
        EngineSetup {
            model,
            weights,
            optimizer: OptimizerConfig {
                optimizer: self.optimizer,
                lr: self.lr as f32,
                weight_decay: self.weight_decay.unwrap_or(0.0) as f32,
                momentum: self.momentum.unwrap_or(0.0) as f32,
                clip_norm: self.clip_norm.map(|norm| norm as f32),
            },
            seed: self.seed,
        }
    }
}

/// Whether engines, which compute in single precision, see a number above 0.
const fn is_positive(value: f64) -> bool {
    let value = value as f32;
    value.is_finite() && value > 0.0
}

/// A constant of single precision as one writes it: 0.9, not 0.8999999761581421.
fn short(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
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
            (Optimizer::Rmsprop, 100, [28, 28])
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
    fn a_setting_belongs_to_its_optimizer_or_likelihood() {
        let resolve = |patch| Recipe::resolve(patch, &digits());
        let adamw = RecipePatch {
            optimizer: Some(Optimizer::Adamw),
            ..RecipePatch::default()
        };
        let recipe = resolve(adamw.clone()).expect("valid");
        assert_eq!((recipe.weight_decay, recipe.momentum), (Some(0.01), None));
        let text = toml::to_string(&recipe).expect("serialisable");
        let patch: RecipePatch = toml::from_str(&text).expect("its own output");
        assert_eq!(resolve(patch).expect("valid"), recipe);
        let patch = RecipePatch {
            momentum: Some(Some(0.5)),
            ..adamw
        };
        assert_eq!(
            resolve(patch).expect_err("not SGD's").to_string(),
            "momentum: expected none without optimizer sgd, found 0.5"
        );
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
