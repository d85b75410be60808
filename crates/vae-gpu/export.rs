//! `vae-gpu export`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use vae_run::{ExportFormat, SavedRun, export};

use crate::report;

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// A run folder, or a .safetensors file with its config.toml beside it.
    run: PathBuf,
    /// The config of a .safetensors file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// encoder.onnx and decoder.onnx, or pytorch.safetensors.
    #[arg(long)]
    format: FormatName,
    /// The folder to write into.
    #[arg(long, default_value = "exported", value_name = "FOLDER")]
    out: PathBuf,
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
    for file in export(&run, format, &arguments.out)? {
        report::result(&file.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}
