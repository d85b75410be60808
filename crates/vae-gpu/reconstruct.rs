//! `vae-gpu reconstruct`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use vae_infer::{Inference, reconstructions};

use crate::arguments::{LabelledInputArguments, ModelArguments, OverwriteArguments, positive};
use crate::share::{ShardArguments, Work};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct ReconstructArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: LabelledInputArguments,
    /// Number of samples, from the first on [default: 40 for a .png file, else all].
    #[arg(long, value_parser = positive(), value_name = "N", help_heading = "Output")]
    count: Option<usize>,
    /// File to write: a .png with each sample above its reconstruction; or the reconstructions alone as .npy or .csv, or in a
    /// folder as PNG files; - for stdout
    /// [default: reconstructions.png; of a table reconstructions.csv].
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
    #[command(flatten)]
    shard: ShardArguments,
}

pub(crate) fn run(arguments: &ReconstructArguments) -> Result<ExitCode> {
    let run = arguments.model.open()?;
    let out = output::or_default(
        arguments.out.as_deref(),
        "reconstructions",
        run.recipe.image,
    );
    let share = arguments.shard.alone();
    let Some(out) = share.out(&out, arguments.overwrite)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let is_picture = output::is_picture(&out, run.recipe.image);
    let count = arguments.count.unwrap_or(output::shown(is_picture));
    let Work { images, .. } = share.work(arguments.input.first(&run, count)?)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    if is_picture {
        let picture = reconstructions(&mut inference, &images)?;
        output::write(&out, &picture.png()?)?;
    } else {
        let reconstructed = inference.reconstruct(&images)?;
        output::images(&inference, reconstructed, 1, &out)?;
    }
    Ok(ExitCode::SUCCESS)
}
