//! A recipe: everything that decides a run. Flags, a config file, a preset and the defaults are patches laid over each
//! other; what results is written to the run folder as `config.toml`, and that file is a config file again.

mod build;
mod check;
mod names;
mod preset;
mod resolve;
mod text;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vae_data::folder::Fit;
use vae_data::table::Header;
use vae_data::{Layout, Scale, Shape};
use vae_spec::{Activation, Initialization, KlEstimate, MmdKernel, Optimizer, Upsampling};

use crate::{
    BackendChoice, Corrupt, EngineChoice, KlSchedule, LrSchedule, Metric, RecipeError, Stopping,
};

pub use names::{Binarize, LikelihoodName, ObjectiveName, OnNan, OutputBias, Sigma, SigmaName};
pub use preset::Preset;
pub use text::{Capacity, FreeBitsText, PriorText};

/// Declares each setting once, for the complete recipe and for the patch in which every setting may be absent.
macro_rules! settings {
    ($($(#[$doc:meta])* $setting:ident: $type:ty,)*) => {
        /// A complete recipe.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Recipe { $($(#[$doc])* pub $setting: $type,)* }

        /// Some settings of a [`Recipe`].
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// Of the objective `capacity` if nothing is said. Burgess et al. 2018 have 1000, with which the KL term comes no nearer and
/// the digits' reconstructions are 34 nats worse (docs/models.md).
const CAPACITY_BETA: f64 = 30.0;
/// Of convolutions if nothing is said: side of the kernel, and by which a stage shrinks the image.
const KERNEL: usize = 3;
const STRIDE: usize = 2;

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
    /// Channels after each convolution of the encoder; none in a dense network.
    channels: Vec<usize>,
    /// Side of the convolutions' kernels.
    kernel: usize,
    /// By which each convolution shrinks the image.
    stride: usize,
    /// How the decoder grows it again.
    upsampling: Upsampling,
    /// Groups of channels that are normalised together.
    group_norm: Option<usize>,
    /// Residual blocks after each convolution.
    residual_blocks: usize,
    /// Widths of the encoder's dense hidden layers.
    hidden: Vec<usize>,
    /// Widths of the decoder's, if they do not mirror the encoder's.
    decoder_hidden: Option<Vec<usize>>,
    /// Latent dimensions.
    latent: usize,
    /// After every hidden layer.
    activation: Activation,
    /// Whether encoder and decoder see the label.
    conditional: bool,
    /// What the labels are called; found in the data.
    classes: Vec<String>,
    /// What the decoder's output says of a pixel.
    likelihood: LikelihoodName,
    /// How wide the likelihood is.
    sigma: Option<Sigma>,
    /// What latents are expected to look like.
    prior: PriorText,
    /// Whether pixels are made black or white, and when.
    binarize: Binarize,
    /// What is done to the images that the encoder sees.
    corrupt: Option<Corrupt>,
    /// How weights start.
    init: Initialization,
    /// How the output's bias starts.
    output_bias: OutputBias,
    /// What is minimised.
    objective: ObjectiveName,
    /// Weight of the KL term.
    beta: f64,
    /// How that weight rises.
    kl_schedule: KlSchedule,
    /// How the KL term is computed.
    kl: Option<KlEstimate>,
    /// Draws of the latents for each image.
    samples: Option<usize>,
    /// The least that parts of the KL term count as.
    free_bits: Option<FreeBitsText>,
    /// The KL term that the objective `capacity` asks for.
    capacity: Option<Capacity>,
    /// Weight of the maximum mean discrepancy.
    mmd_weight: Option<f64>,
    /// By which it is measured.
    mmd_kernel: Option<MmdKernel>,
    /// How weights are stepped.
    optimizer: Optimizer,
    /// Learning rate.
    lr: f64,
    /// How it changes.
    lr_schedule: LrSchedule,
    /// Decoupled with AdamW, else added to the gradient.
    weight_decay: Option<f64>,
    /// Of SGD.
    momentum: Option<f64>,
    /// Added to the optimizer's root.
    eps: Option<f64>,
    /// The largest norm of all gradients together.
    clip_norm: Option<f64>,
    /// The largest magnitude of a gradient's numbers.
    clip_value: Option<f64>,
    /// Decay of the average of the weights that is evaluated and saved.
    ema: Option<f64>,
    /// Images whose gradients are computed together.
    batch_size: usize,
    /// How many of those make a step.
    accumulate: usize,
    /// Passes over the training images.
    epochs: usize,
    /// When to stop before that.
    early_stopping: Option<Stopping>,
    /// By which number of an epoch the best weights are chosen.
    best_by: Metric,
    /// What to do when a loss is not finite.
    on_nan: OnNan,
    /// Steps from one checkpoint to the next within an epoch.
    checkpoint_steps: Option<u64>,
    /// Minutes from one checkpoint to the next within an epoch.
    checkpoint_minutes: f64,
    /// Decides weights, order and noise.
    seed: u64,
}

/// What a crash may cost if nothing is said.
const CHECKPOINT_MINUTES: f64 = 5.0;

impl RecipePatch {
    /// The settings of a TOML file.
    ///
    /// # Errors
    /// If the file cannot be read, does not parse, or names a setting that does not exist.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(|cause| RecipeError::File {
            path: path.to_owned(),
            cause,
        })?;
        toml::from_str(&text).map_err(|cause| RecipeError::Config {
            path: path.to_owned(),
            cause: Box::new(cause),
        })
    }

    /// These settings, and `below` where they are silent, but not those that `below` gives its own optimizer, objective,
    /// likelihood or prior if these settings name another.
    #[must_use]
    pub fn overruling(&self, mut below: Self) -> Self {
        fn is_other<T: PartialEq>(own: &Option<T>, below: &Option<T>) -> bool {
            own.is_some() && own != below
        }
        if is_other(&self.optimizer, &below.optimizer) {
            below.eps = None;
            below.momentum = None;
            below.weight_decay = None;
        }
        if is_other(&self.objective, &below.objective) {
            let capacity = Some(ObjectiveName::Capacity);
            if self.objective == capacity || below.objective == capacity {
                below.beta = None;
            }
            below.kl = None;
            below.samples = None;
            below.free_bits = None;
            below.capacity = None;
            below.mmd_weight = None;
            below.mmd_kernel = None;
        }
        if is_other(&self.likelihood, &below.likelihood) {
            below.sigma = None;
        }
        if is_other(&self.prior, &below.prior) {
            below.kl = None;
        }
        self.clone().over(below)
    }

    /// These settings, and the defaults where they are silent.
    #[must_use]
    pub fn over_defaults(self) -> Self {
        let beta = match self.objective {
            Some(ObjectiveName::Capacity) => CAPACITY_BETA,
            _ => 1.0,
        };
        let own = Self {
            beta: Some(beta),
            ..Self::default()
        };
        self.over(own).over(Self::defaults())
    }

    /// What is trained when nothing is said: the article's network on the built-in digits, with more epochs than the
    /// article's ten because there are fewer images.
    #[must_use]
    fn defaults() -> Self {
        let own = Self {
            data: Some("digits".into()),
            backend: Some(BackendChoice::Auto),
            engine: Some(EngineChoice::Auto),
            activation: Some(Activation::Relu),
            channels: Some(Vec::new()),
            kernel: Some(KERNEL),
            stride: Some(STRIDE),
            upsampling: Some(Upsampling::Transposed),
            group_norm: Some(None),
            residual_blocks: Some(0),
            decoder_hidden: Some(None),
            conditional: Some(false),
            classes: Some(Vec::new()),
            likelihood: Some(LikelihoodName::Bernoulli),
            sigma: Some(None),
            prior: Some(PriorText::Normal),
            output_bias: Some(OutputBias::Init),
            objective: Some(ObjectiveName::Elbo),
            kl_schedule: Some(KlSchedule::Constant),
            kl: Some(None),
            samples: Some(None),
            free_bits: Some(None),
            capacity: Some(None),
            mmd_weight: Some(None),
            mmd_kernel: Some(None),
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
            lr_schedule: Some(LrSchedule::Constant),
            eps: Some(None),
            clip_norm: Some(None),
            clip_value: Some(None),
            ema: Some(None),
            accumulate: Some(1),
            early_stopping: Some(None),
            best_by: Some(Metric::default()),
            on_nan: Some(OnNan::Stop),
            epochs: Some(60),
            seed: Some(0),
            ..Self::default()
        };
        own.over(Preset::Article.patch())
    }
}
