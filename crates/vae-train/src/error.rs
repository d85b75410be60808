//! Errors of a training run.

use std::path::PathBuf;

use vae_data::DataError;
use vae_device::DeviceError;
use vae_infer::InferError;
use vae_recipe::RecipeError;
use vae_run::RunError;
use vae_spec::EngineError;
use vae_view::PictureError;

use crate::{DeviceLost, Divergence};

/// Error from starting, resuming or running a training run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data cannot be read, or do not fit the recipe.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting is invalid.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// No device or engine can run the model.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The run folder cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Inference with the trained model failed.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A plot could not be drawn.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The device failed, and the run is to stop then.
    #[error(
        "{lost}; `vae-gpu train --resume {}` goes on from there, with --backend cpu without this device. If its memory is full, a \
         smaller --batch-size helps; --on-device-lost cpu lets a run go on by itself", .run.display()
    )]
    DeviceLost {
        /// Which device, and what is kept.
        lost: DeviceLost,
        /// The run folder.
        run: PathBuf,
    },
    /// The device computes something else than the reference.
    #[error(
        "epoch {epoch}, step {step}: {device} computes wrong numbers: {difference}, by {reference}; the last checkpoint was not touched. \
         `vae-gpu doctor` checks each kernel; a new driver or --backend cpu may help"
    )]
    Wrong {
        /// Name of the device.
        device: String,
        /// What it was compared with.
        reference: String,
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 1.
        step: usize,
        /// What differs.
        difference: String,
    },
    /// The processes that train together cannot share the pieces of a batch.
    #[error(
        "expected a number of processes that divides {pieces}, the pieces of a batch, found {processes}; start another number of them, or \
         set --pieces, which changes the order of sums, and so the last digits of the results"
    )]
    Pieces {
        /// Pieces of a batch.
        pieces: usize,
        /// Processes.
        processes: usize,
    },
    /// Processes cannot train the run together: one would train another, or its settings are for one process.
    #[error("{0}")]
    Group(String),
    /// The model and a batch do not fit the memory of the machine.
    #[error(
        "memory: training in batches of {batch_size} takes about {needed}, found {free} free; {advice}"
    )]
    Memory {
        /// Samples in a batch.
        batch_size: usize,
        /// What training takes.
        needed: String,
        /// What is free.
        free: String,
        /// What may fit.
        advice: String,
    },
    /// A loss or weight became NaN or infinite.
    #[error("{0}\n  the last good checkpoint and the weights of the best epoch are kept")]
    Diverged(Box<Divergence>),
}
