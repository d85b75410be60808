//! The variational autoencoder itself: its configuration, its weights, its network and its loss.
//!
//! # The loss
//!
//! For images `x` in `[0, 1]`, shape `[batch, pixels]`:
//!
//! - The encoder gives `mu` and `log_var`, both `[batch, latent]`; `log_var` is clamped to [-30, 20], and its gradient is
//!   zero outside.
//! - `z = mu + exp(log_var / 2) * eps`, with `eps` standard normal.
//! - `kl = 0.5 * sum_j (mu_j^2 + exp(log_var_j) - log_var_j - 1)`, `[batch]`, nats (Kingma and Welling 2014, appendix B).
//! - The decoder gives one number per pixel. For a Bernoulli it is the logit `l`, and
//!   `recon = sum_d (max(l_d, 0) - l_d * x_d + log(1 + exp(-|l_d|)))`; for a Gaussian it is the mean `m`, and
//!   `recon = sum_d (((x_d - m_d) / sigma)^2 / 2 + log sigma + log(2 pi) / 2)`: `[batch]`, nats.
//! - `loss = mean over the batch of (recon + beta * kl)`; `-ELBO` is its value at `beta = 1`.
//!
//! Sums over data and latent dimensions, means over the batch: every engine computes this definition. The network and
//! the likelihood are here, `z` and `kl` are `sample_kl` of the crate `vae-kernels`; the two meet in an engine.
//!
//! No files, no clock, no GPU code.

mod config;
mod engine;
mod likelihood;
mod network;
mod optimizer;
mod weights;

pub use config::{Activation, Initialization, Likelihood, ModelConfig, ParameterSpec};
pub use engine::{
    Engine, EngineError, EngineSetup, Losses, Posterior, Snapshot, TrainingImages, Wait,
};
pub use network::Vae;
pub use optimizer::{Optimizer, OptimizerConfig};
pub use weights::{NamedTensor, Weights, WeightsError};
