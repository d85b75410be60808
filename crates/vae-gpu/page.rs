//! `vae-gpu report`: a page about a run, or about two.

mod sections;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};
use clap::Args;
use vae_run::RunOverview;
use vae_view::{Page, Section};

use crate::arguments::OverwriteArguments;
use crate::{output, report};
use sections::{SECTIONS, differences};

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Run folder, or two that are to be compared.
    #[arg(required = true, num_args = 1..=2, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write; - for stdout [default: report.html in the first run's folder].
    #[arg(long, value_name = "FILE.html", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Show the page in the browser [default: false].
    #[arg(long, help_heading = "Output")]
    open: bool,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &ReportArguments) -> Result<ExitCode> {
    let runs = arguments.runs.iter().map(|run| RunOverview::open(run));
    let runs: Vec<RunOverview> = runs.collect::<Result<_, _>>()?;
    let Some(first) = runs.first() else {
        bail!("no run to report on");
    };
    let out = match &arguments.out {
        Some(out) => {
            arguments.overwrite.check(out)?;
            out.clone()
        }
        // The run's own page is made anew.
        None => first.path.join("report.html"),
    };
    output::write(&out, page(&runs).html().as_bytes())?;
    if arguments.open {
        open(out.as_os_str())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn page(runs: &[RunOverview]) -> Page {
    let names = runs.iter().map(|run| run.path.display().to_string());
    let names: Vec<String> = names.collect();
    let section = |(heading, blocks): &(&str, sections::Blocks)| Section {
        heading: (*heading).to_owned(),
        columns: runs.iter().map(blocks).collect(),
    };
    let mut all: Vec<Section> = SECTIONS.iter().map(section).collect();
    all.retain(|section| section.columns.iter().any(|column| !column.is_empty()));
    if let [a, b] = runs {
        all.insert(1, differences(a, b));
    }
    Page {
        title: names.join(" and "),
        sections: all,
    }
}

/// Shows a file or an address with what the system has for it.
pub(crate) fn open(what: &OsStr) -> Result<()> {
    let (program, first): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("cmd", &["/C", "start", ""])
    } else {
        ("xdg-open", &[])
    };
    let mut command = Command::new(program);
    command.args(first).arg(what);
    let started = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !started.is_ok_and(|status| status.success()) {
        bail!(
            "{program} cannot show {}: open it in a browser",
            what.display()
        );
    }
    report::note(&format!("opened by {program}"));
    Ok(())
}
