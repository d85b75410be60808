//! `vae-gpu`: parses what the user typed, calls the libraries, prints, exits. One subcommand per file.

mod arguments;
mod devices;
mod reconstruct;
mod report;
mod sample;
mod train;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Devices => devices::run(),
        Command::Sample(arguments) => sample::run(&arguments),
        Command::Reconstruct(arguments) => reconstruct::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        report::error(&error);
        ExitCode::FAILURE
    })
}
