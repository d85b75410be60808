//! What the fuzz targets share: the readers and the run of `crates/vae-run/tests/hostile`, whose test goes through the same formats on a
//! stable toolchain.

use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

#[allow(dead_code, reason = "the targets need the run alone")]
#[path = "../crates/vae-run/tests/hostile/corpus.rs"]
mod corpus;
#[path = "../crates/vae-run/tests/hostile/readers.rs"]
mod readers;

/// A folder of this process, with a whole run in `run`.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        corpus::run(&folder.path().join("run"));
        folder
    });
    folder.path()
}

/// Reads data in a file of this name.
pub fn data(name: &str, bytes: &[u8]) {
    let _ = readers::data(name, bytes, folder());
}

/// Reads a config file.
pub fn config(bytes: &[u8]) {
    let _ = readers::config(bytes);
}

/// Reads the file of a sweep.
pub fn sweep(bytes: &[u8]) {
    let _ = readers::sweep(bytes);
}

/// Reads the run with `bytes` for its file `name`.
pub fn run(name: &str, bytes: &[u8]) {
    let _ = readers::run(name, bytes, &folder().join("run"));
}

/// Reads a state dict after the names of its layers.
pub fn import(bytes: &[u8]) {
    let _ = readers::import(bytes, folder());
}
