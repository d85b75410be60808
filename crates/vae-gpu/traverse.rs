//! `vae-gpu traverse`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use vae_infer::{Inference, traversal};

use crate::arguments::{
    InputArguments, LabelArguments, ModelArguments, OverwriteArguments, positive,
};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct TraverseArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    label: LabelArguments,
    #[command(flatten)]
    input: InputArguments,
    /// Index, counted from 0, of the sample whose posterior mean is varied [default: the origin is varied].
    #[arg(long, value_name = "INDEX", help_heading = "Traversal")]
    image: Option<usize>,
    /// Latent dimensions to vary, counted from 1, such as 3,1: a row each [default: all].
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = positive(),
        value_name = "DIM[,DIM..]",
        help_heading = "Traversal"
    )]
    dims: Option<Vec<usize>>,
    /// Values per dimension, a column each: quantiles of the standard normal from 0.05 to 0.95.
    #[arg(long, default_value = "11", value_parser = positive(), value_name = "N", help_heading = "Traversal")]
    steps: usize,
    /// File to write: an image grid (.png) or an animation there and back (.gif); - for stdout.
    #[arg(
        long,
        default_value = "traversal.png",
        value_name = "FILE",
        help_heading = "Output"
    )]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &TraverseArguments) -> Result<ExitCode> {
    arguments.overwrite.check(&arguments.out)?;
    let run = arguments.model.open()?;
    let latent = run.recipe.latent;
    let kind = output::extension(&arguments.out, "png");
    ensure!(
        kind == "png" || kind == "gif",
        "{}: expected a name that ends in .png or .gif",
        arguments.out.display()
    );
    ensure!(
        !run.recipe.image.is_table(),
        "the model was trained on a table, so there are no images to draw; `decode` writes tables"
    );
    let dimensions = arguments
        .dims
        .clone()
        .unwrap_or_else(|| (1..=latent).collect());
    let dimensions = dimensions_of(&dimensions, latent)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    let base = match arguments.image {
        None => vec![0.0; latent],
        Some(place) => {
            let images = arguments.input.first(&run, place + 1)?;
            let count = images.count();
            ensure!(
                place < count,
                "--image: expected an index below {count}, found {place}"
            );
            inference.encode(&images.subset(&[place as u32]))?.mu
        }
    };
    arguments.label.require_on(&mut inference)?;
    let picture = traversal(&mut inference, &base, &dimensions, arguments.steps)?;
    let bytes = if kind == "gif" {
        picture.gif()?
    } else {
        picture.png()?
    };
    output::write(&arguments.out, &bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// Latent dimensions counted from 0 of those that were typed, counted from 1.
pub(crate) fn dimensions_of(typed: &[usize], latent: usize) -> Result<Vec<usize>> {
    for &dimension in typed {
        ensure!(
            dimension <= latent,
            "--dims: expected dimensions from 1 to {latent}, as many as the model has, found {dimension}"
        );
    }
    Ok(typed.iter().map(|dimension| dimension - 1).collect())
}
