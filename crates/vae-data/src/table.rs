//! Tables of numbers as text, comma- or tab-separated, with or without names in the first line and a column of labels.
//!
//! A value that is missing or is not a finite number is refused, never guessed.

use std::fmt::Write as _;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use crate::DataError;

/// Whether the first line holds the columns' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Header {
    /// It does if a cell of it, outside of the label column, is text where the second line has a number or nothing.
    #[default]
    Auto,
    /// It does.
    Yes,
    /// It is a row like the others.
    No,
}

/// How a table is to be understood.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions<'a> {
    /// For example `b','` or `b'\t'`.
    pub delimiter: u8,
    /// Whether the first line holds the columns' names.
    pub header: Header,
    /// The column of labels: its name, or its number counted from 1 if the table has no names.
    pub label: Option<&'a str>,
}

/// A table of finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns' names without the label's; their numbers in the file, counted from 1, if it has no names.
    pub columns: Vec<String>,
    /// The number of rows.
    pub rows: usize,
    /// `[rows, columns]`
    pub values: Vec<f32>,
    /// `[rows]`, without the spaces around them.
    pub labels: Option<Vec<String>>,
    /// Whether the first line was taken as the columns' names.
    pub had_header: bool,
}

/// Reads a whole table.
///
/// # Errors
/// At the first thing that is wrong, with its line as an editor counts; `source_name` is the name that the error carries.
pub fn read(
    mut input: impl Read,
    source_name: &str,
    options: &TableOptions<'_>,
) -> Result<Table, DataError> {
    let unreadable = |cause| DataError::Unreadable {
        source_name: source_name.to_owned(),
        cause,
    };
    let wrong = |field: String, expected: String, found: String| DataError::Wrong {
        source_name: source_name.to_owned(),
        field,
        expected,
        found,
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
    // The reader's own line numbers leave out empty lines and the ends of CRLF.
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

/// The line, counted from 1, that the byte at `end` is in.
fn line(bytes: &[u8], end: usize) -> usize {
    let next = bytes.iter().skip(1).chain([&0]);
    let ends = bytes.iter().zip(next).take(end);
    1 + ends
        .filter(|&(&byte, &next)| byte == b'\n' || byte == b'\r' && next != b'\n')
        .count()
}

/// [`Header::Auto`]. Text above text is no evidence: it may be a column of labels that nobody named.
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

/// What spreadsheets, R, pandas, databases and UCI's data sets put where there is no value.
fn is_missing(cell: &str) -> bool {
    let markers = ["", "na", "n/a", "nan", "null", "none", "?"];
    markers
        .iter()
        .any(|marker| cell.eq_ignore_ascii_case(marker))
}

/// Names for an error; of very many, the first.
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

/// Enough of a cell to recognise it in an error; an unclosed quote makes one of the rest of the file.
fn shortened(cell: &str) -> String {
    const LENGTH: usize = 40;
    match cell.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("`{}…`", &cell[..end]),
        None => format!("`{cell}`"),
    }
}

/// Writes a table with the columns' names, the labels last in a column `label`, and each number with the fewest digits
/// that give it back.
///
/// # Errors
/// If `output` cannot be written, or `values` are not `[rows, columns]` with a label for each row.
pub fn write(
    output: impl Write,
    delimiter: u8,
    columns: &[String],
    values: &[f32],
    labels: Option<&[String]>,
) -> io::Result<()> {
    let rows = values.chunks_exact(columns.len().max(1));
    if !rows.remainder().is_empty() || labels.is_some_and(|labels| labels.len() != rows.len()) {
        let message = format!(
            "{} values and {} labels for {} columns",
            values.len(),
            labels.map_or(0, <[_]>::len),
            columns.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut writer = WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(output);
    let label_name = labels.map(|_| "label");
    writer.write_record(columns.iter().map(String::as_str).chain(label_name))?;
    let mut cell = String::new();
    for (at, row) in rows.enumerate() {
        for value in row {
            cell.clear();
            // Debug and not Display: 1e-38 and not 38 zeros.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    const COMMAS: TableOptions<'_> = TableOptions {
        delimiter: b',',
        header: Header::Auto,
        label: None,
    };

    fn labelled(label: &str) -> TableOptions<'_> {
        TableOptions {
            label: Some(label),
            ..COMMAS
        }
    }

    fn table(text: &str, options: &TableOptions<'_>) -> Table {
        read(text.as_bytes(), "x.csv", options).expect("a correct table")
    }

    fn message(text: impl AsRef<[u8]>, options: &TableOptions<'_>) -> String {
        let error = read(text.as_ref(), "x.csv", options);
        error.expect_err("a wrong table").to_string()
    }

    #[test]
    fn names_and_labels_are_told_from_numbers() {
        let iris = table(
            "length,species,width\n5.1,setosa,3.5\n4.9,setosa,3\n",
            &labelled("species"),
        );
        let expected = Table {
            columns: vec!["length".into(), "width".into()],
            rows: 2,
            values: vec![5.1, 3.5, 4.9, 3.0],
            labels: Some(vec!["setosa".into(), "setosa".into()]),
            had_header: true,
        };
        assert_eq!(iris, expected);
        let bare = table("5.1,setosa,3.5\n4.9,setosa,3\n", &labelled("2"));
        let columns = vec!["1".into(), "3".into()];
        assert_eq!(
            bare,
            Table {
                columns,
                had_header: false,
                ..expected
            }
        );
        // The name of a label column is enough, even if all others are numbers.
        assert!(table("0,1,label\n5,6,cat\n", &labelled("label")).had_header);
        assert!(table("label,0,1\n7,5,6\n", &COMMAS).had_header);
        assert!(!table("1,2\n3,4\n", &COMMAS).had_header);
        let yes = TableOptions {
            header: Header::Yes,
            ..COMMAS
        };
        assert_eq!(table("1,2\n3,4\n", &yes).values, [3.0, 4.0]);
        let no = TableOptions {
            header: Header::No,
            ..COMMAS
        };
        assert_eq!(
            message("a,b\n3,4\n", &no),
            "x.csv: line 1, column `1`: expected a number, found `a` (if it is the label, --labels 1)"
        );
    }

    #[test]
    fn a_first_row_with_a_text_label_is_not_lost_as_names() {
        assert_eq!(
            message("5.1,setosa\n4.9,setosa\n", &COMMAS),
            "x.csv: line 1, column `2`: expected a number, found `setosa` (if it is the label, --labels 2)"
        );
        let error = message("1,?\n3,4\n", &COMMAS);
        assert!(error.starts_with("x.csv: line 1, column `2`: "), "{error}");
    }

    #[test]
    fn byte_order_mark_quotes_spaces_crlf_and_tabs_are_read() {
        let tabs = TableOptions {
            delimiter: b'\t',
            label: Some("kind, \"sort\""),
            ..COMMAS
        };
        let text = "\u{feff}a\t\"kind, \"\"sort\"\"\"\tb\r\n 1e-3 \t\"two\nlines\"\t+2.\r\n\r\n\"-3\"\té\t.5\r\n";
        let read = table(text, &tabs);
        assert_eq!(read.columns, ["a", "b"]);
        assert_eq!(read.values, [1e-3, 2.0, -3.0, 0.5]);
        assert_eq!(read.labels, Some(vec!["two\nlines".into(), "é".into()]));
    }

    #[test]
    fn each_wrong_cell_is_named_by_the_line_that_an_editor_shows() {
        for missing in ["", " ", "NA", "NaN", "-nan", "null", "?"] {
            let error = message(format!("a,b\r\n\r\n1,2\r\n3,{missing}\r\n"), &COMMAS);
            assert!(
                error.starts_with("x.csv: line 4, column `b`: expected a "),
                "{error}"
            );
        }
        assert!(
            message("a\n1\n\"\"\n", &COMMAS)
                .contains("line 3, column `a`: expected a number, found nothing")
        );
        for infinite in ["inf", "-Infinity", "1e39"] {
            let error = message(format!("a,b\r1,2\r3,{infinite}"), &COMMAS);
            assert_eq!(
                error,
                format!(
                    "x.csv: line 3, column `b`: expected a finite number of at most 3.4e38, found `{infinite}`"
                )
            );
        }
        assert_eq!(
            message("a,kind\n\n\"1\n\",2\n3,x\n", &COMMAS),
            "x.csv: line 5, column `kind`: expected a number, found `x` (if it is the label, --labels kind)"
        );
        assert_eq!(
            message("a,b\n1,2\n3\n", &COMMAS),
            "x.csv: line 3: expected 2 cells as in line 1, found 1"
        );
        assert_eq!(
            message("a,k\n1,x\n2,\n", &labelled("k")),
            "x.csv: line 3, column `k`: expected a label, found nothing"
        );
        assert_eq!(
            message(b"a,b\n1,2\n3,\xe9\n", &COMMAS),
            "x.csv: line 3: expected UTF-8 text, found the byte 0xe9 (save the file as UTF-8)"
        );
    }

    #[test]
    fn tables_without_rows_columns_or_the_label_are_refused() {
        for empty in ["", "\u{feff}", "\r\n\n"] {
            let error = message(empty, &COMMAS);
            assert_eq!(
                error,
                "x.csv: table: expected rows of numbers, found an empty file"
            );
        }
        assert_eq!(
            message("a,b\n", &COMMAS),
            "x.csv: table: expected rows below the names, found none"
        );
        assert_eq!(
            message("a\n1\n", &labelled("a")),
            "x.csv: table: expected a column of numbers beside the labels, found none"
        );
        assert_eq!(
            message("a,b\n1,2\n", &labelled("c")),
            "x.csv: label column: expected one of the columns `a`, `b`, found `c`"
        );
        assert_eq!(
            message("1,2\n3,4\n", &labelled("3")),
            "x.csv: label column: expected a column's number, 1 to 2 (the table has no names), found `3`"
        );
        let names = (0..30)
            .map(|i| format!("x{i}"))
            .collect::<Vec<_>>()
            .join(",");
        let numbers = ["1"; 30].join(",");
        let error = message(format!("{names}\n{numbers}\n"), &labelled("y"));
        assert!(error.contains("`x19` and 10 more, found `y`"), "{error}");
    }

    #[test]
    fn numbers_are_written_with_the_fewest_digits() {
        let mut text = Vec::new();
        let (columns, labels) = (["a".into(), "b,c".into()], ["x".into()]);
        write(&mut text, b',', &columns, &[0.1, 1e-38], Some(&labels)).expect("in memory");
        assert_eq!(text, b"a,\"b,c\",label\n0.1,1e-38,x\n");
        assert!(write(&mut text, b',', &columns, &[0.1], None).is_err());
        assert!(write(&mut text, b',', &columns, &[0.1; 4], Some(&labels)).is_err());
    }

    proptest! {
        #[test]
        fn written_tables_are_read_back(
            numbers in vec(any::<u32>(), 1..60), width in 1usize..4, tabs in any::<bool>(),
            label in "[a-z\",\t\n;é]{0,5}", names in "[a-z\",\t\r\n;é]{0,5}",
        ) {
            let finite = |bits| Some(f32::from_bits(bits)).filter(|value| value.is_finite()).unwrap_or(-0.0);
            let mut values: Vec<_> = numbers.into_iter().map(finite).collect();
            values.resize(values.len().next_multiple_of(width), 0.5);
            let rows = values.len() / width;
            let columns: Vec<_> = (0..width).map(|i| format!("x{names}{i}")).collect();
            let labels: Vec<_> = (0..rows).map(|i| format!("l{label}{i}")).collect();
            let delimiter = if tabs { b'\t' } else { b',' };

            let mut text = Vec::new();
            write(&mut text, delimiter, &columns, &values, Some(&labels)).expect("in memory");
            let options = TableOptions { delimiter, ..labelled("label") };
            let read = read(&text[..], "x.csv", &options).expect("a correct table");
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&read.values), bits(&values));
            prop_assert_eq!((read.columns, read.rows, read.labels), (columns, rows, Some(labels)));
        }

        #[test]
        fn arbitrary_and_mutated_tables_never_panic(
            bytes in vec(any::<u8>(), 0..200), text in "[a1.,\"\r\n\t ?é-]{0,60}",
            changes in vec((any::<usize>(), any::<u8>()), 1..5), delimiter in any::<u8>(),
        ) {
            let mut valid = b"a,b,kind\r\n1,2,\"x\"\n\n3,4,y\r\n".to_vec();
            for (at, byte) in changes {
                let length = valid.len();
                valid[at % length] = byte;
            }
            for header in [Header::Auto, Header::Yes, Header::No] {
                for label in [None, Some("kind"), Some("1"), Some("0")] {
                    for delimiter in [b',', delimiter] {
                        let options = TableOptions { delimiter, header, label };
                        for input in [&bytes[..], text.as_bytes(), &valid] {
                            let _ = read(input, "x.csv", &options);
                        }
                    }
                }
            }
        }
    }
}
