//! What the user may type.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, de::IntoDeserializer};
use vae_model::{Initialization, OptimizerConfig};
use vae_train::{BackendChoice, Preset, RecipePatch};

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
    #[arg(long, value_parser = backend())]
    backend: Option<BackendChoice>,
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
    /// RMSprop as Keras does it or Adam as PyTorch does it [default: rmsprop].
    #[arg(long, value_parser = optimizer())]
    optimizer: Option<OptimizerConfig>,
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
    /// Initial weights as in Keras (glorot) or PyTorch [default: glorot].
    #[arg(long, value_parser = init())]
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
    #[arg(long, default_value = "auto", value_parser = backend())]
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
    #[arg(long, default_value = "auto", value_parser = backend())]
    pub(crate) backend: BackendChoice,
}

impl TrainArguments {
    /// The settings that were typed, over those of `config`, over those of the preset.
    pub(crate) fn patch(&self, config: RecipePatch) -> RecipePatch {
        let flags = RecipePatch {
            data: self.data.clone(),
            image: None,
            backend: self.backend,
            hidden: self.hidden.clone(),
            latent: self.latent,
            init: self.init,
            optimizer: self.optimizer,
            lr: self.lr,
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

const BACKENDS: [&str; 7] = ["auto", "wgpu", "vulkan", "metal", "dx12", "cpu", "ndarray"];
const OPTIMIZERS: [&str; 2] = ["rmsprop", "adam"];
const INITS: [&str; 2] = ["glorot", "pytorch"];

fn backend() -> impl TypedValueParser<Value = BackendChoice> {
    PossibleValuesParser::new(BACKENDS).try_map(|name| by_name(&name))
}

fn optimizer() -> impl TypedValueParser<Value = OptimizerConfig> {
    PossibleValuesParser::new(OPTIMIZERS).try_map(|name| by_name(&name))
}

fn init() -> impl TypedValueParser<Value = Initialization> {
    PossibleValuesParser::new(INITS).try_map(|name| by_name(&name))
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
        assert!(
            BACKENDS
                .iter()
                .all(|name| by_name::<BackendChoice>(name).is_ok())
        );
        assert!(
            OPTIMIZERS
                .iter()
                .all(|name| by_name::<OptimizerConfig>(name).is_ok())
        );
        assert!(
            INITS
                .iter()
                .all(|name| by_name::<Initialization>(name).is_ok())
        );
    }
}
