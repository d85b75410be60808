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
const GZIPPED: &str = ".gz";
/// How the names go on, before [`GZIPPED`]: as published, and as Kaggle unpacks them.
const ENDINGS: [&str; 4] = ["-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte", ".idx1-ubyte"];
/// The folders in which torchvision keeps files as they were downloaded, and in which EMNIST's archive has them.
const INNER: [&str; 2] = ["raw", "gzip"];

/// The files of a set, in the order of [`FILES`].
#[derive(Default)]
struct FileSet {
    /// What the names of its files begin with.
    name: String,
    folder: PathBuf,
    files: [Option<PathBuf>; 4],
}

/// Reads the four files of the MNIST layout in `folder`, or in a folder of its own for each, as some systems unpack them, or in
/// `raw` or `gzip` in it or in a folder in it; `None` if there are none.
///
/// # Errors
/// If a file is missing or invalid, or there are several sets.
pub(super) fn read(folder: &Path, options: &ReadOptions) -> Result<Option<Source>, DataError> {
    let mut sets = BTreeMap::new();
    add_sets(folder, "", &mut sets);
    if sets.is_empty() {
        let below: Vec<PathBuf> = entries(folder).filter(|path| path.is_dir()).collect();
        for own in below.iter().filter(|path| stem(&name_of(path)).is_some()) {
            add_sets(own, "", &mut sets);
        }
        for outer in below.iter().map(PathBuf::as_path).chain([folder]) {
            for inner in INNER.map(|inner| outer.join(inner)) {
                add_sets(&inner, &format!("{}: ", inner.display()), &mut sets);
            }
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

/// Adds the sets directly in `folder`, by what their files' names begin with after `within`.
fn add_sets(folder: &Path, within: &str, sets: &mut BTreeMap<String, FileSet>) {
    for path in entries(folder).filter(|path| path.is_file()) {
        let name = name_of(&path);
        let Some(stem) = stem(&name) else {
            continue;
        };
        for (file, (stems, _)) in FILES.iter().enumerate() {
            let Some(beginning) = stems.iter().find_map(|end| stem.strip_suffix(end)) else {
                continue;
            };
            let set = sets.entry(within.to_owned() + beginning).or_default();
            folder.clone_into(&mut set.folder);
            beginning.clone_into(&mut set.name);
            // The plain file, if it is there gzipped too.
            if set.files[file].is_none() || !name.ends_with(GZIPPED) {
                set.files[file] = Some(path.clone());
            }
        }
    }
}

/// The last part of a path in lower case.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().to_lowercase()
}

/// The name of a file without its ending, if that is one of a set.
fn stem(name: &str) -> Option<&str> {
    let name = name.strip_suffix(GZIPPED).unwrap_or(name);
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}
