//! Reads NPY arrays.

use std::io::Read;

use half::f16;

use super::{NpyArray, NpyElement, NpyHeader, NpyValues, read_header};
use crate::DataError;

/// Elements read at a time: memory grows with the data that arrive, not with what the header claims.
const CHUNK: usize = 16 * 1024;

/// Most texts of an array: in memory each takes 24 bytes and more, whatever it takes in the file.
const MOST_TEXTS: usize = 1 << 26;

/// Reads a whole NPY file.
///
/// # Errors
/// If the header is invalid, or the file is shorter or longer than it says; the error contains `source_name`.
pub fn read(mut input: impl Read, source_name: &str) -> Result<NpyArray, DataError> {
    let header = read_header(&mut input, source_name)?;
    read_after(header, input, source_name)
}

/// Reads the elements after a `header`.
///
/// # Errors
/// If they are fewer or more than it says; the error contains `source_name`.
pub(crate) fn read_after(
    header: NpyHeader,
    input: impl Read,
    source_name: &str,
) -> Result<NpyArray, DataError> {
    let mut data = Data {
        input,
        header: &header,
        source_name,
    };
    let values = match header.element {
        NpyElement::Bool => NpyValues::U8(data.read(|[byte]| u8::from(byte != 0))?),
        NpyElement::U8 => NpyValues::U8(data.read(|[byte]| byte)?),
        NpyElement::F32 => NpyValues::F32(data.read(f32::from_le_bytes)?),
        NpyElement::F16 => NpyValues::F32(data.read(|b| f16::from_le_bytes(b).to_f32())?),
        NpyElement::F64 => {
            let mut too_large = None;
            let values = data.read(|bytes| {
                let value = f64::from_le_bytes(bytes);
                if value.is_finite() && (value as f32).is_infinite() {
                    too_large.get_or_insert(value);
                }
                value as f32
            })?;
            if let Some(value) = too_large {
                let expected = format!("numbers up to {:e}, the largest of 32 bits", f32::MAX);
                return Err(DataError::wrong(
                    source_name,
                    "data",
                    expected,
                    format!("{value:e}"),
                ));
            }
            NpyValues::F32(values)
        }
        NpyElement::Bytes(length) => {
            let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect();
            NpyValues::Text(data.texts(length, text)?)
        }
        NpyElement::Unicode(_) => {
            let is_big_endian = header.big_endian;
            let text = |bytes: &[u8]| {
                let points = bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| match is_big_endian {
                        true => u32::from_be_bytes(bytes),
                        false => u32::from_le_bytes(bytes),
                    });
                let character =
                    |point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
                points.map(character).collect()
            };
            NpyValues::Text(data.texts(header.element.size(), text)?)
        }
        NpyElement::I8 => NpyValues::Integers(data.read(|b| i8::from_le_bytes(b).into())?),
        NpyElement::U16 => NpyValues::Integers(data.read(|b| u16::from_le_bytes(b).into())?),
        NpyElement::I16 => NpyValues::Integers(data.read(|b| i16::from_le_bytes(b).into())?),
        NpyElement::U32 => NpyValues::Integers(data.read(|b| u32::from_le_bytes(b).into())?),
        NpyElement::I32 => NpyValues::Integers(data.read(|b| i32::from_le_bytes(b).into())?),
        NpyElement::I64 => NpyValues::Integers(data.read(i64::from_le_bytes)?),
        NpyElement::U64 => {
            let values = data.read(u64::from_le_bytes)?.into_iter();
            let fitting: Result<_, _> = values.map(i64::try_from).collect();
            NpyValues::Integers(fitting.map_err(|_| {
                let expected = format!("integers of at most {}", i64::MAX);
                DataError::wrong(source_name, "data", expected, "a larger one")
            })?)
        }
    };
    Ok(NpyArray {
        shape: header.shape,
        values,
    })
}

/// The data after a header.
struct Data<'a, R> {
    input: R,
    header: &'a NpyHeader,
    source_name: &'a str,
}

impl<R: Read> Data<'_, R> {
    /// Reads all elements in C order; `value` converts little-endian bytes.
    fn read<T: Clone, const N: usize>(
        &mut self,
        mut value: impl FnMut([u8; N]) -> T,
    ) -> Result<Vec<T>, DataError> {
        let is_big_endian = self.header.big_endian;
        self.read_chunks(N, |chunk, values| {
            let (elements, _) = chunk.as_chunks_mut::<N>();
            values.extend(elements.iter_mut().map(|bytes| {
                if is_big_endian {
                    bytes.reverse();
                }
                value(*bytes)
            }));
        })
    }

    /// Reads all texts of `size` bytes in C order.
    fn texts(
        &mut self,
        size: usize,
        text: impl Fn(&[u8]) -> String,
    ) -> Result<Vec<String>, DataError> {
        if self.header.length() > MOST_TEXTS {
            let shape = &self.header.shape;
            let expected = format!("at most {MOST_TEXTS} texts, which are labels or ids");
            let found = format!("{shape:?}");
            return Err(DataError::wrong(self.source_name, "shape", expected, found));
        }
        self.read_chunks(size, |chunk, texts| {
            let filled_up = chunk.chunks_exact(size).map(&text);
            texts.extend(filled_up.map(|text| text.trim_end_matches('\0').to_owned()));
        })
    }

    /// Reads all elements of `size` bytes in C order, a chunk of whole elements at a time.
    fn read_chunks<T: Clone>(
        &mut self,
        size: usize,
        mut convert: impl FnMut(&mut [u8], &mut Vec<T>),
    ) -> Result<Vec<T>, DataError> {
        let shape = &self.header.shape;
        let length = self.header.length();
        let bytes_wrong = |found: String| {
            let expected = format!("{} bytes for the shape {shape:?}", length * size);
            DataError::wrong(self.source_name, "data", expected, found)
        };
        let mut values = Vec::new();
        let mut chunk = Vec::new();
        while values.len() < length {
            let count = CHUNK.min(length - values.len());
            chunk.clear();
            self.input
                .by_ref()
                .take((count * size) as u64)
                .read_to_end(&mut chunk)
                .map_err(|cause| DataError::unreadable(self.source_name, cause))?;
            if chunk.len() < count * size {
                let found = values.len() * size + chunk.len();
                return Err(bytes_wrong(format!("{found} (truncated?)")));
            }
            convert(&mut chunk, &mut values);
        }
        // Reading past the end also makes a zip verify its checksum.
        chunk.clear();
        self.input
            .by_ref()
            .take(1)
            .read_to_end(&mut chunk)
            .map_err(|cause| DataError::unreadable(self.source_name, cause))?;
        if !chunk.is_empty() {
            return Err(bytes_wrong("more than that".into()));
        }
        Ok(if self.header.fortran_order {
            c_order(&values, shape)
        } else {
            values
        })
    }
}

/// Reorders values from Fortran order to C order.
fn c_order<T: Clone>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut from = 0;
    let mut reordered = Vec::with_capacity(values.len());
    while reordered.len() < values.len() {
        reordered.push(values[from].clone());
        let mut stride = values.len();
        for (index, &size) in index.iter_mut().zip(shape).rev() {
            stride /= size;
            *index += 1;
            from += stride;
            if *index < size {
                break;
            }
            from -= stride * size;
            *index = 0;
        }
    }
    reordered
}
