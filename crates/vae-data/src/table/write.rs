//! Writes tables.

use std::fmt::Write as _;
use std::io::{self, Write};

use csv::WriterBuilder;

/// A column of text: its name, and a cell for each row.
pub type TextColumn<'a> = (&'a str, &'a [String]);

/// Writes a table of `width` columns of numbers, the ids before them and the labels behind, each number with the fewest digits
/// that round-trip. It has a header if the columns have names or stand beside others.
///
/// # Errors
/// If `output` cannot be written, or `values` are not `[rows, width]` with one id and one label per row.
pub fn write(
    output: impl Write,
    delimiter: u8,
    width: usize,
    columns: Option<&[String]>,
    values: &[f32],
    ids: Option<TextColumn<'_>>,
    labels: Option<TextColumn<'_>>,
) -> io::Result<()> {
    let rows = values.chunks_exact(width.max(1));
    let mut texts = [ids, labels].into_iter().flatten();
    if !rows.remainder().is_empty() || texts.any(|(_, cells)| cells.len() != rows.len()) {
        let message = format!(
            "{} values for {width} columns, and for each row an id and a label, if any",
            values.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut writer = WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(output);
    // Unnamed columns are numbered beside others, whose names tell that this is a header; alone they would be read as a row.
    let has_others = ids.is_some() || labels.is_some();
    let numbers = || (1..=width).map(|number| number.to_string()).collect();
    let columns = columns.map(<[_]>::to_vec);
    if let Some(columns) = columns.or_else(|| has_others.then(numbers)) {
        let [id, label] = [ids, labels].map(|column| column.map(|(name, _)| name));
        let names = columns.iter().map(String::as_str);
        writer.write_record(id.into_iter().chain(names).chain(label))?;
    }
    let mut cell = String::new();
    for (at, row) in rows.enumerate() {
        if let Some((_, ids)) = ids {
            writer.write_field(&ids[at])?;
        }
        for value in row {
            cell.clear();
            // Debug, not Display: 1e-38 instead of 38 zeros.
            write!(cell, "{value:?}").map_err(io::Error::other)?;
            writer.write_field(&cell)?;
        }
        if let Some((_, labels)) = labels {
            writer.write_field(&labels[at])?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}
