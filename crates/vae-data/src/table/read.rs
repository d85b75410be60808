//! Reads tables.

use std::borrow::Cow;
use std::io::Read;

use csv::StringRecord;

use super::dialect::{Dialect, is_missing};
use super::{Decimal, Header, Table, TableOptions, listed, shortened};
use crate::{DataError, did_you_mean};

/// Longest line: a column may be one byte, and in memory its name alone takes 24. It is room for [`MOST_COLUMNS`] columns of 16 bytes.
const LONGEST_LINE: usize = 16 << 20;
/// Most columns: a colour image of 591 x 591.
const MOST_COLUMNS: usize = 1 << 20;

/// What a column is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Value,
    Label,
    Id,
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
    let wrong = |field: String, expected: String, found: String| {
        DataError::wrong(source_name, field, expected, found)
    };
    let mut bytes = Vec::new();
    input
        .read_to_end(&mut bytes)
        .map_err(|cause| DataError::unreadable(source_name, cause))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        wrong(
            format!("line {}", line(bytes, at)),
            "UTF-8 text".into(),
            format!("the byte 0x{:02x} (save the file as UTF-8)", bytes[at]),
        )
    })?;
    if let Some(number) = too_long(text) {
        let expected = format!("at most {LONGEST_LINE} bytes in a line");
        return Err(wrong(
            format!("line {number}"),
            expected,
            "more (a table written in one line?)".into(),
        ));
    }
    let (dialect, text, comments) = without_comments(text, source_name, options)?;
    let text = &*dialect.single_spaced(&text);

    let mut records = dialect.records(text);
    let mut next = || {
        let mut record = StringRecord::new();
        let is_record = records
            .read_record(&mut record)
            .map_err(|error| DataError::unreadable(source_name, error));
        is_record.map(|is_record| is_record.then_some(record))
    };
    // The reader's own line numbers do not count empty lines and CRLF line ends.
    let line_of = |record: &StringRecord| {
        let start = record.position().map_or(0, |at| at.byte() as usize);
        let rest = text[start..].trim_start_matches(['\r', '\n']);
        line(text.as_bytes(), text.len() - rest.len())
    };

    let Some(first) = next()? else {
        let expected = "rows of numbers".to_owned();
        return Err(wrong("table".into(), expected, "an empty file".into()));
    };
    if first.len() > MOST_COLUMNS {
        let expected = format!("at most {MOST_COLUMNS} columns; an NPY file may have more");
        let field = format!("line {}", line_of(&first));
        return Err(wrong(field, expected, first.len().to_string()));
    }
    let second = next()?;
    let is_counted = second.is_some() && counts(&first);
    let had_header = match options.header {
        Header::Yes => true,
        Header::No => false,
        Header::Auto => is_counted || looks_like_names(&first, second.as_ref(), options, &dialect),
    };
    let mut columns: Vec<String> = (1..=first.len()).map(|number| number.to_string()).collect();
    if had_header {
        let named = columns.iter_mut().zip(&first);
        for (column, name) in named.filter(|(_, name)| !name.trim().is_empty()) {
            name.trim().clone_into(column);
        }
    }
    let place = |what: &str, asked: Option<&str>, is_inherited: bool| {
        let is_found = |asked: &&str| columns.iter().any(|name| name == asked);
        let asked = asked.filter(|asked| !is_inherited || is_found(asked));
        let find = |asked: &str| {
            let at = columns.iter().position(|name| name == asked);
            at.ok_or_else(|| {
                let expected = if had_header {
                    format!("one of the columns {}", listed(&columns))
                } else {
                    let last = columns.len();
                    format!("a column's number, 1 to {last} (the table has no names)")
                };
                let names = columns.iter().map(String::as_str);
                let found = format!("`{asked}`{}", did_you_mean(asked, names));
                wrong(what.to_owned(), expected, found)
            })
        };
        asked.map(find).transpose()
    };
    let label = place("label column", options.label, options.inherited.labels)?;
    let id = place("id column", options.ids, options.inherited.ids)?;
    let mut roles = vec![Role::Value; columns.len()];
    for (at, role) in [(label, Role::Label), (id, Role::Id)] {
        if let Some(at) = at {
            roles[at] = role;
        }
    }
    if !roles.contains(&Role::Value) {
        let expected = "a column of numbers beside the labels".to_owned();
        return Err(wrong("table".into(), expected, "none".into()));
    }

    let is_unnamed = ["", "Unnamed: 0"].contains(&first[0].trim());
    let first_line = line_of(&first);
    let mut table = Table {
        columns: Vec::new(),
        rows: 0,
        values: Vec::new(),
        labels: label.map(|_| Vec::new()),
        ids: id.map(|_| Vec::new()),
        had_header,
        dialect: dialect.in_words(options.usual),
        notes: comments.into_iter().collect(),
    };
    let mut pending = [(!had_header).then_some(first), second]
        .into_iter()
        .flatten();
    while let Some(record) = pending
        .next()
        .map_or_else(&mut next, |record| Ok(Some(record)))?
    {
        if record.len() != columns.len() {
            let expected = format!(
                "{} cells as in line {first_line}, separated by {} (or as --separator says)",
                columns.len(),
                dialect.separator.in_words()
            );
            let field = format!("line {}", line_of(&record));
            return Err(wrong(field, expected, record.len().to_string()));
        }
        for ((cell, role), name) in record.iter().zip(&roles).zip(&columns) {
            let cell = cell.trim();
            let texts = match role {
                Role::Value => None,
                Role::Label => table.labels.as_mut().map(|labels| ("a label", labels)),
                Role::Id => table.ids.as_mut().map(|ids| ("an id", ids)),
            };
            let result = match texts {
                Some((expected, _)) if cell.is_empty() => Err((expected, "nothing".to_owned())),
                Some((_, texts)) => {
                    texts.push(cell.to_owned());
                    Ok(())
                }
                None => number(cell, name, &dialect).map(|value| table.values.push(value)),
            };
            result.map_err(|(expected, found)| {
                let field = format!("line {}, column `{name}`", line_of(&record));
                wrong(field, expected.to_owned(), found)
            })?;
        }
        table.rows += 1;
    }
    if table.rows == 0 {
        let expected = "rows below the names".to_owned();
        return Err(wrong("table".into(), expected, "none".into()));
    }
    let named = columns.into_iter().zip(&roles);
    let values = named.filter(|(_, role)| **role == Role::Value);
    table.columns = values.map(|(name, _)| name).collect();
    if is_counted && options.header == Header::Auto {
        let note = "header: the first line counts the columns and is taken for their names; --header no takes it for a row";
        table.notes.push(note.to_owned());
    }
    if had_header && roles[0] == Role::Value && is_unnamed {
        leave_out_index(&mut table);
    }
    Ok(table)
}

/// The dialect of a text, the text without the lines above the table that begin with `#`, which are left empty so that lines keep
/// their numbers, and what is said of them. The last of them holds the names, if it has as many as there are columns of numbers
/// below it, as NumPy writes them.
fn without_comments<'a>(
    text: &'a str,
    source_name: &str,
    options: &TableOptions<'_>,
) -> Result<(Dialect, Cow<'a, str>, Option<String>), DataError> {
    let comments = text.split_inclusive('\n');
    let comments: Vec<&str> = comments.take_while(|line| line.starts_with('#')).collect();
    let table = &text[comments.iter().map(|line| line.len()).sum()..];
    let dialect = Dialect::of(table, source_name, options)?;
    let Some(last) = comments.last() else {
        return Ok((dialect, Cow::Borrowed(text), None));
    };
    let names = last.trim_start_matches('#').trim();
    let [of_names, of_rows] = [names, table].map(|text| dialect.sample(text).into_iter().next());
    let are_names = of_names.zip(of_rows).is_some_and(|(names, row)| {
        let mut cells = row.iter().map(str::trim);
        names.len() == row.len()
            && row.len() > 1
            && cells.any(|cell| dialect.number(cell).is_some())
    });
    let (names, note) = if are_names && options.header != Header::No {
        (names, "; the last of them has the names of the columns")
    } else {
        ("", "")
    };
    let lines = comments.len();
    let note = format!("skipped: lines above the table that begin with #, {lines} in all{note}");
    let text = "\n".repeat(lines - 1) + names + "\n" + table;
    Ok((dialect, Cow::Owned(text), Some(note)))
}

/// Whether a line is 0, 1, 2, .. or 1, 2, 3, .., perhaps after the empty name of an index: the numbers of columns.
fn counts(line: &StringRecord) -> bool {
    const FEWEST: usize = 3;
    let from = |start: usize, skipped: usize| {
        let mut cells = line.iter().skip(skipped).zip(start..);
        cells.all(|(cell, number)| cell.trim() == number.to_string())
    };
    let has_index = line.len() > FEWEST && line[0].trim().is_empty();
    line.len() >= FEWEST && (from(0, 0) || from(1, 0) || has_index && from(0, 1))
}

/// Removes a first column that counts the rows, as pandas writes its index.
fn leave_out_index(table: &mut Table) {
    let width = table.columns.len();
    let index = table.values.iter().step_by(width).enumerate();
    if width < 2 || !index.clone().all(|(row, &value)| value == row as f32) {
        return;
    }
    table.columns.remove(0);
    let values = std::mem::take(&mut table.values).into_iter().enumerate();
    let others = values.filter(|(at, _)| at % width != 0);
    table.values = others.map(|(_, value)| value).collect();
    let note = "left out: the first column, which has no name and counts the rows; --ids 1 carries it along";
    table.notes.push(note.to_owned());
}

/// The value of a cell of the column `name`, or what was expected and found.
fn number(cell: &str, name: &str, dialect: &Dialect) -> Result<f32, (&'static str, String)> {
    match dialect.number(cell) {
        Some(value) if value.is_finite() => Ok(value),
        _ if cell.is_empty() => Err(("a number", "nothing (a missing value?)".to_owned())),
        _ if is_missing(cell) => Err(("a number", format!("`{cell}` (a missing value?)"))),
        Some(_) => Err(("a finite number of at most 3.4e38", format!("`{cell}`"))),
        None => {
            let hint = match dialect.decimal {
                Decimal::Point if Dialect::is_with_comma(cell) => {
                    "if this is a decimal comma, --decimal comma".to_owned()
                }
                Decimal::Comma if cell.contains('.') => {
                    "decimals have a comma here; --decimal point if they do not".to_owned()
                }
                _ => format!(
                    "if it is the label, --labels {name}; if a name of the row, --ids {name}"
                ),
            };
            Err(("a number", format!("{} ({hint})", shortened(cell))))
        }
    }
}

/// The first line of more than [`LONGEST_LINE`] bytes, counted from 1.
fn too_long(text: &str) -> Option<usize> {
    let ends = text.bytes().enumerate();
    let ends = ends.filter(|(_, byte)| matches!(byte, b'\n' | b'\r'));
    let ends = ends.map(|(end, _)| end).chain([text.len()]);
    let mut start = 0;
    let too_long = ends.into_iter().find(|end| {
        let length = end - start;
        start = end + 1;
        length > LONGEST_LINE
    });
    too_long.map(|end| line(text.as_bytes(), end))
}

/// The line, counted from 1, of the byte at `end`.
fn line(bytes: &[u8], end: usize) -> usize {
    let next = bytes.iter().skip(1).chain([&0]);
    let ends = bytes.iter().zip(next).take(end);
    1 + ends
        .filter(|&(&byte, &next)| byte == b'\n' || byte == b'\r' && next != b'\n')
        .count()
}

/// Implements [`Header::Auto`]. Text above text is no evidence, for it may be an unnamed label column, unless the line is all text.
fn looks_like_names(
    first: &StringRecord,
    second: Option<&StringRecord>,
    options: &TableOptions<'_>,
    dialect: &Dialect,
) -> bool {
    let is_text = |cell: &str| dialect.number(cell.trim()).is_none() && !is_missing(cell.trim());
    let texts =
        [options.label, options.ids].map(|asked| asked.and_then(|asked| asked.parse().ok()));
    let evidence = first.iter().enumerate().any(|(at, cell)| {
        let below = second.and_then(|second| second.get(at));
        let names_a_number = !texts.contains(&Some(at + 1)) && !below.is_some_and(is_text);
        let is_asked_for = [options.label, options.ids].contains(&Some(cell.trim()));
        is_text(cell) && (names_a_number || is_asked_for)
    });
    evidence || first.iter().all(is_text)
}
