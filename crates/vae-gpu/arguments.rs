//! What the user may type.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, de::IntoDeserializer};
use vae_model::{Activation, Initialization, Optimizer};
use vae_train::{BackendChoice, Binarize, EngineChoice, LikelihoodName, Preset, RecipePatch};

/// Train variational autoencoders on any GPU through wgpu, or on the CPU.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model; without any option, the article's network on the built-in digits.
    Train(TrainArguments),
    /// List the devices that can train.
    Devices,
    /// Decode draws of the prior into a picture.
    Sample(SampleArguments),
    /// Show test images and what the model makes of them.
    Reconstruct(ReconstructArguments),
}

/// A setting is taken from its flag, else from `--config`, else from `--preset`, else from the defaults.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// `digits` (built in), or a folder with the four MNIST-layout IDX files, gzipped or not [default: digits].
    #[arg(long, value_name = "digits|FOLDER")]
    data: Option<String>,
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
    /// Passes over the training images [default: 60].
    #[arg(long, value_parser = positive())]
    epochs: Option<usize>,
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
    /// Decides weights, order and noise [default: 0].
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
    /// Standard deviation of the Gaussian likelihood, in units of a pixel's range [default: 0.1].
    #[arg(long)]
    sigma: Option<f64>,
    /// Draw pixels as black or white, their brightness the probability of white: once, or at every step anew [default: none].
    #[arg(long, value_parser = one_of::<Binarize>(BINARIZE))]
    binarize: Option<Binarize>,
    /// Initial weights as in Keras (glorot) or PyTorch [default: glorot].
    #[arg(long, value_parser = one_of::<Initialization>(INITS))]
    init: Option<Initialization>,
    /// The run folder [default: runs/<data>-<number>].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Show the resolved settings, with shapes and parameter count, and stop.
    #[arg(long)]
    pub(crate) print_config: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArguments {
    /// A run folder.
    pub(crate) run: PathBuf,
    /// Number of images.
    #[arg(long, default_value = "100", value_parser = positive())]
    pub(crate) count: usize,
    /// The picture to write.
    #[arg(long, default_value = "samples.png", value_name = "FILE.png")]
    pub(crate) out: PathBuf,
    /// Decides the draws.
    #[arg(long, default_value = "0")]
    pub(crate) seed: u64,
    /// Where to compute.
    #[arg(long, default_value = "auto", value_parser = one_of::<BackendChoice>(BACKENDS))]
    pub(crate) backend: BackendChoice,
}

#[derive(Debug, Args)]
pub(crate) struct ReconstructArguments {
    /// A run folder.
    pub(crate) run: PathBuf,
    /// The data whose test images are shown [default: what the run was trained on].
    #[arg(long, value_name = "digits|FOLDER")]
    pub(crate) data: Option<String>,
    /// Number of images.
    #[arg(long, default_value = "40", value_parser = positive())]
    pub(crate) count: usize,
    /// The picture to write.
    #[arg(long, default_value = "reconstructions.png", value_name = "FILE.png")]
    pub(crate) out: PathBuf,
    /// Where to compute.
    #[arg(long, default_value = "auto", value_parser = one_of::<BackendChoice>(BACKENDS))]
    pub(crate) backend: BackendChoice,
}

impl TrainArguments {
    /// The settings that were typed, over those of `config`, over those of the preset.
    pub(crate) fn patch(&self, config: RecipePatch) -> RecipePatch {
        let flags = RecipePatch {
            data: self.data.clone(),
            image: None,
            backend: self.backend,
            engine: self.engine,
            hidden: self.hidden.clone(),
            latent: self.latent,
            activation: self.activation,
            likelihood: self.likelihood,
            sigma: self.sigma.map(Some),
            binarize: self.binarize,
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
        };
        flags
            .over(config)
            .over(self.preset.map(Preset::patch).unwrap_or_default())
    }
}

fn positive() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

const BACKENDS: &[&str] = &["auto", "wgpu", "vulkan", "metal", "dx12", "cpu", "ndarray"];
const ENGINES: &[&str] = &["auto", "burn", "fused"];
const ACTIVATIONS: &[&str] = &["relu", "tanh", "sigmoid", "gelu", "leaky-relu", "softplus"];
const LIKELIHOODS: &[&str] = &["bernoulli", "gaussian"];
const BINARIZE: &[&str] = &["none", "static", "dynamic"];
const OPTIMIZERS: &[&str] = &["rmsprop", "adam", "adamw", "sgd"];
const INITS: &[&str] = &["glorot", "pytorch"];

/// One of `names`, each of which a config file would call the same.
fn one_of<T: for<'de> Deserialize<'de> + Clone + Send + Sync + 'static>(
    names: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(|name| by_name(&name))
}

fn preset() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(["article", "pytorch"]).map(|name| {
        if name == "article" {
            Preset::Article
        } else {
            Preset::Pytorch
        }
    })
}

/// The value that a config file would call `name`.
fn by_name<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, Error> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    T::deserialize(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_name_on_the_command_line_is_one_of_the_config_file() {
        fn check<T: for<'de> Deserialize<'de>>(names: &[&str]) {
            assert!(
                names.iter().all(|name| by_name::<T>(name).is_ok()),
                "{names:?}"
            );
        }
        check::<BackendChoice>(BACKENDS);
        check::<EngineChoice>(ENGINES);
        check::<Activation>(ACTIVATIONS);
        check::<LikelihoodName>(LIKELIHOODS);
        check::<Binarize>(BINARIZE);
        check::<Optimizer>(OPTIMIZERS);
        check::<Initialization>(INITS);
    }
}
