//! Errors of a training run.

use vae_data::DataError;
use vae_device::DeviceError;
use vae_infer::InferError;
use vae_recipe::RecipeError;
use vae_run::RunError;
use vae_spec::EngineError;
use vae_view::PictureError;

use crate::Divergence;

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
