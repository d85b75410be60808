//! Image grids, plots and pages.
//!
//! [`Grid`] arranges images; the plots have axes. Nothing here depends on a model or on how the numbers were computed.

mod error;
mod grid;
mod page;
mod plots;
mod thumbnails;

pub use error::PictureError;
pub use grid::{Grid, square_columns};
pub use page::{Block, Chart, Page, Section, Series};
pub use plots::{LossPoint, Plane, kl, loss, scatter, variances};
pub use thumbnails::Thumbnails;
