//! `vae-gpu manifold`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use vae_infer::{Inference, manifold};

use crate::arguments::{LabelArguments, ModelArguments, positive};
use crate::traverse::dimensions_of;
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct ManifoldArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    label: LabelArguments,
    /// Images in a row and in a column.
    #[arg(long, default_value = "15", value_parser = positive())]
    side: usize,
    /// The latent dimensions to the right and upwards, counted from 1; all others are 0.
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "DIM,DIM", default_value = "1,2")]
    dims: Vec<usize>,
    /// The picture.
    #[arg(long, default_value = "manifold.png", value_name = "FILE.png")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &ManifoldArguments) -> Result<ExitCode> {
    let run = arguments.model.open()?;
    ensure!(
        !run.recipe.image.is_table(),
        "the model is of tables, of which no picture can be drawn; `decode` writes tables"
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
