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
    /// File to write: an image grid (.png), an array (.npy) or a table (.csv); a folder for single PNG files; - for stdout
    /// [default: decoded.png; of a table decoded.csv].
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &DecodeArguments) -> Result<ExitCode> {
    let run = arguments.model.open()?;
    let out = output::or_default(arguments.out.as_deref(), "decoded", run.recipe.image);
    arguments.overwrite.check(&out)?;
    let z = read_latents(&arguments.latents, run.recipe.latent)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    arguments.label.require_on(&mut inference)?;
    let images = inference.decode(&z)?;
    let columns = square_columns(z.len() / run.recipe.latent);
    output::images(&inference, images, columns, &out)?;
    Ok(ExitCode::SUCCESS)
}
