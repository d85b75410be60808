//! The cells of one Parquet column, decoded in batches from validated pages; each is a number or a text.

use parquet::basic::{ConvertedType, Encoding, LogicalType, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

/// Whether the integers of a column are unsigned.
pub(super) fn is_unsigned(column: &ColumnDescriptor) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    match column.logical_type_ref() {
        Some(LogicalType::Integer(integer)) => !integer.is_signed,
        _ => matches!(
            column.converted_type(),
            UINT_8 | UINT_16 | UINT_32 | UINT_64
        ),
    }
}

/// A value that is not missing.
pub(super) enum Cell {
    Bool(bool),
    /// Wide enough for both signed and unsigned 64 bits.
    Integer(i128),
    Float(f32),
    Double(f64),
    Text(ByteArray),
}

/// Up to `most` further cells of a column, whose values have the definition level `whole`; empty at its end.
pub(super) fn batch(
    reader: &mut ColumnReader,
    unsigned: bool,
    whole: i16,
    most: usize,
) -> Result<Vec<Option<Cell>>, ParquetError> {
    use ColumnReader as Of;
    match reader {
        Of::BoolColumnReader(reader) => typed_batch(reader, whole, most, Cell::Bool),
        Of::Int32ColumnReader(reader) if unsigned => typed_batch(reader, whole, most, |value| {
            Cell::Integer((value as u32).into())
        }),
        Of::Int32ColumnReader(reader) => {
            typed_batch(reader, whole, most, |value| Cell::Integer(value.into()))
        }
        Of::Int64ColumnReader(reader) if unsigned => typed_batch(reader, whole, most, |value| {
            Cell::Integer((value as u64).into())
        }),
        Of::Int64ColumnReader(reader) => {
            typed_batch(reader, whole, most, |value| Cell::Integer(value.into()))
        }
        Of::FloatColumnReader(reader) => typed_batch(reader, whole, most, Cell::Float),
        Of::DoubleColumnReader(reader) => typed_batch(reader, whole, most, Cell::Double),
        Of::ByteArrayColumnReader(reader) => typed_batch(reader, whole, most, Cell::Text),
        Of::Int96ColumnReader(_) | Of::FixedLenByteArrayColumnReader(_) => {
            Err(ParquetError::NYI("neither numbers nor text".into()))
        }
    }
}

fn typed_batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    whole: i16,
    most: usize,
    cell: impl Fn(T::T) -> Cell,
) -> Result<Vec<Option<Cell>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (rows, _, _) = reader.read_records(most, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter().map(cell);
    // A column without missing values may have no levels; a missing value has a lower one and is not stored.
    let cells = (0..rows).map(|row| match levels.get(row) {
        Some(&level) if level < whole => None,
        _ => values.next(),
    });
    Ok(cells.collect())
}

/// Error in a cell: what was expected, and what was found.
pub(super) type Refusal = (&'static str, String);

pub(super) fn number(cell: Option<Cell>) -> Result<f32, Refusal> {
    let (value, found) = match cell {
        None => return Err(("a number", "nothing (a missing value?)".into())),
        Some(Cell::Text(_)) => return Err(("a number", "text".into())),
        Some(Cell::Bool(value)) => return Ok(value.into()),
        Some(Cell::Integer(value)) => return Ok(value as f32),
        Some(Cell::Float(value)) => (value, value.into()),
        Some(Cell::Double(value)) => (value as f32, value),
    };
    match value {
        value if value.is_nan() => Err(("a number", "NaN (a missing value?)".into())),
        value if value.is_finite() => Ok(value),
        _ => Err(("a finite number of at most 3.4e38", format!("{found:?}"))),
    }
}

pub(super) fn text(cell: Option<Cell>) -> Result<String, Refusal> {
    let text = match &cell {
        None => String::new(),
        Some(Cell::Bool(value)) => value.to_string(),
        Some(Cell::Integer(value)) => value.to_string(),
        Some(Cell::Float(value)) if value.is_finite() => value.to_string(),
        Some(Cell::Double(value)) if value.is_finite() => value.to_string(),
        Some(Cell::Float(value)) => return Err(("a text", format!("{value:?}"))),
        Some(Cell::Double(value)) => return Err(("a text", format!("{value:?}"))),
        Some(Cell::Text(bytes)) => match bytes.as_utf8() {
            Ok(text) => text.trim().to_owned(),
            Err(_) => return Err(("a text in UTF-8", "other bytes".into())),
        },
    };
    match text.is_empty() {
        true => Err(("a text", "nothing".into())),
        false => Ok(text),
    }
}

/// Encodings whose decoders allocate memory by an unchecked number in the page.
pub(super) fn is_delta_text(encoding: Encoding) -> bool {
    use Encoding::{DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY};
    matches!(encoding, DELTA_BYTE_ARRAY | DELTA_LENGTH_BYTE_ARRAY)
}

/// Pages checked to hold as many values as they claim: the decoders allocate by that number, and running out of memory ends
/// the process.
pub(super) struct HonestPages {
    pub(super) pages: Box<dyn PageReader>,
    pub(super) physical: Type,
}

impl PageReader for HonestPages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let page = self.pages.get_next_page()?;
        let is_honest = match &page {
            None => true,
            Some(Page::DictionaryPage {
                buf, num_values, ..
            }) => {
                let least_bytes = match self.physical {
                    Type::BOOLEAN => 1,
                    Type::INT64 | Type::DOUBLE => 8,
                    _ => 4,
                };
                *num_values as usize <= buf.len() / least_bytes
            }
            Some(page) => !is_delta_text(page.encoding()),
        };
        match is_honest {
            true => Ok(page),
            false => Err(ParquetError::General(
                "a page lacks some of its values".into(),
            )),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.pages.skip_next_page()
    }
}

impl Iterator for HonestPages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
