//! `vae-gpu show`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use vae_run::{EpochReport, RunOverview, RunStatus};

use crate::report;
use crate::runs::{TableFormat, csv, name, network, objective, status};
use crate::train::summary::{PICTURES, latents, next_commands};

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Run folder.
    run: PathBuf,
    /// What to print: a page of text, the epochs as a CSV table, or everything as JSON.
    #[arg(long, default_value = "text", help_heading = "Output")]
    format: TableFormat,
}

pub(crate) fn run(arguments: &ShowArguments) -> Result<ExitCode> {
    let run = RunOverview::open(&arguments.run)?;
    match arguments.format {
        TableFormat::Csv => {
            if run.metrics.epochs.is_empty() {
                bail!("{}: no epoch is complete yet", run.path.display());
            }
            let rows: Vec<Row> = run.metrics.epochs.iter().map(Row::of).collect();
            report::bytes(&csv(&rows)?)?;
        }
        TableFormat::Json => report::result(&serde_json::to_string_pretty(&serde_json::json!({
            "run": run.path,
            "status": run.status,
            "manifest": run.manifest,
            "config": run.recipe,
            "epochs": run.metrics.epochs,
        }))?),
        TableFormat::Text => page(&run),
    }
    Ok(ExitCode::SUCCESS)
}

/// The numbers of an epoch that have one column each.
#[derive(Serialize)]
struct Row {
    epoch: usize,
    train_loss: f64,
    train_recon: f64,
    train_kl: f64,
    validation_loss: f64,
    validation_recon: f64,
    validation_kl: f64,
    beta: f32,
    lr: f32,
    active_units: usize,
    mutual_information: f64,
    samples_per_second: f64,
    is_best: bool,
}

impl Row {
    fn of(report: &EpochReport) -> Self {
        Self {
            epoch: report.epoch,
            train_loss: report.train.loss,
            train_recon: report.train.recon,
            train_kl: report.train.kl,
            validation_loss: report.validation.loss,
            validation_recon: report.validation.recon,
            validation_kl: report.validation.kl,
            beta: report.beta,
            lr: report.lr,
            active_units: report.active_units,
            mutual_information: report.mutual_information,
            samples_per_second: report.images_per_second,
            is_best: report.is_best,
        }
    }
}

fn page(run: &RunOverview) {
    let line = |label: &str, text: &str| report::result(&format!("{label:<11}{text}"));
    let recipe = &run.recipe;
    let shown = run.path.display().to_string();
    line("run", &format!("{shown}, {}", status(run.status)));
    line("network", &network(recipe));
    line("objective", &objective(recipe));
    line(
        "optimizer",
        &format!(
            "{}, learning rate {}, batch {}, seed {}",
            name(&recipe.optimizer),
            recipe.lr,
            recipe.effective_batch_size(),
            recipe.seed
        ),
    );
    if let Some(manifest) = &run.manifest {
        let data = &manifest.data;
        line(
            "data",
            &format!(
                "{} ({}): {} training, {} validation samples; SHA-256 {}",
                data.name, data.format, data.train, data.validation, data.fingerprint
            ),
        );
        line(
            "trained",
            &format!(
                "{} of {} epochs, {} steps, {:.1} s; {} parameters; vae-gpu {}",
                manifest.epochs,
                recipe.epochs,
                manifest.steps,
                manifest.seconds,
                manifest.parameters,
                manifest.program_version
            ),
        );
        line("device", &manifest.device);
        let epochs = &run.metrics.epochs;
        let best = epochs
            .iter()
            .find(|epoch| epoch.epoch == manifest.best_epoch);
        if let Some(best) = best {
            let losses = best.validation;
            line(
                "best",
                &format!(
                    "epoch {}: validation loss {:.2} = recon {:.2}, kl {:.2} nats per sample",
                    best.epoch, losses.loss, losses.recon, losses.kl
                ),
            );
            line("latents", &latents(best));
            for kl in kl_lines(best) {
                line("", &kl);
            }
        }
    }
    let pictures = PICTURES
        .iter()
        .filter(|(name, _)| run.path.join(name).exists());
    for (index, (name, shows)) in pictures.enumerate() {
        let label = if index == 0 { "pictures" } else { "" };
        line(label, &format!("{name:<20} {shows}"));
    }
    let is_in_work = run.status == RunStatus::Training;
    let commands = next_commands(recipe, &shown);
    for (index, command) in commands.iter().enumerate().filter(|_| !is_in_work) {
        line(if index == 0 { "next" } else { "" }, command);
    }
}

/// The KL divergence of each latent as a bar, the largest first.
fn kl_lines(epoch: &EpochReport) -> Vec<String> {
    const MOST: usize = 20;
    const WIDTH: f64 = 30.0;
    let mut latents: Vec<(usize, f64)> =
        (1..).zip(epoch.kl_per_dimension.iter().copied()).collect();
    latents.sort_by(|a, b| b.1.total_cmp(&a.1));
    let largest = latents
        .first()
        .map_or(0.0, |(_, kl)| *kl)
        .max(f64::MIN_POSITIVE);
    let more = latents.len().saturating_sub(MOST);
    let shown = latents.iter().take(MOST).map(|(latent, kl)| {
        let bar = "#".repeat((kl / largest * WIDTH).round().max(0.0) as usize);
        format!("kl of latent {latent:<4} {kl:>7.3} nats  {bar}")
    });
    let more = (more > 0).then(|| format!("and {more} that carry less"));
    shown.chain(more).collect()
}
