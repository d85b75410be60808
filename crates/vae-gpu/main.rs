//! `vae-gpu`: parses what the user typed, calls the libraries, prints, exits. One subcommand per file.

mod arguments;
mod command;
mod data;
mod decode;
mod denoise;
mod devices;
mod encode;
mod export;
mod import;
mod interpolate;
mod latent;
mod manifold;
mod manual;
mod memory;
mod output;
mod reconstruct;
mod report;
mod sample;
mod score;
mod train;
mod traverse;

use std::process::ExitCode;

use clap::Parser;

use crate::command::{Arguments, Command};

/// On a machine without a desktop, Mesa's device-select layer prints `error: XDG_RUNTIME_DIR is invalid` each time the
/// adapters are listed. All it does is to reorder them, and we order them ourselves; this variable turns it off.
#[expect(
    unsafe_code,
    reason = "the process has one thread yet, so nobody reads the environment meanwhile"
)]
fn quiet_vulkan_layers() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: called first in `main`, before any thread is started.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn main() -> ExitCode {
    quiet_vulkan_layers();
    let outcome = match Arguments::parse().command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Devices => devices::run(),
        Command::Data(command) => data::run(&command),
        Command::Encode(arguments) => encode::run(&arguments),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Sample(arguments) => sample::run(&arguments),
        Command::Reconstruct(arguments) => reconstruct::run(&arguments),
        Command::Denoise(arguments) => denoise::run(&arguments),
        Command::Interpolate(arguments) => interpolate::run(&arguments),
        Command::Traverse(arguments) => traverse::run(&arguments),
        Command::Manifold(arguments) => manifold::run(&arguments),
        Command::Latent(arguments) => latent::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::pages(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        report::error(&error);
        ExitCode::FAILURE
    })
}
