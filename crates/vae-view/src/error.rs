//! Errors in drawing pictures.

use std::io;
use std::path::PathBuf;

/// Error from drawing or writing a picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The picture could not be encoded.
    #[error("a picture could not be drawn: {0}")]
    Encoding(String),
    /// A file cannot be written.
    #[error("{path}: cannot be written")]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        cause: io::Error,
    },
}
