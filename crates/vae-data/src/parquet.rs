//! Flat Parquet tables: each column of numbers as `f32` and, if asked for, one as labels and one as ids. No nested columns.
//!
//! A value that is missing or is not a finite number is refused, never guessed.

mod cells;
mod finite;
mod images;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::panic::{self, UnwindSafe};
use std::path::Path;
use std::sync::Once;

use parquet::basic::{CompressionCodec, ConvertedType, LogicalType, Type};
use parquet::column::reader::get_column_reader;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use self::cells::{Cell, HonestPages, Refusal, batch, is_delta_text, is_unsigned, number, text};
use self::finite::Finite;
pub(crate) use images::{has_images, unpack};

use crate::DataError;
use crate::limits::{bomb, most_unpacked};
use crate::table::{Table, listed};

/// Rows decoded at a time: memory grows with the data read, not with what the file claims.
const BATCH: usize = 16 * 1024;
/// Name prefix of pandas for an unnamed row index.
const PANDAS_INDEX: &str = "__index_level_";

/// A column of text that is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Whether other data have it, and this file need not.
    pub(crate) is_inherited: bool,
}

/// Reads a whole table.
///
/// # Errors
/// If the file is invalid; the error names the column and the row, counted from 1, of the first error.
pub(crate) fn read(
    path: &Path,
    label: Option<Asked<'_>>,
    ids: Option<Asked<'_>>,
) -> Result<Table, DataError> {
    let source = Source(path);
    let file = File::open(path).map_err(|cause| source.unreadable(cause))?;
    source.read(file, [label, ids])
}

thread_local! {
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Turns a panic of `decode` into its message. It is not printed, as users would take it for a bug of this program.
fn quietly<T>(decode: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                hook(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(decode);
    QUIET.set(false);
    result.map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or("a panic".into(), |message| (*message).into()),
    })
}

/// Path of the file, named in every error.
#[derive(Clone, Copy)]
struct Source<'a>(&'a Path);

impl Source<'_> {
    fn read<F>(self, file: F, asked: [Option<Asked<'_>>; 2]) -> Result<Table, DataError>
    where
        F: ChunkReader + UnwindSafe + 'static,
    {
        // The `parquet` crate trusts the sizes that a file claims: some corrupt files make it panic.
        let most = most_unpacked(file.len());
        quietly(|| self.read_loudly(file, asked, most))
            .unwrap_or_else(|panic| Err(self.damaged(panic)))
    }

    fn read_loudly(
        self,
        file: impl ChunkReader + 'static,
        [label, ids]: [Option<Asked<'_>>; 2],
        most: u64,
    ) -> Result<Table, DataError> {
        let file = SerializedFileReader::new(Finite(file)).map_err(|error| self.damaged(error))?;
        let schema = file.metadata().file_metadata().schema_descr().columns();
        let names = schema.iter().map(|column| &column.path().parts()[0]);
        let columns: Vec<String> = names.cloned().collect();
        let place = |what: &str, asked: Option<Asked<'_>>| {
            let is_there = |asked: &Asked<'_>| columns.iter().any(|name| name == asked.name);
            let asked = asked.filter(|asked| !asked.is_inherited || is_there(asked));
            asked
                .map(|asked| self.column(what, &columns, asked.name))
                .transpose()
        };
        let texts = [place("label column", label)?, place("id column", ids)?];
        let is_text = |at: usize| texts.contains(&Some(at));
        for (at, column) in schema.iter().enumerate() {
            self.check_type(&columns[at], column, is_text(at))?;
        }
        if (0..columns.len()).all(is_text) {
            let expected = "a column of numbers, besides those of labels and ids";
            return Err(self.wrong("table", expected, "none".into()));
        }

        // One run of a repeated value stands for as many rows as it says.
        let most_rows = most / (size_of::<f32>() * columns.len().max(1)) as u64;
        let mut rows = 0;
        let mut values = Vec::new();
        let mut cells = texts.map(|text| text.map(|_| Vec::new()));
        for group in 0..file.num_row_groups() {
            let group = file.get_row_group(group);
            let group = group.map_err(|error| self.damaged(error))?;
            let mut numbers: Vec<Vec<f32>> = Vec::new();
            for (at, name) in columns.iter().enumerate() {
                let field = format!("column `{name}`");
                self.check_storage(&field, group.metadata().column(at))?;
                let mut row = rows;
                let refused = |(expected, found): Refusal, row: usize| {
                    self.wrong(format!("row {row}, {field}"), expected, found)
                };
                let mut column = Vec::new();
                self.each_cell(&*group, at, BATCH, |cell| {
                    row += 1;
                    if row as u64 > most_rows {
                        return Err(self.unreadable(bomb(most)));
                    }
                    if !is_text(at) {
                        column.push(number(cell).map_err(|why| refused(why, row))?);
                        return Ok(());
                    }
                    let cell = text(cell).map_err(|why| refused(why, row))?;
                    for (text, cells) in texts.iter().zip(&mut cells) {
                        if *text == Some(at) {
                            cells.get_or_insert_default().push(cell.clone());
                        }
                    }
                    Ok(())
                })?;
                if !is_text(at) {
                    numbers.push(column);
                }
            }
            let group_rows = numbers[0].len();
            for row in 0..group_rows {
                values.extend(numbers.iter().map(|column| column[row]));
            }
            rows += group_rows;
        }
        if rows == 0 {
            return Err(self.wrong("table", "rows", "none".into()));
        }
        let named = columns.into_iter().enumerate();
        let columns = named.filter(|(at, _)| !is_text(*at));
        let columns = columns.map(|(_, name)| name).collect();
        let [labels, ids] = cells;
        Ok(Table {
            columns,
            rows,
            values,
            labels,
            ids,
            had_header: true,
            dialect: String::new(),
            notes: Vec::new(),
        })
    }

    fn column(self, what: &str, columns: &[String], asked: &str) -> Result<usize, DataError> {
        let at = columns.iter().position(|name| name == asked);
        at.ok_or_else(|| {
            // A nested column is listed once for each of its leaves.
            let mut columns = columns.to_vec();
            columns.dedup();
            let expected = format!("one of the columns {}", listed(&columns));
            self.wrong(what, &expected, format!("`{asked}`"))
        })
    }

    fn check_type(
        self,
        name: &str,
        column: &ColumnDescriptor,
        is_text: bool,
    ) -> Result<(), DataError> {
        let is_nested = column.max_rep_level() > 0 || column.path().parts().len() > 1;
        let (expected, found) = match Kind::of(column) {
            _ if is_nested => (
                "one value in each row",
                "a list or structure (make columns of its parts, or leave it out)".into(),
            ),
            Kind::Number if !is_text && name.starts_with(PANDAS_INDEX) => (
                "data",
                "the row index of pandas (write the file with index=False)".into(),
            ),
            Kind::Number => return Ok(()),
            Kind::Text if is_text => return Ok(()),
            Kind::Text => (
                "numbers",
                format!(
                    "text (if it is the label, --labels {name}; if a name of the row, --ids {name}; else leave it out)"
                ),
            ),
            Kind::Other(what) => (
                if is_text {
                    "numbers or text"
                } else {
                    "numbers"
                },
                format!("{what} (convert the column, or leave it out)"),
            ),
        };
        Err(self.wrong(format!("column `{name}`"), expected, found))
    }

    fn check_storage(self, field: &str, chunk: &ColumnChunkMetaData) -> Result<(), DataError> {
        use CompressionCodec::{GZIP, SNAPPY, UNCOMPRESSED};
        let codec = chunk.compression_codec();
        if !matches!(codec, UNCOMPRESSED | SNAPPY | GZIP) {
            let found = format!("{codec:?} (write the file with compression=\"snappy\")");
            return Err(self.wrong(field, "no compression, Snappy or gzip", found));
        }
        match chunk.encodings().find(|&encoding| is_delta_text(encoding)) {
            None => Ok(()),
            Some(encoding) => {
                let found = format!("{encoding} (write it as pandas does by default)");
                Err(self.wrong(field, "text stored plainly or by a dictionary", found))
            }
        }
    }

    /// Passes the cells of column `at` to `take`, as many as the group has rows, decoded `most` at a time.
    fn each_cell(
        self,
        group: &dyn RowGroupReader,
        at: usize,
        most: usize,
        mut take: impl FnMut(Option<Cell>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let descriptor = group.metadata().column(at).column_descr_ptr();
        let pages = group.get_column_page_reader(at);
        let pages = HonestPages {
            pages: pages.map_err(|error| self.damaged(error))?,
            physical: descriptor.physical_type(),
        };
        let unsigned = is_unsigned(&descriptor);
        let whole = descriptor.max_def_level();
        let mut reader = get_column_reader(descriptor, Box::new(pages));
        let mut next = |most| {
            let batch = batch(&mut reader, unsigned, whole, most);
            batch.map_err(|error| self.damaged(error))
        };
        let rows = usize::try_from(group.metadata().num_rows());
        let mut left = rows.map_err(|error| self.damaged(error))?;
        while left > 0 {
            let batch = next(left.min(most))?;
            if batch.is_empty() {
                return Err(self.damaged(format!("a column lacks {left} of its rows")));
            }
            left -= batch.len();
            batch.into_iter().try_for_each(&mut take)?;
        }
        match next(1)?.is_empty() {
            true => Ok(()),
            false => Err(self.damaged("a column has more rows than promised")),
        }
    }

    fn unreadable(self, cause: io::Error) -> DataError {
        DataError::unreadable(self.0.display().to_string(), cause)
    }

    fn damaged(self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataError {
        self.unreadable(io::Error::new(io::ErrorKind::InvalidData, why))
    }

    fn wrong(self, field: impl Into<String>, expected: &str, found: String) -> DataError {
        DataError::wrong(self.0.display().to_string(), field, expected, found)
    }
}

/// Kind of values in a column.
enum Kind {
    Number,
    Text,
    Other(&'static str),
}

impl Kind {
    fn of(column: &ColumnDescriptor) -> Self {
        use ConvertedType as Old;
        use LogicalType as New;
        use Type::{BOOLEAN, BYTE_ARRAY, DOUBLE, FLOAT, INT32, INT64};
        // Old writers set only the converted type, and some logical types have none.
        match (column.logical_type_ref(), column.converted_type()) {
            (None, Old::NONE) => match column.physical_type() {
                BOOLEAN | INT32 | INT64 | FLOAT | DOUBLE => Self::Number,
                BYTE_ARRAY => Self::Text,
                _ => Self::Other("bytes"),
            },
            (Some(New::Integer(_)), _)
            | (None, Old::INT_8 | Old::INT_16 | Old::INT_32 | Old::INT_64)
            | (None, Old::UINT_8 | Old::UINT_16 | Old::UINT_32 | Old::UINT_64) => Self::Number,
            (Some(New::String | New::Enum), _) | (None, Old::UTF8 | Old::ENUM) => Self::Text,
            (Some(New::Date | New::Time(_) | New::Timestamp(_)), _)
            | (None, Old::DATE | Old::TIME_MILLIS | Old::TIME_MICROS)
            | (None, Old::TIMESTAMP_MILLIS | Old::TIMESTAMP_MICROS) => {
                Self::Other("dates or times")
            }
            (Some(New::Decimal(_)), _) | (None, Old::DECIMAL) => Self::Other("decimal numbers"),
            (Some(New::Float16), _) => Self::Other("16-bit floating-point numbers"),
            (Some(New::Unknown), _) => Self::Other("nothing but missing values"),
            _ => Self::Other("neither numbers nor text"),
        }
    }
}
