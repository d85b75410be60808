//! Inference with a trained model: whole data sets through an engine.

mod collapse;
mod error;
mod inference;
mod latents;
mod mixture;
mod pictures;

pub use collapse::LatentUse;
pub use error::InferError;
pub use inference::{EVALUATION_BATCH, Inference, Score, batches};
pub use latents::{Latents, read_latents, write_scores};
pub use mixture::{Mixture, Normal};
pub use pictures::{Walk, grid, manifold, reconstructions, samples, stacked, traversal};
