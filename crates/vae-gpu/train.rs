//! `vae-gpu train`.

use std::fmt::Write;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use vae_data::Dataset;
use vae_train::{Device, Event, Outcome, Recipe, RecipePatch, RunFolder, Training};

use crate::arguments::TrainArguments;
use crate::report::{self, TrainingReport};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(arguments: &TrainArguments) -> Result<ExitCode> {
    let config = arguments
        .config
        .as_deref()
        .map(RecipePatch::read)
        .transpose()?;
    let patch = arguments.patch(config.unwrap_or_default());
    let data = patch
        .data
        .clone()
        .or(RecipePatch::defaults().data)
        .unwrap_or_default();
    let dataset = Dataset::open(&data)?;
    let recipe = Recipe::resolve(patch, &dataset)?;
    if arguments.print_config {
        report::result(&description(&recipe, &dataset)?);
        return Ok(ExitCode::SUCCESS);
    }

    let device = Device::open(recipe.backend)?;
    report::device(&device);
    let model = recipe.model();
    let route = device.route(recipe.engine, &model, recipe.optimizer)?;
    report::note(&format!("engine: {route}"));
    report::note(&format!(
        "data: {}: {} training and {} test images of {} x {}",
        dataset.name,
        dataset.train.count(),
        dataset.test.count(),
        dataset.train.height,
        dataset.train.width
    ));
    let path = arguments
        .out
        .clone()
        .unwrap_or_else(|| RunFolder::next_free(&dataset.name));
    let training = Training::new(&recipe, &dataset, &device, &path)?;

    let interrupted = stop_on_ctrl_c()?;
    let report = TrainingReport::new(recipe.epochs, recipe.beta as f32)?;
    let (manifest, outcome) = training.run(&interrupted, |event| match event {
        Event::Progress(progress) => report.progress(&progress),
        Event::Epoch(epoch) => report.epoch(&epoch),
    })?;
    report.end(&manifest, outcome, &path);
    Ok(match outcome {
        Outcome::Finished => ExitCode::SUCCESS,
        Outcome::Interrupted => ExitCode::from(INTERRUPTED),
    })
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
fn stop_on_ctrl_c() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            exit(INTERRUPTED.into());
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(flag)
}

/// The recipe as a config file, with what follows from it as comments.
fn description(recipe: &Recipe, dataset: &Dataset) -> Result<String> {
    let model = recipe.model();
    let mut text = toml::to_string(recipe)?;
    writeln!(
        text,
        "\n# {} training and {} test images",
        dataset.train.count(),
        dataset.test.count()
    )?;
    for (layer, inputs, outputs) in model.layers() {
        writeln!(text, "# {layer}: {inputs} x {outputs}")?;
    }
    write!(text, "# {} parameters", model.parameter_count())?;
    Ok(text)
}
