//! A variational autoencoder as plain data: its [`Network`], its [`Weights`], its [`Likelihood`], its [`Objective`], its
//! [`Optimizer`], and the interface of an [`Engine`].
//!
//! # The loss
//!
//! For images `x`, shape `[batch, pixels]`:
//!
//! - The encoder gives `mu` and `log_var`, both `[batch, latent]`; `log_var` is clamped to [-30, 20], and its gradient is
//!   zero outside.
//! - `z = mu + exp(log_var / 2) * eps`, with `eps` standard normal.
//! - `kl = 0.5 * sum_j (mu_j^2 + exp(log_var_j) - log_var_j - 1)`, `[batch]`, nats (Kingma and Welling 2014, appendix B).
//! - The decoder gives one number per pixel, and the [`Likelihood`] says what it means; `recon = -log p(x | z)`, `[batch]`, nats,
//!   with all constants. For a Bernoulli the number is the logit `l`, and
//!   `recon = sum_d (max(l_d, 0) - l_d * x_d + log(1 + exp(-|l_d|)))`.
//! - `loss = mean over the batch of (recon + beta * kl)`; `-ELBO` is its value at `beta = 1`. The other
//!   [objectives](ObjectiveKind) put other numbers in the place of this sum, and learned [priors](Prior) another `kl`, at the
//!   draws: `log q(z | x) - log p(z)`.
//!
//! Sums over data and latent dimensions, means over the batch: every engine computes these definitions, and
//! `docs/models.md` lists all of them.
//!
//! No tensors, no files, no clock.

mod config;
mod corruption;
mod engine;
mod importance;
mod likelihood;
pub mod network;
mod objective;
mod optimizer;
mod weights;

pub use config::{
    Activation, Convolutions, Initialization, ModelConfig, ParameterSpec, Prior, Start, Upsampling,
};
pub use corruption::Corruption;
pub use engine::{
    Batch, Element, Engine, EngineError, EngineSetup, Losses, Part, Posterior, Snapshot, Step,
    TrainingImages, Wait,
};
pub use importance::{Draws, Evidence, IMPORTANCE_ROWS};
pub use likelihood::{Likelihood, Spread};
pub use network::Network;
pub use objective::{
    FreeBits, FreeBitsPer, KlEstimate, MmdKernel, Objective, ObjectiveKind, Weighting,
};
pub use optimizer::{Clip, Optimizer, OptimizerConfig};
pub use weights::{DataStart, NamedTensor, Weights, WeightsError};

/// Least logarithm of a posterior's variance, a standard deviation of 3e-7; the gradient is zero below.
pub const LOG_VAR_MIN: f32 = -30.0;
/// Largest logarithm of a posterior's variance, a standard deviation of 22,000; the gradient is zero above.
pub const LOG_VAR_MAX: f32 = 20.0;
/// Added to the variances of group normalisation: PyTorch's default.
pub const GROUP_NORM_EPS: f64 = 1e-5;
