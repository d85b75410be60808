//! `eval`: its text, its JSON and its table say the same, and what it says is that of other commands.

use std::fs;
use std::path::{Path, PathBuf};

use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;
use vae_data::npy::{self, NpyArrayRef};

use crate::common::program::{folder, vae_gpu};

/// A small trained model of the digits, with `options`.
fn model(options: &[&str]) -> (TempDir, PathBuf) {
    let parent = folder();
    let run = parent.path().join("run");
    let mut command = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "32",
        "--latent",
        "3",
    ]);
    command.args(["--epochs", "3", "--optimizer", "adam"]);
    command.args(options).arg("--out").arg(&run);
    command.assert().success();
    (parent, run)
}

fn eval(run: &Path, options: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = vae_gpu(&["eval", "--backend", "cpu", "--force"]);
    command.arg(run).args(options).assert()
}

fn stdout(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("text")
}

fn json(run: &Path, options: &[&str]) -> Value {
    let assert = eval(run, &[&["--json"], options].concat()).success();
    serde_json::from_str(&stdout(&assert)).expect("JSON")
}

fn number(value: &Value, path: &str) -> f64 {
    let found = value.pointer(path).and_then(Value::as_f64);
    found.expect(path)
}

/// The columns of a table by name, as numbers.
fn column(text: &str, name: &str) -> Vec<f64> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let place = header.iter().position(|found| *found == name).expect(name);
    let numbers = lines.map(|line| line[place].parse::<f64>());
    numbers.collect::<Result<_, _>>().expect("numbers")
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn text_json_and_table_agree_with_each_other_and_with_score() {
    let (parent, run) = model(&[]);
    let table = parent.path().join("samples.csv");
    let options = ["--k", "23", "--per-sample", table.to_str().expect("a path")];
    let text = stdout(&eval(&run, &options).success());
    let found = json(&run, &["--k", "23"]);
    let table = fs::read_to_string(table).expect("written");
    let [elbo, nll, mse] = ["elbo", "nll", "mse"].map(|name| mean(&column(&table, name)));
    assert_eq!(column(&table, "id").len(), 1000);
    assert!((number(&found, "/negative_elbo/mean") + elbo).abs() < 1e-9);
    assert!((number(&found, "/nll/2/nats/mean") - nll).abs() < 1e-9);
    assert!((number(&found, "/reconstruction/mse") - mse).abs() < 1e-9);
    let counts = found["nll"].as_array().expect("a list");
    let counts: Vec<_> = counts
        .iter()
        .map(|of| of["importance_samples"].as_u64())
        .collect();
    assert_eq!(counts, [Some(1), Some(10), Some(23)]);
    assert!(
        text.contains(&format!("NLL, k = 23     {nll:.2} +- ")),
        "{text}"
    );
    assert!(
        text.contains("pixels drawn once") || text.contains("values as they are"),
        "{text}"
    );

    // The same draws as `score` makes.
    let scores = parent.path().join("scores.csv");
    let mut command = vae_gpu(&["score", "--backend", "cpu", "--importance-samples", "23"]);
    command
        .arg(&run)
        .arg("--out")
        .arg(&scores)
        .assert()
        .success();
    let scores = fs::read_to_string(scores).expect("written");
    assert_eq!(column(&scores, "nll"), column(&table, "nll"));
    assert_eq!(column(&scores, "elbo"), column(&table, "elbo"));

    // What a trained model of three latents and ten classes can be expected to do.
    assert!(number(&found, "/labels/knn_accuracy") > 0.4);
    assert!(number(&found, "/labels/linear_accuracy") > 0.3);
    let bits = number(&found, "/nll/2/bits_per_dimension");
    assert!((bits - nll / 2f64.ln() / 784.0).abs() < 1e-9);
    assert!(number(&found, "/reconstruction/ssim") > 0.2);
    assert_eq!(json(&run, &["--k", "23"]), found);
}

#[test]
fn every_prior_is_evaluated_and_the_cpu_and_burn_agree() {
    for prior in ["mixture:3", "vamp:5"] {
        let (_parent, run) = model(&["--prior", prior]);
        let [fused, burn] = ["cpu", "ndarray"].map(|backend| {
            let mut command = vae_gpu(&["eval", "--json", "--k", "12", "--backend", backend]);
            let assert = command.arg(&run).assert().success();
            let found: Value = serde_json::from_str(&stdout(&assert)).expect("JSON");
            ["/negative_elbo/mean", "/nll/2/nats/mean"].map(|path| number(&found, path))
        });
        for (fused, burn) in fused.into_iter().zip(burn) {
            assert!((fused - burn).abs() < 1e-3, "{prior}: {fused}, {burn}");
        }
        assert!(fused[1] < fused[0], "{prior}: {fused:?}");
    }
}

#[test]
fn tables_have_no_structural_similarity_and_no_labels_are_no_fault() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    let rows = (0..60).map(|i| format!("{},{},{}\n", i % 7, i % 5, 0.5 * f64::from(i)));
    let table: String = ["a,b,c\n".to_owned()].into_iter().chain(rows).collect();
    fs::write(at("t.csv"), table).expect("written");
    let mut train = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--epochs",
        "1",
        "--hidden",
        "8",
    ]);
    train.args([
        "--likelihood",
        "gaussian",
        "--scale",
        "standardize",
        "--latent",
        "2",
    ]);
    train
        .arg("--data")
        .arg(at("t.csv"))
        .arg("--out")
        .arg(at("run"));
    train.assert().success();
    let found = json(&at("run"), &["--k", "5"]);
    assert!(found["labels"].is_null() && found["reconstruction"]["ssim"].is_null());
    assert!(number(&found, "/reconstruction/mse") > 0.0);
}

#[test]
fn factors_are_read_and_others_are_refused() {
    let (parent, run) = model(&[]);
    let at = |name: &str| parent.path().join(name);
    let labels: Vec<i64> = (0..1000).map(|i| i % 10).collect();
    let halves: Vec<i64> = labels.iter().flat_map(|&i| [i / 5, i % 5]).collect();
    let array = [("latents_classes", NpyArrayRef::I64(&[1000, 2], &halves))];
    let mut bytes = std::io::Cursor::new(Vec::new());
    npy::write_npz(&mut bytes, &array).expect("written");
    fs::write(at("factors.npz"), bytes.into_inner()).expect("written");
    let file = at("factors.npz");
    let option = ["--k", "1", "--factors", file.to_str().expect("a path")];
    let found = json(&run, &option);
    for measure in [
        "mig",
        "sap",
        "disentanglement",
        "completeness",
        "informativeness",
    ] {
        let value = number(&found, &format!("/factors/{measure}"));
        assert!((-1.0..=1.0).contains(&value), "{measure}: {value}");
    }
    eval(&run, &option)
        .success()
        .stdout(contains("DCI disentanglement"));

    fs::write(at("few.csv"), "shape\n1\n2\n").expect("written");
    fs::write(at("words.csv"), "shape\n1\nround\n").expect("written");
    for (file, expected) in [
        ("few.csv", "expected 1000, one for each evaluated sample"),
        ("words.csv", "line 3"),
        ("none.npy", "none.npy"),
    ] {
        let file = at(file);
        let option = ["--factors", file.to_str().expect("a path")];
        eval(&run, &option).failure().stderr(contains(expected));
    }
    let both = ["--json", "--per-sample", "-"];
    eval(&run, &both).failure().stderr(contains("name a file"));
}
