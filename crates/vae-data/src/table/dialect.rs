//! How a text table is written: what separates its cells, and what its decimals.

use std::borrow::Cow;

use csv::{Reader, ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

use super::TableOptions;
use crate::DataError;

/// Records that are looked at.
const SAMPLE: usize = 1000;
/// Bytes of them, which keeps a table of many columns from being parted in all ways whole, and the fewest lines beyond these.
const SAMPLE_BYTES: usize = 16 << 20;
const FEWEST: usize = 2;

/// What stands between two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Separator {
    /// `,`
    Comma,
    /// A tabulator.
    Tab,
    /// `;`
    Semicolon,
    /// `|`
    Pipe,
    /// One or more blanks.
    Space,
}

impl Separator {
    const ALL: [Self; 5] = [
        Self::Comma,
        Self::Tab,
        Self::Semicolon,
        Self::Pipe,
        Self::Space,
    ];

    /// As a byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Tab => b'\t',
            Self::Semicolon => b';',
            Self::Pipe => b'|',
            Self::Space => b' ',
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Comma => "commas",
            Self::Tab => "tabs",
            Self::Semicolon => "semicolons",
            Self::Pipe => "`|`",
            Self::Space => "spaces",
        }
    }
}

/// What stands before the decimals of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decimal {
    /// `0.5`
    Point,
    /// `0,5`
    Comma,
}

/// How a table is written.
pub(super) struct Dialect {
    pub(super) separator: Separator,
    pub(super) decimal: Decimal,
}

impl Dialect {
    /// What `options` say, and else what makes the most numbers of the first records.
    ///
    /// # Errors
    /// If it is not clear whether commas are before decimals or before thousands.
    pub(super) fn of(
        text: &str,
        name: &str,
        options: &TableOptions<'_>,
    ) -> Result<Self, DataError> {
        let separator = options
            .separator
            .unwrap_or_else(|| likeliest(text, options.usual));
        let of = |decimal| Self { separator, decimal };
        if let Some(decimal) = options.decimal {
            return Ok(of(decimal));
        }
        let point = of(Decimal::Point);
        let records = point.sample(text);
        // Ids and labels are texts, whatever they look like.
        let names = records.first();
        let is_text = |column: usize| {
            let name = names.and_then(|names| names.get(column)).map(str::trim);
            let number = (column + 1).to_string();
            let mut asked = [options.label, options.ids].into_iter().flatten();
            asked.any(|asked| Some(asked) == name || asked == number)
        };
        let cells = || {
            let cells = records.iter().flat_map(|record| record.iter().enumerate());
            let values = cells.filter(|(column, _)| !is_text(*column));
            values.map(|(_, cell)| cell.trim())
        };
        let mut with_commas = cells().filter(|cell| Self::is_with_comma(cell)).peekable();
        let Some(&first) = with_commas.peek() else {
            return Ok(point);
        };
        if cells().any(|cell| cell.contains('.') && point.number(cell).is_some()) {
            return Ok(point);
        }
        let is_of_thousands = |cell: &str| {
            let decimals = cell.split_once(',').map(|(_, decimals)| decimals);
            decimals.is_some_and(|decimals| decimals.len() == 3 && !cell.starts_with("0,"))
        };
        if with_commas.all(is_of_thousands) {
            let expected = "--decimal comma if its decimals are, or no commas for thousands";
            return Err(DataError::wrong(
                name,
                "numbers",
                expected,
                format!("`{first}`"),
            ));
        }
        Ok(of(Decimal::Comma))
    }

    /// The value of a cell; `None` if it is no number.
    pub(super) fn number(&self, cell: &str) -> Option<f32> {
        match self.decimal {
            Decimal::Point => cell.parse().ok(),
            Decimal::Comma if cell.contains('.') => None,
            Decimal::Comma => cell.replacen(',', ".", 1).parse().ok(),
        }
    }

    /// Whether a cell is a number with a comma for its point.
    pub(super) fn is_with_comma(cell: &str) -> bool {
        let comma = Self {
            separator: Separator::Semicolon,
            decimal: Decimal::Comma,
        };
        cell.contains(',') && comma.number(cell).is_some()
    }

    /// The text with single spaces, if they separate cells; lines stay lines.
    pub(super) fn single_spaced<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.separator != Separator::Space {
            return Cow::Borrowed(text);
        }
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        Cow::Owned(text.lines().map(line).collect::<Vec<_>>().join("\n"))
    }

    /// The records of a text that is single-spaced.
    pub(super) fn records<'a>(&self, text: &'a str) -> Reader<&'a [u8]> {
        ReaderBuilder::new()
            .delimiter(self.separator.byte())
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes())
    }

    pub(super) fn sample(&self, text: &str) -> Vec<StringRecord> {
        let lines = text.split_inclusive('\n').take(2 * SAMPLE);
        let mut start = 0;
        for (number, line) in lines.enumerate() {
            if number >= FEWEST && start + line.len() > SAMPLE_BYTES {
                break;
            }
            start += line.len();
        }
        let text = self.single_spaced(&text[..start]);
        let mut records = self.records(&text);
        records
            .records()
            .take(SAMPLE)
            .map_while(Result::ok)
            .collect()
    }

    /// What differs from a table of `usual` separators; empty if nothing does.
    pub(super) fn in_words(&self, usual: Separator) -> String {
        let mut words = String::new();
        if self.separator != usual {
            words = format!(", separated by {}", self.separator.in_words());
        }
        if self.decimal == Decimal::Comma {
            words += ", with decimal commas";
        }
        words
    }
}

/// The separator that parts the records into equally many cells, most of which are numbers; if none does, the one that parts
/// the first record into most.
fn likeliest(text: &str, usual: Separator) -> Separator {
    let others = Separator::ALL.into_iter().filter(|other| *other != usual);
    // The last of several maxima wins.
    let candidates = others.rev().chain([usual]).map(|separator| {
        let as_written = |decimal| Dialect { separator, decimal };
        let records = as_written(Decimal::Point).sample(text);
        let width = records.first().map_or(0, StringRecord::len);
        let is_even = width > 1 && records.iter().all(|record| record.len() == width);
        let numbers = |decimal| {
            let dialect = as_written(decimal);
            let cells = records.iter().skip(1).flatten();
            cells
                .filter(|cell| dialect.number(cell.trim()).is_some())
                .count()
        };
        let numbers = [Decimal::Point, Decimal::Comma].map(numbers);
        let cells = records.len().saturating_sub(1) * width;
        let share = 1000 * numbers[0].max(numbers[1]) / cells.max(1);
        let score = if is_even {
            (true, share, width)
        } else {
            (false, width, 0)
        };
        (score, separator)
    });
    let best = candidates.max_by_key(|(score, _)| *score);
    best.map_or(usual, |(_, separator)| separator)
}

/// Whether a cell marks a missing value, as spreadsheets, R, pandas, databases and UCI data sets write it.
pub(super) fn is_missing(cell: &str) -> bool {
    let markers = ["", "na", "n/a", "nan", "null", "none", "?"];
    markers
        .iter()
        .any(|marker| cell.eq_ignore_ascii_case(marker))
}
