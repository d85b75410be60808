//! `vae-gpu manifold`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use vae_infer::{Inference, manifold};

use crate::arguments::{LabelArguments, ModelArguments, OverwriteArguments, positive};
use crate::traverse::dimensions_of;
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct ManifoldArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    label: LabelArguments,
    /// Grid points along each axis: quantiles of the standard normal from 0.05 to 0.95.
    #[arg(long, default_value = "15", value_parser = positive(), value_name = "N", help_heading = "Grid")]
    side: usize,
    /// Latent dimensions of the x and y axes, counted from 1; all others are set to 0.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = positive(),
        value_name = "DIM,DIM",
        default_value = "1,2",
        help_heading = "Grid"
    )]
    dims: Vec<usize>,
    /// Image file to write; - for stdout.
    #[arg(
        long,
        default_value = "manifold.png",
        value_name = "FILE.png",
        help_heading = "Output"
    )]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &ManifoldArguments) -> Result<ExitCode> {
    arguments.overwrite.check(&arguments.out)?;
    let run = arguments.model.open()?;
    ensure!(
        !run.recipe.image.is_table(),
        "the model was trained on a table, so there are no images to draw; `decode` writes tables"
    );
    let dimensions = dimensions_of(&arguments.dims, run.recipe.latent)?;
    let [right, up] = dimensions[..] else {
        anyhow::bail!(
            "--dims: expected two dimensions, found {}",
            dimensions.len()
        );
    };
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    arguments.label.require_on(&mut inference)?;
    let picture = manifold(&mut inference, [right, up], arguments.side)?;
    output::write(&arguments.out, &picture.png()?)?;
    Ok(ExitCode::SUCCESS)
}
