//! `vae-gpu import`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use vae_recipe::RecipePatch;
use vae_run::{read_pytorch, write_model};

use crate::report;

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// PyTorch state dict of linear and convolutional layers, saved with safetensors.torch.save_file.
    weights: PathBuf,
    /// Description of the network: a TOML file like a run's config.toml, with at least `image`, such as image = [28, 28].
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    config: PathBuf,
    /// Rename a layer of the state dict to one of encoder.0, .., mu, log_var, decoder.0, .., output, for example
    /// fc1=encoder.0; may be repeated [default: names are kept].
    #[arg(long, value_name = "THEIRS=OURS", value_parser = pair, help_heading = "Model")]
    map: Vec<(String, String)>,
    /// Folder to create; every command except `train --resume` takes it as a run folder.
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    out: PathBuf,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let (theirs, ours) = pair.ok_or("expected THEIRS=OURS, for example fc1=encoder.0")?;
    Ok((theirs.to_owned(), ours.to_owned()))
}

pub(crate) fn run(arguments: &ImportArguments) -> Result<ExitCode> {
    let recipe = RecipePatch::read(&arguments.config)?
        .over_defaults()
        .complete();
    let recipe = recipe.with_context(|| {
        format!(
            "{}: expected `image`, for example [28, 28], found none",
            arguments.config.display()
        )
    })?;
    let weights = read_pytorch(&arguments.weights, &recipe, &arguments.map)?;
    write_model(&arguments.out, &recipe, &weights)?;
    report::result(&arguments.out.display().to_string());
    Ok(ExitCode::SUCCESS)
}
