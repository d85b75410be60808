//! The results of a sweep: for each point of the grid mean and spread over its seeds.

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use vae_recipe::{Metric, Sweep, SweepRun};
use vae_run::{RunOverview, RunProgress, SweepFolder};

use crate::report;
use crate::runs::aligned;

/// Numbers of each finished run, as the table calls them: those of its best epoch, in nats per sample but for the last.
const NUMBERS: [&str; 4] = ["loss", "recon", "kl", "active_units"];

/// How many runs are how far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    runs: usize,
    finished: usize,
    failed: usize,
    in_work: usize,
}

impl Tally {
    pub(super) fn exit_code(self) -> ExitCode {
        if self.failed > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} runs are done", self.finished, self.runs)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.in_work > 0 {
            write!(f, ", {} are in the work of other processes", self.in_work)?;
        }
        Ok(())
    }
}

/// How far a run is, with its numbers if it is finished.
enum State {
    Open,
    InWork,
    Finished(Vec<f64>),
    Failed(String),
}

/// The results of a sweep.
pub(super) struct Results {
    /// Settings of the grid.
    settings: Vec<String>,
    /// What each finished run has.
    numbers: Vec<String>,
    points: Vec<Point>,
}

struct Point {
    values: Vec<String>,
    /// The run of each seed, by its name.
    runs: Vec<(String, State)>,
}

/// Mean and sample standard deviation.
struct Spread {
    mean: f64,
    /// None of a single number.
    deviation: Option<f64>,
}

impl Results {
    /// The results in `folder`, which may not be there yet.
    pub(super) fn of(sweep: &Sweep, folder: Option<&SweepFolder>) -> Result<Self> {
        let points = sweep.points().into_iter();
        let (mut points, metrics): (Vec<Point>, Vec<Metric>) = points
            .map(|point| {
                let best_by = point.settings.best_by.unwrap_or_default();
                let runs = Vec::new();
                let values = point.values;
                (Point { values, runs }, best_by)
            })
            .unzip();
        let mut numbers: Vec<String> = NUMBERS.map(str::to_owned).into();
        let first = metrics.first().cloned().unwrap_or_default();
        let are_same = metrics.iter().all(|metric| *metric == first);
        let is_chosen = !are_same || first != Metric::default();
        if is_chosen {
            let name = if are_same { first.name() } else { "best_by" };
            numbers.insert(1, name.to_owned());
        }
        for run in sweep.runs() {
            let metric = is_chosen.then(|| &metrics[run.point]);
            let state = match folder {
                Some(folder) => state(folder, &run, metric)?,
                None => State::Open,
            };
            points[run.point].runs.push((run.name, state));
        }
        Ok(Self {
            settings: sweep.grid.keys().cloned().collect(),
            numbers,
            points,
        })
    }

    /// How far all runs are.
    pub(super) fn all(&self) -> Tally {
        tally(self.runs())
    }

    /// How far some of the runs are.
    pub(super) fn of_runs(&self, runs: &[SweepRun]) -> Tally {
        tally(
            self.runs()
                .filter(|(name, _)| runs.iter().any(|run| run.name == *name)),
        )
    }

    fn runs(&self) -> impl Iterator<Item = &(String, State)> {
        self.points.iter().flat_map(|point| &point.runs)
    }

    /// Prints the table, and what failed.
    pub(super) fn print(&self) {
        aligned(&self.table());
        let failures = self.failures();
        if !failures.is_empty() {
            report::note("failed:");
        }
        for (name, reason) in failures {
            report::note(&format!("  {name}: {reason}"));
        }
    }

    /// The table for people: names, then a row for each point.
    fn table(&self) -> Vec<Vec<String>> {
        let names = self.settings.iter().map(String::as_str).chain(["seeds"]);
        let names = names.chain(self.numbers.iter().map(String::as_str));
        let mut table = vec![names.map(str::to_owned).collect()];
        for point in &self.points {
            let mut row = point.values.clone();
            let done = tally(point.runs.iter());
            row.push(format!("{} of {}", done.finished, done.runs));
            let spreads = point.spreads(self.numbers.len()).into_iter();
            row.extend(
                spreads
                    .map(|spread| spread.map_or_else(|| "-".into(), |spread| spread.to_string())),
            );
            table.push(row);
        }
        table
    }

    /// The table as a document, with what failed below.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let table = self.table();
        let mut rows = table.iter();
        let mut text = String::new();
        if let Some(names) = rows.next() {
            text += &line(names);
            text += &line(&vec!["---".to_owned(); names.len()]);
        }
        text.extend(rows.map(|row| line(row)));
        text += "\nMean +- standard deviation over seeds, of the best epoch on the validation samples; nats per sample.\n";
        let failures = self.failures();
        if !failures.is_empty() {
            text += "\nFailed:\n\n";
        }
        for (name, reason) in failures {
            text += &format!("- `{name}`: {reason}\n");
        }
        text
    }

    /// The table for programs, with all digits.
    pub(super) fn csv(&self) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut names = self.settings.clone();
        names.extend(["seeds", "seeds_done", "seeds_failed"].map(str::to_owned));
        for number in &self.numbers {
            names.extend([format!("{number}_mean"), format!("{number}_sd")]);
        }
        writer.write_record(names)?;
        for point in &self.points {
            let mut row = point.values.clone();
            let Tally {
                runs,
                finished,
                failed,
                ..
            } = tally(point.runs.iter());
            row.extend([runs, finished, failed].map(|count| count.to_string()));
            for spread in point.spreads(self.numbers.len()) {
                let cell = |number: Option<f64>| number.map_or_else(String::new, |x| x.to_string());
                let spread = spread.as_ref();
                row.push(cell(spread.map(|spread| spread.mean)));
                row.push(cell(spread.and_then(|spread| spread.deviation)));
            }
            writer.write_record(row)?;
        }
        Ok(writer.into_inner()?)
    }

    /// The names of runs that failed, and why.
    fn failures(&self) -> Vec<(&str, &str)> {
        self.runs()
            .filter_map(|(name, state)| match state {
                State::Failed(reason) => Some((name.as_str(), reason.as_str())),
                State::Open | State::InWork | State::Finished(_) => None,
            })
            .collect()
    }
}

fn tally<'a>(runs: impl Iterator<Item = &'a (String, State)>) -> Tally {
    runs.fold(Tally::default(), |mut tally, (_, state)| {
        tally.runs += 1;
        match state {
            State::Open => {}
            State::InWork => tally.in_work += 1,
            State::Finished(_) => tally.finished += 1,
            State::Failed(_) => tally.failed += 1,
        }
        tally
    })
}

fn state(folder: &SweepFolder, run: &SweepRun, metric: Option<&Metric>) -> Result<State> {
    Ok(match folder.progress(&run.name)? {
        RunProgress::Free => State::Open,
        RunProgress::InWork => State::InWork,
        RunProgress::Failed(failure) => State::Failed(failure.reason),
        RunProgress::Finished => {
            let read = RunOverview::open(&folder.run(&run.name));
            match read.map(|run| numbers(&run, metric)) {
                Ok(Some(numbers)) => State::Finished(numbers),
                Ok(None) => {
                    State::Failed("finished, but its best epoch is not in metrics.jsonl".into())
                }
                Err(error) => State::Failed(format!("{:#}", anyhow::Error::from(error))),
            }
        }
    })
}

/// The numbers of a finished run, in the order of the table.
fn numbers(run: &RunOverview, metric: Option<&Metric>) -> Option<Vec<f64>> {
    let manifest = run.manifest.as_ref()?;
    let mut epochs = run.metrics.epochs.iter();
    let best = epochs.find(|epoch| epoch.epoch == manifest.best_epoch)?;
    let mut numbers = vec![
        manifest.best_validation_loss?,
        best.validation.recon,
        best.validation.kl,
        best.active_units as f64,
    ];
    if let Some(metric) = metric {
        numbers.insert(1, best.value(metric)?);
    }
    Some(numbers)
}

impl Point {
    /// Mean and spread of each of `count` numbers over the finished runs; none without such runs.
    fn spreads(&self, count: usize) -> Vec<Option<Spread>> {
        let finished = self.runs.iter().filter_map(|(_, state)| match state {
            State::Finished(numbers) => Some(numbers),
            State::Open | State::InWork | State::Failed(_) => None,
        });
        let finished: Vec<&Vec<f64>> = finished.collect();
        let of = |index: usize| {
            let numbers: Vec<f64> = finished.iter().map(|numbers| numbers[index]).collect();
            Spread::of(&numbers)
        };
        (0..count).map(of).collect()
    }
}

impl Spread {
    fn of(numbers: &[f64]) -> Option<Self> {
        let count = numbers.len() as f64;
        if numbers.is_empty() {
            return None;
        }
        let mean = numbers.iter().sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (numbers.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.mean)?;
        match self.deviation {
            Some(deviation) => write!(f, " +- {deviation:.2}"),
            None => Ok(()),
        }
    }
}
