//! `vae-gpu encode`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use vae_infer::{Inference, Latents};

use crate::arguments::{LabelledInputArguments, ModelArguments, OverwriteArguments};
use crate::processes::Processes;
use crate::share::{ShardArguments, Work};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct EncodeArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: LabelledInputArguments,
    /// Also write a vector z drawn from each posterior, the same at every call [default: false].
    #[arg(long, help_heading = "Output")]
    with_z: bool,
    /// File to write: a .csv table with ids and labels, a .npz file with one array each of mu, log_var and z, or a .npy array
    /// with them side by side; - for a table on stdout.
    #[arg(
        long,
        default_value = "latents.csv",
        value_name = "FILE",
        help_heading = "Output"
    )]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
    #[command(flatten)]
    pub(crate) shard: ShardArguments,
}

pub(crate) fn run(arguments: &EncodeArguments, processes: &Processes) -> Result<ExitCode> {
    let share = arguments.shard.share(processes);
    let Some(out) = share.out(&arguments.out, arguments.overwrite)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let kind = output::extension(&arguments.out, "csv");
    if !["csv", "npz", "npy"].contains(&kind.as_str()) {
        bail!(
            "{}: expected a name that ends in .csv, .npz or .npy",
            arguments.out.display()
        );
    }
    let run = arguments.model.open()?;
    let Work { images, first } = share.work(arguments.input.open(&run)?)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?.starting_at(first);
    let posteriors = inference.encode(&images)?;
    let latents = Latents {
        z: arguments.with_z.then(|| inference.draw(&posteriors)),
        images: &images,
        posteriors,
        latent: run.recipe.latent,
    };
    let bytes = match kind.as_str() {
        "csv" => output::seekable(|out| latents.write_csv(out))?,
        "npz" => output::seekable(|out| latents.write_npz(out))?,
        _ => output::seekable(|out| latents.write_npy(out))?,
    };
    share.write(&out, &arguments.out, &bytes)?;
    Ok(ExitCode::SUCCESS)
}
