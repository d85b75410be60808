//! A folder with a small run and small data under the names that help and documents use, and the commands in it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use image::RgbImage;
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize};
use tempfile::TempDir;

use super::program::{folder, vae_gpu};

/// The files, made once for the process.
fn original() -> &'static Path {
    static ORIGINAL: OnceLock<TempDir> = OnceLock::new();
    ORIGINAL.get_or_init(make).path()
}

/// A copy of them that a test may write into.
pub(crate) fn playground() -> TempDir {
    let copy = folder();
    copy_all(original(), copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).expect("writable");
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("writable");
        }
    }
}

/// Runs `command` in `folder` as a shell does, with the program in the search path and no network.
pub(crate) fn shell(command: &str, folder: &Path) -> Output {
    let program = assert_cmd::cargo::cargo_bin!("vae-gpu");
    let own: PathBuf = program.parent().expect("a folder").to_owned();
    let others = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([own].into_iter().chain(env::split_paths(&others)));
    Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder)
        .env("PATH", path.expect("no colons in it"))
        .env("VAE_GPU_CACHE", folder.join("cache"))
        .env("VAE_GPU_MIRROR", "http://127.0.0.1:1")
        .output()
        .expect("a shell")
}

/// A command as the tests run it: training that names no epochs takes one, and a page that nobody asks for ends.
pub(crate) fn shortened(command: &str) -> String {
    let lines = command.lines().map(|line| {
        let is_long = line.starts_with("vae-gpu train")
            && !line.contains("--epochs")
            && !line.contains("--print-config");
        let is_served = line.starts_with("vae-gpu explore") && !line.contains("--export");
        if is_long {
            line.replacen("vae-gpu train", "vae-gpu train --epochs 1", 1)
        } else if is_served {
            line.replacen("vae-gpu explore", "vae-gpu explore --until-idle 1", 1)
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a command printed, or a failure of the test.
pub(crate) fn done(command: &str, output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command}\n{said}");
    said
}

fn make() -> TempDir {
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    let run = |arguments: &[&str]| {
        let mut command = vae_gpu(arguments);
        command.current_dir(parent.path()).assert().success();
    };
    let tiny = ["--backend", "cpu", "--epochs", "1", "--hidden", "8"];
    let train = |more: &[&str]| run(&[&["train"], &tiny[..], more].concat());
    train(&["--out", "runs/digits-1"]);
    train(&["--latent", "3", "--out", "runs/digits-2"]);
    photos(&at("photos"));
    let table = species();
    fs::write(at("table.csv"), &table).expect("writable");
    train(&[
        "--data",
        "table.csv",
        "--labels",
        "species",
        "--scale",
        "standardize",
        "--likelihood",
        "gaussian",
        "--out",
        "runs/table-1",
    ]);
    train(&[
        "--data",
        "photos",
        "--size",
        "64x64",
        "--fit",
        "crop",
        "--out",
        "runs/photos-1",
    ]);
    run(&["data", "convert", "digits", "--out", "all.npz"]);
    fs::rename(at("all-test.npz"), at("new.npz")).expect("written");
    fs::remove_file(at("all.npz")).expect("written");
    run(&["encode", "runs/digits-1", "--out", "latents.csv"]);
    for (shard, out) in [
        ("1/2", "codes.csv"),
        ("2/2", "codes.csv"),
        ("1/1", "codes.npy"),
    ] {
        run(&["encode", "runs/digits-1", "--shard", shard, "--out", out]);
    }
    run(&[
        "export",
        "runs/digits-1",
        "--format",
        "pytorch",
        "--out",
        "theirs",
    ]);
    fs::rename(at("theirs/pytorch.safetensors"), at("vae.safetensors")).expect("written");
    fs::remove_dir(at("theirs")).expect("empty");
    rename_layer(&at("vae.safetensors"), &at("theirs.safetensors"));
    let config = "image = [28, 28]\nhidden = [8]\n";
    fs::write(at("vae.toml"), config).expect("writable");
    counts(&at("counts.csv"));
    let grid =
        "seeds = 2\n[base]\nhidden = [8]\nepochs = 1\n[grid]\nlatent = [2, 10]\nbeta = [1, 4]\n";
    fs::write(at("grid.toml"), grid).expect("writable");
    parent
}

/// Twenty-four photos of two classes, of more than one size.
fn photos(folder: &Path) {
    for class in ["cat", "dog"] {
        fs::create_dir_all(folder.join(class)).expect("writable");
        for number in 0..12u32 {
            let (width, height) = (72 + number % 3 * 8, 80);
            let image = RgbImage::from_fn(width, height, |x, y| {
                let stripe = if class == "cat" { x } else { y };
                image::Rgb([
                    (stripe * 3 + number * 9) as u8,
                    (x + y) as u8,
                    (number * 20) as u8,
                ])
            });
            let name = format!("{class}/{number}.png");
            image.save(folder.join(name)).expect("writable");
        }
    }
}

/// A table of three kinds of flowers.
fn species() -> String {
    let rows = (0..90).map(|row| {
        let kind = row % 3;
        let size =
            |column: usize| (kind * (column + 1)) as f64 + (row * (column + 7) % 10) as f64 / 10.0;
        let name = ["setosa", "versicolor", "virginica"][kind];
        format!("{:.1},{:.1},{:.1},{name}\n", size(0), size(1), size(2))
    });
    "length,width,height,species\n".to_owned() + &rows.collect::<String>()
}

/// Counts of six genes in cells of two kinds.
fn counts(file: &Path) {
    let rows = (0..80usize).map(|cell| {
        let genes =
            (0..6).map(|gene| ((cell * (gene + 3)) % 7 * (1 + cell % 2 * gene)).to_string());
        let genes: Vec<String> = genes.collect();
        format!("c{cell},{},{}\n", genes.join(","), ["B", "T"][cell % 2])
    });
    let text = "cell,CD3,CD8,CD19,MS4A1,NKG7,LYZ,type\n".to_owned() + &rows.collect::<String>();
    fs::write(file, text).expect("writable");
}

/// A state dict whose first layer has another name.
fn rename_layer(from: &Path, to: &Path) {
    let bytes = fs::read(from).expect("written");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let renamed: Vec<(String, TensorView<'_>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, tensor)| (name.replace("encoder.0", "fc1"), tensor))
        .collect();
    assert!(renamed.iter().any(|(name, _)| name == "fc1.weight"));
    fs::write(to, serialize(renamed, None).expect("serializable")).expect("writable");
}
