//! The variational autoencoder over burn tensors, generic over the backend: networks, likelihoods, priors, objectives.
//!
//! Their definitions are in the crate `vae-spec`; `z` and `kl` come from the engine's `sample_kl`, which it hands in as
//! [`Draws`].

pub mod likelihood;
mod objective;
mod prior;
mod vae;

pub use objective::{DoublyReparameterized, Draws, Inputs, Terms, objective};
pub use prior::{Normals, repeat_rows};
pub use vae::{Convolve, Observer, Vae, convolve};
