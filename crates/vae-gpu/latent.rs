//! `vae-gpu latent`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use vae_infer::{Inference, LatentUse};
use vae_view::{Plane, scatter, variances};

use crate::arguments::{InputArguments, ModelArguments, OverwriteArguments, positive};
use crate::traverse::dimensions_of;
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct LatentArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: InputArguments,
    /// Latent dimensions of the x and y axes, counted from 1 [default: the two in which mu varies most].
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = positive(),
        value_name = "DIM,DIM",
        conflicts_with = "pca",
        help_heading = "Plane"
    )]
    dims: Option<Vec<usize>>,
    /// Project mu onto its first two principal components instead [default: false].
    #[arg(long, help_heading = "Plane")]
    pca: bool,
    /// Image file to write; - for stdout.
    #[arg(
        long,
        default_value = "latent.png",
        value_name = "FILE.png",
        help_heading = "Output"
    )]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &LatentArguments) -> Result<ExitCode> {
    arguments.overwrite.check(&arguments.out)?;
    let run = arguments.model.open()?;
    let latent = run.recipe.latent;
    let dimensions = arguments
        .dims
        .as_deref()
        .map(|dims| dimensions_of(dims, latent));
    let dimensions = dimensions.transpose()?;
    let images = arguments.input.open(&run)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    let mu = inference.encode(&images)?.mu;
    let plane = match dimensions.as_deref() {
        Some(&[right, up]) => Plane::of_dimensions(&mu, latent, [right, up]),
        Some(dims) => bail!("--dims: expected two dimensions, found {}", dims.len()),
        None if arguments.pca => Plane::principal(&mu, latent),
        None => Plane::most_active(&mu, latent),
    };
    let variances = variances(&mu, latent);
    let active = variances
        .iter()
        .filter(|&&variance| variance > LatentUse::ACTIVE)
        .count();
    report::note(&format!(
        "active latent dimensions (variance of mu above {}): {active} of {latent}",
        LatentUse::ACTIVE
    ));
    report::note(&format!("axes: {} and {}", plane.axes[0], plane.axes[1]));
    let name = arguments.model.run.file_name().unwrap_or_default();
    let picture = scatter(&plane, &images, &name.to_string_lossy())?;
    output::write(&arguments.out, &picture)?;
    Ok(ExitCode::SUCCESS)
}
