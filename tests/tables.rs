//! Tables: their column names are part of a model, and what the program writes it reads back.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::program::{folder, vae_gpu};

const NAMES: [&str; 3] = ["mass", "length", "age"];

/// Sixty rows; `columns` are places in [`NAMES`], `header` what they are called.
fn table(path: &Path, header: Option<&[&str]>, columns: &[usize]) {
    let mut text = header.map_or(String::new(), |names| names.join(",") + "\n");
    for row in 0..60 {
        let values = [row % 5, 10 + row % 7, 100 - row % 11].map(|x| x as f64 / 2.0);
        let cells: Vec<String> = columns.iter().map(|&at| values[at].to_string()).collect();
        text += &(cells.join(",") + "\n");
    }
    fs::write(path, text).expect("writable");
}

/// A model of the table with all columns in order.
fn model(folder: &Path) -> (PathBuf, PathBuf) {
    let (data, run) = (folder.join("table.csv"), folder.join("run"));
    table(&data, Some(&NAMES), &[0, 1, 2]);
    let mut command = vae_gpu(&["train", "--backend", "cpu", "--hidden", "4"]);
    command.args([
        "--batch-size",
        "20",
        "--epochs",
        "2",
        "--scale",
        "standardize",
    ]);
    command
        .args(["--likelihood", "gaussian", "--data"])
        .arg(&data);
    command.arg("--out").arg(&run).assert().success();
    (data, run)
}

/// What `encode` writes for `data`, or what it says if it refuses.
fn encoded(run: &Path, data: &Path) -> Result<(String, String), String> {
    let out = data.with_extension("latents.csv");
    let output = vae_gpu(&["encode", "--backend", "cpu", "--part", "train", "--force"])
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(&out)
        .arg(run)
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    Ok((fs::read_to_string(out).expect("written"), said))
}

#[test]
fn columns_are_matched_by_name() {
    let parent = folder();
    let (data, run) = model(parent.path());
    let (expected, said) = encoded(&run, &data).expect("the same columns");
    assert!(!said.contains("put in the order"), "{said}");
    let other = parent.path().join("other.csv");

    table(&other, Some(&["age", "mass", "length"]), &[2, 0, 1]);
    let (found, said) = encoded(&run, &other).expect("another order");
    assert!(said.contains("columns: put in the order"), "{said}");
    assert_eq!(found, expected);
    // The same values under wrong names are other samples.
    table(&other, Some(&["age", "mass", "length"]), &[0, 1, 2]);
    let (wrong, _) = encoded(&run, &other).expect("another order");
    assert_ne!(wrong, expected);
    // Without names there is but their order.
    table(&other, None, &[0, 1, 2]);
    assert_eq!(encoded(&run, &other).expect("no names").0, expected);

    for (names, columns, said) in [
        (
            &["mass", "length", "years"][..],
            &[0, 1, 2][..],
            ["missing: `age`", "unknown: `years`"],
        ),
        (
            &["mass", "length"],
            &[0, 1],
            ["missing: `age`", "3 columns"],
        ),
        (
            &["mass", "length", "age", "x"],
            &[0, 1, 2, 2],
            ["unknown: `x`", "`mass`"],
        ),
        (
            &["mass", "length", "mass"],
            &[0, 1, 2],
            ["missing: `age`", "columns"],
        ),
    ] {
        table(&other, Some(names), columns);
        let refused = encoded(&run, &other).expect_err("other columns");
        assert!(said.iter().all(|part| refused.contains(part)), "{refused}");
    }
    table(&other, None, &[0, 1]);
    assert!(encoded(&run, &other).is_err());
}

#[test]
fn validation_data_are_matched_by_name_too() {
    let parent = folder();
    let (data, _) = model(parent.path());
    let other = parent.path().join("other.csv");
    table(&other, Some(&["age", "mass", "length"]), &[2, 0, 1]);
    let losses = ["table.csv", "other.csv"].map(|validation| {
        let run = parent.path().join(format!("run-{validation}"));
        let mut command = vae_gpu(&["train", "--backend", "cpu", "--hidden", "4"]);
        command.args([
            "--epochs",
            "1",
            "--likelihood",
            "gaussian",
            "--scale",
            "standardize",
        ]);
        command.arg("--data").arg(&data).arg("--val-data");
        command.arg(parent.path().join(validation));
        command.arg("--out").arg(&run).assert().success();
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
        let last = metrics.lines().last().expect("an epoch").to_owned();
        let validation = last.find("\"validation\"").expect("a loss");
        last[validation..].split('}').next().map(str::to_owned)
    });
    assert_eq!(losses[0], losses[1]);
}

#[test]
fn tables_that_a_model_writes_have_its_names() {
    let parent = folder();
    let (data, run) = model(parent.path());
    let latents = parent.path().join("latents.csv");
    vae_gpu(&["encode", "--backend", "cpu", "--data"])
        .arg(&data)
        .arg("--out")
        .arg(&latents)
        .arg(&run)
        .assert()
        .success();
    for (command, more) in [
        ("sample", None),
        ("reconstruct", None),
        ("decode", Some(&latents)),
    ] {
        let out = parent.path().join(format!("{command}.csv"));
        let mut command = vae_gpu(&[command, "--backend", "cpu"]);
        command.arg(&run).args(more).arg("--out").arg(&out);
        command.assert().success();
        let text = fs::read_to_string(&out).expect("written");
        assert_eq!(text.lines().next(), Some("mass,length,age"));
    }
}

/// `data info` without the lines that name the source.
fn info(path: &Path, options: &[&str]) -> String {
    let output = vae_gpu(&["data", "info"]).arg(path).args(options).output();
    let output = output.expect("started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text.lines().skip(1).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_written_is_read_back_equal() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    table(&at("named.csv"), Some(&NAMES), &[0, 1, 2]);
    table(&at("bare.csv"), None, &[0, 1, 2]);
    let mut text = String::from("mass,kind,length\n");
    for row in 0..60 {
        text += &format!("{}.5,{},{}.25\n", row % 5, ["b", "a"][row % 2], row % 7);
    }
    fs::write(at("labelled.csv"), text).expect("writable");
    for (source, labels) in [("named", None), ("bare", None), ("labelled", Some("kind"))] {
        let options = labels.map_or(vec![], |name| vec!["--labels", name]);
        let from = at(&format!("{source}.csv"));
        let expected = info(&from, &options);
        assert!(expected.contains("60"), "{expected}");
        for ending in ["csv", "tsv"] {
            let to = at(&format!("{source}-again.{ending}"));
            vae_gpu(&["data", "convert"])
                .arg(&from)
                .args(&options)
                .arg("--out")
                .arg(&to)
                .assert()
                .success();
            assert_eq!(info(&to, &options), expected, "{source}.{ending}");
        }
        if labels.is_none() {
            let to = at(&format!("{source}.npy"));
            vae_gpu(&["data", "convert"])
                .arg(&from)
                .arg("--out")
                .arg(&to)
                .assert()
                .success();
            // Through an array and back: the names are gone, the samples are not.
            let back = at(&format!("{source}-back.csv"));
            vae_gpu(&["data", "convert"])
                .arg(&to)
                .arg("--out")
                .arg(&back)
                .assert()
                .success();
            let sum = |info: &str| info.lines().last().map(str::to_owned);
            assert_eq!(sum(&info(&back, &[])), sum(&expected));
        }
    }
    // Ids come back under their own name, and in an array by that of NumPy's users.
    let rows = (0..60).map(|row| format!("{},cell-{row}é,{}.5\n", row % 7, row % 5));
    let text = "mass,barcode,length\n".to_owned() + &rows.collect::<String>();
    fs::write(at("cells.csv"), text).expect("writable");
    let by_name = ["--ids", "barcode"];
    let expected = info(&at("cells.csv"), &by_name);
    assert!(expected.contains("ids: cell-0é to cell-59é"), "{expected}");
    for (ending, options) in [("csv", &by_name[..]), ("tsv", &by_name), ("npz", &[])] {
        let to = at(&format!("cells-again.{ending}"));
        vae_gpu(&["data", "convert", "--ids", "barcode"])
            .arg(at("cells.csv"))
            .arg("--out")
            .arg(&to)
            .assert()
            .success();
        let again = info(&to, options);
        // An array has no names of columns.
        let lines = expected
            .lines()
            .filter(|line| ending != "npz" || !line.starts_with("columns"));
        assert_eq!(again, lines.collect::<Vec<_>>().join("\n"), "{ending}");
    }
    // A part of a split has the label column's own name.
    vae_gpu(&["data", "split"])
        .arg(at("labelled.csv"))
        .args(["--labels", "kind", "--format", "csv", "--out"])
        .arg(at("parts"))
        .assert()
        .success();
    let parts: Vec<_> = fs::read_dir(at("parts"))
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert!(parts.len() >= 2);
    for part in parts {
        let text = fs::read_to_string(&part).expect("a table");
        assert_eq!(text.lines().next(), Some("mass,length,kind"));
        assert!(info(&part, &["--labels", "kind"]).contains("2 classes"));
    }
}
