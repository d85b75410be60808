//! Recipes: the settings of a training run.
//!
//! A [`RecipePatch`] holds some of the settings, from flags, a file or a preset; [`Recipe::resolve`] completes it for a
//! dataset, a [`Sweep`] is a grid of them. Schedules map a step to a number; [`Preprocessing`] is what the recipe does to data
//! before the model sees them. Nothing here trains or depends on a device.

mod choice;
mod corrupt;
mod error;
mod metric;
mod preprocessing;
mod recipe;
mod schedule;
mod sweep;

pub use choice::{BackendChoice, EngineChoice};
pub use corrupt::Corrupt;
pub use error::RecipeError;
pub use metric::Metric;
pub use preprocessing::Preprocessing;
pub use recipe::{
    Binarize, Capacity, FreeBitsText, LikelihoodName, ObjectiveName, OnDeviceLost, OnNan,
    OutputBias, Preset, PriorText, Recipe, RecipePatch, Sigma, SigmaName,
};
pub use schedule::{KlSchedule, LrSchedule, Plateau, Span, Stopping, StoppingState};
pub use sweep::{Sweep, SweepPoint, SweepRun};
