//! The real binary: the happy path, and what it says when it is handed nonsense.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use tempfile::TempDir;

pub(crate) fn vae_gpu(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("vae-gpu").expect("built");
    command.args(arguments);
    command
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Options that make a run of a second.
const TINY: [&str; 8] = [
    "--backend",
    "ndarray",
    "--hidden",
    "8",
    "--batch-size",
    "500",
    "--epochs",
    "1",
];

fn train_tiny(run: &Path) -> Command {
    let mut command = vae_gpu(&["train"]);
    command.args(TINY).arg("--out").arg(run);
    command
}

/// Width and height of a picture that is not all one colour.
fn picture(path: &Path) -> (u32, u32) {
    let image = image::open(path).expect("a picture").into_luma8();
    let first = image.get_pixel(0, 0);
    assert!(
        image.pixels().any(|pixel| pixel != first),
        "{} is blank",
        path.display()
    );
    image.dimensions()
}

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

    // 15 x 15 digits of 28 pixels, drawn twice as large.
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
    // An untrained decoder says one half everywhere: 784 ln 2 = 543 nats.
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
fn the_same_command_twice_leaves_the_same_weights() {
    let parent = folder();
    let weights = |name: &str| {
        let run = parent.path().join(name);
        train_tiny(&run).assert().success();
        fs::read(run.join("last.safetensors")).expect("written")
    };
    assert_eq!(weights("a"), weights("b"));
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
    .stdout(contains("# encoder.0.weight: 784 x 400").and(contains("# 637198 parameters")));
    assert!(!parent.path().join("runs").exists());
}

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
        vae_gpu(&["reconstruct", "--backend", "cpu"])
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
        vae_gpu(&["sample", "--backend", backend])
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

#[test]
fn devices_lists_the_cpu_and_what_auto_takes() {
    vae_gpu(&["devices"])
        .assert()
        .success()
        .stdout(contains("--backend cpu").and(contains("auto takes: ")));
}

/// The Vulkan loader finds no driver where this variable names no file.
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
            .any(|line| line.contains("what was learned is saved")),
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
