//! What is asked of data other than those trained on, what is done to them, and what is said of those that teach little.

use std::fs::{self, File};
use std::path::Path;

use vae_data::npy::{self, NpyArrayRef};

use crate::common::program::{folder, vae_gpu};

/// Trains a small model on `data`; what it said, and whether it succeeded.
fn train(run: &Path, data: &Path, options: &[&str]) -> (String, bool) {
    let mut command = vae_gpu(&["train", "--backend", "cpu", "--hidden", "4"]);
    command.args(["--epochs", "1", "--batch-size", "10", "--data"]);
    command.arg(data).args(options).arg("--out").arg(run);
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, output.status.success())
}

/// Scores `data` with `run`; what was said, and the lines of the table.
fn score(run: &Path, data: &Path, options: &[&str]) -> (String, usize) {
    let out = data.with_extension("scores.csv");
    let _ = fs::remove_file(&out);
    let mut command = vae_gpu(&["score", "--backend", "cpu", "--data"]);
    command
        .arg(data)
        .arg(run)
        .args(options)
        .arg("--out")
        .arg(&out);
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        said,
        fs::read_to_string(out).map_or(0, |table| table.lines().count()),
    )
}

#[test]
fn what_the_training_data_had_is_not_demanded_of_other_data() {
    let parent = folder();
    let path = |name: &str| parent.path().join(name);
    let table = |name: &str, label: bool| {
        let line = |row: usize| {
            let label = if label {
                format!("{},", row % 2)
            } else {
                String::new()
            };
            format!("{label}{},{}\n", row % 7, row % 3)
        };
        let header = if label { "kind,a,b\n" } else { "a,b\n" };
        fs::write(
            path(name),
            header.to_owned() + &(0..40).map(line).collect::<String>(),
        )
        .expect("writable");
    };
    table("train.csv", true);
    table("test.csv", false);
    let options = ["--labels", "kind", "--scale", "min-max"];
    let test = path("test.csv");
    let val = ["--val-data", test.to_str().expect("UTF-8")];
    let (said, is_done) = train(
        &path("plain"),
        &path("train.csv"),
        &[&options[..], &val].concat(),
    );
    assert!(is_done, "{said}");
    assert_eq!(score(&path("plain"), &test, &[]).1, 41);
    // Said out loud it is.
    let (said, lines) = score(&path("plain"), &test, &["--labels", "kind"]);
    assert!(lines == 0 && said.contains("`kind`"), "{said}");

    let (said, is_done) = train(
        &path("told"),
        &path("train.csv"),
        &[&options[..], &["--conditional"]].concat(),
    );
    assert!(is_done, "{said}");
    let (said, lines) = score(&path("told"), &test, &[]);
    assert!(
        lines == 0 && said.contains("a label for each sample"),
        "{said}"
    );
    assert_eq!(score(&path("told"), &test, &["--label", "1"]).1, 41);

    let arrays = |name: &str, array: &str| {
        let pixels: Vec<u8> = (0..160).map(|at| (at * 7 % 256) as u8).collect();
        let file = File::create(path(name)).expect("writable");
        npy::write_npz(file, &[(array, NpyArrayRef::U8(&[40, 2, 2], &pixels))]).expect("writable");
    };
    arrays("train.npz", "frames");
    arrays("new.npz", "x");
    let (said, is_done) = train(&path("frames"), &path("train.npz"), &["--array", "frames"]);
    assert!(is_done, "{said}");
    let (said, lines) = score(&path("frames"), &path("new.npz"), &[]);
    assert_eq!(lines, 41, "{said}");
    let (said, lines) = score(&path("frames"), &path("new.npz"), &["--array", "frames"]);
    assert!(
        lines == 0 && said.contains("`frames`, as --array says"),
        "{said}"
    );
}

#[test]
fn min_max_clips_what_lies_outside_the_training_samples_and_says_so() {
    let parent = folder();
    let table = |name: &str, largest: usize| {
        let path = parent.path().join(name);
        let rows = (0..60)
            .map(|row| format!("{},{}\n", row % 7, if row == 5 { largest } else { row % 3 }));
        fs::write(&path, format!("a,b\n{}", rows.collect::<String>())).expect("writable");
        path
    };
    let [train_data, other] = [table("train.csv", 2), table("other.csv", 9)];
    let run = parent.path().join("run");
    let val = [
        "--scale",
        "min-max",
        "--val-data",
        other.to_str().expect("UTF-8"),
    ];
    let (said, is_done) = train(&run, &train_data, &val);
    assert!(
        is_done && said.contains("clipped: 1 of 60 samples"),
        "{said}"
    );
    let (said, lines) = score(&run, &other, &[]);
    assert!(
        lines == 61 && said.contains("clipped: 1 of 60 samples"),
        "{said}"
    );
    let (said, _) = score(&run, &train_data, &[]);
    assert!(!said.contains("clipped"), "{said}");
}

#[test]
fn a_table_learns_its_spread_and_a_model_that_generalizes_badly_gets_a_word() {
    let parent = folder();
    let data = parent.path().join("table.csv");
    let value = |row: usize, column: usize| (row * 31 + column * 17 + row * row * column * 7) % 97;
    let row = |row| {
        let cells: Vec<String> = (0..12)
            .map(|at| (value(row, at) as f64 / 97.0).to_string())
            .collect();
        cells.join(",") + "\n"
    };
    fs::write(&data, (0..60).map(row).collect::<String>()).expect("writable");
    let many = [
        "--likelihood",
        "gaussian",
        "--latent",
        "12",
        "--hidden",
        "128",
    ];
    let long = ["--epochs", "150", "--optimizer", "adam", "--lr", "0.003"];
    let trained = |name: &str, sigma: &[&str]| {
        let run = parent.path().join(name);
        let mut command = vae_gpu(&["train", "--backend", "cpu", "--batch-size", "18"]);
        command
            .args(many)
            .args(long)
            .args(sigma)
            .arg("--data")
            .arg(&data);
        let output = command.arg("--out").arg(&run).output().expect("started");
        let config = fs::read_to_string(run.join("config.toml")).expect("written");
        (String::from_utf8_lossy(&output.stderr).into_owned(), config)
    };
    let (said, config) = trained("learned", &[]);
    assert!(config.contains("sigma = \"learned\""), "{config}");
    assert!(!said.contains("far above the training loss"), "{said}");
    let (said, config) = trained("fixed", &["--sigma", "0.1"]);
    assert!(config.contains("sigma = 0.1"), "{config}");
    assert!(said.contains("far above the training loss"), "{said}");
}

#[test]
fn a_far_off_start_gets_a_word() {
    let parent = folder();
    let data = parent.path().join("table.csv");
    let rows = (0..200).map(|row| format!("{},{}\n", (row * 37) % 101, (row * 53) % 97));
    fs::write(&data, format!("a,b\n{}", rows.collect::<String>())).expect("writable");
    let options = ["--likelihood", "gaussian", "--scale", "standardize"];
    let (said, is_done) = train(
        &parent.path().join("fixed"),
        &data,
        &[&options[..], &["--sigma", "0.05"]].concat(),
    );
    assert!(
        is_done && said.contains("steep losses") && said.contains("--sigma learned"),
        "{said}"
    );
    // Values of 0 to 100 as they are: the first error is hundreds of sigmas.
    let far = [
        "--likelihood",
        "gaussian",
        "--scale",
        "none",
        "--sigma",
        "0.1",
    ];
    let fast = ["--optimizer", "adam", "--lr", "0.3"];
    let (said, is_done) = train(
        &parent.path().join("far"),
        &data,
        &[&far[..], &fast].concat(),
    );
    assert!(
        is_done && said.contains("a far-off start") && said.contains("a lower --lr than 0.3"),
        "{said}"
    );
    // Values as they are, 1e5 and more, with a learned spread: what was done is not advised.
    let raw = parent.path().join("raw.csv");
    let rows = (0..200).map(|row| format!("{},{}\n", 200_000 + row * 37, (row * 53) % 97));
    fs::write(&raw, format!("a,b\n{}", rows.collect::<String>())).expect("writable");
    let biased = ["--likelihood", "gaussian", "--output-bias", "data"];
    let (said, is_done) = train(&parent.path().join("raw"), &raw, &biased);
    let advice = "; --scale standardize or a lower --lr than 0.001 helps";
    assert!(
        is_done && said.contains("steep losses") && said.contains(advice),
        "{said}"
    );
    let (said, is_done) = train(
        &parent.path().join("learned"),
        &data,
        &[&options[..], &["--sigma", "learned"]].concat(),
    );
    assert!(
        is_done && !said.contains("steep losses") && !said.contains("far-off"),
        "{said}"
    );
}
