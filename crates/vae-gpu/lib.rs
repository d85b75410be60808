//! `vae-gpu`: parses what the user typed, calls the libraries, prints, exits. One subcommand per file.
//!
//! A library of one function, [`run`], so that the program and the Python module are the same command.

mod arguments;
mod command;
mod data;
mod decode;
mod denoise;
mod devices;
mod doctor;
mod encode;
mod eval;
mod explore;
mod export;
mod import;
mod interpolate;
mod latent;
mod manifold;
mod manual;
mod merge;
mod output;
mod page;
mod processes;
mod reconstruct;
mod report;
mod runs;
mod sample;
mod score;
mod shard;
mod share;
mod show;
mod sweep;
mod train;
mod traverse;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::command::Arguments;

/// Runs the command that `arguments` say, the first of which is the name of the program, and returns its exit code. Ends the
/// process where they are wrong or only ask for help.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Arguments::parse_from(arguments).command;
    match command.join() {
        Ok(processes) => processes.run(|| command.run(&processes)),
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}
