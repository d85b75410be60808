//! Recipes: everything that a training run is asked to do.
//!
//! A [`RecipePatch`] holds some settings, as flags, a file or a preset give them; [`Recipe::resolve`] completes it for a data
//! set. Schedules are numbers by step, [`Preprocessing`] is what the recipe does to data before a model sees them. Nothing
//! here trains, or knows a device.

mod choice;
mod corrupt;
mod error;
mod metric;
mod preprocessing;
mod recipe;
mod schedule;

pub use choice::{BackendChoice, EngineChoice};
pub use corrupt::Corrupt;
pub use error::RecipeError;
pub use metric::Metric;
pub use preprocessing::Preprocessing;
pub use recipe::{
    Binarize, Capacity, FreeBitsText, LikelihoodName, ObjectiveName, OnNan, OutputBias, Preset,
    PriorText, Recipe, RecipePatch, Sigma, SigmaName,
};
pub use schedule::{KlSchedule, LrSchedule, Plateau, Span, Stopping, StoppingState};
