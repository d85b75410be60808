//! What can be wrong with a run's files.

use std::io;
use std::path::{Path, PathBuf};

use vae_recipe::RecipeError;
use vae_spec::WeightsError;

/// Why a run could not be saved, loaded or resumed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Weights of another network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file cannot be read or written.
    #[error("{path}: cannot be {action}")]
    File {
        /// `read` or `written`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The output folder holds a run already.
    #[error(
        "{0}: already holds a run; resume it with --resume, choose another folder with --out, or delete this one"
    )]
    FolderTaken(PathBuf),
    /// Another process trains into the folder.
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
        /// The file that should be there.
        missing: PathBuf,
    },
    /// A file of a run is damaged or of an unknown version.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        what: String,
    },
    /// A run cannot be resumed with what it is given.
    #[error("{run}: cannot be resumed: {what}")]
    Changed {
        /// The run.
        run: PathBuf,
        /// What is not as it was, and what to do.
        what: String,
    },
    /// The thread that writes files is gone.
    #[error("the thread that writes files ended early")]
    NoWriter,
}

impl RunError {
    /// That `path` cannot be written.
    pub(crate) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File {
            action: "written",
            path,
            cause,
        }
    }

    /// That `path` is not what it should be.
    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
