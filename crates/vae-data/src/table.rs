//! Text tables of numbers with or without a header line, a column of labels and one of ids.
//!
//! A value that is missing or is not a finite number is refused, never guessed.

mod dialect;
mod read;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

use crate::Inherited;

pub use dialect::{Decimal, Separator};
pub use read::read;
pub use write::{TextColumn, write};

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
    /// What separates cells unless the text says otherwise: commas in `.csv`, tabs in `.tsv`.
    pub usual: Separator,
    /// What separates cells; found in the text if `None`.
    pub separator: Option<Separator>,
    /// What stands before decimals; found in the text if `None`.
    pub decimal: Option<Decimal>,
    /// Whether the first line holds the column names.
    pub header: Header,
    /// Label column: its name, or its number counted from 1 if it has none.
    pub label: Option<&'a str>,
    /// Column of ids, named like that of labels.
    pub ids: Option<&'a str>,
    /// Which of these columns need not be there.
    pub inherited: Inherited,
}

/// A table of finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Column names without those of labels and ids; numbers counted from 1 where the file has none.
    pub columns: Vec<String>,
    /// Number of rows.
    pub rows: usize,
    /// Values, `[rows, columns]`.
    pub values: Vec<f32>,
    /// Labels, `[rows]`, without surrounding spaces.
    pub labels: Option<Vec<String>>,
    /// Ids, `[rows]`, without surrounding spaces.
    pub ids: Option<Vec<String>>,
    /// Whether the first line was read as a header.
    pub had_header: bool,
    /// What is unusual about how it is written, in words.
    pub dialect: String,
    /// Notes for the user.
    pub notes: Vec<String>,
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
