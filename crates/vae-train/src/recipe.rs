//! A recipe: everything that decides a run. Flags, a config file, a preset and the defaults are patches laid over each
//! other; what results is written to the run folder as `config.toml`, and that file is a config file again.

mod preset;
mod resolve;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vae_data::folder::Fit;
use vae_data::table::Header;
use vae_data::{Layout, Scale, Shape};
use vae_model::{
    Activation, EngineSetup, Initialization, Likelihood, ModelConfig, Optimizer, OptimizerConfig,
    Weights,
};

use crate::{BackendChoice, Corrupt, EngineChoice, TrainError};

pub use preset::Preset;

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
            #[must_use]
            pub fn complete(self) -> Option<Recipe> {
                Some(Recipe { $($setting: self.$setting?,)* })
            }
        }

        impl From<Recipe> for RecipePatch {
            fn from(recipe: Recipe) -> Self {
                Self { $($setting: Some(recipe.$setting),)* }
            }
        }
    };
}

settings! {
    /// A known set or a path.
    data: String,
    /// Shape of the images; found in the data, and checked against them if given.
    image: Shape,
    /// Height and width that image files are scaled to, or that flat rows are images of.
    size: Option<[usize; 2]>,
    /// Whether coloured image files become grey.
    grey: bool,
    /// What becomes of image files of another shape.
    fit: Option<Fit>,
    /// Whether image files that cannot be decoded are left out.
    skip_bad: bool,
    /// Where an array's channels are.
    layout: Option<Layout>,
    /// A table's column of labels, an NPZ file's array of them, or a file of them.
    labels: Option<String>,
    /// Whether a table's first line names its columns.
    header: Header,
    /// The array of an NPZ file.
    array: Option<String>,
    /// Whether samples stay on disk until they are wanted.
    stream: bool,
    /// How values are scaled.
    scale: Scale,
    /// The share of the training samples that is validated on instead.
    val_fraction: Option<f64>,
    /// What is validated on, if it is another source.
    val_data: Option<String>,
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
    /// What is done to the images that the encoder sees.
    corrupt: Option<Corrupt>,
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
    /// Steps from one checkpoint to the next within an epoch.
    checkpoint_steps: Option<u64>,
    /// Minutes from one checkpoint to the next within an epoch.
    checkpoint_minutes: f64,
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
    /// White is what is brighter than one half.
    Threshold,
    /// Drawn once.
    Static,
    /// Training images are drawn anew at every step, test images once.
    Dynamic,
}

/// What a Gaussian's standard deviation is if nothing is said: a tenth of the range of a pixel.
const SIGMA: f64 = 0.1;
/// What a crash may cost if nothing is said.
const CHECKPOINT_MINUTES: f64 = 5.0;

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
            size: Some(None),
            grey: Some(false),
            fit: Some(None),
            skip_bad: Some(false),
            layout: Some(None),
            labels: Some(None),
            header: Some(Header::Auto),
            array: Some(None),
            stream: Some(false),
            scale: Some(Scale::Auto),
            val_fraction: Some(None),
            val_data: Some(None),
            binarize: Some(Binarize::None),
            corrupt: Some(None),
            checkpoint_steps: Some(None),
            checkpoint_minutes: Some(CHECKPOINT_MINUTES),
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
    /// The network.
    #[must_use]
    pub fn model(&self) -> ModelConfig {
        ModelConfig {
            pixels: self.image.length(),
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
            moments: &[],
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
