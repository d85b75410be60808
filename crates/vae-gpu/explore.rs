//! `vae-gpu explore`: a page on which the latent space is explored, served on this machine or frozen into a file.

mod answer;
mod freeze;
mod guard;
mod http;
mod page;
mod samples;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use vae_infer::Inference;

use crate::arguments::{LabelledInputArguments, ModelArguments, OverwriteArguments, positive};
use crate::page::open;
use crate::{output, report};
use answer::Answerer;
use samples::Samples;
use server::Server;

/// Samples on the page of a server.
const SERVED: usize = 100_000;
/// Samples in a file, where each is also an image in it.
const FROZEN: usize = 2_000;

#[derive(Debug, Args)]
pub(crate) struct ExploreArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: LabelledInputArguments,
    /// Largest number of samples on the page, evenly spread over the data [default: 100000; with --export 2000].
    #[arg(long, value_parser = positive(), value_name = "N", help_heading = "Page")]
    count: Option<usize>,
    /// Port of the page on 127.0.0.1 [default: a free one].
    #[arg(long, value_name = "PORT", help_heading = "Page")]
    port: Option<u16>,
    /// Show the page in the browser [default: false].
    #[arg(long, help_heading = "Page")]
    open: bool,
    /// End when the page asked for nothing for so many seconds [default: serve until Ctrl-C].
    #[arg(long, value_parser = positive(), value_name = "SECONDS", help_heading = "Page")]
    until_idle: Option<usize>,
    /// Write the page as one file, which decodes by itself, instead of serving it; - for stdout [default: serve it].
    #[arg(
        long,
        value_name = "FILE.html",
        conflicts_with_all = ["port", "until_idle"],
        help_heading = "Output"
    )]
    export: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

/// Where the page goes.
enum Place<'a> {
    Server(Server),
    File(&'a Path),
}

pub(crate) fn run(arguments: &ExploreArguments) -> Result<ExitCode> {
    let run = arguments.model.open()?;
    // Before anything is computed: a file may be there, a port taken.
    let place = match &arguments.export {
        None => Place::Server(Server::listen(arguments.port.unwrap_or(0))?),
        Some(out) => {
            arguments.overwrite.check_of("--export", out)?;
            Place::File(out)
        }
    };
    let images = arguments.input.open(&run)?;
    ensure!(images.count() > 0, "the data have no samples to show");
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    let most = arguments.count.unwrap_or(match place {
        Place::Server(_) => SERVED,
        Place::File(_) => FROZEN,
    });
    if let Place::File(_) = place {
        freeze::check_count(images.count().min(most), inference.shape())?;
    }
    let name = arguments.model.run.display().to_string();
    let mut samples = Samples::new(&run, &name, &mut inference, &images, most)?;
    match place {
        Place::File(out) => {
            let file = freeze::freeze(&run, &samples, &inference)?;
            output::write(out, file.as_bytes())?;
            if arguments.open {
                open(out.as_os_str())?;
            }
        }
        Place::Server(server) => {
            samples.about.device = format!("vae-gpu on {device}");
            let idle = arguments.until_idle;
            let idle = idle.map(|seconds| Duration::from_secs(seconds as u64));
            let mut answerer = Answerer {
                inference: &mut inference,
                samples: &samples,
            };
            report::result(&server.address);
            report::note(
                "this address is for this machine and has a key in it; Ctrl-C ends the page",
            );
            if arguments.open
                && let Err(error) = open(server.address.as_ref())
            {
                // The page is there nonetheless.
                report::note(&error.to_string());
            }
            server.serve(idle, |method, path, body| {
                answerer.answer(method, path, body)
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}
