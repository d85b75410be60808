//! `vae-gpu runs`.

use std::cmp::Ordering;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use clap::{Args, ValueEnum};
use indicatif::HumanDuration;
use serde::Serialize;
use vae_recipe::Recipe;
use vae_run::{RunOverview, RunStatus};

use crate::report;

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// Folder in which runs are looked for, also in its sub-folders.
    #[arg(default_value = "runs")]
    folder: PathBuf,
    /// Column to sort by; best is the lowest validation loss first, when the latest last.
    #[arg(long, default_value = "when", help_heading = "Output")]
    sort: Column,
    /// Form of the table.
    #[arg(long, default_value = "text", help_heading = "Output")]
    format: TableFormat,
}

/// What a table can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Column {
    Run,
    Data,
    Network,
    Objective,
    Best,
    Epochs,
    When,
    Status,
}

/// Form of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    Text,
    Csv,
    Json,
}

/// A run as a row of the table.
#[derive(Debug, Serialize)]
struct Row {
    run: String,
    data: String,
    network: String,
    objective: String,
    /// Validation loss of the best epoch, nats per sample.
    best: Option<f64>,
    best_epoch: Option<usize>,
    epochs: Option<usize>,
    of_epochs: usize,
    /// Training time, seconds.
    seconds: Option<f64>,
    /// Seconds since 1970 of the last change.
    when: u64,
    status: RunStatus,
}

impl Row {
    fn of(run: &RunOverview) -> Self {
        let manifest = run.manifest.as_ref();
        let since = run.changed.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            run: run.path.display().to_string(),
            data: run.recipe.data.clone(),
            network: network(&run.recipe),
            objective: objective(&run.recipe),
            best: manifest.and_then(|manifest| manifest.best_validation_loss),
            best_epoch: manifest.map(|manifest| manifest.best_epoch),
            epochs: manifest.map(|manifest| manifest.epochs),
            of_epochs: run.recipe.epochs,
            seconds: manifest.map(|manifest| manifest.seconds),
            when: since.map_or(0, |since| since.as_secs()),
            status: run.status,
        }
    }

    fn compare(&self, other: &Self, column: Column) -> Ordering {
        match column {
            Column::Run => self.run.cmp(&other.run),
            Column::Data => self.data.cmp(&other.data),
            Column::Network => self.network.cmp(&other.network),
            Column::Objective => self.objective.cmp(&other.objective),
            Column::Best => {
                let best = |row: &Self| row.best.unwrap_or(f64::INFINITY);
                best(self).total_cmp(&best(other))
            }
            Column::Epochs => self.epochs.cmp(&other.epochs),
            Column::When => self.when.cmp(&other.when),
            Column::Status => self.status.cmp(&other.status),
        }
    }

    fn texts(&self) -> [String; 8] {
        let none = || "-".to_owned();
        let best = match (self.best, self.best_epoch) {
            (Some(best), Some(epoch)) => format!("{best:.2} in epoch {epoch}"),
            _ => none(),
        };
        let epochs = self
            .epochs
            .map_or_else(none, |epochs| format!("{epochs} of {}", self.of_epochs));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let age = now.unwrap_or_default().as_secs().saturating_sub(self.when);
        [
            self.run.clone(),
            self.data.clone(),
            self.network.clone(),
            self.objective.clone(),
            best,
            epochs,
            format!("{} ago", HumanDuration(std::time::Duration::from_secs(age))),
            status(self.status).to_owned(),
        ]
    }
}

pub(crate) fn run(arguments: &RunsArguments) -> Result<ExitCode> {
    let (runs, bad) = RunOverview::below(&arguments.folder)?;
    for error in bad {
        report::note(&format!("left out: {:#}", anyhow::Error::from(error)));
    }
    let mut rows: Vec<Row> = runs.iter().map(Row::of).collect();
    rows.sort_by(|a, b| a.compare(b, arguments.sort));
    match arguments.format {
        TableFormat::Json => report::result(&serde_json::to_string_pretty(&rows)?),
        TableFormat::Csv => report::bytes(&csv(&rows)?)?,
        TableFormat::Text if rows.is_empty() => report::note(&format!(
            "no runs in {}: `vae-gpu train` makes one",
            arguments.folder.display()
        )),
        TableFormat::Text => {
            let names = [
                "run",
                "data",
                "network",
                "objective",
                "best",
                "epochs",
                "when",
                "status",
            ];
            let names = names.map(str::to_owned);
            let rows = [names].into_iter().chain(rows.iter().map(Row::texts));
            aligned(&rows.collect::<Vec<_>>());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Rows with their fields' names above them.
pub(crate) fn csv(rows: &[impl Serialize]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.into_inner()?)
}

/// Prints rows, all of one length, in columns.
pub(crate) fn aligned(rows: &[impl AsRef<[String]>]) {
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row.as_ref()[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.as_ref().iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        report::result(line.trim_end());
    }
}

/// How far a run came, in a word.
pub(crate) const fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Training => "training",
        RunStatus::Resumable => "resumable",
        RunStatus::Finished => "finished",
        RunStatus::Weights => "weights only",
    }
}

/// `784-256-2`, or with convolutions `3x64x64-conv 32,64-16-2`
pub(crate) fn network(recipe: &Recipe) -> String {
    let list = |numbers: &[usize], between: &str| {
        let numbers = numbers.iter().map(ToString::to_string);
        numbers.collect::<Vec<_>>().join(between)
    };
    let image = recipe.image;
    let mut parts = vec![if recipe.channels.is_empty() {
        image.length().to_string()
    } else {
        format!("{}x{}x{}", image.channels, image.height, image.width)
    }];
    if !recipe.channels.is_empty() {
        parts.push(format!("conv {}", list(&recipe.channels, ",")));
    }
    if !recipe.hidden.is_empty() {
        parts.push(list(&recipe.hidden, "-"));
    }
    parts.push(recipe.latent.to_string());
    parts.join("-")
}

/// `elbo`, `elbo, beta 4, gaussian`
pub(crate) fn objective(recipe: &Recipe) -> String {
    let mut text = name(&recipe.objective);
    if recipe.beta != 1.0 {
        text += &format!(", beta {}", recipe.beta);
    }
    if let Some(samples) = recipe.samples.filter(|&samples| samples > 1) {
        text += &format!(", {samples} draws");
    }
    text + ", " + &name(&recipe.likelihood)
}

/// What a config file calls `value`.
pub(crate) fn name(value: &impl Serialize) -> String {
    let value = toml::Value::try_from(value);
    let name = value.as_ref().ok().and_then(toml::Value::as_str);
    name.unwrap_or_default().to_owned()
}
