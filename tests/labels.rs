//! Labels: what is one, and which entry is not; splits of few samples by them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use vae_data::npy;

use crate::common::program::{folder, vae_gpu};

const COUNT: usize = 12;

/// Twelve images, each with its own number in its first pixel.
fn images(path: &Path) {
    let bytes: Vec<u8> = (0..COUNT)
        .flat_map(|image| [image as u8, 255, 0, 9])
        .collect();
    let mut file = File::create(path).expect("writable");
    npy::write_u8(&mut file, &[COUNT, 2, 2], &bytes).expect("writable");
}

fn labels(folder: &Path, descr: &str, shape: &[usize], bytes: &[u8]) -> PathBuf {
    let path = folder.join("labels.npy");
    fs::write(&path, [&npy::header_bytes(descr, shape), bytes].concat()).expect("writable");
    path
}

/// What `data info` said of the images with these labels, and whether it succeeded.
fn info(images: &Path, labels: &Path) -> (String, bool) {
    let mut command = vae_gpu(&["data", "info"]);
    command.arg(images).arg("--labels").arg(labels);
    let output = command.output().expect("started");
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.success(),
    )
}

fn bytes<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    values.flatten().collect()
}

#[test]
fn whole_numbers_and_texts_of_any_type_are_labels() {
    let parent = folder();
    let data = parent.path().join("images.npy");
    images(&data);
    let number = |entry: usize| entry as i64 % 3;
    let text = |entry: usize| *[b"cat", b"dog", b"emu"][entry % 3];
    let unicode = |entry: usize| text(entry).map(|byte| [byte, 0, 0, 0]).concat();
    let entries = || 0..COUNT;
    let unicode: Vec<u8> = entries().flat_map(unicode).collect();
    let numbers = "0: 4, 1: 4, 2: 4";
    let texts = "cat: 4, dog: 4, emu: 4";
    for (descr, shape, content, expected) in [
        (
            "<i8",
            &[COUNT, 1][..],
            bytes(entries().map(|n| number(n).to_le_bytes())),
            numbers,
        ),
        (
            "|u1",
            &[COUNT],
            bytes(entries().map(|n| [number(n) as u8])),
            numbers,
        ),
        (
            "<f4",
            &[COUNT],
            bytes(entries().map(|n| (number(n) as f32).to_le_bytes())),
            numbers,
        ),
        (
            "<f8",
            &[COUNT, 1],
            bytes(entries().map(|n| (number(n) as f64).to_le_bytes())),
            numbers,
        ),
        (
            "<i4",
            &[COUNT],
            bytes(entries().map(|n| (number(n) as i32 - 1).to_le_bytes())),
            "-1: 4, 0: 4, 1: 4",
        ),
        (
            "<i2",
            &[COUNT],
            bytes(entries().map(|n| (number(n) as i16 + 1).to_le_bytes())),
            "1: 4, 2: 4, 3: 4",
        ),
        ("|S3", &[COUNT], bytes(entries().map(text)), texts),
        ("<U3", &[COUNT, 1], unicode, texts),
    ] {
        let labels = labels(parent.path(), descr, shape, &content);
        let (said, is_read) = info(&data, &labels);
        assert!(
            is_read && said.contains(expected),
            "{descr} {shape:?}: {said}"
        );
    }
}

#[test]
fn what_is_no_label_is_named_by_its_entry() {
    let parent = folder();
    let data = parent.path().join("images.npy");
    images(&data);
    for (wrong, expected) in [
        (1.5, "1.5 in entry 7"),
        (f32::NAN, "NaN in entry 7"),
        (3e9, "3000000000 in entry 7"),
    ] {
        let content = bytes((0..COUNT).map(|n| if n == 7 { wrong } else { 1.0 }.to_le_bytes()));
        let (said, is_read) = info(&data, &labels(parent.path(), "<f4", &[COUNT], &content));
        assert!(!is_read && said.contains(expected), "{said}");
    }
    let one_hot = labels(parent.path(), "|u1", &[COUNT, 3], &[0; 3 * COUNT]);
    let (said, is_read) = info(&data, &one_hot);
    assert!(
        !is_read && said.contains("[n] or [n, 1]") && said.contains("[12, 3]"),
        "{said}"
    );
}

#[test]
fn a_quantity_is_no_class() {
    let parent = folder();
    let table = parent.path().join("table.csv");
    let train = |different: usize| {
        let rows = (0..100).map(|row| {
            format!(
                "{},{},{}\n",
                row % 7,
                row % 3,
                (row % different) as f64 + 0.5
            )
        });
        fs::write(&table, format!("a,b,target\n{}", rows.collect::<String>())).expect("writable");
        let mut command = vae_gpu(&[
            "train",
            "--backend",
            "cpu",
            "--hidden",
            "4",
            "--epochs",
            "1",
        ]);
        command.args([
            "--batch-size",
            "10",
            "--likelihood",
            "gaussian",
            "--scale",
            "standardize",
        ]);
        command.args(["--val-fraction", "0.5", "--conditional"]);
        command.args(["--labels", "target", "--data"]);
        let run = parent.path().join("run");
        let _ = fs::remove_dir_all(&run);
        let output = command
            .arg(&table)
            .arg("--out")
            .arg(run)
            .output()
            .expect("started");
        (
            String::from_utf8_lossy(&output.stderr).into_owned(),
            output.status.success(),
        )
    };
    let (said, succeeded) = train(25);
    assert!(
        !succeeded && said.contains("25 different numbers") && said.contains("a quantity"),
        "{said}"
    );
    let (said, succeeded) = train(4);
    assert!(succeeded, "halves of a few classes: {said}");
}

#[test]
fn a_split_that_leaves_a_side_empty_says_what_would_work() {
    let parent = folder();
    let table = parent.path().join("table.csv");
    let train = |rows: &str, options: &[&str]| {
        fs::write(&table, format!("a,b,kind\n{rows}")).expect("writable");
        let mut command = vae_gpu(&["train", "--backend", "cpu", "--likelihood", "gaussian"]);
        command.args([
            "--hidden",
            "4",
            "--epochs",
            "1",
            "--batch-size",
            "1",
            "--labels",
            "kind",
        ]);
        let run = parent.path().join("run");
        let _ = fs::remove_dir_all(&run);
        let output = command
            .arg("--data")
            .arg(&table)
            .args(options)
            .arg("--out")
            .arg(run)
            .output();
        let output = output.expect("started");
        (
            String::from_utf8_lossy(&output.stderr).into_owned(),
            output.status.success(),
        )
    };
    let (said, succeeded) = train("1,2,x\n", &[]);
    assert!(
        !succeeded && said.contains("1 sample,") && said.contains("--val-data"),
        "{said}"
    );
    let (said, succeeded) = train("1,2,x\n3,4,y\n", &[]);
    assert!(
        !succeeded && said.contains("each class has a single one"),
        "{said}"
    );
    let rows = "1,2,x\n3,4,x\n5,7,x\n";
    let (said, succeeded) = train(rows, &[]);
    assert!(
        !succeeded && said.contains("a fraction of 0.33 validates on one of 3"),
        "{said}"
    );
    let (said, succeeded) = train(rows, &["--val-fraction", "0.33"]);
    assert!(succeeded, "what was advised: {said}");
    let (said, succeeded) = train(rows, &["--val-fraction", "-0.1"]);
    assert!(!succeeded && said.contains("a fraction of -0.1"), "{said}");
}

#[test]
fn one_label_stands_for_all_images() {
    let parent = folder();
    let data = parent.path().join("images.npy");
    images(&data);
    let content = bytes((0..COUNT).map(|n| [n as u8 % 2]));
    let labels = labels(parent.path(), "|u1", &[COUNT], &content);
    let run = parent.path().join("run");
    let mut command = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "4",
        "--epochs",
        "2",
    ]);
    command.args([
        "--batch-size",
        "2",
        "--lr",
        "0.1",
        "--conditional",
        "--labels",
    ]);
    command.arg(&labels).arg("--data").arg(&data);
    command.arg("--out").arg(&run).assert().success();

    // The same images twice, told to be of one class and of the other.
    let encoded = |label: &[&str]| {
        let out = parent.path().join("latents.csv");
        let mut command = vae_gpu(&["encode", "--backend", "cpu", "--part", "train", "--force"]);
        command
            .arg("--data")
            .arg(&data)
            .arg(&run)
            .args(label)
            .arg("--out")
            .arg(&out);
        let output = command.output().expect("started");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let table = fs::read_to_string(out).expect("written");
        table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let [own, zero, one] = [&[][..], &["--label", "0"], &["--label", "1"]].map(encoded);
    for place in 0..COUNT {
        let same = [&zero, &one][place % 2];
        let other = [&one, &zero][place % 2];
        assert_eq!(own[place], same[place], "row {place}");
        assert_ne!(own[place], other[place], "row {place}");
    }
    for (verb, name, options) in [
        ("score", "out.csv", &[][..]),
        ("reconstruct", "out.npy", &[]),
        ("denoise", "out.npy", &["--corrupted"]),
    ] {
        let written = ["0", "1"].map(|label| {
            let out = parent.path().join(name);
            let mut command = vae_gpu(&[verb, "--backend", "cpu", "--label", label, "--force"]);
            command
                .arg("--out")
                .arg(&out)
                .arg(&run)
                .args(options)
                .assert()
                .success();
            fs::read(out).expect("written")
        });
        assert_ne!(written[0], written[1], "{verb}");
    }
    // A column for each class, or a square of one.
    let grid = |label: &[&str]| {
        let out = parent.path().join("grid.png");
        let mut command = vae_gpu(&["sample", "--backend", "cpu", "--count", "16", "--force"]);
        command
            .arg("--out")
            .arg(&out)
            .arg(&run)
            .args(label)
            .assert()
            .success();
        image::image_dimensions(out).expect("a picture")
    };
    let (width, height) = grid(&["--label", "1"]);
    assert_eq!(width, height);
    let (width, height) = grid(&[]);
    assert!(width < height, "two columns of eight: {width} x {height}");
    let mut command = vae_gpu(&[
        "score",
        "--backend",
        "cpu",
        "--label",
        "7",
        "--force",
        "--out",
    ]);
    let output = command
        .arg(parent.path().join("out.csv"))
        .arg(&run)
        .output();
    let said = String::from_utf8_lossy(&output.expect("started").stderr).into_owned();
    assert!(said.contains("expected one of 0, 1, found 7"), "{said}");
}

#[test]
fn info_says_where_the_first_bad_value_is_and_how_many_there_are() {
    let parent = folder();
    let path = parent.path().join("bad.npy");
    let values = (0..COUNT * 4).map(|at| if at == 18 || at > 45 { f32::NAN } else { 0.5 });
    let values: Vec<f32> = values.collect();
    let mut file = File::create(&path).expect("writable");
    npy::write_f32(&mut file, &[COUNT, 2, 2], &values).expect("writable");
    let (said, is_read) = crate::common::program::info(&path, &[]);
    let expected = "sample 4, value 2 (counted from 0): not a finite number, the first of 3";
    assert!(is_read && said.contains(expected), "{said}");
}

#[test]
fn the_class_is_the_first_of_the_eight_numbers_of_qmnist() {
    let parent = folder();
    let data = parent.path().join("images.npy");
    images(&data);
    let path = parent.path().join("qmnist-train-labels-idx2-int");
    let header = [0, 0, 0x0c, 2, 0, 0, 0, COUNT as u8, 0, 0, 0, 8];
    // Class, then the source of the digit: its partition, writer and so on.
    let rows = (0..COUNT as i32).flat_map(|row| [row % 3, 1, 100 + row, row, 7, 8, 9, 0]);
    let numbers: Vec<u8> = rows.flat_map(i32::to_be_bytes).collect();
    fs::write(&path, [&header[..], &numbers].concat()).expect("writable");
    let (said, is_good) = info(&data, &path);
    assert!(is_good, "{said}");
    assert!(said.contains("in 3 classes"), "{said}");
    assert!(said.contains("0: 4, 1: 4, 2: 4"), "{said}");
}
