//! `vae-gpu train` as users run it.

use std::fs;
use std::path::Path;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::common::program::{folder, picture, train_tiny, vae_gpu};

#[test]
fn a_run_leaves_pictures_weights_and_metrics_that_later_commands_use() {
    let parent = folder();
    let run = parent.path().join("run");
    train_tiny(&run)
        .assert()
        .success()
        .stderr(
            contains("device: cpu (burn on ndarray)")
                .and(contains("asked for"))
                .and(contains("epoch   1  train")),
        )
        .stdout(contains("run"));

    // 15 x 15 digits of 28 pixels, enlarged twofold.
    assert_eq!(picture(&run.join("manifold.png")), (840, 840));
    assert_eq!(picture(&run.join("latent.png")), (900, 800));
    assert_eq!(picture(&run.join("loss.png")), (900, 600));
    assert_eq!(picture(&run.join("samples.png")), (596, 596));
    assert_eq!(picture(&run.join("reconstructions.png")), (596, 476));

    let bytes = fs::read(run.join("model.safetensors")).expect("written");
    let weights = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    assert_eq!(weights.len(), 10);
    assert_eq!(
        weights.tensor("encoder.0.weight").expect("a layer").shape(),
        [784, 8]
    );
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
    let last: serde_json::Value =
        serde_json::from_str(metrics.lines().last().expect("a line")).expect("JSON");
    let loss = last["validation"]["recon"].as_f64().expect("a number")
        + last["validation"]["kl"].as_f64().expect("a number");
    // An untrained decoder outputs one half everywhere: 784 ln 2 = 543 nats.
    assert!((100.0..500.0).contains(&loss), "{loss}");

    let run = run.to_str().expect("UTF-8");
    let grid = parent.path().join("grid.png");
    let out = grid.to_str().expect("UTF-8");
    vae_gpu(&[
        "sample",
        run,
        "--count",
        "6",
        "--backend",
        "ndarray",
        "--out",
        out,
    ])
    .assert()
    .success();
    assert_eq!(picture(&grid), ((3 * 30 - 2) * 2, (2 * 30 - 2) * 2));
    vae_gpu(&[
        "reconstruct",
        run,
        "--force",
        "--count",
        "4",
        "--backend",
        "ndarray",
        "--out",
        out,
    ])
    .assert()
    .success();
    assert_eq!(picture(&grid), ((4 * 30 - 2) * 2, (2 * 30 - 2) * 2));
}

#[test]
fn the_same_command_twice_writes_the_same_files() {
    let parent = folder();
    let runs = ["a", "b"].map(|name| parent.path().join(name));
    for run in &runs {
        train_tiny(run).assert().success();
    }
    for name in ["model.safetensors", "last.safetensors", "config.toml"] {
        let files = runs.each_ref().map(|run| fs::read(run.join(name)));
        let [a, b] = files.map(|bytes| bytes.expect("written"));
        assert!(a == b, "{name} differs");
    }
}

#[test]
fn a_saved_config_repeats_the_run() {
    let parent = folder();
    let [a, b] = ["a", "b"].map(|name| parent.path().join(name));
    train_tiny(&a)
        .args(["--seed", "5", "--latent", "3"])
        .assert()
        .success();
    assert!(
        !a.join("manifold.png").exists(),
        "a manifold needs two latents"
    );
    vae_gpu(&["train", "--config"])
        .arg(a.join("config.toml"))
        .arg("--out")
        .arg(&b)
        .assert()
        .success();
    let weights = |run: &Path| fs::read(run.join("last.safetensors")).expect("written");
    assert_eq!(weights(&a), weights(&b));
}

#[test]
fn print_config_shows_the_resolved_settings_and_trains_nothing() {
    let parent = folder();
    let file = parent.path().join("my.toml");
    fs::write(&file, "latent = 7\nepochs = 3\n").expect("writable");
    vae_gpu(&[
        "train",
        "--print-config",
        "--preset",
        "pytorch",
        "--epochs",
        "4",
        "--config",
    ])
    .arg(&file)
    .current_dir(parent.path())
    .assert()
    .success()
    .stdout(
        contains("optimizer = \"adam\"")
            .and(contains("latent = 7"))
            .and(contains("epochs = 4")),
    )
    .stdout(contains("# encoder.0.weight: 784 x 400").and(contains("# 637198 parameters")))
    // Weights, gradients and two moments of them.
    .stdout(contains("10 MB of weights and optimizer state"));
    assert!(!parent.path().join("runs").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn what_memory_cannot_hold_is_refused_before_it_is_allocated() {
    let parent = folder();
    let run = parent.path().join("run");
    // Hundreds of gigabytes.
    let options = [
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "100000,100000",
        "--out",
    ];
    vae_gpu(&options)
        .arg(&run)
        .assert()
        .code(1)
        .stderr(contains("memory: training in batches of 100 takes about").and(contains("free")));
    assert!(!run.exists());
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = std::process::Command::new(assert_cmd::cargo::cargo_bin("vae-gpu"))
        .args(["data", "info", "digits"])
        .stdout(writer)
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(141), "{said}");
    assert_eq!(said, "");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_what_was_learned_and_exits_with_130() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let parent = folder();
    let run = parent.path().join("run");
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("vae-gpu"))
        .args([
            "train",
            "--backend",
            "ndarray",
            "--hidden",
            "8",
            "--batch-size",
            "500",
            "--epochs",
            "100000",
            "--out",
        ])
        .arg(&run)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    lines
        .find(|line| line.as_ref().expect("UTF-8").starts_with("epoch   2"))
        .expect("a second epoch")
        .expect("UTF-8");
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .expect("kill")
            .success()
    );
    let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    assert!(
        rest.iter()
            .any(|line| line.contains("a checkpoint is saved")),
        "{rest:?}"
    );
    let grid = parent.path().join("grid.png");
    vae_gpu(&["sample", "--backend", "ndarray"])
        .arg(&run)
        .arg("--out")
        .arg(&grid)
        .assert()
        .success();
}
