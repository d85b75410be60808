//! Errors in using a trained model.

use vae_data::DataError;
use vae_recipe::RecipeError;
use vae_spec::EngineError;

/// Error in inference with a trained model.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The data do not fit the model.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A data file is invalid.
    #[error(transparent)]
    Data(#[from] DataError),
}
