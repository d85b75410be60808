//! What `vae-gpu train` takes.

mod network;
mod objective;
mod optimizer;

use std::path::PathBuf;

use clap::Args;
use clap::error::ErrorKind;
use vae_data::Scale;
use vae_recipe::{BackendChoice, Binarize, Corrupt, EngineChoice, Preset, RecipePatch};

use crate::arguments::{BACKENDS, ReadArguments, one_of, positive};
use network::NetworkArguments;
use objective::ObjectiveArguments;
use optimizer::OptimizerArguments;

/// A setting is taken from its flag, else from `--config`, else from `--preset`, else from the defaults.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Go on with an interrupted run, or with a finished one for --epochs MORE. Its settings stay; only --backend, --engine,
    /// --data, --data-dir, --offline, --stream, --checkpoint-steps and --checkpoint-minutes may be given beside it.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["preset", "config", "out", "print_config"])]
    pub(crate) resume: Option<PathBuf>,
    /// Where to compute; `auto` takes a hardware GPU if there is one, else the CPU [default: auto].
    #[arg(long, value_parser = one_of::<BackendChoice>(BACKENDS))]
    backend: Option<BackendChoice>,
    /// What computes: the fused step program wherever it can, or burn's autodiff [default: auto].
    #[arg(long, value_parser = one_of::<EngineChoice>(ENGINES))]
    engine: Option<EngineChoice>,
    /// A published recipe.
    #[arg(long, value_parser = one_of::<Preset>(PRESETS))]
    preset: Option<Preset>,
    /// A TOML file of settings; the config.toml of a run folder is one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Passes over the training images; with --resume so many more [default: 60].
    #[arg(long, value_parser = positive())]
    pub(crate) epochs: Option<usize>,
    /// Decides weights, order, noise and what is validated on [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
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
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    objective: ObjectiveArguments,
    #[command(flatten)]
    optimizer: OptimizerArguments,

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

const PRESETS: &[&str] = &["article", "pytorch", "conv", "iwae-k50"];
const ENGINES: &[&str] = &["auto", "burn", "fused"];
const SCALES: &[&str] = &["auto", "none", "bytes", "min-max", "standardize"];
const BINARIZE: &[&str] = &["none", "threshold", "static", "dynamic"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::check_names;

    #[test]
    fn every_name_on_the_command_line_is_one_of_the_config_file() {
        check_names::<Preset>(PRESETS);
        check_names::<EngineChoice>(ENGINES);
        check_names::<Scale>(SCALES);
        check_names::<Binarize>(BINARIZE);
    }
}
