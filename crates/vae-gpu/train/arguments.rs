//! What `vae-gpu train` takes.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use vae_data::Scale;
use vae_model::{Activation, Initialization, Optimizer};
use vae_train::{
    BackendChoice, Binarize, Corrupt, EngineChoice, LikelihoodName, Preset, RecipePatch,
};

use crate::arguments::{BACKENDS, ReadArguments, one_of, positive};

/// A setting is taken from its flag, else from `--config`, else from `--preset`, else from the defaults.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Go on with an interrupted run, or with a finished one for --epochs MORE. Its settings stay; only --backend, --engine,
    /// --data, --data-dir, --offline, --stream, --checkpoint-steps and --checkpoint-minutes may be given beside it.
    #[arg(long, value_name = "RUN", conflicts_with_all = FIXED)]
    pub(crate) resume: Option<PathBuf>,
    /// Where to compute; `auto` takes a hardware GPU if there is one, else the CPU [default: auto].
    #[arg(long, value_parser = one_of::<BackendChoice>(BACKENDS))]
    backend: Option<BackendChoice>,
    /// What computes: the fused step program wherever it can, or burn's autodiff [default: auto].
    #[arg(long, value_parser = one_of::<EngineChoice>(ENGINES))]
    engine: Option<EngineChoice>,
    /// A published recipe.
    #[arg(long, value_parser = preset())]
    preset: Option<Preset>,
    /// A TOML file of settings; the config.toml of a run folder is one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Passes over the training images; with --resume so many more [default: 60].
    #[arg(long, value_parser = positive())]
    pub(crate) epochs: Option<usize>,
    /// Images per step [default: 100].
    #[arg(long, value_parser = positive())]
    batch_size: Option<usize>,
    /// Learning rate [default: 0.001].
    #[arg(long)]
    lr: Option<f64>,
    /// RMSprop as Keras does it, or Adam, AdamW or SGD as PyTorch does them [default: rmsprop].
    #[arg(long, value_parser = one_of::<Optimizer>(OPTIMIZERS))]
    optimizer: Option<Optimizer>,
    /// Decoupled weight decay of AdamW [default: 0.01].
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Momentum of SGD [default: 0.9].
    #[arg(long)]
    momentum: Option<f64>,
    /// Scale gradients down to this norm, all parameters together [default: never].
    #[arg(long, value_name = "NORM")]
    clip_norm: Option<f64>,
    /// Weight of the KL term [default: 1].
    #[arg(long)]
    beta: Option<f64>,
    /// Decides weights, order, noise and what is validated on [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Latent dimensions [default: 2].
    #[arg(long, value_parser = positive())]
    latent: Option<usize>,
    /// Widths of the encoder's hidden layers; the decoder mirrors them [default: 256].
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "WIDTH[,WIDTH..]")]
    hidden: Option<Vec<usize>>,
    /// After every hidden layer [default: relu].
    #[arg(long, value_parser = one_of::<Activation>(ACTIVATIONS))]
    activation: Option<Activation>,
    /// What the decoder says of a pixel: its probability of white, or the mean of a normal [default: bernoulli].
    #[arg(long, value_parser = one_of::<LikelihoodName>(LIKELIHOODS))]
    likelihood: Option<LikelihoodName>,
    /// Standard deviation of the Gaussian likelihood, in units of what the model sees [default: 0.1].
    #[arg(long)]
    sigma: Option<f64>,
    /// Initial weights as in Keras (glorot) or PyTorch [default: glorot].
    #[arg(long, value_parser = one_of::<Initialization>(INITS))]
    init: Option<Initialization>,
    /// The run folder [default: runs/<data>-<number>].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Save all that the run needs to go on every so many steps, beside the end of each epoch [default: never].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_steps: Option<u64>,
    /// The same every so many minutes [default: 5].
    #[arg(long, value_name = "MINUTES")]
    checkpoint_minutes: Option<f64>,
    /// Show the resolved settings, with shapes and parameter count, and stop.
    #[arg(long)]
    pub(crate) print_config: bool,

    /// `digits` (built in); `mnist`, `fashion-mnist` or `kmnist` (downloaded once); a folder of images, whose sub-folders are
    /// labels; a folder of MNIST's four IDX files; or a .npy, .npz, .csv, .tsv, .parquet, IDX or image file [default: digits].
    #[arg(long, value_name = "NAME|PATH", help_heading = "Data")]
    data: Option<String>,
    /// Validate on this share of the samples, chosen by the seed, as many of each label [default: the test samples, else 0.1].
    #[arg(
        long,
        value_name = "SHARE",
        help_heading = "Data",
        conflicts_with = "val_data"
    )]
    val_fraction: Option<f64>,
    /// Validate on other data.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Data")]
    val_data: Option<String>,
    /// How values are scaled, fitted to the training samples: bytes from 0..255 to 0..1 (auto does that to bytes and nothing
    /// to floats), each column or channel to 0..1, or to mean 0 and deviation 1 [default: auto].
    #[arg(long, value_parser = one_of::<Scale>(SCALES), help_heading = "Data")]
    scale: Option<Scale>,
    /// Make pixels black or white: what is brighter than one half, or drawn with their brightness as the probability of
    /// white, once or at every step anew [default: none].
    #[arg(long, value_parser = one_of::<Binarize>(BINARIZE), help_heading = "Data")]
    binarize: Option<Binarize>,
    /// Train to undo damage to the images: gaussian:SIGMA, salt-pepper:SHARE or mask:SIDE [default: none].
    #[arg(long, value_name = "KIND:AMOUNT", help_heading = "Data")]
    corrupt: Option<Corrupt>,
    #[command(flatten)]
    pub(crate) read: ReadArguments,
}

/// What a run keeps when it goes on.
const FIXED: [&str; 31] = [
    "preset",
    "config",
    "batch_size",
    "lr",
    "optimizer",
    "weight_decay",
    "momentum",
    "clip_norm",
    "beta",
    "seed",
    "latent",
    "hidden",
    "activation",
    "likelihood",
    "sigma",
    "init",
    "out",
    "print_config",
    "val_fraction",
    "val_data",
    "scale",
    "binarize",
    "corrupt",
    "size",
    "grey",
    "fit",
    "skip_bad",
    "layout",
    "labels",
    "array",
    "header",
];

impl TrainArguments {
    /// The settings that were typed, over those of `config`, over those of the preset.
    pub(crate) fn patch(&self, config: RecipePatch) -> RecipePatch {
        let flags = RecipePatch {
            hidden: self.hidden.clone(),
            latent: self.latent,
            activation: self.activation,
            likelihood: self.likelihood,
            sigma: self.sigma.map(Some),
            init: self.init,
            optimizer: self.optimizer,
            lr: self.lr,
            weight_decay: self.weight_decay.map(Some),
            momentum: self.momentum.map(Some),
            clip_norm: self.clip_norm.map(Some),
            beta: self.beta,
            batch_size: self.batch_size,
            epochs: self.epochs,
            seed: self.seed,
            val_fraction: self.val_fraction.map(Some),
            val_data: self.val_data.clone().map(Some),
            scale: self.scale,
            binarize: self.binarize,
            corrupt: self.corrupt.map(Some),
            ..self.resume_patch()
        };
        flags
            .over(self.read.patch())
            .over(config)
            .over(self.preset.map(Preset::patch).unwrap_or_default())
    }

    /// What may be given when a run goes on, but for the number of epochs.
    pub(crate) fn resume_patch(&self) -> RecipePatch {
        RecipePatch {
            data: self.data.clone(),
            backend: self.backend,
            engine: self.engine,
            checkpoint_steps: self.checkpoint_steps.map(Some),
            checkpoint_minutes: self.checkpoint_minutes,
            stream: self.read.patch().stream,
            ..RecipePatch::default()
        }
    }
}

const ENGINES: &[&str] = &["auto", "burn", "fused"];
const ACTIVATIONS: &[&str] = &["relu", "tanh", "sigmoid", "gelu", "leaky-relu", "softplus"];
const LIKELIHOODS: &[&str] = &["bernoulli", "gaussian"];
const SCALES: &[&str] = &["auto", "none", "bytes", "min-max", "standardize"];
const BINARIZE: &[&str] = &["none", "threshold", "static", "dynamic"];
const OPTIMIZERS: &[&str] = &["rmsprop", "adam", "adamw", "sgd"];
const INITS: &[&str] = &["glorot", "pytorch"];

fn preset() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(["article", "pytorch"]).map(|name| {
        if name == "article" {
            Preset::Article
        } else {
            Preset::Pytorch
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::check_names;

    #[test]
    fn every_name_on_the_command_line_is_one_of_the_config_file() {
        check_names::<EngineChoice>(ENGINES);
        check_names::<Activation>(ACTIVATIONS);
        check_names::<LikelihoodName>(LIKELIHOODS);
        check_names::<Scale>(SCALES);
        check_names::<Binarize>(BINARIZE);
        check_names::<Optimizer>(OPTIMIZERS);
        check_names::<Initialization>(INITS);
    }
}
