//! Inference with a trained model: whole data sets through an engine.

mod collapse;
mod error;
mod evaluation;
mod factors;
mod inference;
mod latents;
pub mod metrics;
mod mixture;
mod pictures;

pub use collapse::LatentUse;
pub use error::InferError;
pub use evaluation::{Evaluation, EvaluationData, Nll, Reconstruction};
pub use factors::read_factors;
pub use inference::{EVALUATION_BATCH, Inference, Score, batches};
pub use latents::{Latents, read_latents, write_evaluation, write_scores};
pub use mixture::{Mixture, Normal};
pub use pictures::{Walk, grid, manifold, reconstructions, samples, stacked, traversal};
