//! Why a trained model cannot be used.

use vae_data::DataError;
use vae_recipe::RecipeError;
use vae_spec::EngineError;

/// Why a model gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The images are none that the model can take.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A file of data.
    #[error(transparent)]
    Data(#[from] DataError),
}
