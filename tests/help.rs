//! The help of every command, completions and manual pages; and errors that say what was meant.

use std::fs;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::common::playground::{done, playground, shell, shortened};
use crate::common::program::{folder, vae_gpu};

/// The help of a command.
fn help(command: &[String]) -> String {
    let output = vae_gpu(&[]).args(command).arg("--help").output();
    done(&command.join(" "), &output.expect("started"))
}

/// Every command, with those that have commands of their own.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &[String]) -> Vec<Vec<String>> {
        let text = help(command);
        let Some((_, list)) = text.split_once("\nCommands:\n") else {
            return vec![command.to_vec()];
        };
        let lines = list.lines().take_while(|line| line.starts_with("  "));
        // A line that is only continued has more blanks before it.
        let names = lines.filter(|line| !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next());
        let names = names.filter(|name| *name != "help");
        let below = names.flat_map(|name| below(&[command, &[name.to_owned()]].concat()));
        [command.to_vec()].into_iter().chain(below).collect()
    }
    below(&[])
}

fn examples(help: &str) -> Vec<&str> {
    let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_default();
    examples
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn every_command_says_its_purpose_and_has_two_examples_that_work_as_printed() {
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    let mut ran = 0;
    for command in &commands {
        let help = help(command);
        let purpose = help.lines().next().unwrap_or_default();
        assert!((20..160).contains(&purpose.len()), "{command:?}: {purpose}");
        if help.contains("\nCommands:\n") && !command.is_empty() {
            continue;
        }
        let examples = examples(&help);
        assert_eq!(examples.len(), 2, "{command:?}: {examples:?}");
        for example in examples {
            assert!(example.starts_with("vae-gpu "), "{example}");
            let place = playground();
            let output = shell(&shortened(example), place.path());
            let said = String::from_utf8_lossy(&output.stderr);
            if command[..] == ["data", "fetch"] {
                // Without a network it gets as far as that.
                assert!(said.contains("cannot be downloaded"), "{example}: {said}");
            } else {
                done(example, &output);
            }
            ran += 1;
        }
    }
    assert!(ran > 40, "{ran}");
}

/// Each option of a help with its description, on one line.
fn options(help: &str) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in help.lines().filter(|line| !line.is_empty()) {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if text.starts_with('-') && depth < 10 {
            options.push(text.to_owned());
            is_inside = true;
        } else if depth < 10 {
            // A heading, or an argument without a name.
            is_inside = false;
        } else if let Some(option) = options.last_mut().filter(|_| is_inside) {
            *option += " ";
            *option += text;
        }
    }
    options
}

#[test]
fn every_option_has_a_default_or_is_needed() {
    let mut seen = 0;
    for command in commands() {
        let help = help(&command);
        let usage = help.lines().find(|line| line.starts_with("Usage:"));
        for option in options(&help) {
            let (_, name) = option
                .split_once("--")
                .unwrap_or_else(|| panic!("{option}"));
            let name = name.split([' ', '[', '=']).next().unwrap_or_default();
            let is_needed = usage.is_some_and(|usage| usage.contains(&format!("--{name} ")));
            // A label has no default: a conditional model needs it, and another takes none.
            let is_free = ["help", "version", "label"].contains(&name) || is_needed;
            assert!(
                is_free || option.contains("[default"),
                "{command:?}: {option}"
            );
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn completions_know_commands_and_options_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        vae_gpu(&["completions", shell])
            .assert()
            .success()
            .stdout(contains("reconstruct").and(contains("importance-samples")));
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let parent = folder();
    let pages = parent.path().join("man1");
    vae_gpu(&["man", "--to"]).arg(&pages).assert().success();
    for command in commands() {
        let name = [&["vae-gpu".to_owned()], &command[..]].concat().join("-");
        let page = fs::read_to_string(pages.join(format!("{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".TH "), "{name}");
        assert!(page.contains(&name), "{name}");
    }
    vae_gpu(&["man"])
        .assert()
        .success()
        .stdout(contains(".TH vae-gpu 1"));
}

#[test]
fn what_was_mistyped_is_answered_with_what_was_meant() {
    let place = playground();
    fs::write(place.path().join("bad.toml"), "latnt = 3\n").expect("writable");
    for (command, meant) in [
        ("vae-gpu train --latnet 3", "'--latent'"),
        ("vae-gpu trian", "'train'"),
        ("vae-gpu train --preset artcle", "'article'"),
        ("vae-gpu train --data digist", "did you mean `digits`?"),
        (
            "vae-gpu train --data table.cvs",
            "did you mean `table.csv`?",
        ),
        ("vae-gpu train --data ./phtos", "did you mean `photos`?"),
        ("vae-gpu data fetch mnits", "did you mean `mnist`?"),
        (
            "vae-gpu data info table.csv --labels Speces",
            "did you mean `species`?",
        ),
        (
            "vae-gpu train --best-by validation.los",
            "did you mean `validation.loss`?",
        ),
        ("vae-gpu train --config bad.toml", "did you mean `latent`?"),
    ] {
        let output = shell(command, place.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{command}");
        assert!(said.contains(meant), "{command}: {said}");
    }
    let output = shell("vae-gpu train --data cifar", place.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("did you mean"), "{said}");
}

#[test]
fn a_switch_does_not_take_the_folder_after_it_for_its_value() {
    let place = playground();
    for command in [
        "vae-gpu data info --grey photos --size 32x32 --fit crop",
        "vae-gpu data info --grey=true --skip-bad photos --size 32x32 --fit crop",
    ] {
        let said = done(command, &shell(command, place.path()));
        assert!(said.contains("samples: 24 of 32 x 32 "), "{said}");
    }
}

#[test]
fn verbs_on_a_table_write_a_table_if_nothing_is_said() {
    let place = playground();
    // That of another run.
    fs::remove_file(place.path().join("latents.csv")).expect("there");
    for (verb, file) in [
        ("sample runs/table-1", "samples.csv"),
        ("reconstruct runs/table-1", "reconstructions.csv"),
        ("denoise runs/table-1 --corrupted", "denoised.csv"),
        ("interpolate runs/table-1", "interpolation.csv"),
        ("encode runs/table-1", "latents.csv"),
        ("decode runs/table-1 latents.csv", "decoded.csv"),
    ] {
        let command = format!("vae-gpu {verb}");
        done(&command, &shell(&command, place.path()));
        let table = fs::read_to_string(place.path().join(file)).expect("written");
        let expected = if verb.starts_with("encode") {
            "mu_1"
        } else {
            "length"
        };
        assert!(
            table
                .lines()
                .next()
                .is_some_and(|names| names.contains(expected)),
            "{table}"
        );
        assert!(table.lines().count() > 2, "{table}");
    }
}
