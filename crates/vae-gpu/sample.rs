//! `vae-gpu sample`.

use std::process::ExitCode;

use anyhow::Result;
use vae_train::{Device, SavedRun, samples};

use crate::arguments::SampleArguments;
use crate::report;

pub(crate) fn run(arguments: &SampleArguments) -> Result<ExitCode> {
    let run = SavedRun::open(&arguments.run)?;
    let device = Device::open(arguments.backend)?;
    report::device(&device);
    let mut engine = run.engine(&device)?;
    let grid = samples(
        engine.as_mut(),
        run.recipe.image,
        run.recipe.latent,
        arguments.seed,
        arguments.count,
    )?;
    grid.save(&arguments.out)?;
    report::result(&arguments.out.display().to_string());
    Ok(ExitCode::SUCCESS)
}
