//! Image grids and plots.
//!
//! [`Grid`] arranges images; the plots have axes. Nothing here depends on a model or on how the numbers were computed.

mod error;
mod grid;
mod plots;

pub use error::PictureError;
pub use grid::{Grid, square_columns};
pub use plots::{LossPoint, Plane, kl, loss, scatter, variances};
