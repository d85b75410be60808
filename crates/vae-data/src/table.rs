//! Text tables of numbers, comma- or tab-separated, with or without a header line and a label column.
//!
//! A value that is missing or is not a finite number is refused, never guessed.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use crate::DataError;

/// Whether the first line holds the column names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Header {
    /// Detected: yes if a cell of the first line is the label column's name, or text outside the label column above a number or
    /// nothing.
    #[default]
    Auto,
    /// The first line is a header.
    Yes,
    /// The first line is a row like the others.
    No,
}

/// Options for reading a table.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions<'a> {
    /// Delimiter, for example `b','` or `b'\t'`.
    pub delimiter: u8,
    /// Whether the first line holds the column names.
    pub header: Header,
    /// Label column: its name, or its number counted from 1 if the table has no header.
    pub label: Option<&'a str>,
}

/// A table of finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Column names without the label column; numbers counted from 1 if the file has no header.
    pub columns: Vec<String>,
    /// Number of rows.
    pub rows: usize,
    /// Values, `[rows, columns]`.
    pub values: Vec<f32>,
    /// Labels, `[rows]`, without surrounding spaces.
    pub labels: Option<Vec<String>>,
    /// Whether the first line was read as a header.
    pub had_header: bool,
}

/// Reads a whole table.
///
/// # Errors
/// If the table is invalid; the error contains `source_name` and the line of the first error, counted from 1.
pub fn read(
    mut input: impl Read,
    source_name: &str,
    options: &TableOptions<'_>,
) -> Result<Table, DataError> {
    let unreadable = |cause| DataError::unreadable(source_name, cause);
    let wrong = |field: String, expected: String, found: String| {
        DataError::wrong(source_name, field, expected, found)
    };

    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(unreadable)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        wrong(
            format!("line {}", line(bytes, at)),
            "UTF-8 text".into(),
            format!("the byte 0x{:02x} (save the file as UTF-8)", bytes[at]),
        )
    })?;

    let mut records = ReaderBuilder::new()
        .delimiter(options.delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut next = || {
        let mut record = StringRecord::new();
        let is_record = records.read_record(&mut record);
        match is_record.map_err(|error| unreadable(error.into()))? {
            true => Ok::<_, DataError>(Some(record)),
            false => Ok(None),
        }
    };
    // The reader's own line numbers do not count empty lines and CRLF line ends.
    let line_of = |record: &StringRecord| {
        let start = record.position().map_or(0, |at| at.byte() as usize);
        let rest = text[start..].trim_start_matches(['\r', '\n']);
        line(bytes, bytes.len() - rest.len())
    };

    let Some(first) = next()? else {
        let expected = "rows of numbers".to_owned();
        return Err(wrong("table".into(), expected, "an empty file".into()));
    };
    let second = next()?;
    let had_header = match options.header {
        Header::Yes => true,
        Header::No => false,
        Header::Auto => looks_like_names(&first, second.as_ref(), options.label),
    };
    let mut columns: Vec<String> = if had_header {
        first.iter().map(|name| name.trim().to_owned()).collect()
    } else {
        (1..=first.len()).map(|number| number.to_string()).collect()
    };
    let label = options.label.map(|label| {
        let at = columns.iter().position(|name| name == label);
        at.ok_or_else(|| {
            let expected = if had_header {
                format!("one of the columns {}", listed(&columns))
            } else {
                let last = columns.len();
                format!("a column's number, 1 to {last} (the table has no names)")
            };
            wrong("label column".into(), expected, format!("`{label}`"))
        })
    });
    let label = label.transpose()?;
    if columns.len() == usize::from(label.is_some()) {
        let expected = "a column of numbers beside the labels".to_owned();
        return Err(wrong("table".into(), expected, "none".into()));
    }

    let first_line = line_of(&first);
    let width = first.len();
    let mut rows = 0;
    let mut values = Vec::new();
    let mut labels = label.map(|_| Vec::new());
    let mut pending = [(!had_header).then_some(first), second]
        .into_iter()
        .flatten();
    while let Some(record) = pending
        .next()
        .map_or_else(&mut next, |record| Ok(Some(record)))?
    {
        if record.len() != width {
            let expected = format!("{width} cells as in line {first_line}");
            let field = format!("line {}", line_of(&record));
            return Err(wrong(field, expected, record.len().to_string()));
        }
        for (at, cell) in record.iter().enumerate() {
            let cell = cell.trim();
            let (expected, found) = if Some(at) == label {
                if !cell.is_empty() {
                    labels.get_or_insert_default().push(cell.to_owned());
                    continue;
                }
                ("a label", "nothing".to_owned())
            } else {
                match cell.parse::<f32>() {
                    Ok(value) if value.is_finite() => {
                        values.push(value);
                        continue;
                    }
                    _ if cell.is_empty() => ("a number", "nothing (a missing value?)".to_owned()),
                    _ if is_missing(cell) => ("a number", format!("`{cell}` (a missing value?)")),
                    Ok(_) => ("a finite number of at most 3.4e38", format!("`{cell}`")),
                    Err(_) => {
                        let hint = format!("if it is the label, --labels {}", columns[at]);
                        ("a number", format!("{} ({hint})", shortened(cell)))
                    }
                }
            };
            let field = format!("line {}, column `{}`", line_of(&record), columns[at]);
            return Err(wrong(field, expected.to_owned(), found));
        }
        rows += 1;
    }
    if rows == 0 {
        let expected = "rows below the names".to_owned();
        return Err(wrong("table".into(), expected, "none".into()));
    }
    if let Some(label) = label {
        columns.remove(label);
    }
    Ok(Table {
        columns,
        rows,
        values,
        labels,
        had_header,
    })
}

/// The line, counted from 1, of the byte at `end`.
fn line(bytes: &[u8], end: usize) -> usize {
    let next = bytes.iter().skip(1).chain([&0]);
    let ends = bytes.iter().zip(next).take(end);
    1 + ends
        .filter(|&(&byte, &next)| byte == b'\n' || byte == b'\r' && next != b'\n')
        .count()
}

/// Implements [`Header::Auto`]. Text above text is no evidence: it may be an unnamed label column.
fn looks_like_names(
    first: &StringRecord,
    second: Option<&StringRecord>,
    label: Option<&str>,
) -> bool {
    let is_text = |cell: &str| cell.trim().parse::<f32>().is_err() && !is_missing(cell.trim());
    let label_number = label.and_then(|label| label.parse::<usize>().ok());
    first.iter().enumerate().any(|(at, cell)| {
        let below = second.and_then(|second| second.get(at));
        let names_a_number = label_number != Some(at + 1) && !below.is_some_and(is_text);
        is_text(cell) && (names_a_number || Some(cell.trim()) == label)
    })
}

/// Whether a cell marks a missing value, as spreadsheets, R, pandas, databases and UCI data sets write it.
fn is_missing(cell: &str) -> bool {
    let markers = ["", "na", "n/a", "nan", "null", "none", "?"];
    markers
        .iter()
        .any(|marker| cell.eq_ignore_ascii_case(marker))
}

/// Lists names for an error message, at most the first few.
pub(crate) fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<_> = names
        .iter()
        .take(MOST)
        .map(|name| shortened(name))
        .collect();
    let more = match names.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

/// Shortens a cell for an error message; after an unclosed quote the rest of the file is one cell.
fn shortened(cell: &str) -> String {
    const LENGTH: usize = 40;
    match cell.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("`{}…`", &cell[..end]),
        None => format!("`{cell}`"),
    }
}

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
