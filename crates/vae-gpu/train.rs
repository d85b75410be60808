//! `vae-gpu train`.

mod arguments;
mod progress;
mod session;

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use vae_data::Dataset;
use vae_device::memory;
use vae_infer::EVALUATION_BATCH;
use vae_recipe::{Recipe, RecipePatch};
use vae_run::{Interrupted, Manifest};
use vae_train::{Group, Outcome, agree, facts, needed};

pub(crate) use arguments::TrainArguments;
pub(crate) use progress::{Progress, ReportArguments, summary};
pub(crate) use session::{Session, Start};

use crate::processes::Processes;
use crate::report;

/// What a shell reports for a program that Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;

pub(crate) fn run(arguments: &TrainArguments, processes: &Processes) -> Result<ExitCode> {
    let outcome = train(arguments, processes);
    if let (Err(error), true) = (&outcome, arguments.report.is_json()) {
        progress::failure(error);
    }
    outcome
}

fn train(arguments: &TrainArguments, processes: &Processes) -> Result<ExitCode> {
    let group = processes.group();
    let mut session = Session::new(arguments.read.fetch.options(), arguments.report);
    if let Some(group) = group {
        agree(group, &facts(&typed(arguments)?)?)?;
        session = session.with_group(group);
        if group.rank() > 0 {
            return Ok(exit_code(session.follow()?));
        }
    }
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
    let patch = in_pieces(patch, arguments, group);
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
    Ok(exit_code(outcome))
}

fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Finished => ExitCode::SUCCESS,
        Outcome::Interrupted => ExitCode::from(INTERRUPTED),
    }
}

/// `patch` with a piece of every batch for each process, unless its number of pieces is asked for, or can be kept.
fn in_pieces(
    patch: RecipePatch,
    arguments: &TrainArguments,
    group: Option<&dyn Group>,
) -> RecipePatch {
    let Some(processes) = group.map(Group::size) else {
        return patch;
    };
    let is_asked = arguments.resume_patch().pieces.is_some();
    match patch.pieces {
        Some(pieces) if is_asked || pieces.is_multiple_of(processes) => patch,
        Some(_) if patch.local_steps.flatten().is_some() => patch,
        Some(pieces) if arguments.resume.is_some() || arguments.resume_or_start.is_some() => {
            report::note(&format!(
                "batches are added up in {processes} pieces from here on, for {processes} processes cannot share {pieces}: the results \
                 are those of any number of processes up to rounding"
            ));
            RecipePatch {
                pieces: Some(processes),
                ..patch
            }
        }
        Some(_) => patch,
        None => RecipePatch {
            pieces: Some(processes),
            ..patch
        },
    }
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
