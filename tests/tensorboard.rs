//! Event files, as TensorBoard itself reads them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::program::{folder, vae_gpu};
use crate::verbs::python;

#[test]
fn tensorboard_reads_scalars_histograms_pictures_and_settings_of_a_run_that_was_resumed() {
    let Some(python) = python("tensorboard") else {
        return;
    };
    let parent = folder();
    let run = parent.path().join("run");
    let train = |options: &[&str]| {
        let mut command = vae_gpu(&["train", "--quiet"]);
        command.args(options).arg(&run).assert().success();
    };
    train(&[
        "--backend",
        "cpu",
        "--hidden",
        "8",
        "--epochs",
        "2",
        "--tensorboard",
        "--out",
    ]);
    train(&["--epochs", "1", "--resume"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_tensorboard.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&run)
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("written");
    let lines = metrics
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let epochs: Vec<Value> = lines
        .filter(|line: &Value| line["kind"] == "epoch")
        .collect();
    assert_eq!(epochs.len(), 3);
    let losses = found["scalars"]["validation/loss"]
        .as_array()
        .expect("a curve");
    assert_eq!(losses.len(), 3, "{losses:?}");
    for (index, (point, epoch)) in losses.iter().zip(&epochs).enumerate() {
        assert_eq!(point[0], 90 * (index + 1));
        let [found, expected] = [&point[1], &epoch["validation"]["loss"]];
        let [found, expected] = [found, expected].map(|loss| loss.as_f64().expect("a number"));
        assert!(
            (found - expected).abs() < 1e-6 * expected,
            "{found} {expected}"
        );
    }
    assert_eq!(
        found["histograms"]["latents/mu_2"],
        serde_json::json!([1000.0, 1000.0, 1000.0])
    );
    assert_eq!(
        found["images"]["manifold"][0],
        serde_json::json!([840, 840])
    );
    assert_eq!(found["latent"], 2.0);
    assert_eq!(found["optimizer"], "rmsprop");
}
