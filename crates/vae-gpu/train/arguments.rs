//! What `vae-gpu train` takes.

mod network;
mod objective;
mod optimizer;

use std::path::PathBuf;

use clap::Args;
use clap::error::ErrorKind;
use vae_data::Scale;
use vae_recipe::{
    BackendChoice, Binarize, Corrupt, EngineChoice, OnDeviceLost, Preset, RecipePatch,
};

use super::progress::ReportArguments;
use crate::arguments::{ReadArguments, one_of, positive};
use network::NetworkArguments;
use objective::ObjectiveArguments;
use optimizer::OptimizerArguments;

/// A setting is taken from its flag, else from `--config`, else from `--preset`, else from the defaults.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Start from the settings of a published model; other options override them [default: none]
    ///
    /// article    dense 784-256-2, RMSprop, batch size 100, 10 epochs (a notebook by vvkv)
    /// pytorch    dense 784-400-20, Adam, batch size 128, 10 epochs (pytorch/examples)
    /// conv       convolutions of 32 and 64 channels, 2 latents, Adam, 30 epochs (Keras example)
    /// iwae-k50   dense 784-200-200-50, iwae with 50 draws, 3280 epochs (Burda et al. 2016)
    #[arg(
        long,
        verbatim_doc_comment,
        value_parser = one_of::<Preset>(),
        help_heading = "Configuration"
    )]
    preset: Option<Preset>,
    /// TOML file of settings, such as the config.toml of a run folder, which repeats that run [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub(crate) config: Option<PathBuf>,
    /// Print all settings, the shapes and the number of parameters, and exit without training [default: false].
    #[arg(long, help_heading = "Configuration")]
    pub(crate) print_config: bool,

    /// Dataset to train on: a name, file or folder [default: digits]
    ///
    /// digits                            10,000 images of MNIST, built in
    /// mnist, fashion-mnist, kmnist      downloaded at first use
    /// a folder of images                its sub-folders are labels
    /// a folder of MNIST's IDX files     all four, gzipped or not
    /// a folder of arrays or tables      .npy, .npz, .csv, .tsv or .parquet: in the
    ///                                   natural order of their names one data set
    /// a file                            .npy, .npz, .csv, .tsv, .mtx, .parquet, IDX or an image
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "NAME|PATH",
        help_heading = "Data"
    )]
    data: Option<String>,
    /// Fraction of the training samples to validate on, stratified by label [default: the test samples instead, else 0.1].
    #[arg(
        long,
        value_name = "FRACTION",
        allow_negative_numbers = true,
        help_heading = "Data",
        conflicts_with = "val_data"
    )]
    val_fraction: Option<f64>,
    /// Dataset to validate on: a name, file or folder as for --data [default: test samples or a fraction of --data].
    #[arg(long, value_name = "NAME|PATH", help_heading = "Data")]
    val_data: Option<String>,
    /// Scaling of the values, fitted to the training samples [default: auto]
    ///
    /// auto          bytes from 0..255 to 0..1; images of 16 bits by their range; floats and counts unchanged
    /// none          unchanged
    /// bytes         from 0..255 to 0..1
    /// min-max       each column or channel to 0..1
    /// range         all values by their common range to 0..1
    /// standardize   each column or channel to mean 0 and standard deviation 1
    #[arg(
        long,
        verbatim_doc_comment,
        value_parser = one_of::<Scale>(),
        help_heading = "Data"
    )]
    scale: Option<Scale>,
    /// Make pixels black or white [default: none]
    ///
    /// threshold   white above one half
    /// static      drawn once, with the brightness as the probability of white
    /// dynamic     drawn anew at every training step
    #[arg(
        long,
        verbatim_doc_comment,
        value_parser = one_of::<Binarize>(),
        help_heading = "Data"
    )]
    binarize: Option<Binarize>,
    /// Corrupt the encoder's input, such as gaussian:0.3, to train a denoising autoencoder [default: none]
    ///
    /// gaussian:0.3      add Gaussian noise of standard deviation 0.3
    /// salt-pepper:0.2   set each value with probability 0.2 to 0 or 1
    /// mask:8            blacken a square of 8 x 8 pixels
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "KIND:AMOUNT",
        help_heading = "Data"
    )]
    corrupt: Option<Corrupt>,
    #[command(flatten)]
    pub(crate) read: ReadArguments,

    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    objective: ObjectiveArguments,

    /// Number of epochs (passes over the training samples); with --resume, how many to add [default: 60].
    #[arg(long, value_parser = positive(), value_name = "N", help_heading = "Training")]
    pub(crate) epochs: Option<usize>,
    /// Random seed of the initial weights, the order of samples, the noise and the validation split [default: 0].
    #[arg(
        long,
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64),
        help_heading = "Training"
    )]
    seed: Option<u64>,
    #[command(flatten)]
    optimizer: OptimizerArguments,

    /// Run folder to create [default: runs/<data>-<number>].
    #[arg(long, value_name = "FOLDER", help_heading = "Checkpoints")]
    pub(crate) out: Option<PathBuf>,
    /// Resume the run in this folder from its last checkpoint [default: start a new run]
    ///
    /// --epochs N adds N epochs to it. All other settings stay; only --backend, --engine, --data,
    /// --data-dir, --offline, --stream, --checkpoint-steps, --checkpoint-minutes, --tensorboard, --on-device-lost,
    /// --verify-every and --pieces can be changed.
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "RUN",
        help_heading = "Checkpoints",
        conflicts_with_all = ["preset", "config", "out", "print_config"]
    )]
    pub(crate) resume: Option<PathBuf>,
    /// Resume the run in this folder if it is one, else start it there: one command line for a job that a scheduler starts again
    /// [default: start a new run]
    ///
    /// All other options must be those that it was started with; --epochs is the number in all.
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "RUN",
        help_heading = "Checkpoints",
        conflicts_with_all = ["resume", "out", "print_config"]
    )]
    pub(crate) resume_or_start: Option<PathBuf>,
    /// Also write a checkpoint every N steps, not only after each epoch [default: never].
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Checkpoints"
    )]
    checkpoint_steps: Option<u64>,
    /// Also write a checkpoint when the last one is this many minutes old [default: 5].
    #[arg(long, value_name = "MINUTES", help_heading = "Checkpoints")]
    checkpoint_minutes: Option<f64>,
    /// Also write event files for TensorBoard into the run folder [default: false].
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Reporting"
    )]
    tensorboard: Option<bool>,

    /// Device to compute on; auto takes a hardware GPU if there is one, else the CPU [default: auto]
    ///
    /// wgpu                   the best GPU through any of Vulkan, Metal and DX12
    /// vulkan, metal, dx12    the best GPU through this interface
    /// cpu                    the CPU
    /// ndarray                the CPU through burn: slower, the reference
    #[arg(
        long,
        verbatim_doc_comment,
        value_parser = one_of::<BackendChoice>(),
        help_heading = "Device"
    )]
    backend: Option<BackendChoice>,
    /// Training engine: fused (fast, but not for every model), burn (autodiff), or auto, which takes fused if it can
    /// [default: auto].
    #[arg(long, value_parser = one_of::<EngineChoice>(), help_heading = "Device")]
    engine: Option<EngineChoice>,
    /// If the GPU fails: stop, or go on from the last checkpoint on the CPU [default: stop].
    #[arg(long, value_parser = one_of::<OnDeviceLost>(), help_heading = "Device")]
    on_device_lost: Option<OnDeviceLost>,
    /// Compute the gradients of every N-th step on the CPU, too, and stop if they are others [default: never].
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Device"
    )]
    verify_every: Option<u64>,

    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

impl TrainArguments {
    /// The settings that were typed, over those of `config`, over those of the preset.
    pub(crate) fn patch(&self, config: RecipePatch) -> RecipePatch {
        let preset = self.preset.map(Preset::patch).unwrap_or_default();
        self.typed().overruling(config.overruling(preset))
    }

    fn typed(&self) -> RecipePatch {
        let own = RecipePatch {
            epochs: self.epochs,
            seed: self.seed,
            val_fraction: self.val_fraction.map(Some),
            val_data: self.val_data.clone().map(Some),
            scale: self.scale,
            binarize: self.binarize,
            corrupt: self.corrupt.map(Some),
            ..self.resume_patch()
        };
        own.over(self.network.patch())
            .over(self.objective.patch())
            .over(self.optimizer.patch())
            .over(self.read.patch())
    }

    /// What may be given when a run goes on, but for the number of epochs.
    pub(crate) fn resume_patch(&self) -> RecipePatch {
        RecipePatch {
            data: self.data.clone(),
            backend: self.backend,
            engine: self.engine,
            checkpoint_steps: self.checkpoint_steps.map(Some),
            checkpoint_minutes: self.checkpoint_minutes,
            tensorboard: self.tensorboard,
            on_device_lost: self.on_device_lost,
            pieces: self.optimizer.pieces,
            verify_every: self.verify_every.map(Some),
            stream: self.read.patch().stream,
            ..RecipePatch::default()
        }
    }

    /// Ends the program, as every wrong use does, if a setting is typed that a run keeps when it is resumed.
    pub(crate) fn check_resume(&self) {
        let table = |patch: RecipePatch| toml::Table::try_from(patch).unwrap_or_default();
        let free = table(RecipePatch {
            epochs: self.epochs,
            ..self.resume_patch()
        });
        let typed = table(self.typed());
        let kept = typed.keys().filter(|setting| !free.contains_key(*setting));
        let kept: Vec<String> = kept
            .map(|setting| format!("--{}", setting.replace('_', "-")))
            .collect();
        if !kept.is_empty() {
            let message = format!(
                "the argument '--resume <RUN>' cannot be used with {}: a run keeps its settings when it is resumed",
                kept.join(", ")
            );
            Self::augment_args(clap::Command::new("vae-gpu train"))
                .error(ErrorKind::ArgumentConflict, message)
                .exit();
        }
    }
}
