//! NumPy array files: NPY, versions 1.0 to 3.0, and NPZ, a zip of them. No pickled objects, no structured types.
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
pub(crate) use read::read_after;
pub use write::{header_bytes, write_f32, write_i64, write_text, write_u8};

/// Values of an array in C order (last dimension fastest), whatever the order in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum NpyValues {
    /// Values of `u1`, or of `b1` as zeros and ones.
    U8(Vec<u8>),
    /// Values of `f4`, of `f2`, or of `f8` rounded; not checked for NaN and infinity.
    F32(Vec<f32>),
    /// Values of all integer types other than `u1`.
    Integers(Vec<i64>),
    /// Texts of `U` and `S`, without the zeros that fill them up.
    Text(Vec<String>),
}

/// A whole array.
#[derive(Clone, Debug, PartialEq)]
pub struct NpyArray {
    /// Dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Elements; their number is the product of `shape`.
    pub values: NpyValues,
}
