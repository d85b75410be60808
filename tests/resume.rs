//! Runs that are interrupted at any moment and in any way, and resumed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use vae_rng::{Generator, Stream};

use crate::common::program::{folder, vae_gpu};

/// A run of about a second with every kind of state: shuffling, noise, corruption, binarization, moments, clipping, an average
/// of the weights, a schedule that depends on the losses, a split of the data.
const SETTINGS: [&str; 33] = [
    "--backend",
    "cpu",
    "--hidden",
    "24",
    "--latent",
    "3",
    "--batch-size",
    "47",
    "--epochs",
    "4",
    "--optimizer",
    "adam",
    "--clip-norm",
    "50",
    "--ema",
    "0.9",
    "--lr-schedule",
    "plateau:0.5:1",
    "--kl-schedule",
    "linear:2",
    "--accumulate",
    "2",
    "--binarize",
    "dynamic",
    "--corrupt",
    "gaussian:0.2",
    "--val-fraction",
    "0.2",
    "--seed",
    "9",
    "--checkpoint-steps",
    "3",
    "--offline",
];

fn train(run: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vae-gpu"));
    command.arg("train").args(SETTINGS).arg("--out").arg(run);
    command
}

fn resume(run: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vae-gpu"));
    command.arg("train").arg("--resume").arg(run);
    command
}

/// Results that must be equal between finished runs: each epoch's number and losses, and the weights.
pub(crate) fn outcome(run: &Path) -> (Vec<serde_json::Value>, [Vec<u8>; 2]) {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
    let lines = metrics
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let epochs = lines.filter(|line: &serde_json::Value| line.get("validation").is_some());
    let losses = epochs.map(|mut line| {
        line.as_object_mut()
            .expect("an object")
            .remove("images_per_second");
        line
    });
    let weights = ["model.safetensors", "last.safetensors"];
    (
        losses.collect(),
        weights.map(|name| fs::read(run.join(name)).expect("written")),
    )
}

fn finish(mut command: Command) {
    let output = command.output().expect("started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_at_random_moments_goes_on_to_the_same_bits() {
    let parent = folder();
    let whole = parent.path().join("whole");
    let start = Instant::now();
    finish(train(&whole));
    let takes = start.elapsed();
    let expected = outcome(&whole);
    assert_eq!(expected.0.len(), 4);

    let mut moments = Generator::new(1, Stream::Shuffle)
        .uniforms(0, 0, 1, 10_000)
        .into_iter();
    let most = crate::kills::kills();
    let (mut kills, mut kills_with_progress, mut runs) = (0, 0, 0);
    while kills < most {
        runs += 1;
        let run = parent.path().join(format!("run-{runs}"));
        let mut is_finished = false;
        while !is_finished {
            // A folder without a config is not yet a run, and a run can be started in it again.
            let is_run = run.join("config.toml").exists();
            let mut command = if is_run { resume(&run) } else { train(&run) };
            if kills == most {
                finish(command);
                break;
            }
            let moment = moments.next().expect("enough");
            let mut child = command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("started");
            // Waits for the clock, because it stops at a random moment.
            thread::sleep(Duration::from_secs_f64(
                takes.as_secs_f64() * f64::from(moment),
            ));
            crate::kills::stop(&child, kills);
            let status = child.wait().expect("its end");
            is_finished = status.success();
            kills += usize::from(!is_finished);
            kills_with_progress +=
                usize::from(!is_finished && run.join("state.safetensors").exists());
            if is_run && !is_finished {
                let loads = vae_gpu(&["encode", "--backend", "cpu", "--out", "-"])
                    .arg(&run)
                    .ok();
                assert!(loads.is_ok(), "a killed run loads: {loads:?}");
            }
        }
        assert!(outcome(&run) == expected, "run {runs} after {kills} kills");
        let files = fs::read_dir(&run).expect("a folder");
        let names = files.map(|file| {
            file.expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        });
        let names: Vec<String> = names.collect();
        assert!(names.iter().any(|name| name == "loss.png"), "{names:?}");
    }
    assert!(
        4 * kills_with_progress >= most,
        "{kills_with_progress} of {kills} kills met a run"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_inside_an_epoch_saves_the_very_step() {
    use std::io::{BufRead, BufReader};
    let parent = folder();
    let [whole, run] = ["whole", "run"].map(|name| parent.path().join(name));
    finish(train(&whole));
    let mut child = train(&run)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    lines
        .find(|line| line.as_ref().expect("UTF-8").starts_with("epoch   1"))
        .expect("a first epoch")
        .expect("UTF-8");
    let id = child.id().to_string();
    let sent = Command::new("kill")
        .args(["-INT", &id])
        .status()
        .expect("kill");
    assert!(sent.success());
    let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
    assert_eq!(child.wait().expect("its end").code(), Some(130), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.contains("--resume")),
        "{rest:?}"
    );
    let output = resume(&run).output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("resume: at epoch"),
        "{said}"
    );
    assert!(outcome(&run) == outcome(&whole));
}

#[test]
fn more_epochs_are_those_of_a_run_that_was_meant_to_be_longer() {
    let parent = folder();
    let [long, short] = ["long", "short"].map(|name| parent.path().join(name));
    finish(train(&long));
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vae-gpu"));
    let settings = SETTINGS.map(|setting| if setting == "4" { "1" } else { setting });
    command.arg("train").args(settings).arg("--out").arg(&short);
    finish(command);
    // Nothing is left to do, and the message says how to train more.
    let output = resume(&short).output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("--epochs N"),
        "{said}"
    );
    for more in ["1", "2"] {
        let mut command = resume(&short);
        command.args(["--epochs", more]);
        finish(command);
    }
    assert!(outcome(&short) == outcome(&long));
    // The extended run also has the config of the long one.
    let configs =
        [&short, &long].map(|run| fs::read_to_string(run.join("config.toml")).expect("written"));
    assert_eq!(configs[0], configs[1]);
}

#[test]
fn what_a_run_depends_on_may_not_change_under_it() {
    let parent = folder();
    let run = parent.path().join("run");
    let data = parent.path().join("data.npz");
    vae_gpu(&["data", "convert", "digits", "--out"])
        .arg(&data)
        .assert()
        .success();
    let train_on_data = || {
        let mut command = vae_gpu(&[
            "train",
            "--backend",
            "cpu",
            "--hidden",
            "4",
            "--epochs",
            "1",
            "--batch-size",
            "500",
        ]);
        command.arg("--data").arg(&data).arg("--out").arg(&run);
        command
    };
    train_on_data().assert().success();
    let resumed = || {
        vae_gpu(&["train", "--epochs", "1", "--resume"])
            .arg(&run)
            .assert()
    };

    let config = fs::read_to_string(run.join("config.toml")).expect("written");
    let edited = config
        .replace("lr = 0.001", "lr = 0.002")
        .replace("hidden = [4]", "hidden = [5]");
    fs::write(run.join("config.toml"), edited).expect("writable");
    resumed().code(1).stderr(
        contains("config.toml was changed since the checkpoint")
            .and(contains("lr from 0.001 to 0.002"))
            .and(contains("hidden from [4] to [5]")),
    );
    fs::write(run.join("config.toml"), config).expect("writable");

    let other = parent.path().join("data-test.npz");
    let kept = parent.path().join("kept.npz");
    fs::rename(&data, &kept).expect("there");
    fs::copy(&other, &data).expect("there");
    resumed()
        .code(1)
        .stderr(contains("the data have changed").and(contains("fingerprint")));
    // The same data under another name are accepted.
    vae_gpu(&["train", "--epochs", "1", "--resume"])
        .arg(&run)
        .arg("--data")
        .arg(&kept)
        .assert()
        .success();

    for flag in [
        ["--lr", "0.1"],
        ["--latent", "3"],
        ["--binarize", "static"],
        ["--size", "28x28"],
    ] {
        vae_gpu(&["train", "--resume"])
            .arg(&run)
            .args(flag)
            .assert()
            .code(2)
            .stderr(contains("cannot be used with"));
    }
    vae_gpu(&["train", "--resume"])
        .arg(parent.path().join("nowhere"))
        .assert()
        .code(1)
        .stderr(contains("config.toml is missing"));
    train_on_data()
        .assert()
        .code(1)
        .stderr(contains("--resume"));
}

#[test]
fn a_resumed_run_reads_all_that_it_wrote() {
    let parent = folder();
    let run = parent.path().join("run");
    let trained = train(&run).status().expect("started");
    assert!(trained.success());
    let output = resume(&run).args(["--epochs", "1"]).output();
    let output = output.expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("resume: at epoch 5 of 5"), "{said}");
    assert!(!said.contains("cannot be read"), "{said}");
}

#[test]
fn a_run_that_is_killed_between_the_files_of_its_last_checkpoint_ends_with_all_of_them() {
    let parent = folder();
    let run = parent.path().join("run");
    finish(train(&run));
    let files = ["last.safetensors", "manifest.json"].map(|name| run.join(name));
    let read = || {
        files
            .each_ref()
            .map(|file| fs::read(file).expect("written"))
    };
    let earlier = read();
    let mut longer = resume(&run);
    longer.args(["--epochs", "1"]);
    finish(longer);
    let expected = (outcome(&run), read());
    assert!(expected.1[0] != earlier[0] && expected.1[1] != earlier[1]);
    // The state is written first; a kill leaves the others as they were.
    for (file, bytes) in files.iter().zip(&earlier) {
        fs::write(file, bytes).expect("writable");
    }
    finish(resume(&run));
    assert!(outcome(&run) == expected.0);
    let manifest = |bytes: &[u8]| -> serde_json::Value {
        let mut manifest: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        let fields = manifest.as_object_mut().expect("an object");
        fields.remove("seconds").expect("a time");
        manifest
    };
    assert_eq!(manifest(&read()[1]), manifest(&expected.1[1]));
}
