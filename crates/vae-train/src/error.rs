//! What can stop a run.

use vae_data::DataError;
use vae_device::DeviceError;
use vae_infer::InferError;
use vae_recipe::RecipeError;
use vae_run::RunError;
use vae_spec::EngineError;
use vae_view::PictureError;

use crate::Divergence;

/// Why a run could not start or be resumed, or why it stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data cannot be read, or do not fit.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting does not fit.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// There is no engine.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The run folder cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The trained model cannot be shown.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A picture could not be drawn.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The loss is no longer a number.
    #[error("{0}\n  the last good checkpoint and the weights of the best epoch are kept")]
    Diverged(Box<Divergence>),
}
