//! `vae-gpu completions` and `vae-gpu man`: what is generated of the command line's own description.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{command, report};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Shell that is to read the script.
    shell: Shell,
}

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<ExitCode> {
    let mut script = Vec::new();
    let mut command = command::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "vae-gpu", &mut script);
    report::bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Folder to write the page of each command into [default: print the first page].
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    to: Option<PathBuf>,
}

pub(crate) fn pages(arguments: &ManArguments) -> Result<ExitCode> {
    let mut command = command::Arguments::command();
    command.build();
    let Some(folder) = &arguments.to else {
        report::bytes(&page(&command)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let unwritable = || format!("{}: cannot be written", folder.display());
    fs::create_dir_all(folder).with_context(unwritable)?;
    for command in with_subcommands(&command) {
        let file = folder.join(format!("{}.1", name(command)));
        let page = page(command)?;
        vae_data::replace(&file, |out| out.write_all(&page)).with_context(unwritable)?;
        report::result(&file.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// What a page is called: `vae-gpu-data-info`.
fn name(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    name.replace(' ', "-")
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let command = command.clone().display_name(name(command));
    Man::new(command).render(&mut page)?;
    Ok(page)
}

/// `command` and all below it.
fn with_subcommands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands();
    let below = below.filter(|command| command.get_name() != "help");
    let below = below.flat_map(with_subcommands);
    [command].into_iter().chain(below).collect()
}
