//! `vae-gpu sample`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use vae_infer::{Inference, Mixture};
use vae_rng::{Generator, Stream};
use vae_view::square_columns;

use crate::arguments::{
    InputArguments, LabelArguments, ModelArguments, OverwriteArguments, positive,
};
use crate::share::ShardArguments;
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct SampleArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    label: LabelArguments,
    /// Number of samples to generate.
    #[arg(long, default_value = "100", value_parser = positive(), value_name = "N", help_heading = "Sampling")]
    count: usize,
    /// Random seed of the draws.
    #[arg(long, default_value = "0", help_heading = "Sampling")]
    seed: u64,
    /// Factor of the draws' standard deviation: below 1 for more typical samples, above 1 for more varied ones.
    #[arg(long, default_value = "1", help_heading = "Sampling")]
    temperature: f64,
    /// Truncate the normal distribution of each latent to LIMIT standard deviations, before the temperature is applied
    /// [default: no truncation].
    #[arg(long, value_name = "LIMIT", help_heading = "Sampling")]
    truncation: Option<f64>,
    /// Draw from a mixture of K Gaussians fitted to the encoded training samples instead of the prior [default: the prior].
    #[arg(long, value_name = "K", value_parser = positive(), help_heading = "Sampling")]
    fit_mixture: Option<usize>,
    /// Draw each value from the likelihood instead of taking its mean [default: false].
    #[arg(long, help_heading = "Sampling")]
    draw_pixels: bool,
    #[command(flatten)]
    input: InputArguments,
    /// File to write: an image grid (.png), an array (.npy) or a table (.csv); a folder for single PNG files; - for stdout
    /// [default: samples.png; of a table samples.csv].
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
    #[command(flatten)]
    shard: ShardArguments,
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
    let out = output::or_default(arguments.out.as_deref(), "samples", run.recipe.image);
    let share = arguments.shard.alone();
    let Some(out) = share.out(&out, arguments.overwrite)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let places = share.places(count)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    let has_label = arguments.label.set_on(&mut inference)?;
    let generator = Generator::new(seed, Stream::Prior);
    if let Some(components) = arguments.fit_mixture {
        let posteriors = inference.encode(&arguments.input.open_train(&run)?)?;
        let z = inference.draw(&posteriors);
        let fitted = Mixture::fit(&z, run.recipe.latent, components, generator);
        inference
            .set_prior(fitted.map_err(|error| anyhow!("--fit-mixture {components}: {error}"))?);
    }
    let mut inference = inference.starting_at(places.start);
    let prior = inference.prior()?;
    let z = prior.sample(generator, places, temperature, truncation);
    let images = if arguments.draw_pixels {
        inference.draw_pixels(&z, seed)?
    } else {
        inference.decode(&z)?
    };
    // The classes of a conditional model below each other, if they fit.
    let columns = match run.recipe.classes.len() {
        classes @ 2..=20 if !has_label => classes.min(count),
        _ => square_columns(count),
    };
    output::images(&inference, images, columns, &out)?;
    Ok(ExitCode::SUCCESS)
}
