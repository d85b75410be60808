//! Reads NPY arrays.

use std::io::Read;

use super::{NpyArray, NpyElement, NpyHeader, NpyValues, read_header};
use crate::DataError;

/// Elements read at a time: memory grows with the data that arrive, not with what the header claims.
const CHUNK: usize = 16 * 1024;

/// Reads a whole NPY file.
///
/// # Errors
/// If the header is invalid, or the file is shorter or longer than it says; the error contains `source_name`.
pub fn read(mut input: impl Read, source_name: &str) -> Result<NpyArray, DataError> {
    let header = read_header(&mut input, source_name)?;
    let mut data = Data {
        input,
        header: &header,
        source_name,
    };
    let values = match header.element {
        NpyElement::Bool => NpyValues::U8(data.read(|[byte]| u8::from(byte != 0))?),
        NpyElement::U8 => NpyValues::U8(data.read(|[byte]| byte)?),
        NpyElement::F32 => NpyValues::F32(data.read(f32::from_le_bytes)?),
        NpyElement::F64 => NpyValues::F32(data.read(|bytes| f64::from_le_bytes(bytes) as f32)?),
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
    fn read<T: Copy, const N: usize>(
        &mut self,
        value: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, DataError> {
        let shape = &self.header.shape;
        let length = self.header.length();
        let bytes_wrong = |found: String| {
            let expected = format!("{} bytes for the shape {shape:?}", length * N);
            DataError::wrong(self.source_name, "data", expected, found)
        };
        let mut values = Vec::new();
        let mut chunk = Vec::with_capacity(CHUNK * N);
        while values.len() < length {
            let count = CHUNK.min(length - values.len());
            chunk.clear();
            self.input
                .by_ref()
                .take((count * N) as u64)
                .read_to_end(&mut chunk)
                .map_err(|cause| DataError::unreadable(self.source_name, cause))?;
            if chunk.len() < count * N {
                let found = values.len() * N + chunk.len();
                return Err(bytes_wrong(format!("{found} (truncated?)")));
            }
            let (elements, _) = chunk.as_chunks_mut::<N>();
            values.extend(elements.iter_mut().map(|bytes| {
                if self.header.big_endian {
                    bytes.reverse();
                }
                value(*bytes)
            }));
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
fn c_order<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut from = 0;
    let mut reordered = Vec::with_capacity(values.len());
    while reordered.len() < values.len() {
        reordered.push(values[from]);
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
