//! Models of every architecture as ONNX files: ONNX Runtime computes the same results as we do.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vae_data::npy::{self, NpyArrayRef};

use crate::common::program::{folder, vae_gpu};
use crate::common::stripes;
use crate::verbs::python;

pub(crate) const IMAGES: usize = 60;
/// Height and width of the images, which stages of stride 2 cannot all halve evenly.
const SIZE: [usize; 2] = [12, 10];
const CLASSES: usize = 3;
/// Class of the latents that belong to no image: its name, which is also its index.
pub(crate) const CLASS: &str = "1";
pub(crate) const LATENT: usize = 3;

/// Models to train; `--likelihood` determines the data.
pub(crate) const MODELS: [(&str, &[&str]); 7] = [
    ("transposed", &["--channels", "4,6"]),
    (
        "conditional",
        &[
            "--channels",
            "4,6",
            "--kernel",
            "4",
            "--conditional",
            "--activation",
            "softplus",
        ],
    ),
    (
        "residual",
        &[
            "--channels",
            "4,6",
            "--stride",
            "3",
            "--upsampling",
            "nearest",
            "--group-norm",
            "2",
            "--residual-blocks",
            "1",
            "--likelihood",
            "gaussian",
            "--activation",
            "gelu",
        ],
    ),
    (
        "bare residual",
        &[
            "--channels",
            "4",
            "--residual-blocks",
            "2",
            "--likelihood",
            "poisson",
        ],
    ),
    (
        "counts",
        &[
            "--hidden",
            "16",
            "--conditional",
            "--likelihood",
            "negative-binomial",
        ],
    ),
    (
        "continuous",
        &["--hidden", "16", "--likelihood", "continuous-bernoulli"],
    ),
    (
        "logistic",
        &[
            "--hidden",
            "16",
            "--likelihood",
            "discretized-logistic",
            "--sigma",
            "per-dimension",
        ],
    ),
];

/// Writes `data.npz`, `counts.npz`, their images alone as `.npy`, and latents that are further out than those of data.
pub(crate) fn write_data(parent: &Path) {
    let bytes = stripes(IMAGES, SIZE[0] * SIZE[1]);
    let labels: Vec<i64> = (0..IMAGES).map(|place| (place % CLASSES) as i64).collect();
    let write = |name: &str, values: Vec<f32>| {
        let shape = [IMAGES, SIZE[0], SIZE[1]];
        let file =
            |ending: &str| File::create(parent.join(name).with_extension(ending)).expect("a file");
        npy::write_f32(&mut file("npy"), &shape, &values).expect("written");
        let arrays = [
            ("x", NpyArrayRef::F32(&shape, &values)),
            ("y", NpyArrayRef::I64(&[IMAGES], &labels)),
        ];
        npy::write_npz(file("npz"), &arrays).expect("written");
    };
    write(
        "data",
        bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect(),
    );
    write(
        "counts",
        bytes.iter().map(|&byte| f32::from(byte / 32)).collect(),
    );
    // Row `n` lies within `n / 4`: the decoder's outputs are near 0 and far from it.
    let z = stripes(IMAGES, LATENT).into_iter().enumerate();
    let z = z.map(|(place, byte)| (f32::from(byte) / 127.5 - 1.0) * (place / LATENT) as f32 / 4.0);
    let mut file = File::create(parent.join("z.npy")).expect("a file");
    npy::write_f32(&mut file, &[IMAGES, LATENT], &z.collect::<Vec<_>>()).expect("written");
}

fn verb(name: &str, run: &Path, rest: &[&str], out: &Path) {
    let mut command = vae_gpu(&[name]);
    if name != "export" {
        command.args(["--backend", "cpu"]);
    }
    command.arg(run).args(rest).arg("--out").arg(out);
    command.assert().success();
}

/// Trains a model, exports it, encodes its data and decodes `z.npy` with it; returns the name of its data.
pub(crate) fn make(parent: &Path, name: &str, options: &[&str]) -> &'static str {
    let is_count = options
        .iter()
        .any(|option| ["poisson", "negative-binomial"].contains(option));
    let data = if is_count { "counts" } else { "data" };
    let file = parent
        .join(data)
        .with_extension("npz")
        .display()
        .to_string();
    let run = parent.join(name);
    let mut train = vae_gpu(&["train", "--backend", "cpu", "--data", &file, "--lr", "0.01"]);
    train.args(["--latent", "3", "--epochs", "20", "--batch-size", "20"]);
    train
        .args(options)
        .arg("--out")
        .arg(&run)
        .assert()
        .success();
    verb("export", &run, &["--format", "onnx"], &run.join("onnx"));
    verb("encode", &run, &["--data", &file], &run.join("latents.npz"));
    let z = parent.join("z.npy").display().to_string();
    let is_conditional = options.contains(&"--conditional");
    let label: &[&str] = if is_conditional {
        &["--label", CLASS]
    } else {
        &[]
    };
    let rest = [&[z.as_str()], label].concat();
    verb("decode", &run, &rest, &run.join("decoded.npy"));
    data
}

/// Compares the ONNX files in `run` with the results that we computed there, the decoded images with those in `decoder`.
fn check(python: &Path, run: &Path, data: &str, decoder: &Path) -> Output {
    let parent = run.parent().expect("a folder");
    Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check_onnx.py"))
        .arg(run.join("onnx"))
        .arg(parent.join(data).with_extension("npy"))
        .args([
            run.join("latents.npz"),
            parent.join("z.npy"),
            decoder.join("decoded.npy"),
        ])
        .arg(CLASS)
        .output()
        .expect("started")
}

#[test]
fn onnx_runtime_computes_what_we_do_with_every_architecture() {
    let Some(python) = python("numpy, onnxruntime") else {
        return;
    };
    let parent = folder();
    write_data(parent.path());
    let run = |name: &str| -> PathBuf { parent.path().join(name) };
    for (name, options) in MODELS {
        let data = make(parent.path(), name, options);
        let output = check(&python, &run(name), data, &run(name));
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        eprintln!("{name}\n{}", said[0]);
        assert!(output.status.success(), "{name}: {said:?}");
    }
    // The images of another model are detected as different.
    let output = check(&python, &run("transposed"), "data", &run("continuous"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("times the tolerance"),
        "{said}"
    );
}
