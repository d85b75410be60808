//! `vae-gpu`: parses what the user typed, calls the libraries, prints, exits. One subcommand per file.

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
mod reconstruct;
mod report;
mod runs;
mod sample;
mod score;
mod shard;
mod show;
mod sweep;
mod train;
mod traverse;

use std::process::ExitCode;

use clap::Parser;

use crate::command::Arguments;

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
    Arguments::parse().command.run().unwrap_or_else(|error| {
        report::error(&error);
        ExitCode::FAILURE
    })
}
