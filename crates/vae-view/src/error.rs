//! Why there is no picture.

use std::io;
use std::path::PathBuf;

/// Why a picture could not be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// It could not be encoded.
    #[error("a picture could not be drawn: {0}")]
    Encoding(String),
    /// A file cannot be written.
    #[error("{path}: cannot be written")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
}
