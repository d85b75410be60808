//! Data sets: the built-in digits and folders in MNIST's layout, checked and kept as bytes.
//!
//! Nothing here scales, shuffles or splits: a data set is what its files say.

mod dataset;
mod error;
pub mod idx;

pub use dataset::{Dataset, Images};
pub use error::DataError;
