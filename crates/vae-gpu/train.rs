//! `vae-gpu train`.

mod arguments;
mod progress;

use std::fmt::Write;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use vae_data::{Dataset, Scale};
use vae_device::{Device, Memory, Route, memory};
use vae_infer::EVALUATION_BATCH;
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
    check_memory(&recipe, &device, &route)?;
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
    writeln!(text, "# {} parameters", model.parameter_count())?;
    let needed = needed(recipe);
    let data = dataset.train.array.pixels.len() + dataset.validation.array.pixels.len();
    write!(
        text,
        "# about {} of memory: {} of weights and optimizer state, {} of matrices for {} rows, {} for validating {EVALUATION_BATCH} \
         at once; the data are {}",
        memory::bytes(needed.total() as u64),
        memory::bytes(needed.weights as u64),
        memory::bytes(needed.step as u64),
        needed.rows,
        memory::bytes(needed.evaluation as u64),
        memory::bytes(data as u64),
    )?;
    Ok(text)
}

/// What training takes on the fused engine.
fn needed(recipe: &Recipe) -> Memory {
    let rows = recipe.batch_size.saturating_mul(recipe.accumulate);
    Memory::of(
        &recipe.model(),
        &recipe.objective(),
        &recipe.optimizer_config(),
        recipe.corrupt.is_some(),
        [rows, recipe.batch_size],
        EVALUATION_BATCH,
    )
}

/// Refuses what the CPU's memory cannot hold, before anything is allocated.
fn check_memory(recipe: &Recipe, device: &Device, route: &Route) -> Result<()> {
    let (true, Route::Fused, Some(free)) = (device.is_cpu(), route, memory::available()) else {
        return Ok(());
    };
    let needed = needed(recipe);
    let fits = needed.rows_in(free as usize);
    let advice = match fits {
        0 => "a smaller network or fewer --samples may fit".to_owned(),
        fits => format!("a --batch-size of up to {fits} fits"),
    };
    ensure!(
        needed.total() as u64 <= free,
        "memory: training in batches of {} takes about {}, found {} free; {advice}",
        recipe.batch_size,
        memory::bytes(needed.total() as u64),
        memory::bytes(free),
    );
    Ok(())
}
