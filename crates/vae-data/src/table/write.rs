//! Writes tables.

use std::fmt::Write as _;
use std::io::{self, Write};

use csv::WriterBuilder;

/// Writes a table of `width` columns, with a header of their `names` and that of the labels, which come last, if there is one;
/// each number with the fewest digits that round-trip.
///
/// # Errors
/// If `output` cannot be written, or `values` are not `[rows, width]` with one label per row.
pub fn write(
    output: impl Write,
    delimiter: u8,
    width: usize,
    names: Option<(&[String], &str)>,
    values: &[f32],
    labels: Option<&[String]>,
) -> io::Result<()> {
    let rows = values.chunks_exact(width.max(1));
    if !rows.remainder().is_empty() || labels.is_some_and(|labels| labels.len() != rows.len()) {
        let message = format!(
            "{} values and {} labels for {width} columns",
            values.len(),
            labels.map_or(0, <[_]>::len)
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut writer = WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(output);
    if let Some((columns, label)) = names {
        let label = labels.map(|_| label);
        writer.write_record(columns.iter().map(String::as_str).chain(label))?;
    }
    let mut cell = String::new();
    for (at, row) in rows.enumerate() {
        for value in row {
            cell.clear();
            // Debug, not Display: 1e-38 instead of 38 zeros.
            write!(cell, "{value:?}").map_err(io::Error::other)?;
            writer.write_field(&cell)?;
        }
        if let Some(labels) = labels {
            writer.write_field(&labels[at])?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}
