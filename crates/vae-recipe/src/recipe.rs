//! A recipe: all settings of a run. Flags, a config file, a preset and the defaults are patches merged in this order of
//! precedence; the result is written to the run folder as `config.toml`, which can be used as a config file again.

mod build;
mod check;
mod names;
mod preset;
mod resolve;
mod size;
mod text;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vae_data::folder::{Bits, Fit};
use vae_data::table::{Decimal, Header, Separator};
use vae_data::{Layout, Scale, Shape, did_you_mean};
use vae_spec::{Activation, Initialization, KlEstimate, MmdKernel, Optimizer, Upsampling};

use crate::{
    BackendChoice, Corrupt, EngineChoice, KlSchedule, LrSchedule, Metric, RecipeError, Stopping,
};

pub use names::{
    Binarize, LikelihoodName, ObjectiveName, OnDeviceLost, OnNan, OutputBias, Sigma, SigmaName,
};
pub use preset::Preset;
pub use text::{Capacity, FreeBitsText, PriorText};

/// Declares each setting once, for the complete recipe and for the patch, where every setting is optional.
macro_rules! settings {
    ($($(#[$doc:meta])* $setting:ident: $type:ty,)*) => {
        /// A complete recipe.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Recipe { $($(#[$doc])* pub $setting: $type,)* }

        /// A partial [`Recipe`]: any of its settings may be unset.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RecipePatch { $($(#[$doc])* pub $setting: Option<$type>,)* }

        impl RecipePatch {
            /// What a config file calls the settings.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($setting)),*];

            /// These settings, with those of `below` where they are unset.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($setting: self.$setting.or(below.$setting),)* }
            }

            /// The recipe, if every setting is set.
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

/// Default `beta` of the objective `capacity`. Burgess et al. 2018 use 1000, which brings the KL term only 0.1 nats nearer to
/// the target and makes the reconstruction of the digits 34 nats worse (docs/models.md).
const CAPACITY_BETA: f64 = 30.0;
/// Default kernel size and stride of convolutions.
const KERNEL: usize = 3;
const STRIDE: usize = 2;

settings! {
    /// Name of a known data set, or a path.
    data: String,
    /// Sample shape; found in the data, and checked against them if given.
    image: Shape,
    /// Column names of a table, as found in the data; empty for tables without names and for images.
    columns: Vec<String>,
    /// Height and width that image files are scaled to, or that flat rows are reshaped to.
    size: Option<[usize; 2]>,
    /// Whether colour images are converted to grayscale.
    grey: bool,
    /// How image files of another aspect ratio are fitted to `size`.
    fit: Option<Fit>,
    /// Bits of the values of image files; found in the data. A run of an older version, which has none, took 8.
    bits: Option<Bits>,
    /// Whether image files that cannot be decoded are skipped.
    skip_bad: bool,
    /// Axis order of image arrays: channels first or last.
    layout: Option<Layout>,
    /// Label column of a table, label array of an NPZ file, or a label file.
    labels: Option<String>,
    /// Column of a table that names its rows.
    ids: Option<String>,
    /// Whether the first line of a table holds the column names.
    header: Header,
    /// What separates the cells of a text table; found in it if unset.
    separator: Option<Separator>,
    /// What stands before the decimals in a text table; found in it if unset.
    decimal: Option<Decimal>,
    /// Name of the array to read from an NPZ file.
    array: Option<String>,
    /// Whether samples stay on disk and are read on demand.
    stream: bool,
    /// Scaling of the values.
    scale: Scale,
    /// Fraction of the training samples held out for validation.
    val_fraction: Option<f64>,
    /// Separate data source for validation.
    val_data: Option<String>,
    /// Backend to compute on.
    backend: BackendChoice,
    /// Engine that runs the training steps.
    engine: EngineChoice,
    /// Output channels of each convolutional stage of the encoder; empty in a dense network.
    channels: Vec<usize>,
    /// Kernel size of the convolutions.
    kernel: usize,
    /// Stride of the convolutional stages.
    stride: usize,
    /// Upsampling method of the decoder.
    upsampling: Upsampling,
    /// Number of groups for group normalization.
    group_norm: Option<usize>,
    /// Residual blocks after each convolutional stage.
    residual_blocks: usize,
    /// Widths of the encoder's dense hidden layers.
    hidden: Vec<usize>,
    /// Widths of the decoder's dense hidden layers; mirrors the encoder if unset.
    decoder_hidden: Option<Vec<usize>>,
    /// Number of latent dimensions.
    latent: usize,
    /// Activation after every hidden layer.
    activation: Activation,
    /// Whether encoder and decoder are conditioned on the label.
    conditional: bool,
    /// Class names of a conditional model; found in the data.
    classes: Vec<String>,
    /// Likelihood of the data given the decoder's output.
    likelihood: LikelihoodName,
    /// Scale parameter of the likelihood: fixed or learned.
    sigma: Option<Sigma>,
    /// Prior over the latents.
    prior: PriorText,
    /// Binarization of the pixels.
    binarize: Binarize,
    /// Corruption of the encoder's input, for denoising models.
    corrupt: Option<Corrupt>,
    /// Weight initialization.
    init: Initialization,
    /// Initialization of the output bias.
    output_bias: OutputBias,
    /// Training objective.
    objective: ObjectiveName,
    /// Weight of the KL term.
    beta: f64,
    /// Annealing schedule of the KL weight.
    kl_schedule: KlSchedule,
    /// Analytic or sampled KL term.
    kl: Option<KlEstimate>,
    /// Latent samples per input.
    samples: Option<usize>,
    /// Free bits: minimum of each part of the KL term, in nats.
    free_bits: Option<FreeBitsText>,
    /// Target of the KL term under the objective `capacity`, in nats.
    capacity: Option<Capacity>,
    /// Weight of the maximum mean discrepancy (MMD).
    mmd_weight: Option<f64>,
    /// Kernel of the MMD.
    mmd_kernel: Option<MmdKernel>,
    /// Optimizer.
    optimizer: Optimizer,
    /// Learning rate.
    lr: f64,
    /// Learning rate schedule.
    lr_schedule: LrSchedule,
    /// Weight decay: decoupled with AdamW, else added to the gradient.
    weight_decay: Option<f64>,
    /// Momentum of SGD.
    momentum: Option<f64>,
    /// Epsilon in the optimizer's denominator.
    eps: Option<f64>,
    /// Gradient clipping by global norm.
    clip_norm: Option<f64>,
    /// Gradient clipping by value.
    clip_value: Option<f64>,
    /// Decay of the exponential moving average of the weights, which is evaluated and saved instead of the weights.
    ema: Option<f64>,
    /// Samples per micro-batch.
    batch_size: usize,
    /// Micro-batches accumulated per optimizer step.
    accumulate: usize,
    /// Pieces of every step's batch, whose gradients are added up in a fixed order.
    pieces: usize,
    /// Steps that each of several processes takes alone between averages of their weights (local SGD); unset, they add up the gradients of
    /// every step.
    local_steps: Option<u64>,
    /// Number of epochs.
    epochs: usize,
    /// Early stopping, if any.
    early_stopping: Option<Stopping>,
    /// Metric that selects the best weights.
    best_by: Metric,
    /// What to do when a loss or weight is NaN or infinite.
    on_nan: OnNan,
    /// What to do when the device fails.
    on_device_lost: OnDeviceLost,
    /// Steps between those that are computed a second time on the CPU and compared.
    verify_every: Option<u64>,
    /// Steps between checkpoints within an epoch.
    checkpoint_steps: Option<u64>,
    /// Minutes between checkpoints within an epoch.
    checkpoint_minutes: f64,
    /// Whether event files for TensorBoard are written.
    tensorboard: bool,
    /// Seed of the initial weights, the shuffling and the noise.
    seed: u64,
}

/// Default minutes between checkpoints: the most that a crash may cost.
const CHECKPOINT_MINUTES: f64 = 5.0;

impl RecipePatch {
    /// Reads the settings of a TOML file.
    ///
    /// # Errors
    /// If the file cannot be read, does not parse, or contains an unknown setting.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(|cause| RecipeError::File {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(&text, path)
    }

    /// From the content of a TOML file at `path`.
    ///
    /// # Errors
    /// If it does not parse, or contains an unknown setting.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RecipeError> {
        toml::from_str(text).map_err(|cause: toml::de::Error| {
            // A name that is no setting is the first word in backticks of serde's message.
            let unknown = cause.message().strip_prefix("unknown field `");
            let unknown = unknown.and_then(|rest| rest.split('`').next());
            let names = Self::NAMES.iter().copied();
            RecipeError::Config {
                path: path.to_owned(),
                hint: unknown.map_or_else(String::new, |name| did_you_mean(name, names)),
                cause: Box::new(cause),
            }
        })
    }

    /// These settings, with those of `below` where they are unset. If these settings choose another optimizer, objective,
    /// likelihood or prior than `below`, the settings that belong to the one in `below` are dropped.
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

    /// These settings, with the defaults where they are unset.
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

    /// Default settings: the article's network on the built-in digits, with more epochs than the article's ten because there
    /// are fewer images.
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
            columns: Some(Vec::new()),
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
            bits: Some(None),
            skip_bad: Some(false),
            layout: Some(None),
            labels: Some(None),
            ids: Some(None),
            header: Some(Header::Auto),
            separator: Some(None),
            decimal: Some(None),
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
            pieces: Some(1),
            local_steps: Some(None),
            early_stopping: Some(None),
            best_by: Some(Metric::default()),
            on_nan: Some(OnNan::Stop),
            on_device_lost: Some(OnDeviceLost::Stop),
            verify_every: Some(None),
            epochs: Some(60),
            tensorboard: Some(false),
            seed: Some(0),
            ..Self::default()
        };
        own.over(Preset::Article.patch())
    }
}
