//! Work in parts: what many processes write is what one writes, whoever starts them.

use std::fs;
use std::path::Path;
use std::process::Command;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::common::program::{folder, vae_gpu};
use crate::verbs::python;

/// A small run on the built-in digits, whose 1,000 test samples are worked on.
fn run(folder: &Path) -> String {
    run_with(&folder.join("run"), &[])
}

/// The same with more options.
fn run_with(run: &Path, options: &[&str]) -> String {
    let small = ["--backend", "cpu", "--hidden", "8", "--epochs", "1"];
    let mut command = vae_gpu(&[&["train"], &small[..], options].concat());
    command.arg("--out").arg(run).assert().success();
    run.display().to_string()
}

#[test]
fn merged_parts_are_the_whole_bit_for_bit() {
    let parent = folder();
    let run = run(parent.path());
    let at = |name: &str| parent.path().join(name).display().to_string();
    let score: &[&str] = &["--importance-samples", "7"];
    for (command, options, name) in [
        ("encode", &["--with-z"][..], "latents.csv"),
        ("encode", &["--with-z"], "latents.npy"),
        ("score", &[], "scores.csv"),
        ("score", score, "likelihoods.csv"),
    ] {
        let work = |out: &str| {
            let mut work = vae_gpu(&[command, &run, "--backend", "cpu", "--out", out]);
            work.args(options);
            work
        };
        work(&at(&format!("whole-{name}"))).assert().success();
        // In any order, and one of them twice.
        for shard in ["3/3", "1/3", "2/3"] {
            work(&at(name)).args(["--shard", shard]).assert().success();
        }
        let again = work(&at(name)).args(["--shard", "1/3"]).assert().success();
        again.stderr(contains("is there already"));
        vae_gpu(&["data", "merge", &at(name)]).assert().success();
        let [whole, merged] = [format!("whole-{name}"), name.to_owned()]
            .map(|name| fs::read(parent.path().join(name)).expect("written"));
        assert!(whole == merged, "{command} {name}");
        vae_gpu(&["data", "merge", &at(name)])
            .assert()
            .code(1)
            .stderr(contains("--force"));
    }
}

#[test]
fn merged_samples_and_reconstructions_are_those_of_one_process_bit_for_bit() {
    let parent = folder();
    let plain = run(parent.path());
    let at = |name: &str| parent.path().join(name).display().to_string();
    let options = ["--conditional", "--prior", "mixture:4"];
    let conditional = run_with(&parent.path().join("conditional"), &options);
    // Twenty-six samples in four parts of other sizes than ten, the number of classes.
    let drawn: &[&str] = &["--count", "26", "--draw-pixels", "--temperature", "0.8"];
    let fitted: &[&str] = &["--count", "26", "--fit-mixture", "3", "--truncation", "1.5"];
    for (verb, run, options, name) in [
        ("sample", &plain, &["--count", "26"][..], "plain.npy"),
        ("sample", &plain, drawn, "drawn.csv"),
        ("sample", &plain, fitted, "fitted.npy"),
        ("sample", &conditional, drawn, "classes.npy"),
        ("sample", &plain, &["--count", "4"], "single.npy"),
        ("reconstruct", &plain, &[], "reconstructions.npy"),
        ("reconstruct", &conditional, &["--count", "26"], "some.csv"),
    ] {
        let work = |out: &str| {
            let mut work = vae_gpu(&[verb, run, "--backend", "cpu", "--out", out]);
            work.args(options);
            work
        };
        let whole = format!("whole-{name}");
        work(&at(&whole)).assert().success();
        for shard in ["2/4", "1/4", "4/4", "3/4"] {
            work(&at(name)).args(["--shard", shard]).assert().success();
        }
        vae_gpu(&["data", "merge", &at(name)]).assert().success();
        let [whole, merged] = [&*whole, name].map(|name| fs::read(at(name)).expect("written"));
        assert!(whole == merged, "{verb} {name}");
        if verb == "sample" {
            let mut other = work(&at(name));
            other.args(["--shard", "2/4", "--force", "--seed", "1"]);
            other.assert().success();
            let mut again = vae_gpu(&["data", "merge", "--force", &at(name)]);
            again.assert().success();
            assert!(
                fs::read(at(name)).expect("written") != whole,
                "another seed: {name}"
            );
        }
    }
    for (options, complaint) in [
        (
            &["--out", "a.png"][..],
            "a.png: expected a name that ends in .csv or .npy for a part",
        ),
        (
            &[],
            "samples.png: expected a name that ends in .csv or .npy for a part",
        ),
        (
            &["--out", "a.npy", "--count", "1"],
            "no samples, for there are only 1",
        ),
    ] {
        let mut sample = vae_gpu(&["sample", &plain, "--shard", "1/2"]);
        sample.args(options).current_dir(parent.path());
        sample.assert().code(1).stderr(contains(complaint));
    }
}

#[test]
fn parts_that_are_missing_or_do_not_fit_are_named() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    let merge = |name: &str| vae_gpu(&["data", "merge"]).arg(at(name)).assert().code(1);
    merge("a.csv").stderr(contains("no parts beside it"));
    fs::write(at("a.2-of-4.csv"), "id,mu_1\n1,0.5\n").expect("written");
    fs::write(at("a.4-of-4.csv"), "id,mu_2\n1,0.5\n").expect("written");
    merge("a.csv").stderr(contains("of 4 parts 1, 3 are missing"));
    fs::write(at("a.1-of-4.csv"), "id,mu_1\n1,0.5\n").expect("written");
    fs::write(at("a.3-of-4.csv"), "id,mu_1\n1,0.5,7\n").expect("written");
    merge("a.csv").stderr(contains("a.3-of-4.csv: cannot be read as a table"));
    fs::write(at("a.3-of-4.csv"), "id,mu_1\n1,0.5\n").expect("written");
    merge("a.csv").stderr(contains(
        "a.4-of-4.csv: expected the columns of the first part",
    ));
    fs::write(at("a.1-of-2.csv"), "id,mu_1\n1,0.5\n").expect("written");
    merge("a.csv").stderr(contains("parts of 2 and of 4"));
    fs::write(at("b.1-of-1.npy"), "no array").expect("written");
    merge("b.npy").stderr(contains("b.1-of-1.npy"));
    assert!(!at("a.csv").exists() && !at("b.npy").exists());
    for (shard, complaint) in [
        ("0/3", "expected a part from 1 to 3, found 0"),
        ("auto", "no scheduler says which task this is"),
        ("2000/2000", "shard 2000 of 2000: no samples"),
    ] {
        let mut encode = vae_gpu(&["encode", "nowhere", "--shard", shard]);
        let refused = encode.assert().failure();
        if shard != "2000/2000" {
            refused.code(2).stderr(contains(complaint));
        }
    }
}

#[test]
fn a_job_that_is_started_again_goes_on() {
    let parent = folder();
    let run = parent.path().join("run");
    let job = |more: &[&str]| {
        let mut job = vae_gpu(&[
            "train",
            "--backend",
            "cpu",
            "--hidden",
            "8",
            "--lr",
            "0.002",
        ]);
        job.args(more).arg("--resume-or-start").arg(&run);
        job
    };
    job(&["--epochs", "1"]).assert().success();
    job(&["--epochs", "3"])
        .assert()
        .success()
        .stderr(contains("epoch 2"));
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
    assert_eq!(metrics.matches("validation").count(), 3);
    // Once more there is nothing to do.
    job(&["--epochs", "3"]).assert().success();
    job(&["--epochs", "3", "--latent", "5"])
        .assert()
        .code(1)
        .stderr(
            contains("was started with other settings: latent from 2 to 5")
                .and(contains("choose another folder")),
        );
}

/// With HyperQueue, where its Python package is.
#[test]
fn the_tasks_of_a_job_encode_what_one_process_does() {
    let Some(python) = python("hyperqueue") else {
        return;
    };
    let parent = folder();
    let run = run(parent.path());
    let output = Command::new(python)
        .arg("tests/python/job_array.py")
        .arg(assert_cmd::cargo::cargo_bin!("vae-gpu"))
        .args([&run, "4"])
        .arg(parent.path().join("latents.csv"))
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let at = |name: &str| parent.path().join(name);
    vae_gpu(&["data", "merge"])
        .arg(at("latents.csv"))
        .assert()
        .success();
    let mut whole = vae_gpu(&["encode", &run, "--backend", "cpu", "--out"]);
    whole.arg(at("whole.csv")).assert().success();
    let [merged, whole] = ["latents.csv", "whole.csv"].map(|name| fs::read(at(name)));
    assert!(merged.expect("merged") == whole.expect("written"));
}
