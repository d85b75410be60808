//! Training: the loop of a run, from a recipe to its run folder.
//!
//! Emits [`Event`]s, never prints. Engines are trait objects (`vae_spec::Engine`).

mod error;
mod event;
mod memory;
mod trainer;

pub use error::TrainError;
pub use event::{Event, Outcome};
pub use memory::needed;
pub use trainer::{DeviceLost, Divergence, Training};
