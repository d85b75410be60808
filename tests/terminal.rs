//! What `train` shows: a live view on a terminal, lines in a pipe, JSON for machines. A terminal is made by `script` (util-linux).

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::program::{folder, vae_gpu};

/// A run of some epochs in `folder`, which every report is about.
const RUN: [&str; 9] = [
    "train",
    "--backend",
    "cpu",
    "--hidden",
    "8",
    "--epochs",
    "4",
    "--out",
    "run",
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output and error of a run in a pipe.
fn piped(folder: &Path, more: &[&str]) -> [String; 2] {
    let output = vae_gpu(&RUN)
        .args(more)
        .current_dir(folder)
        .env("LANG", "C.UTF-8")
        .output()
        .expect("started");
    assert!(output.status.success(), "{}", text(&output.stderr));
    [text(&output.stdout), text(&output.stderr)]
}

/// All that a terminal of 90 columns gets from a run in it, `None` without `script`.
fn on_a_terminal(folder: &Path, variable: &str, more: &[&str]) -> Option<String> {
    let program = assert_cmd::cargo::cargo_bin!("vae-gpu");
    let command = format!(
        "stty rows 24 cols 90; exec {} {} {}",
        program.display(),
        RUN.join(" "),
        more.join(" ")
    );
    let found = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder)
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .envs(variable.split_once('='))
        .output();
    let Ok(Output { status, stdout, .. }) = found else {
        eprintln!("skipped: no `script` to make a terminal with");
        return None;
    };
    let said = text(&stdout);
    assert!(status.success(), "{said}");
    Some(said)
}

/// The text without colours and cursor movements, and whether there were such.
fn plain(said: &str) -> (String, bool) {
    let without = console::strip_ansi_codes(said);
    (without.replace('\r', ""), without != said)
}

#[test]
fn a_pipe_gets_a_line_for_each_epoch_and_no_control_codes() {
    let parent = folder();
    let [out, said] = piped(parent.path(), &[]);
    assert_eq!(out, "run\n");
    let epochs = said.lines().filter(|line| line.starts_with("epoch "));
    assert_eq!(epochs.count(), 4, "{said}");
    for part in [
        "images/s",
        "\nbest epoch 4 of 4: validation loss ",
        "\nlatents: all in use: 2 of 2 active",
        "\n  manifold.png         the plane of the two latents, decoded\n",
        "\n  vae-gpu sample run ",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(
        !said.contains(['\u{1b}', '\r']),
        "control codes in {said:?}"
    );
}

#[test]
fn a_terminal_shows_one_view_that_is_gone_at_the_end() {
    let parent = folder();
    let Some(said) = on_a_terminal(parent.path(), "", &[]) else {
        return;
    };
    let (shown, has_codes) = plain(&said);
    assert!(has_codes, "nothing was rewritten: {said:?}");
    for part in [
        "epoch 1/4    ",
        "train        loss ",
        "curve        ",
        "device       cpu (",
        "\nbest epoch 4 of 4",
        "\nrun\n",
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    assert!(
        !shown.contains("epoch   1  train"),
        "lines that scroll away: {shown}"
    );
    // Nothing that outlives the program if it is killed: no hidden cursor, no other screen.
    assert!(!said.contains("\u{1b}[?"), "a mode was changed: {said:?}");
    // What follows the last erasure is the summary alone.
    let (_, rest) = said.rsplit_once("\u{1b}[0J").expect("the view is erased");
    assert!(rest.starts_with("best epoch 4 of 4"), "{rest:?}");
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let parent = folder();
    let coloured = |said: &str| {
        let codes = said.split("\u{1b}[").skip(1);
        codes
            .filter(|code| {
                code.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                    .starts_with('m')
            })
            .count()
    };
    let Some(said) = on_a_terminal(parent.path(), "NO_COLOR=1", &[]) else {
        return;
    };
    assert_eq!(coloured(&said), 0, "{said:?}");
    let other = folder();
    let said = on_a_terminal(other.path(), "", &[]);
    assert!(
        coloured(&said.expect("a terminal")) > 0,
        "no colours to leave out"
    );
}

#[test]
fn a_terminal_that_cannot_be_rewritten_gets_lines() {
    let parent = folder();
    let Some(said) = on_a_terminal(parent.path(), "TERM=dumb", &[]) else {
        return;
    };
    let (shown, has_codes) = plain(&said);
    assert!(!has_codes, "{said:?}");
    assert!(shown.contains("epoch   4  train"), "{shown}");
}

#[test]
fn quiet_says_where_the_run_is_and_nothing_else() {
    let parent = folder();
    let said = piped(parent.path(), &["--quiet"]);
    assert_eq!(said, ["run\n", ""]);
}

#[test]
fn every_line_for_machines_is_an_object_that_says_what_it_is() {
    let parent = folder();
    let [out, _] = piped(parent.path(), &["--log-format", "json"]);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |event: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["event"] == event).collect()
    };
    assert_eq!(lines[0]["event"], "start");
    assert_eq!(lines[0]["config"]["hidden"], serde_json::json!([8]));
    assert_eq!(lines[0]["train_samples"], 9000);
    assert!(of("step").len() >= 4);
    let epochs = of("epoch");
    assert_eq!(epochs.len(), 4);
    assert!(epochs[3]["validation"]["loss"].as_f64().expect("a number") > 0.0);
    let end = lines.last().expect("lines");
    assert_eq!(
        (&end["event"], &end["outcome"]),
        (&"end".into(), &"finished".into())
    );
    assert_eq!(end["manifest"]["epochs"], 4);
}

#[test]
fn a_run_that_fails_tells_machines_why() {
    let parent = folder();
    let output = vae_gpu(&["train", "--log-format", "json", "--data", "nowhere"])
        .current_dir(parent.path())
        .output()
        .expect("started");
    assert_eq!(output.status.code(), Some(1));
    let line: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(line["event"], "error");
    let text = line["text"].as_str().expect("words");
    assert!(text.contains("no data at `nowhere`"), "{text}");
}
