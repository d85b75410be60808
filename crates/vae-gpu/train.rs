//! `vae-gpu train`.

mod arguments;
mod progress;

use std::fmt::Write;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use vae_data::{Dataset, Scale};
use vae_device::Device;
use vae_recipe::{Recipe, RecipePatch};
use vae_run::{Interrupted, Metrics, RunFolder};
use vae_train::{Outcome, Training};

pub(crate) use arguments::TrainArguments;
pub(crate) use progress::summary;

use crate::report;
use progress::{Progress, Subject};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(arguments: &TrainArguments) -> Result<ExitCode> {
    let outcome = train(arguments);
    if let (Err(error), true) = (&outcome, arguments.report.is_json()) {
        progress::failure(error);
    }
    outcome
}

fn train(arguments: &TrainArguments) -> Result<ExitCode> {
    let interrupted = arguments
        .resume
        .as_deref()
        .map(Interrupted::open)
        .transpose()?;
    let patch = match &interrupted {
        Some((_, recipe)) => {
            arguments.check_resume();
            let more = arguments.epochs.unwrap_or(0);
            let patch = arguments.resume_patch().over(recipe.clone().into());
            RecipePatch {
                epochs: Some(recipe.epochs.saturating_add(more)),
                ..patch
            }
        }
        None => {
            let config = arguments
                .config
                .as_deref()
                .map(RecipePatch::read)
                .transpose()?;
            arguments.patch(config.unwrap_or_default())
        }
    };
    let patch = patch.over_defaults();
    let options = patch.read_options(arguments.read.fetch.options());
    let name = patch.data.clone().unwrap_or_default();
    let is_quiet = arguments.report.is_quiet();
    let bar = report::on_progress();
    let on_progress = |progress: vae_data::Progress<'_>| {
        if !is_quiet {
            bar(progress);
        }
    };
    let dataset = Dataset::open(&name, &options, &patch.validation(), &on_progress)?;
    let asked = patch.scale.unwrap_or(Scale::Auto);
    let patch = match interrupted {
        Some(_) if asked == Scale::Auto => RecipePatch {
            scale: Some(dataset.train.scale_by_type()),
            ..patch
        },
        _ => patch,
    };
    let recipe = Recipe::resolve(patch, &dataset)?;
    if arguments.print_config {
        report::result(&description(&recipe, &dataset)?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some((interrupted, _)) = &interrupted {
        interrupted.check(&dataset)?;
    }

    let device = Device::open(recipe.backend)?;
    let route = device.route(recipe.engine, &recipe.model(), &recipe.optimizer_config())?;
    if !is_quiet {
        report::device(&device);
        report::note(&format!("engine: {route}"));
        report::dataset(&dataset, &recipe, asked);
    }
    for text in &dataset.notes {
        report::note(text);
    }
    let mut epochs = Vec::new();
    let path = match &interrupted {
        Some((interrupted, _)) => {
            if !is_quiet {
                report::resumed(interrupted, &recipe);
            }
            let (epoch, _) = interrupted.position();
            epochs = Metrics::read(&interrupted.path)?.epochs;
            epochs.retain(|report| report.epoch < epoch);
            interrupted.path.clone()
        }
        None => {
            let path = arguments.out.clone();
            path.unwrap_or_else(|| RunFolder::next_free(&dataset.name))
        }
    };
    let subject = Subject {
        recipe: &recipe,
        dataset: &dataset,
        device: &device,
        route: &route,
        run: &path,
    };
    let training = match interrupted {
        Some((interrupted, _)) => {
            Training::resume(interrupted, &recipe, &dataset, &device, route.clone())?
        }
        None => Training::new(&recipe, &dataset, &device, route.clone(), &path)?,
    };

    let stop = stop_on_ctrl_c()?;
    let mut progress = Progress::start(arguments.report, subject, epochs);
    let (manifest, outcome) = training.run(&stop, |event| progress.event(event))?;
    progress.end(&manifest, outcome);
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
        "\n# {} training and {} validation samples",
        dataset.train.count(),
        dataset.validation.count()
    )?;
    for tensor in model.parameters() {
        let sides: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
        writeln!(text, "# {}: {}", tensor.name, sides.join(" x "))?;
    }
    write!(text, "# {} parameters", model.parameter_count())?;
    Ok(text)
}
