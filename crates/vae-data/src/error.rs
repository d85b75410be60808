//! Errors in data files, worded so that the user can fix them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::did_you_mean;
use crate::fetch::NamedSet;

/// Error from reading or writing a data set.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// `--data` names neither a known set nor a file or folder.
    #[error(
        "no data at `{}`{hint}: expected `digits` (built in), `mnist`, `fashion-mnist` or `kmnist`, a folder of images, of \
         arrays or tables, or of the four MNIST-layout IDX files, or a .npy, .npz, .csv, .tsv, .mtx, IDX or image file",
        .0.display(),
        hint = meant(.0)
    )]
    NoSuchData(PathBuf),
    /// A data folder lacks one of its four files, gzipped or not.
    #[error(
        "{folder}: neither `{stem}` nor `{stem}.gz` is there; a data folder holds train-images-idx3-ubyte, \
         train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each gzipped or not"
    )]
    MissingFile {
        /// The folder searched.
        folder: PathBuf,
        /// The file's name without `.gz`.
        stem: &'static str,
    },
    /// A file cannot be read, or its gzip stream is corrupt.
    #[error("{source_name}: {}", unreadable(cause))]
    Unreadable {
        /// The file.
        source_name: String,
        /// Error of the operating system or the decompressor.
        #[source]
        cause: io::Error,
    },
    /// The contents of a file are invalid.
    #[error("{source_name}: {field}: expected {expected}, found {found}")]
    Wrong {
        /// The file.
        source_name: String,
        /// The header field, part, row or column that is wrong.
        field: String,
        /// What was expected there.
        expected: String,
        /// What was found there.
        found: String,
    },
    /// Images and labels, or training and test images, do not match.
    #[error(
        "{folder}: {what}: {left} against {right}; are the files of one data set mixed with another's?"
    )]
    Mismatch {
        /// The folder.
        folder: PathBuf,
        /// Quantity that differs.
        what: &'static str,
        /// Left value of the comparison.
        left: String,
        /// Right value of the comparison.
        right: String,
    },
    /// A file cannot be written.
    #[error("{path}: cannot be written")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        cause: io::Error,
    },
    /// A named data set is missing or incomplete, and downloads are disabled.
    #[error(
        "`{name}` is not whole in {folder}, and offline nothing is downloaded; missing or damaged: {files} (put them there, \
         each so or as .gz, or go online)"
    )]
    Offline {
        /// The data set.
        name: &'static str,
        /// The folder searched.
        folder: PathBuf,
        /// List of the missing or corrupt files.
        files: String,
    },
    /// No mirror served a file.
    #[error(
        "{file} of `{name}` cannot be downloaded:{reasons}\nuse --data-dir FOLDER with the files in it, or set VAE_GPU_MIRROR to a \
         mirror that has <name>/<file>"
    )]
    NoMirror {
        /// The data set.
        name: &'static str,
        /// The file.
        file: String,
        /// One line per mirror: its address and its answer.
        reasons: String,
    },
    /// The operating system has no cache folder.
    #[error(
        "no folder to keep downloads in (no home folder?): set VAE_GPU_CACHE or use --data-dir FOLDER"
    )]
    NoCacheFolder,
    /// The data do not fit the requested use.
    #[error("{name}: {what}")]
    Unfit {
        /// The data.
        name: String,
        /// What was expected and found, and how to fix it.
        what: String,
    },
}

/// What `path`, which is not there, may have been meant to be: a name, or a file beside it.
fn meant(path: &Path) -> String {
    let typed = path.to_string_lossy();
    let names = NamedSet::names().chain(["digits"]);
    let name = did_you_mean(&typed, names);
    if !name.is_empty() {
        return name;
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new(".")));
    let entries = entries.into_iter().flatten().flatten();
    let names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let typed = path.file_name().unwrap_or_default().to_string_lossy();
    did_you_mean(&typed, names.iter().map(String::as_str))
}

/// What is wrong with a file that cannot be read: that is either the system's word, or its content's.
fn unreadable(cause: &io::Error) -> &'static str {
    if cause.kind() == io::ErrorKind::NotFound {
        "there is no such file"
    } else if cause.kind() == io::ErrorKind::FileTooLarge {
        "cannot be read, for it unpacks to more than is in any honest file"
    } else if cause.raw_os_error().is_some() {
        "cannot be read"
    } else {
        "cannot be read (damaged or cut short? copy or download it again)"
    }
}

impl DataError {
    /// The error for an invalid `field` of a source.
    pub fn wrong(
        source_name: impl Into<String>,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Wrong {
            source_name: source_name.into(),
            field: field.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The error for a source that cannot be read.
    pub fn unreadable(source_name: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        Self::Unreadable {
            source_name: source_name.into(),
            cause: cause.into(),
        }
    }

    pub(crate) fn unfit(name: &str, what: impl Into<String>) -> Self {
        Self::Unfit {
            name: name.to_owned(),
            what: what.into(),
        }
    }
}
