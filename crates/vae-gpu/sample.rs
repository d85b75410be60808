//! `vae-gpu sample`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use vae_train::{Draw, Inference, prior, square_columns};

use crate::arguments::{ModelArguments, positive};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct SampleArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Number of images.
    #[arg(long, default_value = "100", value_parser = positive())]
    count: usize,
    /// Decides the draws.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Standard deviation of the draws: below 1 the images are more usual, above 1 more varied.
    #[arg(long, default_value = "1")]
    temperature: f64,
    /// Draw no coordinate further from 0 than this, before it is multiplied by the temperature [default: no limit].
    #[arg(long, value_name = "LIMIT")]
    truncation: Option<f64>,
    /// A grid (.png), an array (.npy), a table (.csv), or a folder for a PNG file each.
    #[arg(long, default_value = "samples.png", value_name = "FILE|FOLDER")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &SampleArguments) -> Result<ExitCode> {
    let draw = Draw {
        temperature: arguments.temperature,
        truncation: arguments.truncation,
    };
    for (name, value) in [
        ("temperature", Some(draw.temperature)),
        ("truncation", draw.truncation),
    ] {
        let is_good = value.is_none_or(|value| value > 0.0 && value.is_finite());
        ensure!(
            is_good,
            "{name}: expected a number above 0, found {}",
            value.unwrap_or_default()
        );
    }
    let run = arguments.model.open()?;
    let device = arguments.model.device()?;
    let mut engine = run.engine(&device)?;
    let watch = report::watch();
    let mut inference = Inference::new(engine.as_mut(), &run.recipe, &run.sight, &watch);
    let z = prior(arguments.seed, arguments.count, run.recipe.latent, &draw);
    let images = inference.decode(&z)?;
    output::images(
        &inference,
        images,
        square_columns(arguments.count),
        &arguments.out,
    )?;
    Ok(ExitCode::SUCCESS)
}
