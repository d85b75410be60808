//! Writes NPY arrays.

use std::io::{self, BufWriter, Write};

use super::header::MAGIC;

/// The header of an NPY file in C order, the same bytes that NumPy writes: version 1.0, of the same length for any number of
/// rows, so that a streaming writer can fill in the final number.
///
/// `descr` is for example `<f4`; there is room for at most NumPy's 64 dimensions.
#[must_use]
pub fn header_bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
    /// Digits that NumPy reserves for the first dimension to grow.
    const GROWTH: usize = 21;
    const ALIGNMENT: usize = 64;
    let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
    let comma = if sizes.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sizes.join(", ")
    );
    let growth = sizes.first().map_or(0, |first| GROWTH - first.len());
    let start = MAGIC.len() + 4;
    let end = start + text.len() + growth + 1;
    // NumPy adds 64 bytes even where no padding is needed.
    let padded = (end / ALIGNMENT + 1) * ALIGNMENT;
    text += &" ".repeat(padded - start - text.len() - 1);
    text += "\n";
    let mut bytes = [MAGIC, &[1, 0]].concat();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

/// Writes an array of `f32` in C order.
///
/// # Errors
/// If `output` cannot be written, or `shape` does not match the number of `values`.
pub fn write_f32(output: &mut impl Write, shape: &[usize], values: &[f32]) -> io::Result<()> {
    write(output, "<f4", shape, values.iter().map(|v| v.to_le_bytes()))
}

/// Writes an array of `u8` in C order.
///
/// # Errors
/// If `output` cannot be written, or `shape` does not match the number of `values`.
pub fn write_u8(output: &mut impl Write, shape: &[usize], values: &[u8]) -> io::Result<()> {
    write(output, "|u1", shape, values.iter().map(|&v| [v]))
}

/// Writes an array of `i64` in C order.
///
/// # Errors
/// If `output` cannot be written, or `shape` does not match the number of `values`.
pub fn write_i64(output: &mut impl Write, shape: &[usize], values: &[i64]) -> io::Result<()> {
    write(output, "<i8", shape, values.iter().map(|v| v.to_le_bytes()))
}

/// Writes an array of texts in C order, as many code points for each as the longest has.
///
/// # Errors
/// If `output` cannot be written, or `shape` does not match the number of `values`.
pub fn write_text(output: &mut impl Write, shape: &[usize], values: &[String]) -> io::Result<()> {
    let lengths = values.iter().map(|value| value.chars().count());
    let longest = lengths.max().unwrap_or(0).max(1);
    let texts = values.iter().map(|value| {
        let points = value.chars().map(u32::from).chain(std::iter::repeat(0));
        let bytes: Vec<u8> = points.take(longest).flat_map(u32::to_le_bytes).collect();
        bytes
    });
    write(output, &format!("<U{longest}"), shape, texts)
}

fn write<B: AsRef<[u8]>>(
    output: &mut impl Write,
    descr: &str,
    shape: &[usize],
    values: impl ExactSizeIterator<Item = B>,
) -> io::Result<()> {
    if shape.iter().product::<usize>() != values.len() {
        let message = format!("{} values for the shape {shape:?}", values.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut output = BufWriter::new(output);
    output.write_all(&header_bytes(descr, shape))?;
    for value in values {
        output.write_all(value.as_ref())?;
    }
    output.flush()
}
