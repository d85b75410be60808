//! `vae-gpu decode`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use vae_infer::{Inference, read_latents};
use vae_view::square_columns;

use crate::arguments::{LabelArguments, ModelArguments, OverwriteArguments};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct DecodeArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    label: LabelArguments,
    /// Latent vectors: a file that `encode` wrote, of which z is decoded if present, else mu; or a [count, latent] .npy array.
    #[arg(value_name = "LATENTS")]
    latents: PathBuf,
    /// File to write: an image grid (.png), an array (.npy) or a table (.csv); a folder for single PNG files; - for stdout.
    #[arg(
        long,
        default_value = "decoded.png",
        value_name = "FILE|FOLDER",
        help_heading = "Output"
    )]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &DecodeArguments) -> Result<ExitCode> {
    arguments.overwrite.check(&arguments.out)?;
    let run = arguments.model.open()?;
    let z = read_latents(&arguments.latents, run.recipe.latent)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    arguments.label.require_on(&mut inference)?;
    let images = inference.decode(&z)?;
    let columns = square_columns(z.len() / run.recipe.latent);
    output::images(&inference, images, columns, &arguments.out)?;
    Ok(ExitCode::SUCCESS)
}
