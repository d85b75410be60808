//! Error messages for invalid input.

use std::fs;
use std::path::Path;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::common::program::{folder, train_tiny, vae_gpu};

#[test]
fn wrong_flag_values_are_wrong_usage() {
    for (arguments, complaint) in [
        (
            &["--backend", "cuda"][..],
            "possible values: auto, wgpu, vulkan, metal, dx12, cpu, ndarray",
        ),
        (&["--preset", "resnet"], "possible values: article, pytorch"),
        (&["--optimizer", "lion"], "possible values: rmsprop, adam"),
        (&["--engine", "fast"], "possible values: auto, burn, fused"),
        (&["--activation", "swish"], "possible values: relu, tanh"),
        (
            &["--binarize", "yes"],
            "possible values: none, threshold, static, dynamic",
        ),
        (&["--epochs", "0"], "0 is not in 1.."),
        (&["--batch-size", "0"], "0 is not in 1.."),
        (&["--latent", "two"], "invalid digit"),
        (&["--hidden", "256,0"], "0 is not in 1.."),
        (&["--lr", "fast"], "invalid float"),
        (&["--seed", "1.5"], "invalid digit"),
        (&["--epoch", "1"], "unexpected argument"),
    ] {
        vae_gpu(&["train"])
            .args(arguments)
            .assert()
            .code(2)
            .stderr(contains(complaint));
    }
    vae_gpu(&[]).assert().code(2);
    vae_gpu(&["sample"])
        .assert()
        .code(2)
        .stderr(contains("<RUN>"));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (arguments, complaint) in [
        (
            ["--sigma", "0.5"],
            "sigma: expected none without a likelihood of a width: gaussian, laplace, discretized-logistic or negative-binomial, found 0.5",
        ),
        (
            ["--momentum", "0.5"],
            "momentum: expected none without optimizer sgd, found 0.5",
        ),
        (
            ["--lr", "1e-50"],
            "lr: expected a number above 0, found 0.0000",
        ),
        (
            ["--clip-norm", "0"],
            "clip_norm: expected a number above 0, found 0",
        ),
        (["--lr", "-1"], "lr: expected a number above 0, found -1"),
        (["--lr", "nan"], "lr: expected a number above 0, found NaN"),
        (
            ["--beta", "inf"],
            "beta: expected a number of at least 0, found inf",
        ),
    ] {
        vae_gpu(&["train", &format!("{}={}", arguments[0], arguments[1])])
            .assert()
            .code(1)
            .stderr(contains(complaint));
    }
    let parent = folder();
    let config = |text: &str| {
        let file = parent.path().join("c.toml");
        fs::write(&file, text).expect("writable");
        vae_gpu(&["train", "--config"]).arg(file).assert().code(1)
    };
    config("latents = 2")
        .stderr(contains("c.toml: not a valid config").and(contains("unknown field `latents`")));
    config("latent = \"two\"").stderr(contains("invalid type"));
    config("image = [32, 32]").stderr(contains(
        "image: expected 32 x 32 as the config says, found 28 x 28",
    ));
    vae_gpu(&["train", "--config", "nowhere.toml"])
        .assert()
        .code(1)
        .stderr(contains("nowhere.toml: cannot be read"));
}

#[test]
fn missing_truncated_and_swapped_data_files_are_named() {
    const FILES: [&str; 4] = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ];
    let parent = folder();
    let data = parent.path().join("data");
    let complaint = |text: &str| {
        let run = parent.path().join("run");
        train_tiny(&run)
            .arg("--data")
            .arg(&data)
            .assert()
            .code(1)
            .stderr(contains(text));
        assert!(
            !run.exists(),
            "nothing is written for data that cannot be read"
        );
    };
    complaint("no data at");
    let mut labels = vae_gpu(&["data", "info", "digits.npy", "--labels", "nowhere.npy"]);
    let convert = vae_gpu(&["data", "convert", "digits", "--out", "digits.npy"])
        .current_dir(parent.path())
        .assert();
    convert.success();
    labels
        .current_dir(parent.path())
        .assert()
        .code(1)
        .stderr(contains("nowhere.npy: there is no such file").and(contains("download").not()));
    fs::create_dir(&data).expect("writable");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/digits");
    let restore = || {
        for file in FILES {
            fs::copy(
                built_in.join(format!("{file}.gz")),
                data.join(format!("{file}.gz")),
            )
            .expect("writable");
        }
    };
    restore();
    fs::remove_file(data.join("t10k-images-idx3-ubyte.gz")).expect("there");
    complaint("neither `t10k-images-idx3-ubyte` nor `t10k-images-idx3-ubyte.gz` is there");

    restore();
    let labels = data.join("train-labels-idx1-ubyte.gz");
    fs::copy(built_in.join("t10k-labels-idx1-ubyte.gz"), &labels).expect("writable");
    complaint("number of labels: expected 9000, as many as there are images");
    fs::copy(built_in.join("train-images-idx3-ubyte.gz"), &labels).expect("writable");
    complaint("number of dimensions: expected 1, found 3");

    restore();
    let images = data.join("train-images-idx3-ubyte.gz");
    let whole = fs::read(&images).expect("there");
    fs::write(&images, &whole[..whole.len() / 2]).expect("writable");
    complaint("train-images-idx3-ubyte.gz: cannot be read");
    fs::write(&images, b"").expect("writable");
    complaint("expected 16 bytes, found a file of 0 bytes");
    fs::write(&images, b"<html>404</html> not found").expect("writable");
    complaint("magic number: expected two zero bytes, found 3c 68");
}

#[test]
fn a_loss_that_is_no_longer_a_number_stops_the_run_and_keeps_what_was_there() {
    let parent = folder();
    for backend in ["cpu", "ndarray"] {
        let run = parent.path().join(backend);
        vae_gpu(&[
            "train",
            "--backend",
            backend,
            "--hidden",
            "8",
            "--lr",
            "1e30",
            "--out",
        ])
        .arg(&run)
        .assert()
        .code(1)
        .stderr(
            contains("epoch 1, step 2: the loss is")
                .and(contains("first number that is not finite: `mu"))
                .and(contains("in that batch: training images "))
                .and(contains("the posterior overflows: a lower --lr"))
                .and(contains("the last good checkpoint")),
        );
        let grid = parent.path().join("grid.png");
        vae_gpu(&["sample", "--backend", backend, "--force"])
            .arg(&run)
            .arg("--out")
            .arg(&grid)
            .assert()
            .success();
    }
}

#[test]
fn an_output_folder_that_cannot_be_used_is_found_before_training() {
    let parent = folder();
    let file = parent.path().join("file");
    fs::write(&file, "").expect("writable");
    train_tiny(&file.join("run"))
        .assert()
        .code(1)
        .stderr(contains("cannot be written").and(contains("epoch").not()));

    let run = parent.path().join("run");
    train_tiny(&run).assert().success();
    train_tiny(&run)
        .assert()
        .code(1)
        .stderr(contains("already holds a run"));
    let grid = file.join("grid.png");
    vae_gpu(&["sample", "--backend", "ndarray"])
        .arg(&run)
        .arg("--out")
        .arg(&grid)
        .assert()
        .code(1)
        .stderr(contains("grid.png"));
}

#[test]
fn what_is_no_run_folder_or_a_damaged_one_is_refused() {
    let parent = folder();
    let sample = || {
        let mut command = vae_gpu(&["sample", "--backend", "ndarray"]);
        command
            .arg(parent.path().join("run"))
            .current_dir(parent.path());
        command
    };
    sample()
        .assert()
        .code(1)
        .stderr(contains("config.toml is missing; expected a folder"));
    let run = parent.path().join("run");
    train_tiny(&run).assert().success();
    let model = run.join("model.safetensors");
    let whole = fs::read(&model).expect("there");
    fs::write(&model, &whole[..100]).expect("writable");
    sample().assert().code(1).stderr(contains(
        "model.safetensors: not a safetensors file, or a truncated one",
    ));
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&model, nan).expect("writable");
    sample()
        .assert()
        .code(1)
        .stderr(contains("weights must be finite"));
    fs::write(&model, whole).expect("writable");
    let config = fs::read_to_string(run.join("config.toml"))
        .expect("there")
        .replace("latent = 2", "latent = 3");
    fs::write(run.join("config.toml"), config).expect("writable");
    sample()
        .assert()
        .code(1)
        .stderr(contains("expected shape [8, 3], found [8, 2]"));
    assert!(!parent.path().join("samples.png").exists());
}
