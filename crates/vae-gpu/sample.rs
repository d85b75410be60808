//! `vae-gpu sample`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use vae_infer::{Inference, Mixture};
use vae_rng::{Generator, Stream};
use vae_run::SavedRun;
use vae_view::square_columns;

use crate::arguments::{InputArguments, LabelArguments, ModelArguments, positive};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct SampleArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    label: LabelArguments,
    /// Number of images.
    #[arg(long, default_value = "100", value_parser = positive())]
    count: usize,
    /// Decides the draws.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Standard deviation of the draws: below 1 the images are more usual, above 1 more varied.
    #[arg(long, default_value = "1")]
    temperature: f64,
    /// Draw no coordinate of a standard normal further from 0 than this, before it is multiplied by the temperature
    /// [default: no limit].
    #[arg(long, value_name = "LIMIT")]
    truncation: Option<f64>,
    /// Draw latents from a mixture of K normals that is fitted to those of the training images, not from the prior.
    #[arg(long, value_name = "K", value_parser = positive())]
    fit_mixture: Option<usize>,
    /// Draw each pixel from its distribution instead of showing its mean.
    #[arg(long)]
    draw_pixels: bool,
    #[command(flatten)]
    input: InputArguments,
    /// A grid (.png), an array (.npy), a table (.csv), or a folder for a PNG file each.
    #[arg(long, default_value = "samples.png", value_name = "FILE|FOLDER")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &SampleArguments) -> Result<ExitCode> {
    let SampleArguments {
        count,
        seed,
        temperature,
        truncation,
        ..
    } = *arguments;
    for (name, value) in [
        ("temperature", Some(temperature)),
        ("truncation", truncation),
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
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    arguments.label.set_on(&mut inference)?;
    let generator = Generator::new(seed, Stream::Prior);
    if let Some(components) = arguments.fit_mixture {
        let posteriors = inference.encode(&arguments.input.open_train(&run)?)?;
        let z = inference.draw(&posteriors);
        let fitted = Mixture::fit(&z, run.recipe.latent, components, generator);
        inference
            .set_prior(fitted.map_err(|error| anyhow!("--fit-mixture {components}: {error}"))?);
    }
    let z = inference
        .prior()?
        .sample(generator, count, temperature, truncation);
    let images = if arguments.draw_pixels {
        inference.draw_pixels(&z, seed)?
    } else {
        inference.decode(&z)?
    };
    output::images(&inference, images, columns(&run, count), &arguments.out)?;
    Ok(ExitCode::SUCCESS)
}

/// Images in a row: the classes of a conditional model one below the other, if they fit.
fn columns(run: &SavedRun, count: usize) -> usize {
    match run.recipe.classes.len() {
        classes @ 2..=20 => classes.min(count),
        _ => square_columns(count),
    }
}
