//! `vae-gpu reconstruct`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use vae_infer::{Inference, reconstructions};

use crate::arguments::{InputArguments, ModelArguments, positive};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct ReconstructArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: InputArguments,
    /// Number of images [default: 40 in a picture, else all].
    #[arg(long, value_parser = positive())]
    count: Option<usize>,
    /// A picture with each image above what the model makes of it (.png), or what it makes of them alone: an array (.npy), a
    /// table (.csv), or a folder for a PNG file each.
    #[arg(
        long,
        default_value = "reconstructions.png",
        value_name = "FILE|FOLDER"
    )]
    out: PathBuf,
}

pub(crate) fn run(arguments: &ReconstructArguments) -> Result<ExitCode> {
    let run = arguments.model.open()?;
    let is_picture = output::is_picture(&arguments.out, run.recipe.image);
    let count = arguments.count.unwrap_or(output::shown(is_picture));
    let images = arguments.input.first(&run, count)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    if is_picture {
        let picture = reconstructions(&mut inference, &images)?;
        output::write(&arguments.out, &picture.png()?)?;
    } else {
        let reconstructed = inference.reconstruct(&images)?;
        output::images(&inference, reconstructed, 1, &arguments.out)?;
    }
    Ok(ExitCode::SUCCESS)
}
