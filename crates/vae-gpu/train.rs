//! `vae-gpu train`.

mod arguments;
mod progress;
mod session;

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use vae_data::Dataset;
use vae_device::{Device, Memory, Route, memory};
use vae_infer::EVALUATION_BATCH;
use vae_recipe::{Recipe, RecipePatch};
use vae_run::{Interrupted, Manifest};
use vae_train::Outcome;

pub(crate) use arguments::TrainArguments;
pub(crate) use progress::{Progress, ReportArguments, summary};
pub(crate) use session::{Session, Start};

use crate::report;

/// What a shell reports for a program that Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;

pub(crate) fn run(arguments: &TrainArguments) -> Result<ExitCode> {
    let outcome = train(arguments);
    if let (Err(error), true) = (&outcome, arguments.report.is_json()) {
        progress::failure(error);
    }
    outcome
}

fn train(arguments: &TrainArguments) -> Result<ExitCode> {
    let mut session = Session::new(arguments.read.fetch.options(), arguments.report);
    // A folder becomes a run with its config.
    let started = arguments.resume_or_start.as_deref();
    let started = started.filter(|run| run.join("config.toml").exists());
    let interrupted = arguments.resume.as_deref().or(started);
    let interrupted = interrupted.map(Interrupted::open).transpose()?;
    let patch = match &interrupted {
        Some((interrupted, recipe)) if started.is_some() => {
            let (_, asked, _) = session.prepare(typed(arguments)?, false)?;
            let differences = interrupted.differences(&asked);
            ensure!(
                differences.is_empty(),
                "{}: was started with other settings: {}; choose another folder, or the settings that it was started with",
                interrupted.path.display(),
                differences.join(", ")
            );
            RecipePatch {
                epochs: Some(asked.epochs),
                ..arguments.resume_patch().over(recipe.clone().into())
            }
        }
        Some((_, recipe)) => {
            arguments.check_resume();
            let more = arguments.epochs.unwrap_or(0);
            let patch = arguments.resume_patch().over(recipe.clone().into());
            RecipePatch {
                epochs: Some(recipe.epochs.saturating_add(more)),
                ..patch
            }
        }
        None => typed(arguments)?,
    };
    if arguments.print_config {
        let (dataset, recipe, _) = session.prepare(patch, false)?;
        report::result(&description(&recipe, &dataset)?);
        return Ok(ExitCode::SUCCESS);
    }
    let start = match interrupted {
        Some((interrupted, _)) => Start::Resumed(Box::new(interrupted)),
        None => {
            let out = arguments
                .out
                .as_ref()
                .or(arguments.resume_or_start.as_ref());
            Start::New(out.cloned())
        }
    };
    let end =
        |progress: Progress<'_>, manifest: &Manifest, outcome| progress.end(manifest, outcome);
    let outcome = session.train(patch, start, end)?;
    Ok(match outcome {
        Outcome::Finished => ExitCode::SUCCESS,
        Outcome::Interrupted => ExitCode::from(INTERRUPTED),
    })
}

/// The settings that are asked for.
fn typed(arguments: &TrainArguments) -> Result<RecipePatch> {
    let config = arguments.config.as_deref().map(RecipePatch::read);
    Ok(arguments.patch(config.transpose()?.unwrap_or_default()))
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
    let needed = needed(recipe, dataset);
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
fn needed(recipe: &Recipe, dataset: &Dataset) -> Memory {
    // A batch holds no more than there is.
    let rows = recipe.batch_size.saturating_mul(recipe.accumulate);
    let rows = rows.min(dataset.train.count());
    Memory::of(
        &recipe.model(),
        &recipe.objective(),
        &recipe.optimizer_config(),
        recipe.corrupt.is_some(),
        [rows, recipe.batch_size],
        EVALUATION_BATCH.min(dataset.validation.count()),
    )
}

/// Refuses what the CPU's memory cannot hold, before anything is allocated.
fn check_memory(recipe: &Recipe, dataset: &Dataset, device: &Device, route: &Route) -> Result<()> {
    let (true, Route::Fused, Some(free)) = (device.is_cpu(), route, memory::available()) else {
        return Ok(());
    };
    let needed = needed(recipe, dataset);
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
