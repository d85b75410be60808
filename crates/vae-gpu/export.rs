//! `vae-gpu export`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use vae_run::{ExportFormat, SavedRun, export};

use crate::arguments::OverwriteArguments;
use crate::report;

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Trained model: a run folder, or a .safetensors file of weights.
    run: PathBuf,
    /// TOML file with the settings of the model [default: the config.toml beside the weights].
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    config: Option<PathBuf>,
    /// Format: onnx writes encoder.onnx and decoder.onnx, pytorch writes pytorch.safetensors.
    #[arg(long, help_heading = "Output")]
    format: FormatName,
    /// Folder to write into [default: `exported` in the run folder, or beside the weights].
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    Onnx,
    Pytorch,
}

pub(crate) fn run(arguments: &ExportArguments) -> Result<ExitCode> {
    let run = SavedRun::open(&arguments.run, arguments.config.as_deref())?;
    let format = match arguments.format {
        FormatName::Onnx => ExportFormat::Onnx,
        FormatName::Pytorch => ExportFormat::Pytorch,
    };
    let own = if arguments.run.is_file() {
        arguments.run.parent().unwrap_or(Path::new(""))
    } else {
        &arguments.run
    };
    let out = arguments.out.clone();
    let out = out.unwrap_or_else(|| own.join("exported"));
    // What is in the run's own folder was this model's.
    let replaces = arguments.overwrite.force || arguments.out.is_none();
    for file in export(&run, format, &out, replaces)? {
        report::result(&file.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}
