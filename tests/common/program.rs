//! The real binary, and options for small runs.

use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

pub(crate) fn vae_gpu(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("vae-gpu").expect("built");
    command.args(arguments);
    command
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Options for a run of about a second.
pub(crate) const TINY: [&str; 8] = [
    "--backend",
    "ndarray",
    "--hidden",
    "8",
    "--batch-size",
    "500",
    "--epochs",
    "1",
];

pub(crate) fn train_tiny(run: &Path) -> Command {
    let mut command = vae_gpu(&["train"]);
    command.args(TINY).arg("--out").arg(run);
    command
}

/// Width and height of a picture; asserts that it is not all one colour.
pub(crate) fn picture(path: &Path) -> (u32, u32) {
    let image = image::open(path).expect("a picture").into_luma8();
    let first = image.get_pixel(0, 0);
    assert!(
        image.pixels().any(|pixel| pixel != first),
        "{} is blank",
        path.display()
    );
    image.dimensions()
}

/// What `data info` found, and whether it succeeded.
pub(crate) fn info(data: &Path, options: &[&str]) -> (String, bool) {
    let mut command = vae_gpu(&["data", "info"]);
    let output = command.arg(data).args(options).output().expect("started");
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.success(),
    )
}

/// The line of what `data info` found that identifies the samples.
pub(crate) fn sum(info: &str) -> &str {
    let sum = info.lines().find(|line| line.starts_with("SHA-256"));
    sum.unwrap_or_else(|| panic!("no sum in {info}"))
}
