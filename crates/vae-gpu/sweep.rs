//! `vae-gpu sweep`.

mod table;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use vae_recipe::{Sweep, SweepRun};
use vae_run::{Claim, Failure, Interrupted, Manifest, RunError, RunProgress, SweepFolder};
use vae_train::{Outcome, TrainError};

use crate::arguments::FetchArguments;
use crate::report;
use crate::runs::aligned;
use crate::train::{INTERRUPTED, Progress, ReportArguments, Session, Start};
use table::Results;

/// Time between two looks at the runs of other processes.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct SweepArguments {
    /// TOML file with `seeds`, a table `[base]` of settings and a table `[grid]` of lists of values.
    file: PathBuf,
    /// Folder for the runs and the results, which processes may share [default: runs/ and the name of FILE].
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    out: Option<PathBuf>,
    /// List the runs and how far they are, without training [default: false].
    #[arg(long, help_heading = "Output", conflicts_with = "table")]
    dry_run: bool,
    /// Print the table of what is done so far, without training [default: false].
    #[arg(long, help_heading = "Output")]
    table: bool,
    /// Print warnings, failures and the table only, no progress [default: false].
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
    /// Train runs again that failed, from their last checkpoint if they have one [default: false].
    #[arg(long, help_heading = "Runs", conflicts_with_all = ["dry_run", "table"])]
    retry_failed: bool,
    /// Wait for runs that other processes train, and take over those whose process ends early [default: false].
    #[arg(long, help_heading = "Runs", conflicts_with_all = ["dry_run", "table"])]
    wait: bool,
    /// Take only each N-th run, from the I-th on, such as 2/4: for the tasks of a job array [default: every run].
    #[arg(
        long,
        value_name = "I/N",
        help_heading = "Runs",
        conflicts_with = "table"
    )]
    shard: Option<Shard>,
    #[command(flatten)]
    fetch: FetchArguments,
}

/// Every N-th run, from the I-th on.
#[derive(Clone, Copy, Debug)]
struct Shard {
    first: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(first, of)| Some((first.parse().ok()?, of.parse().ok()?)));
        let (first, of) = numbers
            .filter(|(first, of)| (1..=*of).contains(first))
            .ok_or("expected two numbers such as 2/4, the first from 1 to the second")?;
        Ok(Self { first, of })
    }
}

impl Shard {
    const ALL: Self = Self { first: 1, of: 1 };

    fn runs(self, sweep: &Sweep) -> Vec<SweepRun> {
        let runs = sweep.runs().into_iter();
        runs.skip(self.first - 1).step_by(self.of).collect()
    }
}

pub(crate) fn run(arguments: &SweepArguments) -> Result<ExitCode> {
    let sweep = Sweep::read(&arguments.file)?;
    let out = arguments.out.clone();
    let out = out.unwrap_or_else(|| {
        let stem = arguments.file.file_stem().unwrap_or_default();
        Path::new("runs").join(stem)
    });
    let runs = arguments.shard.unwrap_or(Shard::ALL).runs(&sweep);
    if arguments.dry_run {
        list(SweepFolder::look(&out, &sweep)?.as_ref(), &runs)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.table {
        let folder = SweepFolder::look(&out, &sweep)?;
        let results = Results::of(&sweep, folder.as_ref())?;
        results.print();
        return Ok(results.all().exit_code());
    }
    let folder = SweepFolder::open(&out, &sweep)?;
    let session = Session::new(
        arguments.fetch.options(),
        ReportArguments::of_sweep(arguments.quiet),
    );
    let mut work = Work {
        arguments,
        sweep: &sweep,
        folder: &folder,
        runs: &runs,
        session,
    };
    let is_interrupted = work.all()?;
    let results = work.write_results()?;
    results.print();
    report::note(&format!(
        "{}; results.csv and results.md are in {}",
        results.all(),
        out.display()
    ));
    if is_interrupted {
        report::note("interrupted: what was trained is saved, the same command goes on");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(results.of_runs(&runs).exit_code())
}

/// Prints the runs and how far they are.
fn list(folder: Option<&SweepFolder>, runs: &[SweepRun]) -> Result<()> {
    let mut lines = Vec::new();
    for run in runs {
        let progress = folder
            .map(|folder| folder.progress(&run.name))
            .transpose()?;
        let progress = match progress.unwrap_or(RunProgress::Free) {
            RunProgress::Free => "to be trained".to_owned(),
            RunProgress::InWork => "in work".to_owned(),
            RunProgress::Finished => "finished".to_owned(),
            RunProgress::Failed(failure) => format!("failed: {}", failure.reason),
        };
        lines.push([run.name.clone(), progress]);
    }
    aligned(&lines);
    Ok(())
}

/// This process's part in a sweep.
struct Work<'a> {
    arguments: &'a SweepArguments,
    sweep: &'a Sweep,
    folder: &'a SweepFolder,
    /// The runs that it may take.
    runs: &'a [SweepRun],
    session: Session<'static>,
}

impl Work<'_> {
    /// Trains every run that is free until none is; returns whether it was interrupted.
    fn all(&mut self) -> Result<bool> {
        let stop = self.session.stop()?;
        let retried = self.failures()?;
        // Runs whose folder a process outside the sweep writes to: left to the next sweep.
        let mut foreign = BTreeSet::new();
        loop {
            let (mut is_free, mut is_in_work) = (false, false);
            for (index, run) in self.runs.iter().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return Ok(true);
                }
                if foreign.contains(&run.name) {
                    continue;
                }
                if let Some(claim) = self.folder.claim(&run.name, retried.get(&run.name))? {
                    let is_ours = self.one(index, run, claim, &stop)?;
                    if !is_ours {
                        foreign.insert(&run.name);
                    }
                }
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
            for run in self.runs.iter().filter(|run| !foreign.contains(&run.name)) {
                match self.folder.progress(&run.name)? {
                    RunProgress::Free => is_free = true,
                    RunProgress::InWork => is_in_work = true,
                    RunProgress::Finished | RunProgress::Failed(_) => {}
                }
            }
            if is_free {
                continue;
            }
            if !(is_in_work && self.arguments.wait) {
                return Ok(false);
            }
            thread::sleep(PAUSE);
        }
    }

    /// The failures that are to be tried again: those from before this process.
    fn failures(&self) -> Result<BTreeMap<String, Failure>> {
        let mut failures = BTreeMap::new();
        for run in self.runs.iter().filter(|_| self.arguments.retry_failed) {
            if let RunProgress::Failed(failure) = self.folder.progress(&run.name)? {
                failures.insert(run.name.clone(), failure);
            }
        }
        Ok(failures)
    }

    /// Trains a run, or goes on with it; returns whether it could be done, as far as nobody else writes to its folder.
    fn one(
        &mut self,
        index: usize,
        run: &SweepRun,
        claim: Claim,
        stop: &AtomicBool,
    ) -> Result<bool> {
        let name = &run.name;
        if !self.arguments.quiet {
            let verb = if claim.is_begun() {
                "goes on"
            } else {
                "begins"
            };
            let number = index + 1;
            report::note(&format!(
                "run {number} of {}: {name} {verb}",
                self.runs.len()
            ));
        }
        let trained = catch_unwind(AssertUnwindSafe(|| self.train(run, &claim)));
        let trained =
            trained.unwrap_or_else(|cause| Err(anyhow!("the program broke: {}", words(&*cause))));
        match trained {
            Ok(Outcome::Finished) => claim.finish()?,
            // It is free again, for whoever comes next.
            Ok(Outcome::Interrupted) => return Ok(true),
            Err(error) if is_locked(&error) => {
                report::note(&format!("{name} is left out: {error:#}"));
                return Ok(false);
            }
            Err(error) => {
                report::note(&format!("{name} failed: {error:#}"));
                claim.fail(format!("{error:#}"))?;
                self.session.close_device();
            }
        }
        if !stop.load(Ordering::Relaxed) {
            self.write_results()?;
        }
        Ok(true)
    }

    fn train(&mut self, run: &SweepRun, claim: &Claim) -> Result<Outcome> {
        let (settings, start) = if claim.is_begun() {
            let (interrupted, recipe) = Interrupted::open(claim.path())?;
            (recipe.into(), Start::Resumed(Box::new(interrupted)))
        } else {
            let start = Start::New(Some(claim.path().to_owned()));
            (run.settings.clone(), start)
        };
        let (name, is_quiet) = (&run.name, self.arguments.quiet);
        let end = |mut progress: Progress<'_>, manifest: &Manifest, outcome| {
            progress.close();
            let loss = manifest.best_validation_loss.filter(|_| !is_quiet);
            if let (Some(loss), Outcome::Finished) = (loss, outcome) {
                report::note(&format!(
                    "{name} is done: validation loss {loss:.2} in epoch {} of {}, {:.1} s of training",
                    manifest.best_epoch, manifest.epochs, manifest.seconds
                ));
            }
        };
        self.session.train(settings, start, end)
    }

    fn write_results(&self) -> Result<Results> {
        let mut results = None;
        self.folder.write_results(|| -> Result<_> {
            let made = results.insert(Results::of(self.sweep, Some(self.folder))?);
            Ok(vec![
                ("results.csv", made.csv()?),
                ("results.md", made.markdown().into_bytes()),
            ])
        })?;
        results.ok_or_else(|| anyhow!("no results were made"))
    }
}

/// Whether a run failed because another process writes to its folder.
fn is_locked(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<TrainError>(),
        Some(TrainError::Run(RunError::FolderLocked(_)))
    )
}

/// What a panic says.
fn words(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| cause.downcast_ref::<String>().cloned());
    text.unwrap_or_default()
}
