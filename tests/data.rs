//! Data in every format through the real binary: written, read back, trained on, and refused where invalid.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

use crate::common::program::{folder, vae_gpu};

/// Output of `data info`.
fn info(path: &Path, options: &[&str]) -> String {
    let output = vae_gpu(&["data", "info"]).arg(path).args(options).output();
    let output = output.expect("started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn sum(info: &str) -> &str {
    info.lines()
        .find(|line| line.starts_with("SHA-256"))
        .expect("a fingerprint")
}

#[test]
fn the_digits_are_the_same_data_in_every_format_that_holds_bytes() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    for name in [
        "digits.npz",
        "digits.npy",
        "digits.idx",
        "digits.csv",
        "pictures",
    ] {
        vae_gpu(&["data", "convert", "digits", "--out"])
            .arg(at(name))
            .assert()
            .success();
    }
    let files = fs::read_dir(at("pictures")).expect("a folder").count();
    assert_eq!(files, 10, "a folder for each class");
    let npz = info(&at("digits.npz"), &[]);
    assert!(
        npz.contains("samples: 9000 of 28 x 28 in 10 classes, bytes from 0 to 255"),
        "{npz}"
    );
    let labels = |name: &str| at(name).display().to_string();
    let npy = info(
        &at("digits.npy"),
        &["--labels", &labels("digits.labels.npy")],
    );
    let idx = info(
        &at("digits.idx"),
        &["--labels", &labels("digits.labels.idx")],
    );
    assert_eq!([sum(&npy), sum(&idx)], [sum(&npz); 2]);
    // A table has floats from 0 to 255; the images are sorted by class.
    let csv = info(&at("digits.csv"), &["--labels", "label", "--size", "28x28"]);
    assert!(
        csv.contains("9000 of 28 x 28 in 10 classes, values from 0 to 255"),
        "{csv}"
    );
    let pictures = info(&at("pictures"), &[]);
    assert!(
        pictures.contains("9000 of 28 x 28 in 10 classes, bytes from 0 to 255"),
        "{pictures}"
    );
    vae_gpu(&["data", "convert"])
        .arg(at("pictures"))
        .arg("--out")
        .arg(at("back.npz"))
        .assert()
        .success();
    assert_eq!(sum(&info(&at("back.npz"), &[])), sum(&pictures));
}

/// The losses of a run's single epoch, or its error message.
fn trained(run: &Path, options: &[&str]) -> Result<serde_json::Value, String> {
    let mut command = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "16",
        "--epochs",
        "1",
    ]);
    let output = command
        .args(options)
        .arg("--out")
        .arg(run)
        .output()
        .expect("started");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
    let last = serde_json::from_str::<serde_json::Value>(metrics.lines().last().expect("a line"));
    let mut last = last.expect("JSON");
    last.as_object_mut()
        .expect("an object")
        .remove("images_per_second");
    Ok(last)
}

#[test]
fn thousands_of_image_files_train_as_the_array_of_them_does_in_memory_and_streamed() {
    let parent = folder();
    let at = |name: &str| parent.path().join(name).display().to_string();
    vae_gpu(&["data", "convert", "digits", "--out", &at("pictures")])
        .assert()
        .success();
    vae_gpu(&[
        "data",
        "convert",
        &at("pictures"),
        "--out",
        &at("array.npy"),
    ])
    .assert()
    .success();
    let run = |name: &str, options: &[&str]| {
        let run = parent.path().join(name);
        let losses = trained(&run, options).expect("trained");
        (
            losses,
            fs::read(run.join("last.safetensors")).expect("written"),
        )
    };
    let labels = at("array.labels.npy");
    let of_files = run("files", &["--data", &at("pictures")]);
    let of_array = run("array", &["--data", &at("array.npy"), "--labels", &labels]);
    let mapped = run(
        "mapped",
        &["--data", &at("array.npy"), "--labels", &labels, "--stream"],
    );
    assert!(of_files == of_array, "the same samples, labels and split");
    assert!(mapped == of_array, "streaming changes no bit");
    let loss = of_files.0["validation"]["recon"]
        .as_f64()
        .expect("a number");
    assert!((100.0..300.0).contains(&loss), "{loss}");

    let mut streamed = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "16",
        "--epochs",
        "1",
        "--stream",
    ]);
    streamed.env("VAE_GPU_CACHE", parent.path().join("cache"));
    let streamed_run = parent.path().join("streamed");
    streamed
        .args(["--data", &at("pictures"), "--out"])
        .arg(&streamed_run)
        .assert()
        .success();
    assert!(fs::read(streamed_run.join("last.safetensors")).expect("written") == of_files.1);
}

#[test]
fn images_of_any_size_and_colour_are_fitted_or_refused_with_advice() {
    let parent = folder();
    let pictures = parent.path().join("pictures");
    for (class, shade) in [("cats", 40u8), ("dogs", 200)] {
        fs::create_dir_all(pictures.join(class)).expect("writable");
        for index in 0..12u8 {
            let colour = image::Rgb([shade, index, 100]);
            let image = image::RgbImage::from_pixel(20 + u32::from(index % 3), 16, colour);
            image
                .save(pictures.join(class).join(format!("{index}.png")))
                .expect("writable");
        }
    }
    let data = pictures.display().to_string();
    let run = parent.path().join("run");
    let complaint = |options: &[&str]| {
        trained(&run, &[&["--data", &data][..], options].concat()).expect_err("refused")
    };
    assert!(complaint(&[]).contains("--size HxW"), "{}", complaint(&[]));
    let stretched = complaint(&["--size", "8x8"]);
    assert!(stretched.contains("--fit"), "{stretched}");
    let fitted = [
        "--data",
        &data,
        "--size",
        "8x12",
        "--fit",
        "crop",
        "--likelihood",
        "gaussian",
    ];
    trained(&run, &fitted).expect("trained");
    let config = fs::read_to_string(run.join("config.toml")).expect("written");
    assert!(
        config.contains("image = [3, 8, 12]") && config.contains("fit = \"crop\""),
        "{config}"
    );
    let samples = image::open(run.join("samples.png")).expect("a picture");
    assert!(samples.color().has_color());

    fs::write(pictures.join("dogs/bad.png"), b"not a picture").expect("writable");
    let bad = complaint(&fitted[2..]);
    assert!(
        bad.contains("bad.png") && bad.contains("--skip-bad"),
        "{bad}"
    );
    let said = info(
        &pictures,
        &["--size", "8x8", "--fit", "pad", "--grey", "--skip-bad"],
    );
    assert!(said.contains("24 of 8 x 8 in 2 classes"), "{said}");
}

#[test]
fn tables_are_scaled_by_their_training_part_and_come_back_in_their_own_units() {
    let parent = folder();
    let table = parent.path().join("table.csv");
    let mut text = String::from("mass,temperature,kind\n");
    for row in 0..300 {
        let (mass, temperature) = (1000 + row % 7 * 100, 20.0 + f64::from(row % 5) / 2.0);
        text += &format!(
            "{mass},{temperature},{}\n",
            if row % 7 < 3 { "light" } else { "heavy" }
        );
    }
    fs::write(&table, &text).expect("writable");
    let data = table.display().to_string();
    let run = parent.path().join("run");
    let options = ["--data", &data, "--labels", "kind", "--batch-size", "30"];
    let complaint = trained(&run, &options).expect_err("out of range");
    assert!(
        complaint.contains("20 to 1600") && complaint.contains("--scale min-max"),
        "{complaint}"
    );
    let mut command = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "16",
        "--latent",
        "2",
    ]);
    command.args(options).args(["--epochs", "300"]).args([
        "--scale",
        "standardize",
        "--likelihood",
        "gaussian",
        "--sigma",
        "0.2",
    ]);
    command.arg("--out").arg(&run).assert().success().stderr(
        contains("270 training samples of 2 columns in 2 classes")
            .and(contains("each column of the training samples to mean 0")),
    );
    let out = parent.path().join("out.csv");
    vae_gpu(&["reconstruct", "--backend", "cpu", "--data", &data, "--out"])
        .arg(&out)
        .arg(&run)
        .assert()
        .success();
    let rows = fs::read_to_string(&out).expect("written");
    let rows: Vec<Vec<f64>> = rows
        .lines()
        .skip(1)
        .map(|line| {
            line.split(',')
                .map(|cell| cell.parse().expect("a number"))
                .collect()
        })
        .collect();
    assert_eq!(rows.len(), 300);
    let off: f64 = (0..300)
        .map(|row| (rows[row][0] - (1000 + row % 7 * 100) as f64).abs())
        .sum();
    // The masses have a standard deviation of 200: an untrained model would have a mean absolute error of 171.
    assert!(off / 300.0 < 80.0, "{}", off / 300.0);

    fs::write(&table, text.replacen("1100,", ",", 1)).expect("writable");
    let missing = trained(&parent.path().join("b"), &options).expect_err("a hole");
    assert!(
        missing.contains("line 3") && missing.contains("mass"),
        "{missing}"
    );
}

#[test]
fn what_is_no_data_is_named() {
    let parent = folder();
    let refused = |name: &str, bytes: &[u8], options: &[&str], says: &str| {
        let path = parent.path().join(name);
        fs::write(&path, bytes).expect("writable");
        vae_gpu(&["data", "info"])
            .arg(&path)
            .args(options)
            .assert()
            .code(1)
            .stderr(contains(says));
    };
    refused("x.npy", b"\x93NUMPY\x01\x00", &[], "x.npy");
    refused("x.bin", b"something else", &[], "expected NPY, NPZ, IDX");
    refused("x.npz", b"PK\x03\x04broken", &[], "x.npz");
    refused("x.csv", b"a,b\n1,x\n", &[], "x.csv");
    refused("x.csv", b"a,b\n1,2\n", &["--labels", "c"], "`a`, `b`");
    refused("x.csv", b"a,b\n1,2\n", &["--stream"], "data convert");
    let mut huge = b"\x93NUMPY\x01\x00v\x00".to_vec();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 1000), }";
    huge.extend(format!("{header:<117}\n").bytes());
    refused("huge.npy", &huge, &[], "huge.npy");
    refused("huge.npy", &huge, &["--stream"], "truncated");
    vae_gpu(&["data", "info", "mnist", "--offline", "--data-dir"])
        .arg(parent.path())
        .assert()
        .code(1)
        .stderr(contains("train-images-idx3-ubyte").and(contains("offline")));
    vae_gpu(&["data", "info", "nothing"])
        .assert()
        .code(1)
        .stderr(contains("no data at `nothing`"));
    vae_gpu(&["data", "fetch", "cifar"])
        .assert()
        .code(1)
        .stderr(contains("mnist, fashion-mnist, kmnist"));
}

#[test]
fn a_mirror_with_other_files_is_refused_and_nothing_stays() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mirror = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let lines = BufReader::new(&stream).lines();
            let asked = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .count();
            assert!(asked > 0);
            // The client may have hung up.
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhtml",
            );
        }
    });
    let parent = folder();
    let mut command = vae_gpu(&["train", "--data", "mnist", "--data-dir"]);
    command
        .arg(parent.path())
        .env("VAE_GPU_MIRROR", mirror)
        .env("NO_PROXY", "127.0.0.1");
    command
        .assert()
        .code(1)
        .stderr(contains("cannot be downloaded").and(contains("VAE_GPU_MIRROR")));
    let folder = parent.path().join("mnist");
    let left: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|file| file.expect("an entry").file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| name.to_string_lossy().starts_with('.')),
        "{left:?}"
    );
}

#[test]
fn a_split_parts_data_as_training_does() {
    let parent = folder();
    let out = parent.path().join("parts");
    vae_gpu(&["data", "split", "digits", "--fraction", "0.2", "--out"])
        .arg(&out)
        .assert()
        .success();
    let [train, validation] =
        ["train", "validation"].map(|name| info(&out.join(name).with_extension("npz"), &[]));
    assert!(
        train.contains("samples: 7201 of 28 x 28")
            || train.contains("samples: 7200 of 28 x 28")
            || train.contains("samples: 7199"),
        "{train}"
    );
    assert!(validation.contains("in 10 classes"), "{validation}");
    let name = |part: &str| out.join(part).with_extension("npz").display().to_string();
    let by_hand = trained(
        &parent.path().join("a"),
        &["--data", &name("train"), "--val-data", &name("validation")],
    );
    let by_fraction = trained(&parent.path().join("b"), &["--val-fraction", "0.2"]);
    assert_eq!(by_hand.expect("trained"), by_fraction.expect("trained"));
}
