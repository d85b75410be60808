//! The variational autoencoder over burn tensors, generic over the backend: networks, likelihoods, priors, objectives.
//!
//! What they compute is defined in the crate `vae-spec`; `z` and `kl` are `sample_kl` of the engine, which hands them in as
//! [`Draws`].

pub mod likelihood;
mod objective;
mod prior;
mod vae;

pub use objective::{DoublyReparameterized, Draws, Inputs, Terms, objective};
pub use prior::Normals;
pub use vae::{Convolve, Observer, Vae, convolve};
