//! Folders of four IDX files as MNIST has them, under the names that its successors and their loaders give them.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::arrays::{labelled, labels_file};
use super::{ReadOptions, Source, open_file};
use crate::{DataError, Images, idx, mapped};

/// The four files by what their names contain, and by the names that they have in MNIST.
const FILES: [(&[&str], &str); 4] = [
    (&["train-images"], "train-images-idx3-ubyte"),
    (&["train-labels"], "train-labels-idx1-ubyte"),
    (&["t10k-images", "test-images"], "t10k-images-idx3-ubyte"),
    (&["t10k-labels", "test-labels"], "t10k-labels-idx1-ubyte"),
];
/// How the names go on, before `.gz`: as published, and as Kaggle unpacks them.
const ENDINGS: [&str; 4] = ["-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte", ".idx1-ubyte"];
/// The folder in which torchvision keeps files as they were downloaded.
const RAW: &str = "raw";

/// The files of a set, in the order of [`FILES`].
#[derive(Default)]
struct FileSet {
    /// What the names of its files begin with.
    name: String,
    folder: PathBuf,
    files: [Option<PathBuf>; 4],
}

/// Reads the four files of the MNIST layout in `folder`, or in `raw` in it or in a folder in it; `None` if there are none.
///
/// # Errors
/// If a file is missing or invalid, or there are several sets.
pub(super) fn read(folder: &Path, options: &ReadOptions) -> Result<Option<Source>, DataError> {
    let mut sets = sets(folder);
    if sets.is_empty() {
        sets = self::sets(&folder.join(RAW));
        for below in folders(folder) {
            let below = self::sets(&below.join(RAW));
            sets.extend(
                below
                    .into_values()
                    .map(|set| (set.folder.display().to_string(), set)),
            );
        }
    }
    if sets.len() > 1 {
        let names: Vec<String> = sets.keys().map(|name| format!("`{name}`")).collect();
        let name = folder.display().to_string();
        let expected = "the files of one set; put each into a folder of its own, or name that";
        return Err(DataError::wrong(name, "folder", expected, names.join(", ")));
    }
    sets.pop_first()
        .map(|(_, set)| set.read(options))
        .transpose()
}

impl FileSet {
    fn read(&self, options: &ReadOptions) -> Result<Source, DataError> {
        let part = |images: usize| {
            let path = |file: usize| {
                self.files[file]
                    .as_ref()
                    .ok_or_else(|| DataError::MissingFile {
                        folder: self.folder.clone(),
                        stem: FILES[file].1,
                    })
            };
            let [images, labels] = [path(images)?, path(images + 1)?];
            let named = |path: &Path| -> Result<_, DataError> {
                Ok((BufReader::new(open_file(path)?), path.display().to_string()))
            };
            if options.stream {
                let labels = labels_file(labels)?;
                let array = mapped::open(images, None, None)?;
                return labelled(images, array, Some(labels)).map(Images::from);
            }
            idx::labelled(named(images)?, named(labels)?)
        };
        let [train, test] = [part(0)?, part(2)?];
        let is_transposed = self.name.starts_with("emnist");
        let note = "EMNIST's images have rows and columns exchanged; they are taken as they lie in its files";
        Ok(Source {
            test: Some(test),
            notes: is_transposed.then(|| note.to_owned()).into_iter().collect(),
            ..Source::new(&self.folder.display().to_string(), "IDX files", train)
        })
    }
}

/// The sets directly in `folder`, by what their files' names begin with.
fn sets(folder: &Path) -> BTreeMap<String, FileSet> {
    let mut sets = BTreeMap::new();
    for path in entries(folder).filter(|path| path.is_file()) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        let Some(stem) = ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending)) else {
            continue;
        };
        for (file, (stems, _)) in FILES.iter().enumerate() {
            let Some(beginning) = stems.iter().find_map(|end| stem.strip_suffix(end)) else {
                continue;
            };
            let set: &mut FileSet = sets.entry(beginning.to_owned()).or_default();
            folder.clone_into(&mut set.folder);
            beginning.clone_into(&mut set.name);
            // The plain file, if it is there gzipped too.
            if set.files[file].is_none() || stem.len() == name.len() {
                set.files[file] = Some(path.clone());
            }
        }
    }
    sets
}

fn folders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    entries(folder).filter(|path| path.is_dir())
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}
