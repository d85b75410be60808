//! Data sets: reading a name or a path into samples, kept in their stored type.
//!
//! Splits, scaling and binarization are views of them. Nothing here shuffles or trains. The sizes that a file claims are
//! checked before memory is allocated.

mod array;
mod dataset;
pub mod digits;
mod error;
pub mod fetch;
pub mod folder;
pub mod idx;
mod images;
mod labels;
mod limits;
mod mapped;
mod matrix_market;
pub mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod prefetch;
mod progress;
mod read;
mod replace;
mod scaling;
mod shape;
mod similar;
mod split;
pub mod table;
mod write;

pub use array::Array;
pub use dataset::{Dataset, Validation};
pub use error::DataError;
pub use images::Images;
pub use labels::Labels;
pub use mapped::array_shape;
pub use prefetch::Prefetch;
pub use progress::{OnProgress, Progress};
pub use read::{Inherited, Layout, ReadOptions, Source};
pub use replace::replace;
pub use scaling::{AutoScale, Scale, Scaling};
pub use shape::Shape;
pub use similar::{did_you_mean, similar};
pub use split::split;
pub use vae_spec::Element;
pub use write::{Format, text_columns, write};
