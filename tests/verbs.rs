//! Commands that use a trained model: the output of each is opened and checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use tempfile::TempDir;
use vae_data::npy::{self, NpyArray, NpyValues};

use crate::common::program::{folder, vae_gpu};

/// A small trained denoising model of the digits with three latent dimensions.
fn model() -> (TempDir, PathBuf) {
    let parent = folder();
    let run = parent.path().join("run");
    let mut command = vae_gpu(&[
        "train",
        "--backend",
        "cpu",
        "--hidden",
        "64",
        "--latent",
        "3",
        "--epochs",
        "4",
    ]);
    command.args([
        "--optimizer",
        "adam",
        "--activation",
        "gelu",
        "--corrupt",
        "gaussian:0.3",
        "--out",
    ]);
    command.arg(&run).assert().success();
    (parent, run)
}

fn verb(name: &str, run: &Path, out: &Path, options: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = vae_gpu(&[name, "--backend", "cpu", "--force"]);
    command
        .arg(run)
        .args(options)
        .arg("--out")
        .arg(out)
        .assert()
}

fn array(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let NpyArray { shape, values } =
        npy::read(&fs::read(path).expect("written")[..], "array").expect("NPY");
    match values {
        NpyValues::F32(values) => (shape, values),
        other => panic!("expected f32, found {other:?}"),
    }
}

fn table(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

#[test]
fn every_verb_does_what_it_says() {
    let (parent, run) = model();
    let at = |name: &str| parent.path().join(name);

    // encode: a table with ids and labels, and the same values as arrays.
    verb("encode", &run, &at("z.csv"), &["--with-z"]).success();
    let rows = table(&fs::read_to_string(at("z.csv")).expect("written"));
    assert_eq!(
        rows[0].join(","),
        "id,label,mu_1,mu_2,mu_3,log_var_1,log_var_2,log_var_3,z_1,z_2,z_3"
    );
    assert_eq!(rows.len(), 1001);
    assert_eq!(rows[1000][0], "999");
    verb("encode", &run, &at("z.npy"), &["--with-z"]).success();
    let (shape, values) = array(&at("z.npy"));
    assert_eq!(shape, [1000, 9]);
    for (row, line) in values.chunks(9).zip(&rows[1..]) {
        let written: Vec<f32> = line[2..]
            .iter()
            .map(|cell| cell.parse().expect("a number"))
            .collect();
        assert_eq!(row, written);
    }
    verb("encode", &run, &at("mu.npz"), &[]).success();
    let piped = vae_gpu(&["encode", "--backend", "cpu", "--out", "-"])
        .arg(&run)
        .output()
        .expect("started");
    assert_eq!(
        table(&String::from_utf8(piped.stdout).expect("UTF-8")).len(),
        1001
    );

    // decode: decoded posterior means are the reconstructions, as one array, one table, or one file each.
    let latents = |name: &str| at(name).display().to_string();
    verb("decode", &run, &at("d.npy"), &[&latents("mu.npz")]).success();
    verb("reconstruct", &run, &at("r.npy"), &[]).success();
    let (shape, decoded) = array(&at("d.npy"));
    assert_eq!(shape, [1000, 28, 28]);
    assert_eq!(decoded, array(&at("r.npy")).1);
    assert!(decoded.iter().all(|x| (0.0..=1.0).contains(x)));
    verb("decode", &run, &at("each"), &[&latents("z.npy")]).success();
    assert_eq!(fs::read_dir(at("each")).expect("a folder").count(), 1000);
    let one = image::open(at("each/000007.png"))
        .expect("a picture")
        .into_luma8();
    assert_eq!(one.dimensions(), (28, 28));

    // sample: the seed determines the picture, a low temperature stays near the middle of the prior.
    verb(
        "sample",
        &run,
        &at("s.npy"),
        &["--count", "50", "--temperature", "0.000001"],
    )
    .success();
    let (_, cold) = array(&at("s.npy"));
    assert!(
        cold.chunks(784)
            .all(|image| image.iter().zip(&cold).all(|(a, b)| (a - b).abs() < 1e-3))
    );
    verb(
        "sample",
        &run,
        &at("t.npy"),
        &["--count", "50", "--truncation", "0.5"],
    )
    .success();
    assert_ne!(array(&at("t.npy")).1, cold);
    verb("sample", &run, &at("s.png"), &["--temperature", "0"])
        .code(1)
        .stderr(contains("temperature: expected"));

    // interpolate: the ends are the reconstructions of the two images.
    verb(
        "interpolate",
        &run,
        &at("i.npy"),
        &[
            "--from",
            "2",
            "--to",
            "9",
            "--steps",
            "5",
            "--walk",
            "spherical",
        ],
    )
    .success();
    let (shape, walk) = array(&at("i.npy"));
    assert_eq!(shape, [5, 28, 28]);
    for (found, place) in [(0, 2), (4, 9)] {
        let pairs = walk[found * 784..][..784]
            .iter()
            .zip(&decoded[place * 784..][..784]);
        assert!(
            pairs.clone().all(|(a, b)| (a - b).abs() < 1e-4),
            "end {found}"
        );
    }
    verb("interpolate", &run, &at("i.gif"), &["--steps", "4"]).success();
    let gif = fs::read(at("i.gif")).expect("written");
    let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(gif)).expect("a GIF");
    let frames = image::AnimationDecoder::into_frames(decoder)
        .collect_frames()
        .expect("frames");
    assert_eq!(
        (frames.len(), frames[0].buffer().dimensions()),
        (6, (56, 56))
    );
    verb("interpolate", &run, &at("i.png"), &["--to", "1000"])
        .code(1)
        .stderr(contains("below 1000, found 1000"));

    // traverse, manifold, latent: pictures of the requested sizes.
    let size = |name: &str| {
        image::open(at(name))
            .expect("a picture")
            .into_luma8()
            .dimensions()
    };
    verb(
        "traverse",
        &run,
        &at("t.png"),
        &["--steps", "7", "--dims", "3,1"],
    )
    .success();
    assert_eq!(size("t.png"), ((7 * 30 - 2) * 2, (2 * 30 - 2) * 2));
    verb("traverse", &run, &at("t.png"), &["--dims", "4"])
        .code(1)
        .stderr(contains("from 1 to 3"));
    verb("traverse", &run, &at("t.gif"), &["--image", "3"]).success();
    verb(
        "manifold",
        &run,
        &at("m.png"),
        &["--side", "4", "--dims", "1,3"],
    )
    .success();
    assert_eq!(size("m.png"), (4 * 56, 4 * 56));
    verb("latent", &run, &at("l.png"), &[])
        .success()
        .stderr(contains("active latent dimensions").and(contains("mu of latent")));
    verb("latent", &run, &at("p.png"), &["--pca"])
        .success()
        .stderr(contains("principal component 1"));
    assert_eq!((size("l.png"), size("p.png")), ((900, 800), (900, 800)));

    // denoise: the output is nearer to the clean image than the input.
    let output = verb(
        "denoise",
        &run,
        &at("n.png"),
        &["--corrupt", "gaussian:0.8"],
    )
    .success()
    .get_output()
    .stderr
    .clone();
    let said = String::from_utf8(output).expect("UTF-8");
    let line = said
        .lines()
        .find(|line| line.starts_with("PSNR"))
        .expect("a ratio");
    let numbers: Vec<f64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(numbers[2] > numbers[1] + 2.0, "{line}");
    // Four blocks of three lines of ten images.
    assert_eq!(size("n.png"), ((10 * 30 - 2) * 2, (12 * 30 - 2) * 2));

    // score: ELBO and its terms agree; the least likely image ranks first.
    verb("score", &run, &at("score.csv"), &[])
        .success()
        .stderr(contains("mean ELBO"));
    let rows = table(&fs::read_to_string(at("score.csv")).expect("written"));
    assert_eq!(rows[0].join(","), "id,label,recon,kl,elbo,rank");
    let number = |row: &[String], column: usize| row[column].parse::<f64>().expect("a number");
    for row in &rows[1..] {
        assert!((number(row, 2) + number(row, 3) + number(row, 4)).abs() < 1e-9);
    }
    let last = rows[1..]
        .iter()
        .min_by(|a, b| number(a, 4).total_cmp(&number(b, 4)))
        .expect("rows");
    assert_eq!(last[5], "1");
}

#[test]
fn importance_samples_tighten_the_bound() {
    let (parent, run) = model();
    let few = parent.path().join("few.npz");
    vae_gpu(&["data", "split", "digits", "--fraction", "0.005", "--out"])
        .arg(parent.path().join("parts"))
        .assert()
        .success();
    fs::rename(parent.path().join("parts/validation.npz"), &few).expect("there");
    let data = few.display().to_string();
    let mean = |samples: &str| {
        let out = parent.path().join("s.csv");
        verb(
            "score",
            &run,
            &out,
            &["--data", &data, "--importance-samples", samples],
        )
        .success();
        let rows = table(&fs::read_to_string(out).expect("written"));
        let of = |column: usize| {
            rows[1..]
                .iter()
                .map(|row| row[column].parse::<f64>().expect("a number"))
                .sum::<f64>()
                / (rows.len() - 1) as f64
        };
        (-of(4), of(5))
    };
    let (bound, one) = mean("1");
    let (_, many) = mean("2000");
    // With one sample the NLL is another draw of the bound; with two thousand it is below both.
    assert!((bound - one).abs() < 0.05 * bound, "{bound} and {one}");
    assert!(
        many < bound - 0.2 && many > 0.8 * bound,
        "{many} below {bound}"
    );
}

#[test]
fn exports_lie_in_the_run_and_overwrite_no_other_model() {
    let (parent, run) = model();
    let export = |out: &[&str]| {
        let mut command = vae_gpu(&["export", "--format", "onnx"]);
        command.current_dir(parent.path()).arg(&run).args(out);
        command.assert()
    };
    for _ in 0..2 {
        export(&[]).success();
    }
    let own = fs::read(run.join("exported/decoder.onnx")).expect("written");
    let other = parent.path().join("other");
    fs::create_dir(&other).expect("writable");
    fs::write(other.join("decoder.onnx"), "another").expect("writable");
    export(&["--out", "other"])
        .code(1)
        .stderr(contains("decoder.onnx: already holds another model"));
    assert!(!other.join("encoder.onnx").exists(), "nothing half done");
    let kept = fs::read(other.join("decoder.onnx")).expect("kept");
    assert_eq!(kept, b"another");
    fs::remove_file(other.join("decoder.onnx")).expect("removed");
    for _ in 0..2 {
        export(&["--out", "other"]).success();
    }
    assert_eq!(fs::read(other.join("decoder.onnx")).expect("written"), own);
}

#[test]
fn what_is_there_is_replaced_only_by_force() {
    let (parent, run) = model();
    let path = |name: &str| parent.path().join(name);
    verb("encode", &run, &path("z.csv"), &[]).success();
    let data = "digits";
    let [z, model] = [path("z.csv"), run.clone()].map(|path| path.display().to_string());
    let model = model.as_str();
    let commands: [(&[&str], &str); 12] = [
        (&["encode", model], "latents.csv"),
        (&["decode", model, &z], "decoded.npy"),
        (&["sample", model], "samples.csv"),
        (&["reconstruct", model], "reconstructed.png"),
        (&["denoise", model], "denoised.png"),
        (&["interpolate", model], "walk.gif"),
        (&["traverse", model], "traversal.png"),
        (&["manifold", model], "manifold.png"),
        (&["latent", model], "latent.png"),
        (&["score", model], "scores.csv"),
        (&["data", "convert", data], "digits.npz"),
        (
            &["export", model, "--format", "pytorch"],
            "pytorch.safetensors",
        ),
    ];
    for (command, name) in commands {
        let file = path(name);
        fs::write(&file, "precious").expect("writable");
        let run = |options: &[&str]| {
            let mut program = vae_gpu(command);
            // A folder for `export`, a file for the others.
            let out = if name.ends_with(".safetensors") {
                parent.path()
            } else {
                &file
            };
            program.args(options).arg("--out").arg(out).assert()
        };
        run(&[])
            .code(1)
            .stderr(contains(name).and(contains("--force")));
        assert_eq!(fs::read(&file).expect("kept"), b"precious", "{name}");
        run(&["--force"]).success();
        assert_ne!(fs::read(&file).expect("written"), b"precious", "{name}");
    }
    // The labels of an NPY file lie beside it; either keeps both.
    fs::write(path("kept.labels.npy"), "precious").expect("writable");
    let convert = |out: &str, options: &[&str]| {
        let mut command = vae_gpu(&["data", "convert", data, "--out"]);
        command.arg(path(out)).args(options).assert()
    };
    convert("kept.npy", &[])
        .code(1)
        .stderr(contains("kept.labels.npy: is there already"));
    assert!(!path("kept.npy").exists(), "nothing half done");
    // What is left in a folder would be taken for results.
    fs::create_dir(path("images")).expect("a folder");
    fs::write(path("images/old.png"), "precious").expect("writable");
    convert("images", &["--force"])
        .code(1)
        .stderr(contains("a folder that is not empty"));
    fs::remove_file(path("images/old.png")).expect("removed");
    convert("images", &[]).success();
}

#[test]
fn bare_weights_with_a_config_are_a_model_too() {
    let (parent, run) = model();
    let alone = parent.path().join("alone.safetensors");
    fs::copy(run.join("model.safetensors"), &alone).expect("there");
    let out = parent.path().join("s.png");
    verb("sample", &alone, &out, &[])
        .code(1)
        .stderr(contains("config.toml is missing"));
    let config = run.join("config.toml").display().to_string();
    verb("sample", &alone, &out, &["--config", &config]).success();
    verb("sample", &run.join("last.safetensors"), &out, &[]).success();
    let pytorch = parent.path().join("exported");
    vae_gpu(&["export", "--format", "pytorch", "--out"])
        .arg(&pytorch)
        .arg(&run)
        .assert()
        .success();
    let imported = parent.path().join("imported");
    let weights = pytorch.join("pytorch.safetensors");
    let import = |map: &[&str]| {
        let mut command = vae_gpu(&["import", "--config", &config]);
        command
            .args(map)
            .arg(&weights)
            .arg("--out")
            .arg(&imported)
            .assert()
    };
    import(&["--map", "encoder.0=fc1"])
        .code(1)
        .stderr(contains("no tensor `encoder.0.weight`").and(contains("--map")));
    import(&[]).success();
    let [a, b] = ["a.npy", "b.npy"].map(|name| parent.path().join(name));
    verb("reconstruct", &run, &a, &[]).success();
    verb("reconstruct", &imported, &b, &[]).success();
    assert_eq!(array(&a), array(&b));
    import(&[]).code(1).stderr(contains("already holds a run"));
}

/// A Python with these modules, or `None` with a visible skip.
pub(crate) fn python(modules: &str) -> Option<PathBuf> {
    let python = std::env::var_os("VAE_GPU_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let found = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!(
        "skipped: {} cannot import {modules} (VAE_GPU_PYTHON names another one)",
        python.display()
    );
    None
}

#[test]
fn python_reads_what_is_written_and_onnx_runtime_computes_the_same() {
    let Some(python) = python("numpy, pandas, safetensors, onnxruntime") else {
        return;
    };
    let (parent, run) = model();
    let at = |name: &str| parent.path().join(name).display().to_string();
    vae_gpu(&["export", "--format", "onnx", "--out", &at("onnx")])
        .arg(&run)
        .assert()
        .success();
    vae_gpu(&["export", "--format", "pytorch", "--out", &at("pytorch")])
        .arg(&run)
        .assert()
        .success();
    vae_gpu(&[
        "data",
        "split",
        "digits",
        "--fraction",
        "0.01",
        "--out",
        &at("parts"),
    ])
    .assert()
    .success();
    let data = at("parts/validation.npz");
    for (command, out) in [
        ("encode", "latents.npz"),
        ("encode", "latents.csv"),
        ("score", "scores.csv"),
    ] {
        verb(command, &run, Path::new(&at(out)), &["--data", &data]).success();
    }
    verb(
        "decode",
        &run,
        Path::new(&at("decoded.npy")),
        &[&at("latents.npz")],
    )
    .success();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_back.py");
    let output = Command::new(python)
        .arg(script)
        .arg(parent.path())
        .output()
        .expect("started");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{said:?}");
    assert!(said[0].contains("all read back"), "{said:?}");
}
