//! Pictures out of numbers.
//!
//! [`Grid`] puts images side by side; the plots have axes. Nothing here knows a model, or how the numbers were made.

mod error;
mod grid;
mod plots;

pub use error::PictureError;
pub use grid::{Grid, square_columns};
pub use plots::{Plane, kl, latent, loss, scatter, variances};
