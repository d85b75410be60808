//! What can stop a run.

use std::io;
use std::path::PathBuf;

use vae_data::DataError;
use vae_kernels::gpu::GpuError;
use vae_spec::{EngineError, WeightsError};

use crate::Divergence;

/// Why a run could not start, go on, be saved or be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// No GPU.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The data cannot be read, or do not fit.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Weights of another network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The fused engine was asked for and cannot run the model.
    #[error("engine fused: {0}; without --engine fused, burn takes over")]
    NotFused(String),
    /// The model or the batch does not fit the device.
    #[error(
        "{tensor}: {bytes} bytes, but {device} allows {limit} in one tensor; choose a smaller --hidden or --batch-size, or \
         --backend cpu"
    )]
    TooLarge {
        /// The tensor.
        tensor: String,
        /// Its size.
        bytes: u64,
        /// The device's name.
        device: String,
        /// Its limit, bytes.
        limit: u64,
    },
    /// A setting is out of range or does not fit the data.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting as the user writes it.
        setting: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A configuration file does not parse.
    #[error("{path}: not a valid config")]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        cause: Box<toml::de::Error>,
    },
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
        "{0}: already holds a run; go on with it by --resume, choose another folder with --out, or delete this one"
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
    /// A run cannot go on with what it is given.
    #[error("{run}: cannot be resumed: {what}")]
    Changed {
        /// The run.
        run: PathBuf,
        /// What is not as it was, and what to do.
        what: String,
    },
    /// The loss is no longer a number.
    #[error("{0}\n  the last good checkpoint and the weights of the best epoch are kept")]
    Diverged(Box<Divergence>),
    /// A picture could not be encoded.
    #[error("a picture could not be drawn: {0}")]
    Picture(String),
}
