//! `vae-gpu reconstruct`.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use vae_data::Dataset;
use vae_train::{Device, SavedRun, reconstructions};

use crate::arguments::ReconstructArguments;
use crate::report;

pub(crate) fn run(arguments: &ReconstructArguments) -> Result<ExitCode> {
    let run = SavedRun::open(&arguments.run)?;
    let dataset = Dataset::open(arguments.data.as_deref().unwrap_or(&run.recipe.data))?;
    let dataset = run.recipe.see(&dataset);
    let images = &dataset.test;
    ensure!(
        [images.height, images.width] == run.recipe.image,
        "{}: expected images of {:?}, as the run was trained on, found {:?}",
        dataset.name,
        run.recipe.image,
        [images.height, images.width]
    );
    let device = Device::open(arguments.backend)?;
    report::device(&device);
    let mut engine = run.engine(&device)?;
    let shown: Vec<u32> = (0..images.count().min(arguments.count) as u32).collect();
    reconstructions(engine.as_mut(), images, &shown)?.save(&arguments.out)?;
    report::result(&arguments.out.display().to_string());
    Ok(ExitCode::SUCCESS)
}
