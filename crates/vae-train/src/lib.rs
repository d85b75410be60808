//! Training: the loop of a run, from a recipe to its run folder.
//!
//! Emits [`Event`]s, never prints. Engines are trait objects (`vae_spec::Engine`).

mod error;
mod event;
mod group;
mod memory;
mod trainer;

pub use error::TrainError;
pub use event::{Event, Outcome};
#[cfg(feature = "mpi")]
pub use group::Mpi;
pub use group::{Group, agree, facts};
pub use memory::needed;
pub use trainer::{DeviceLost, Divergence, Team, Training, follow};
