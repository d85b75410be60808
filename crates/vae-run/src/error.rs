//! Errors in the files of a run.

use std::io;
use std::path::{Path, PathBuf};

use vae_recipe::RecipeError;
use vae_spec::WeightsError;

/// Error from saving, loading or resuming a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The recipe is invalid.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file cannot be read or written.
    #[error("{path}: cannot be {action}")]
    File {
        /// `read` or `written`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        cause: io::Error,
    },
    /// The output folder already holds a run.
    #[error(
        "{0}: already holds a run; resume it with --resume, choose another folder with --out, or delete this one"
    )]
    FolderTaken(PathBuf),
    /// A file of another content lies where one is to be written.
    #[error(
        "{0}: already holds another model; choose another folder with --out, or replace it with --force"
    )]
    FileTaken(PathBuf),
    /// Another process is writing to the folder.
    #[error(
        "{0}: another vae-gpu process is writing this run; wait for it, or choose another folder with --out"
    )]
    FolderLocked(PathBuf),
    /// A folder is not a run.
    #[error(
        "{path}: not a trained model: {missing} is missing; expected a folder that `vae-gpu train` leaves, or a .safetensors \
         file with its config.toml beside it or in --config"
    )]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The missing file.
        missing: PathBuf,
    },
    /// A file of a run is corrupt or of an unknown version.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Description of what was expected and found.
        what: String,
    },
    /// A run cannot be resumed with the given settings or data.
    #[error("{run}: cannot be resumed: {what}")]
    Changed {
        /// The run.
        run: PathBuf,
        /// Description of what has changed, and what to do.
        what: String,
    },
    /// The folder of a sweep holds something else.
    #[error("{path}: {what}")]
    OtherSweep {
        /// The folder.
        path: PathBuf,
        /// Description of what was expected and found, and what to do.
        what: String,
    },
    /// The writer thread ended early.
    #[error("the thread that writes files ended early")]
    NoWriter,
}

impl RunError {
    /// The error for a `path` that cannot be written.
    pub(crate) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File {
            action: "written",
            path,
            cause,
        }
    }

    /// The error for a corrupt file at `path`.
    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
