//! NumPy's array files: NPY, versions 1.0 to 3.0, and NPZ, which is a zip of them. No pickled objects, no structured types.
//!
//! Layout (NumPy's `numpy.lib.format`): the magic number, two version bytes, the length of the header as a little-endian
//! `u16` (version 1) or `u32` (2 and 3), the header, which is a Python dictionary as text, then the elements.

mod header;
mod npz;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use header::{NpyElement, NpyHeader, read_header};
pub use npz::{NpyArrayRef, Npz, write_npz};
pub use read::read;
pub use write::{header_bytes, write_f32, write_i64, write_u8};

/// Values of an array in C order (last dimension fastest), whatever order the file has.
#[derive(Clone, Debug, PartialEq)]
pub enum NpyValues {
    /// From `u1`, and from `b1` as zeros and ones.
    U8(Vec<u8>),
    /// From `f4`, and from `f8` rounded; not checked for NaN and infinity.
    F32(Vec<f32>),
    /// From the integers that are not `u1`.
    Integers(Vec<i64>),
}

/// A whole array.
#[derive(Clone, Debug, PartialEq)]
pub struct NpyArray {
    /// The sizes, slowest first.
    pub shape: Vec<usize>,
    /// As many as the product of `shape`.
    pub values: NpyValues,
}
