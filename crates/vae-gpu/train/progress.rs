//! How a training run is reported: a live view on a terminal, lines elsewhere, JSON for machines, or almost nothing.

mod json;
mod lines;
mod live;
mod screen;
pub(crate) mod summary;

use std::path::Path;

use clap::{Args, ValueEnum};
use vae_data::Dataset;
use vae_device::{Device, Route};
use vae_recipe::Recipe;
use vae_run::{EpochReport, Manifest};
use vae_train::{Event, Outcome};

use crate::report;

pub(crate) use json::failure;
use live::Live;

/// Form of the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A live view on a terminal, plain lines elsewhere.
    Auto,
    /// A plain line for each epoch, without control codes.
    Lines,
    /// One JSON object a line on the standard output.
    Json,
}

/// How to report.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct ReportArguments {
    /// Form of the reports on training.
    #[arg(long, default_value = "auto")]
    log_format: LogFormat,
    /// Print warnings and the run folder only, no progress [default: false].
    #[arg(long, short)]
    quiet: bool,
}

impl ReportArguments {
    /// For the runs of a sweep.
    pub(crate) const fn of_sweep(quiet: bool) -> Self {
        Self {
            log_format: LogFormat::Auto,
            quiet,
        }
    }

    pub(crate) const fn is_quiet(self) -> bool {
        self.quiet
    }

    pub(crate) fn is_json(self) -> bool {
        self.log_format == LogFormat::Json
    }
}

/// What is trained, on what, and where it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) dataset: &'a Dataset,
    pub(crate) device: &'a Device,
    pub(crate) route: &'a Route,
    pub(crate) run: &'a Path,
}

impl Subject<'_> {
    /// What a table's rows and images are called.
    const fn samples(&self) -> &'static str {
        if self.recipe.image.is_table() {
            "rows"
        } else {
            "images"
        }
    }
}

/// Reports the events of a run.
pub(crate) struct Progress<'a> {
    subject: Subject<'a>,
    form: Form<'a>,
    /// The epochs, with those before the run was resumed.
    epochs: Vec<EpochReport>,
}

enum Form<'a> {
    Live(Box<Live<'a>>),
    Lines,
    Json,
    Quiet,
}

impl<'a> Progress<'a> {
    /// For the run of `subject`, which goes on after `epochs`.
    pub(crate) fn start(
        arguments: ReportArguments,
        subject: Subject<'a>,
        epochs: Vec<EpochReport>,
    ) -> Self {
        let form = match arguments.log_format {
            LogFormat::Json => {
                json::start(&subject);
                Form::Json
            }
            _ if arguments.quiet => Form::Quiet,
            LogFormat::Auto if live::is_possible() => {
                Form::Live(Box::new(Live::new(subject, &epochs)))
            }
            LogFormat::Auto | LogFormat::Lines => Form::Lines,
        };
        Self {
            subject,
            form,
            epochs,
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        match (&mut self.form, &event) {
            (Form::Live(live), Event::Progress(progress)) => live.progress(progress),
            (Form::Live(live), Event::Epoch(epoch)) => live.epoch(epoch),
            (Form::Live(live), Event::Notice(text)) => live.notice(text),
            (Form::Json, event) => json::event(event),
            (Form::Lines, Event::Epoch(epoch)) => report::note(&lines::epoch(epoch, &self.subject)),
            (Form::Lines | Form::Quiet, Event::Notice(text)) => report::note(text),
            (Form::Lines | Form::Quiet, Event::Progress(_)) | (Form::Quiet, Event::Epoch(_)) => {}
        }
        if let Event::Epoch(epoch) = event {
            self.epochs.push(epoch);
        }
    }

    /// Takes the live view off the terminal.
    pub(crate) fn close(&mut self) {
        if let Form::Live(live) = &mut self.form {
            live.clear();
        }
    }

    /// The end of the run.
    pub(crate) fn end(mut self, manifest: &Manifest, outcome: Outcome) {
        self.close();
        let run = self.subject.run.display().to_string();
        match self.form {
            Form::Json => return json::end(&self.subject, manifest, outcome),
            Form::Live(_) | Form::Lines => {
                for line in summary::lines(&self.subject, &self.epochs, manifest, outcome) {
                    report::note(&line);
                }
            }
            Form::Quiet => {}
        }
        report::result(&run);
    }
}
