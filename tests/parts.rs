//! Data in the files of a folder: for every command what it is in one file, mapped or not.

use std::fs;
use std::path::Path;

use predicates::str::contains;
use vae_data::npy;

use crate::common::program::{folder, info, sum, vae_gpu};

const ROWS: usize = 60;

/// Images of 4 x 4 in one file, and the same in files of 7 in a folder, each with its labels beside it.
fn write_both(parent: &Path) {
    let pixels: Vec<u8> = (0..ROWS * 16).map(|at| (at * at % 251) as u8).collect();
    let labels: Vec<i64> = (0..ROWS as i64).map(|row| row % 3 * 5).collect();
    let write = |stem: &str, rows: std::ops::Range<usize>| {
        let (mut images, mut classes) = (Vec::new(), Vec::new());
        let shape = [rows.len(), 4, 4];
        npy::write_u8(&mut images, &shape, &pixels[rows.start * 16..rows.end * 16])
            .expect("in memory");
        npy::write_i64(&mut classes, &shape[..1], &labels[rows]).expect("in memory");
        let at = |ending: &str| parent.join(format!("{stem}{ending}"));
        fs::write(at(".npy"), images).expect("writable");
        fs::write(at(".labels.npy"), classes).expect("writable");
    };
    write("all", 0..ROWS);
    fs::create_dir(parent.join("parts")).expect("writable");
    for (part, first) in (0..ROWS).step_by(7).enumerate() {
        write(&format!("parts/part-{part}"), first..ROWS.min(first + 7));
    }
}

#[test]
fn every_command_takes_the_files_of_a_folder_for_one_data_set() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    write_both(parent.path());
    let labels = |data: &str| match data {
        "parts" => at("parts"),
        _ => at("all.labels.npy"),
    };
    let command = |words: &[&str], data: &str| {
        let mut command = vae_gpu(words);
        command.env("VAE_GPU_CACHE", at("cache"));
        command.current_dir(parent.path()).arg("--labels");
        command.arg(labels(data));
        command
    };
    for data in ["all.npy", "parts"] {
        for stream in ["--stream=false", "--stream"] {
            let run = at(&format!("run-{data}{stream}"));
            let words = [
                "train",
                "--backend",
                "cpu",
                "--hidden",
                "4",
                "--epochs",
                "2",
            ];
            let mut train = command(&words, data);
            train.args([
                "--batch-size",
                "10",
                "--conditional",
                stream,
                "--data",
                data,
            ]);
            train.arg("--out").arg(&run).assert().success();
            for (verb, options, out) in [
                ("encode", &["--with-z"][..], "encode.csv"),
                ("score", &[], "score.csv"),
                ("encode", &["--part", "train"], "train.csv"),
            ] {
                let mut work = command(&[verb, "--backend", "cpu", stream], data);
                work.args(options).arg(&run).arg("--out").arg(run.join(out));
                work.assert().success();
            }
        }
        let out = at(&format!("converted-{data}"));
        let mut convert = command(&["data", "convert", data], data);
        convert
            .arg("--out")
            .arg(out.with_extension("npz"))
            .assert()
            .success();
        let mut split = command(&["data", "split", data], data);
        split
            .arg("--out")
            .arg(out.with_extension("halves"))
            .assert()
            .success();
    }
    let same = |one: &str, other: &str| {
        let [one, other] = [one, other].map(|name| fs::read(at(name)).expect("written"));
        one == other && !one.is_empty()
    };
    for other in ["all.npy--stream", "parts--stream=false", "parts--stream"] {
        for file in ["model.safetensors", "encode.csv", "score.csv", "train.csv"] {
            let [one, other] =
                ["all.npy--stream=false", other].map(|run| format!("run-{run}/{file}"));
            assert!(same(&one, &other), "{other}");
        }
    }
    assert!(same("converted-all.npz", "converted-parts.npz"));
    assert!(same(
        "converted-all.halves/train.npz",
        "converted-parts.halves/train.npz"
    ));
    // Scores are of samples in an order, so that another order would be seen.
    let scores = fs::read_to_string(at("run-parts--stream/score.csv")).expect("written");
    let mut rows: Vec<&str> = scores.lines().skip(1).collect();
    rows.dedup_by_key(|row| row.split_once(',').map(|(_, values)| values));
    assert!(rows.len() > 4, "{scores}");
}

#[test]
fn mapped_files_are_joined_once_and_again_when_one_has_changed() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    write_both(parent.path());
    let info = |options: &[&str]| {
        let mut info = vae_gpu(&["data", "info"]);
        info.env("VAE_GPU_CACHE", at("cache")).arg(at("parts"));
        let output = info.args(options).output().expect("started");
        assert!(output.status.success());
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    };
    let joined = || {
        let places = fs::read_dir(at("cache/data/joined")).into_iter().flatten();
        let files = places.flat_map(|place| fs::read_dir(place.expect("an entry").path()));
        let files = files.flatten().map(|file| file.expect("an entry").path());
        files.collect::<Vec<_>>()
    };
    let read = info(&[]);
    assert!(joined().is_empty(), "read without --stream");
    let mapped = info(&["--stream"]);
    assert_eq!(sum(&mapped), sum(&read));
    assert!(mapped.contains("the files are joined in"), "{mapped}");
    let [file] = &joined()[..] else {
        panic!("{:?}", joined());
    };
    let all = fs::read(at("all.npy")).expect("written");
    let values = fs::read(file).expect("written");
    assert!(values.ends_with(&all[all.len() - ROWS * 16..]));
    let written = |file: &Path| {
        fs::metadata(file)
            .and_then(|facts| facts.modified())
            .expect("there")
    };
    let before = written(file);
    info(&["--stream"]);
    assert_eq!(written(file), before);
    let last = at("parts/part-8.npy");
    let mut part = fs::read(&last).expect("written");
    part.pop();
    part.push(1);
    fs::write(&last, part).expect("writable");
    let changed = info(&["--stream"]);
    assert_eq!(sum(&changed), sum(&info(&[])));
    assert_ne!(sum(&changed), sum(&read));
    let files = joined();
    assert!(
        files.len() == 1 && files[0] != *file,
        "the new file takes the place of the old one: {files:?}"
    );
}

#[test]
fn what_cannot_be_mapped_or_is_damaged_is_named_by_its_file() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    write_both(parent.path());
    let whole = fs::read(at("parts/part-3.npy")).expect("written");
    fs::write(at("parts/part-3.npy"), &whole[..whole.len() - 1]).expect("writable");
    for options in [&[][..], &["--stream"]] {
        let (said, is_read) = info(&at("parts"), options);
        assert!(
            !is_read && said.contains("part-3.npy: data: expected"),
            "{said}"
        );
        assert!(said.contains("truncated?"), "{said}");
    }
    fs::create_dir(at("tables")).expect("writable");
    fs::write(at("tables/0.csv"), "1,2\n3,4\n").expect("writable");
    let (said, is_read) = info(&at("tables"), &["--stream"]);
    assert!(!is_read && said.contains("--out FILE.npy"), "{said}");
    fs::create_dir(at("floats")).expect("writable");
    let mut doubles = npy::header_bytes("<f8", &[2, 2]);
    doubles.extend([0; 32]);
    fs::write(at("floats/0.npy"), &doubles).expect("writable");
    fs::write(at("floats/1.npy"), &doubles).expect("writable");
    let (said, is_read) = info(&at("floats"), &["--stream"]);
    assert!(
        !is_read && said.contains("elements of F64 cannot be streamed"),
        "{said}"
    );
    assert!(said.contains("floats --out FILE.npy`"), "{said}");
    let (said, is_read) = info(&at("floats"), &[]);
    assert!(
        is_read && said.contains("samples: 4 of 2 columns"),
        "{said}"
    );
    let mut refused = vae_gpu(&["train", "--data"]);
    refused
        .arg(at("parts"))
        .assert()
        .code(1)
        .stderr(contains("part-3.npy"));
}
