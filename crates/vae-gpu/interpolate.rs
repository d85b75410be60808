//! `vae-gpu interpolate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use vae_infer::{Inference, Walk, grid, read_latents};

use crate::arguments::{
    InputArguments, LabelArguments, ModelArguments, OverwriteArguments, positive,
};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct InterpolateArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    label: LabelArguments,
    #[command(flatten)]
    input: InputArguments,
    /// Index of the first sample, counted from 0.
    #[arg(
        long,
        default_value = "0",
        value_name = "INDEX",
        help_heading = "Interpolation"
    )]
    from: usize,
    /// Index of the last sample, counted from 0.
    #[arg(
        long,
        default_value = "1",
        value_name = "INDEX",
        help_heading = "Interpolation"
    )]
    to: usize,
    /// Take the two latent vectors from the rows of this file, as for `decode`, instead of encoding samples [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Interpolation")]
    latents: Option<PathBuf>,
    /// Number of points, both ends included.
    #[arg(long, default_value = "10", value_parser = positive(), value_name = "N", help_heading = "Interpolation")]
    steps: usize,
    /// Path: a straight line, or a great circle, which stays about as far from the origin as draws of the prior.
    #[arg(long, default_value = "linear", help_heading = "Interpolation")]
    walk: WalkName,
    /// File to write: a strip of images (.png), an animation there and back (.gif), an array (.npy) or a table (.csv); a folder
    /// for single PNG files; - for stdout
    /// [default: interpolation.png; of a table interpolation.csv].
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WalkName {
    Linear,
    Spherical,
}

pub(crate) fn run(arguments: &InterpolateArguments) -> Result<ExitCode> {
    let run = arguments.model.open()?;
    let out = output::or_default(arguments.out.as_deref(), "interpolation", run.recipe.image);
    arguments.overwrite.check(&out)?;
    let latent = run.recipe.latent;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    let ends = [arguments.from, arguments.to];
    let largest = ends[0].max(ends[1]);
    let vectors = match &arguments.latents {
        Some(file) => {
            let all = read_latents(file, latent)?;
            let count = all.len() / latent;
            ensure!(
                largest < count,
                "--from and --to: expected indices below {count}, found {largest}"
            );
            ends.map(|place| all[place * latent..][..latent].to_vec())
        }
        None => {
            let images = arguments.input.first(&run, largest + 1)?;
            let count = images.count();
            ensure!(
                largest < count,
                "--from and --to: expected indices below {count}, found {largest}"
            );
            let mu = inference
                .encode(&images.subset(&ends.map(|place| place as u32)))?
                .mu;
            [mu[..latent].to_vec(), mu[latent..].to_vec()]
        }
    };
    let walk = match arguments.walk {
        WalkName::Linear => Walk::Linear,
        WalkName::Spherical => Walk::Spherical,
    };
    let z = walk.points(&vectors[0], &vectors[1], arguments.steps);
    arguments.label.require_on(&mut inference)?;
    let images = inference.decode(&z)?;
    if output::extension(&out, "png") == "gif" {
        if run.recipe.image.is_table() {
            bail!(
                "{}: the model was trained on a table, so there are no images to draw; choose .csv or .npy",
                out.display()
            );
        }
        let strip = grid(&inference, images, arguments.steps);
        output::write(&out, &strip.gif()?)?;
    } else {
        output::images(&inference, images, arguments.steps, &out)?;
    }
    Ok(ExitCode::SUCCESS)
}
