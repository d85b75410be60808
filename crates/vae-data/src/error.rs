//! What can be wrong with data files, said so that the reader can mend it.

use std::io;
use std::path::PathBuf;

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// `--data` names neither a built-in set nor a folder.
    #[error(
        "no data at `{0}`: expected `digits` (built in) or a folder with the four MNIST-layout IDX files"
    )]
    NoSuchData(PathBuf),
    /// A folder lacks one of its four files, gzipped or not.
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
    /// The operating system refused to read a file, or its gzip stream is damaged.
    #[error("{source_name}: cannot be read (a damaged download? fetch it again)")]
    Unreadable {
        /// The file.
        source_name: String,
        /// What the operating system or the decompressor said.
        #[source]
        cause: io::Error,
    },
    /// A file is not the IDX file it should be.
    #[error("{source_name}: {field}: expected {expected}, found {found}")]
    Idx {
        /// The file.
        source_name: String,
        /// The header field or part that is wrong.
        field: &'static str,
        /// What a correct file has there.
        expected: String,
        /// What this file has there.
        found: String,
    },
    /// Images and labels, or training and test images, do not belong together.
    #[error(
        "{folder}: {what}: {left} against {right}; are the files of one data set mixed with another's?"
    )]
    Mismatch {
        /// The folder.
        folder: PathBuf,
        /// What was compared.
        what: &'static str,
        /// The first value.
        left: String,
        /// The second value.
        right: String,
    },
}
