//! `runs` and `show`: what is known of runs without their weights.

use std::fs::{self, File};

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;

use crate::common::playground::{done, playground, shell};
use crate::common::program::{folder, vae_gpu};

/// The rows that `runs` gives in a folder.
fn rows(folder: &std::path::Path, options: &str) -> Vec<Value> {
    let command = format!("vae-gpu runs --format json {options}");
    let output = shell(&command, folder);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{command}: {error}"))
}

#[test]
fn runs_are_listed_by_what_is_asked_for() {
    let place = playground();
    let by = |column: &str| -> Vec<String> {
        let rows = rows(place.path(), &format!("--sort {column}"));
        let names = rows
            .iter()
            .map(|row| row["run"].as_str().expect("a name").to_owned());
        names.collect()
    };
    let names = by("run");
    assert_eq!(
        names,
        [
            "runs/digits-1",
            "runs/digits-2",
            "runs/photos-1",
            "runs/table-1"
        ]
    );
    assert_eq!(by("data")[..2], ["runs/digits-1", "runs/digits-2"]);
    let best: Vec<f64> = rows(place.path(), "--sort best")
        .iter()
        .map(|row| row["best"].as_f64().expect("a number"))
        .collect();
    assert!(best.is_sorted(), "{best:?}");
    let row = &rows(place.path(), "--sort run")[0];
    assert_eq!(row["network"], "784-8-2");
    assert_eq!(row["objective"], "elbo, bernoulli");
    assert_eq!((&row["epochs"], &row["of_epochs"]), (&1.into(), &1.into()));

    let table = done("csv", &shell("vae-gpu runs --format csv", place.path()));
    assert!(
        table.starts_with("run,data,network,objective,best,"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 5, "{table}");
    let text = done("text", &shell("vae-gpu runs", place.path()));
    assert!(
        text.contains("in epoch 1") && text.contains("1 of 1"),
        "{text}"
    );
}

#[test]
fn a_run_is_finished_resumable_in_training_or_weights_alone() {
    let place = playground();
    let status = |run: &str| {
        let rows = rows(place.path(), "");
        let row = rows.iter().find(|row| row["run"] == run).expect("listed");
        row["status"].as_str().expect("a word").to_owned()
    };
    let run = "runs/digits-1";
    assert_eq!(status(run), "finished");
    let config = place.path().join(run).join("config.toml");
    let text = fs::read_to_string(&config).expect("there");
    fs::write(&config, text.replace("epochs = 1\n", "epochs = 9\n")).expect("writable");
    assert_eq!(status(run), "resumable");
    let lock = File::create(place.path().join(run).join(".lock")).expect("writable");
    lock.lock().expect("free");
    assert_eq!(status(run), "training");
    drop(lock);
    let stopped = "vae-gpu train --backend cpu --hidden 8 --epochs 50 --early-stopping 1:1000 --out runs/stopped";
    done(stopped, &shell(stopped, place.path()));
    assert_eq!(status("runs/stopped"), "finished");
    let import = "vae-gpu import vae.safetensors --config vae.toml --out runs/imported";
    done(import, &shell(import, place.path()));
    assert_eq!(status("runs/imported"), "weights");
    let shown = done("show", &shell("vae-gpu show runs/imported", place.path()));
    assert!(
        shown.starts_with("run        runs/imported, weights only"),
        "{shown}"
    );
}

#[test]
fn a_damaged_run_is_named_and_hides_no_other() {
    let place = playground();
    fs::write(place.path().join("runs/digits-2/manifest.json"), "{").expect("writable");
    vae_gpu(&["runs"])
        .current_dir(place.path())
        .assert()
        .success()
        .stderr(contains("left out").and(contains("digits-2")))
        .stdout(contains("digits-1").and(contains("photos-1")));
}

#[test]
fn a_run_is_shown_with_its_latents_pictures_and_epochs() {
    let place = playground();
    let shown = done("show", &shell("vae-gpu show runs/digits-2", place.path()));
    for part in [
        "\nnetwork    784-8-3\n",
        "\nbest       epoch 1: validation loss ",
        "kl of latent 3 ",
        "latent.png ",
        "vae-gpu sample runs/digits-2 ",
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    assert!(
        !shown.contains("manifold.png"),
        "three latents have no plane: {shown}"
    );
    let output = shell("vae-gpu show runs/digits-2 --format csv", place.path());
    let mut table = csv::Reader::from_reader(&output.stdout[..]);
    let names = table.headers().expect("names").clone();
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().expect("a table");
    assert_eq!(rows.len(), 1);
    let at = |name: &str| -> f64 {
        let column = names
            .iter()
            .position(|found| found == name)
            .expect("a column");
        rows[0][column].parse().expect("a number")
    };
    let loss = at("validation_recon") + at("validation_kl");
    assert!((loss - at("validation_loss")).abs() < 1e-6 * loss);
}

#[test]
fn runs_that_start_at_the_same_time_take_a_folder_each() {
    const TOGETHER: usize = 8;
    let parent = folder();
    let start = || {
        let options = ["--backend", "cpu", "--hidden", "256", "--epochs", "1"];
        let mut command = vae_gpu(&[&["train"], &options[..]].concat());
        command.current_dir(&parent).output().expect("started")
    };
    let ended: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(start)).collect();
        started
            .into_iter()
            .map(|run| run.join().expect("ended"))
            .collect()
    });
    for output in ended {
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for number in 1..=TOGETHER {
        let run = parent.path().join(format!("runs/digits-{number}"));
        vae_run::Metrics::read(&run).expect("a run");
    }
}
