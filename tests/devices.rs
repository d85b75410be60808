//! Choice of the device and the engine of a run.

use std::fs;

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::common::gpu;
use crate::common::program::{folder, picture, vae_gpu};

#[test]
fn every_engine_trains_whatever_the_settings_and_says_which_it_is() {
    let parent = folder();
    let run = parent.path().join("run");
    let settings = [
        "--activation",
        "gelu",
        "--likelihood",
        "gaussian",
        "--sigma",
        "0.3",
        "--binarize",
        "dynamic",
        "--optimizer",
        "adamw",
        "--weight-decay",
        "0.1",
        "--clip-norm",
        "2",
    ];
    for (backend, engine, says) in [
        ("cpu", "auto", "engine: fused"),
        ("cpu", "burn", "engine: burn: asked for"),
        (
            "ndarray",
            "auto",
            "engine: burn: ndarray is a backend of burn",
        ),
        ("wgpu", "auto", "engine: fused"),
        ("wgpu", "burn", "engine: burn: asked for"),
    ] {
        if backend == "wgpu" && crate::common::gpu().is_none() {
            continue;
        }
        let trained = || {
            let mut command = vae_gpu(&["train", "--hidden", "8", "--batch-size", "500"]);
            command.args(["--backend", backend, "--engine", engine, "--epochs", "1"]);
            command.args(settings).arg("--out").arg(&run);
            command
        };
        trained().assert().success().stderr(contains(says));
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
        assert!(metrics.contains("validation"));
        let manifest = fs::read_to_string(run.join("manifest.json")).expect("written");
        assert!(manifest.contains(says), "{manifest}");
        vae_gpu(&["reconstruct", "--backend", "cpu", "--force"])
            .arg(&run)
            .arg("--out")
            .arg(parent.path().join("grid.png"))
            .assert()
            .success();
        picture(&parent.path().join("grid.png"));
        fs::remove_dir_all(&run).expect("removable");
    }
    vae_gpu(&["train", "--backend", "ndarray", "--engine", "fused"])
        .assert()
        .code(1)
        .stderr(contains(
            "engine fused: ndarray is a backend of burn; that of the fused engine is cpu",
        ));
}

#[test]
fn devices_lists_the_cpu_and_what_auto_takes() {
    vae_gpu(&["devices"])
        .assert()
        .success()
        .stdout(contains("--backend cpu").and(contains("auto takes: ")));
}

/// The Vulkan loader finds no driver if these variables name no existing file.
#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_wgpu_fails_and_auto_takes_the_cpu_and_says_so() {
    let parent = folder();
    let without = |command: &mut Command| {
        command
            .env("VK_DRIVER_FILES", "/nonexistent")
            .env("VK_ICD_FILENAMES", "/nonexistent")
            .assert()
    };
    let run = parent.path().join("run");
    let tiny = || {
        let mut command = vae_gpu(&["train", "--out"]);
        command
            .arg(&run)
            .args(["--hidden", "8", "--batch-size", "500", "--epochs", "1"]);
        command
    };
    without(tiny().args(["--backend", "wgpu"])).code(1).stderr(
        contains("no adapter for Vulkan, Metal or DX12; wgpu sees no adapter at all")
            .and(contains("--backend cpu")),
    );
    without(tiny().args(["--backend", "metal"]))
        .code(1)
        .stderr(contains("no adapter for Metal"));
    assert!(!run.exists());
    without(&mut tiny())
        .success()
        .stderr(contains("device: cpu (").and(contains("no GPU found")));
}

#[test]
fn the_doctor_says_what_was_checked_and_whether_to_trust_it() {
    vae_gpu(&["doctor", "--backend", "cpu"])
        .assert()
        .success()
        .stdout(
            contains("right: gradients of 12 models")
                .and(contains("auto takes: "))
                .and(contains("verdict: training on the CPU can be trusted")),
        );
    if gpu().is_some() {
        vae_gpu(&["doctor", "--backend", "wgpu"])
            .assert()
            .success()
            .stdout(
                contains("right: 38 kernels")
                    .and(contains("right: training, 20 steps of 12 models"))
                    .and(contains("verdict: training on the CPU and ")),
            );
    }
}

#[test]
fn the_cpu_has_the_threads_that_this_process_may_use_and_the_run_says_so() {
    let parent = folder();
    let run = parent.path().join("run");
    let mut command = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "8",
        "--epochs",
        "1",
    ]);
    command.env("RAYON_NUM_THREADS", "1").arg("--out").arg(&run);
    command
        .assert()
        .success()
        .stderr(contains("cpu (1 thread)"));
    let manifest = fs::read_to_string(run.join("manifest.json")).expect("written");
    assert!(manifest.contains("cpu (1 thread)"), "{manifest}");
    // A process that is bound to one core.
    let binary = assert_cmd::cargo::cargo_bin!("vae-gpu");
    let bound = std::process::Command::new("taskset")
        .args(["-c", "0"])
        .arg(binary)
        .arg("devices")
        .output();
    match bound {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("cpu (1 thread)"), "{said}");
        }
        Err(error) => eprintln!("skipped: no taskset ({error})"),
    }
}
