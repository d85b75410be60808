//! NumPy's array files: NPY, versions 1.0 to 3.0, and NPZ, which is a zip of them. No pickled objects, no structured types.
//!
//! Layout (NumPy's `numpy.lib.format`): the magic number, two version bytes, the length of the header as a little-endian
//! `u16` (version 1) or `u32` (2 and 3), the header, which is a Python dictionary as text, then the elements.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::DataError;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Plain arrays need about 128 bytes; only structured types, which are refused, come near this.
const LONGEST_HEADER: usize = 64 * 1024;
/// NumPy's own limit (`NPY_MAXDIMS`).
const MOST_DIMENSIONS: usize = 64;
/// Elements read at a time: memory grows with what arrives, not with what the header promises.
const CHUNK: usize = 16 * 1024;

/// Element types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are NumPy's")]
pub enum NpyElement {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl NpyElement {
    /// Bytes of an element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The type that `descr` names after its byte order.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "b1" => Self::Bool,
            "u1" => Self::U8,
            "i1" => Self::I8,
            "u2" => Self::U16,
            "i2" => Self::I16,
            "u4" => Self::U32,
            "i4" => Self::I32,
            "u8" => Self::U64,
            "i8" => Self::I64,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => return None,
        })
    }
}

/// A checked header: at least one dimension, no size of zero, and a length in bytes that can be addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// The type of the elements.
    pub element: NpyElement,
    /// Whether the most significant byte of an element comes first.
    pub big_endian: bool,
    /// Whether the first dimension is the fastest.
    pub fortran_order: bool,
    /// The sizes.
    pub shape: Vec<usize>,
    /// Where the elements begin in the file.
    pub data_offset: usize,
}

impl NpyHeader {
    /// The number of elements.
    #[must_use]
    pub fn length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Values of an array in C order (last dimension fastest), whatever order the file has.
#[derive(Clone, Debug, PartialEq)]
pub enum NpyValues {
    /// From `u1`, and from `b1` as zeros and ones.
    U8(Vec<u8>),
    /// From `f4`, and from `f8` rounded; not checked for NaN and infinity.
    F32(Vec<f32>),
    /// From the integers that are not `u1`.
    Integers(Vec<i64>),
}

/// A whole array.
#[derive(Clone, Debug, PartialEq)]
pub struct NpyArray {
    /// The sizes, slowest first.
    pub shape: Vec<usize>,
    /// As many as the product of `shape`.
    pub values: NpyValues,
}

fn wrong(
    source_name: &str,
    field: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> DataError {
    DataError::Wrong {
        source_name: source_name.to_owned(),
        field: field.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

fn unreadable(source_name: &str, cause: impl Into<io::Error>) -> DataError {
    DataError::Unreadable {
        source_name: source_name.to_owned(),
        cause: cause.into(),
    }
}

/// Reads and checks what comes before the elements.
///
/// # Errors
/// If it is not the header of an array that is read here; `source_name` is the name that the error carries.
pub fn read_header(input: &mut impl Read, source_name: &str) -> Result<NpyHeader, DataError> {
    let mut next = |length: usize| {
        let mut bytes = Vec::with_capacity(length);
        input
            .take(length as u64)
            .read_to_end(&mut bytes)
            .map_err(|cause| unreadable(source_name, cause))?;
        if bytes.len() < length {
            let found = format!("{} (truncated?)", bytes.len());
            return Err(wrong(
                source_name,
                "header",
                format!("{length} more bytes"),
                found,
            ));
        }
        Ok(bytes)
    };

    let magic = next(MAGIC.len())?;
    if magic != MAGIC {
        let expected = format!("an NPY file, which begins with {MAGIC:02x?}");
        let found = format!("{magic:02x?}");
        return Err(wrong(source_name, "magic number", expected, found));
    }
    let version = next(2)?;
    let length_bytes = match version[..] {
        [1, 0] => 2,
        [2 | 3, 0] => 4,
        _ => {
            let found = format!("{}.{}", version[0], version[1]);
            return Err(wrong(source_name, "version", "1.0, 2.0 or 3.0", found));
        }
    };
    let length = next(length_bytes)?
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | usize::from(byte));
    if length > LONGEST_HEADER {
        let expected = format!("at most {LONGEST_HEADER} bytes");
        let found = length.to_string();
        return Err(wrong(source_name, "header length", expected, found));
    }
    let text = next(length)?;
    let text = String::from_utf8_lossy(&text);
    let Some((descr, fortran_order, shape)) = dictionary(&text) else {
        let expected = "a dictionary with 'descr', 'fortran_order' and 'shape'";
        return Err(wrong(source_name, "header", expected, shortened(&text)));
    };

    let element = descr
        .split_at_checked(1)
        .and_then(|(order, name)| Some((order, NpyElement::named(name)?)))
        .filter(|(order, element)| {
            matches!(*order, "<" | ">") || *order == "|" && element.size() == 1
        });
    let Some((order, element)) = element else {
        let expected = "|u1, |b1, <f4, <f8 or integers (>: big-endian is read too)";
        let what = if descr.ends_with('O') {
            ", Python objects"
        } else {
            ""
        };
        let found = format!(
            "{}{what} (convert it in NumPy: array.astype('float32'))",
            shortened(descr)
        );
        return Err(wrong(source_name, "dtype", expected, found));
    };
    if shape.is_empty() || shape.len() > MOST_DIMENSIONS || shape.contains(&0) {
        let expected = format!("1 to {MOST_DIMENSIONS} dimensions with sizes above zero");
        let found = shortened(&format!("{shape:?}"));
        return Err(wrong(source_name, "shape", expected, found));
    }
    shape
        .iter()
        .try_fold(element.size(), |product, &size| product.checked_mul(size))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| {
            let found = format!("{shape:?}");
            wrong(source_name, "shape", "a size that fits in memory", found)
        })?;
    Ok(NpyHeader {
        element,
        big_endian: order == ">",
        fortran_order,
        shape,
        data_offset: MAGIC.len() + 2 + length_bytes + length,
    })
}

/// `descr`, `fortran_order` and `shape` of a header's text.
fn dictionary(text: &str) -> Option<(&str, bool, Vec<usize>)> {
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let mut rest = text;
    eat(&mut rest, "{")?;
    while eat(&mut rest, "}").is_none() {
        let key = quoted(&mut rest)?;
        eat(&mut rest, ":")?;
        match key {
            "descr" => descr = Some(quoted(&mut rest).or_else(|| structured(&mut rest))?),
            "fortran_order" => {
                let yes = eat(&mut rest, "True").is_some();
                if !yes {
                    eat(&mut rest, "False")?;
                }
                fortran_order = Some(yes);
            }
            "shape" => shape = Some(sizes(&mut rest)?),
            _ => return None,
        }
        if eat(&mut rest, ",").is_none() {
            eat(&mut rest, "}")?;
            break;
        }
    }
    rest.trim().is_empty().then_some(())?;
    Some((descr?, fortran_order?, shape?))
}

fn eat(rest: &mut &str, token: &str) -> Option<()> {
    *rest = rest.trim_start().strip_prefix(token)?;
    Some(())
}

fn quoted<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let quote = if eat(rest, "'").is_some() {
        '\''
    } else {
        eat(rest, "\"")?;
        '"'
    };
    let (inside, after) = rest.split_once(quote)?;
    *rest = after;
    Some(inside)
}

/// A structured type, `[('x', '<f4'), ..]`: taken whole, to be named in the refusal. Nothing after it has brackets.
fn structured<'a>(rest: &mut &'a str) -> Option<&'a str> {
    *rest = rest.trim_start();
    rest.starts_with('[').then_some(())?;
    let (descr, after) = rest.split_at(rest.rfind(']')? + 1);
    *rest = after;
    Some(descr)
}

fn sizes(rest: &mut &str) -> Option<Vec<usize>> {
    let mut shape = Vec::new();
    eat(rest, "(")?;
    while eat(rest, ")").is_none() {
        *rest = rest.trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|&end| end > 0)?;
        // More digits than fit become the largest number, which no shape can have in memory.
        shape.push(rest[..end].parse().unwrap_or(usize::MAX));
        *rest = &rest[end..];
        if eat(rest, ",").is_none() {
            eat(rest, ")")?;
            break;
        }
    }
    Some(shape)
}

/// Enough of a text from a file to recognise it in an error.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 100;
    let mut start: String = text.trim().chars().take(LENGTH + 1).collect();
    if start.chars().count() > LENGTH {
        start.pop();
        start.push('…');
    }
    format!("`{start}`")
}

/// Reads a whole NPY file.
///
/// # Errors
/// If the header is wrong, or the file is shorter or longer than it says; `source_name` is the name that the error carries.
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
                wrong(source_name, "data", expected, "a larger one")
            })?)
        }
    };
    Ok(NpyArray {
        shape: header.shape,
        values,
    })
}

/// What follows a header.
struct Data<'a, R> {
    input: R,
    header: &'a NpyHeader,
    source_name: &'a str,
}

impl<R: Read> Data<'_, R> {
    /// All elements in C order; `value` is given their bytes little-endian.
    fn read<T: Copy, const N: usize>(
        &mut self,
        value: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, DataError> {
        let shape = &self.header.shape;
        let length = self.header.length();
        let bytes_wrong = |found: String| {
            let expected = format!("{} bytes for the shape {shape:?}", length * N);
            wrong(self.source_name, "data", expected, found)
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
                .map_err(|cause| unreadable(self.source_name, cause))?;
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
        // Reading past the end also has a zip compare its checksum.
        chunk.clear();
        self.input
            .by_ref()
            .take(1)
            .read_to_end(&mut chunk)
            .map_err(|cause| unreadable(self.source_name, cause))?;
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

/// Values whose first dimension is the fastest, put in the order in which the last one is.
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

/// The start of an NPY file in C order, the same bytes that NumPy writes: version 1.0, and of one length however many rows
/// there are, so that a streaming writer can come back and put the final number in.
///
/// `descr` is for example `<f4`; at most the 64 dimensions of NumPy have room.
#[must_use]
pub fn header_bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
    /// Digits that NumPy keeps free for the first size to grow.
    const GROWTH: usize = 21;
    const ALIGNMENT: usize = 64;
    let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
    let comma = if sizes.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sizes.join(", ")
    );
    let growth = sizes.first().map_or(0, |first| GROWTH - first.len());
    let start = MAGIC.len() + 4;
    let end = start + text.len() + growth + 1;
    // NumPy adds a whole line of 64 where none is needed.
    let padded = (end / ALIGNMENT + 1) * ALIGNMENT;
    text += &" ".repeat(padded - start - text.len() - 1);
    text += "\n";
    let mut bytes = [MAGIC, &[1, 0]].concat();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

/// Writes an array of `f32` in C order.
///
/// # Errors
/// If `output` cannot be written, or `shape` has not room for exactly `values`.
pub fn write_f32(output: &mut impl Write, shape: &[usize], values: &[f32]) -> io::Result<()> {
    write(output, "<f4", shape, values.iter().map(|v| v.to_le_bytes()))
}

/// Writes an array of `u8` in C order.
///
/// # Errors
/// If `output` cannot be written, or `shape` has not room for exactly `values`.
pub fn write_u8(output: &mut impl Write, shape: &[usize], values: &[u8]) -> io::Result<()> {
    write(output, "|u1", shape, values.iter().map(|&v| [v]))
}

/// Writes an array of `i64` in C order.
///
/// # Errors
/// If `output` cannot be written, or `shape` has not room for exactly `values`.
pub fn write_i64(output: &mut impl Write, shape: &[usize], values: &[i64]) -> io::Result<()> {
    write(output, "<i8", shape, values.iter().map(|v| v.to_le_bytes()))
}

fn write<const N: usize>(
    output: &mut impl Write,
    descr: &str,
    shape: &[usize],
    values: impl ExactSizeIterator<Item = [u8; N]>,
) -> io::Result<()> {
    if shape.iter().product::<usize>() != values.len() {
        let message = format!("{} values for the shape {shape:?}", values.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut output = BufWriter::new(output);
    output.write_all(&header_bytes(descr, shape))?;
    for value in values {
        output.write_all(&value)?;
    }
    output.flush()
}

/// An NPZ file: named arrays in a zip, stored or deflated.
pub struct Npz<R = BufReader<File>> {
    archive: ZipArchive<R>,
    source_name: String,
}

impl Npz {
    /// Opens a file and reads its list of arrays.
    ///
    /// # Errors
    /// If there is no such file, or it is not a zip.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let source_name = path.display().to_string();
        let file = File::open(path).map_err(|cause| unreadable(&source_name, cause))?;
        Self::new(BufReader::new(file), &source_name)
    }
}

impl<R: Read + Seek> Npz<R> {
    /// Reads the list of arrays; `source_name` is the name that errors carry.
    ///
    /// # Errors
    /// If it is not a zip.
    pub fn new(input: R, source_name: &str) -> Result<Self, DataError> {
        Ok(Self {
            archive: ZipArchive::new(input).map_err(|cause| unreadable(source_name, cause))?,
            source_name: source_name.to_owned(),
        })
    }

    /// The arrays' names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.archive.file_names();
        names.filter_map(|name| name.strip_suffix(".npy"))
    }

    /// Reads one array.
    ///
    /// # Errors
    /// If there is none of that name, or it is damaged or not an array that [`read`] reads.
    pub fn read(&mut self, name: &str) -> Result<NpyArray, DataError> {
        if !self.names().any(|known| known == name) {
            let names: Vec<_> = self.names().collect();
            let expected = format!("one of {}", names.join(", "));
            let field = format!("array `{name}`");
            return Err(wrong(
                &self.source_name,
                field,
                expected,
                "none of that name",
            ));
        }
        let file_name = format!("{name}.npy");
        let source_name = format!("{}: {file_name}", self.source_name);
        let entry = self.archive.by_name(&file_name);
        read(
            entry.map_err(|cause| unreadable(&source_name, cause))?,
            &source_name,
        )
    }
}

/// An array to be written, as its shape and its values in C order.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the elements")]
pub enum NpyArrayRef<'a> {
    U8(&'a [usize], &'a [u8]),
    F32(&'a [usize], &'a [f32]),
    I64(&'a [usize], &'a [i64]),
}

/// Writes named arrays as a deflated NPZ file; the same arrays give the same bytes.
///
/// # Errors
/// If `output` cannot be written, or a shape has not room for exactly its values.
pub fn write_npz(output: impl Write + Seek, arrays: &[(&str, NpyArrayRef<'_>)]) -> io::Result<()> {
    let mut zip = ZipWriter::new(output);
    // As NumPy does: without this an array of more than 4 GiB fails.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(true);
    for (name, array) in arrays {
        zip.start_file(format!("{name}.npy"), options)?;
        match *array {
            NpyArrayRef::U8(shape, values) => write_u8(&mut zip, shape, values)?,
            NpyArrayRef::F32(shape, values) => write_f32(&mut zip, shape, values)?,
            NpyArrayRef::I64(shape, values) => write_i64(&mut zip, shape, values)?,
        }
    }
    zip.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::io::Cursor;

    // What numpy.save of NumPy 2.4 wrote, byte for byte.
    /// `np.array([[1, 2, 3], [4, 5, 6.5]], '<f4')`
    const F4: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }                                                          \n\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@\x00\x00\xa0@\x00\x00\xd0@";
    /// `np.asfortranarray(np.array([[1, 2, 3], [4, 5, 6]], '>i2'))`
    const FORTRAN_I2: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }                                                           \n\x00\x01\x00\x04\x00\x02\x00\x05\x00\x03\x00\x06";
    /// `np.array([True, False])`
    const B1: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }                                                            \n\x01\x00";
    /// `np.array([[1.5]])`
    const F8: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }                                                          \n\x00\x00\x00\x00\x00\x00\xf8?";
    /// `np.savez_compressed(file, x=np.array([[1, 2], [3, 250]], 'u1'), y=np.array([7, -1]))`
    const SAVEZ: &str = "504b03042d00000008000000210099805db1ffffffffffffffff05001400782e6e70790100100084000000000000004a000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a0a469a3a0ab50a64032e4626e65f00504b03042d000000080000002100e092cebcffffffffffffffff05001400792e6e70790100100090000000000000004a000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a9a3a0ab50a14002e760608f80f0500504b01022d032d00000008000000210099805db14a00000084000000050000000000000000000000800100000000782e6e7079504b01022d032d000000080000002100e092cebc4a00000090000000050000000000000000000000800181000000792e6e7079504b0506000000000200020066000000020100000000";

    fn array(shape: &[usize], values: NpyValues) -> NpyArray {
        NpyArray {
            shape: shape.to_vec(),
            values,
        }
    }

    fn savez() -> Vec<u8> {
        (0..SAVEZ.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&SAVEZ[i..i + 2], 16).expect("hexadecimal"))
            .collect()
    }

    /// A file of any version with this text as its header.
    fn file(version: u8, text: &str, data: &[u8]) -> Vec<u8> {
        let length = (text.len() as u32).to_le_bytes();
        let length = &length[..if version == 1 { 2 } else { 4 }];
        [MAGIC, &[version, 0], length, text.as_bytes(), data].concat()
    }

    fn with_header(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text =
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}       \n");
        file(1, &text, data)
    }

    fn integers(descr: &str, shape: &str, data: &[u8]) -> Vec<i64> {
        match read(&with_header(descr, shape, data)[..], "x").map(|array| array.values) {
            Ok(NpyValues::Integers(values)) => values,
            other => panic!("{descr}: {other:?}"),
        }
    }

    fn message(file: &[u8]) -> String {
        read(file, "x.npy").expect_err("a wrong file").to_string()
    }

    #[test]
    fn what_numpy_wrote_is_read() {
        let read = |file| read(file, "x").expect("a correct file");
        let f4 = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5];
        assert_eq!(read(F4), array(&[2, 3], NpyValues::F32(f4)));
        let i2 = NpyValues::Integers(vec![1, 2, 3, 4, 5, 6]);
        assert_eq!(read(FORTRAN_I2), array(&[2, 3], i2));
        assert_eq!(read(B1), array(&[2], NpyValues::U8(vec![1, 0])));
        assert_eq!(read(F8), array(&[1, 1], NpyValues::F32(vec![1.5])));
        let header = read_header(&mut &*FORTRAN_I2, "x").expect("a correct header");
        assert!(header.big_endian && header.fortran_order && header.data_offset == 128);
        assert_eq!((header.element, header.length()), (NpyElement::I16, 6));

        let mut npz = Npz::new(Cursor::new(savez()), "x.npz").expect("a zip");
        assert_eq!(npz.names().collect::<Vec<_>>(), ["x", "y"]);
        let x = array(&[2, 2], NpyValues::U8(vec![1, 2, 3, 250]));
        assert_eq!(npz.read("x").expect("x"), x);
        let y = array(&[2], NpyValues::Integers(vec![7, -1]));
        assert_eq!(npz.read("y").expect("y"), y);
        let error = npz.read("z").expect_err("no z").to_string();
        assert_eq!(
            error,
            "x.npz: array `z`: expected one of x, y, found none of that name"
        );
    }

    #[test]
    fn what_is_written_is_what_numpy_writes() {
        let mut written = Vec::new();
        write_f32(&mut written, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]).expect("in memory");
        assert_eq!(written, F4);
        assert_eq!(header_bytes("|b1", &[2]), B1[..128]);
        for rows in [1, 12_345, usize::MAX] {
            assert_eq!(header_bytes("<f4", &[rows, 28, 28]).len(), 128);
        }
        let error = write_u8(&mut written, &[2, 2], &[1]).expect_err("three short");
        assert_eq!(error.to_string(), "1 values for the shape [2, 2]");
    }

    #[test]
    fn integers_of_every_width_and_order_keep_their_values() {
        assert_eq!(integers("'|i1'", "(2,)", &[0xff, 1]), [-1, 1]);
        assert_eq!(integers("'<u2'", "(1,)", &[1, 2]), [0x201]);
        assert_eq!(integers("'>u2'", "(1,)", &[1, 2]), [0x102]);
        assert_eq!(integers("'<i4'", "(1,)", &[0xfe, 255, 255, 255]), [-2]);
        assert_eq!(
            integers("'>u4'", "(1,)", &[255, 255, 255, 255]),
            [0xffff_ffff]
        );
        assert_eq!(integers("'>i8'", "(1,)", &(-5i64).to_be_bytes()), [-5]);
        assert_eq!(integers("\"<u8\"", "(1)", &9u64.to_le_bytes()), [9]);
        let error = message(&with_header("'<u8'", "(1,)", &[255; 8]));
        assert!(error.contains("at most 9223372036854775807"), "{error}");
    }

    #[test]
    fn fortran_order_is_transposed_in_three_dimensions() {
        // np.asfortranarray(np.arange(24).reshape(2, 3, 4)) has a[i, j, k] = 12 i + 4 j + k at i + 2 j + 6 k.
        let at = |f: u8| 12 * (f % 2) + 4 * (f / 2 % 3) + f / 6;
        let data: Vec<_> = (0..24).map(at).collect();
        let text = "{'shape': (2, 3, 4), 'fortran_order': True, 'descr': '|u1'}";
        for version in [1, 2, 3] {
            let array = read(&file(version, text, &data)[..], "x").expect("a correct file");
            assert_eq!(array.values, NpyValues::U8((0..24).collect()));
        }
    }

    #[test]
    fn each_wrong_part_is_named() {
        let with = |index: usize, byte: u8| {
            let mut file = F4.to_vec();
            file[index] = byte;
            message(&file)
        };
        assert!(with(0, 0).starts_with("x.npy: magic number: expected an NPY file, "));
        assert_eq!(
            with(6, 4),
            "x.npy: version: expected 1.0, 2.0 or 3.0, found 4.0"
        );
        assert!(with(10, b'[').starts_with("x.npy: header: expected a dictionary with 'descr'"));
        assert_eq!(
            message(&file(2, &" ".repeat(70_000), &[])),
            "x.npy: header length: expected at most 65536 bytes, found 70000"
        );
        assert_eq!(
            message(&F4[..F4.len() - 1]),
            "x.npy: data: expected 24 bytes for the shape [2, 3], found 23 (truncated?)"
        );
        assert_eq!(
            message(&[F4, b"!"].concat()),
            "x.npy: data: expected 24 bytes for the shape [2, 3], found more than that"
        );
        let objects = message(&with_header("'|O'", "(2,)", b"\x80\x04"));
        assert!(
            objects.contains("found `|O`, Python objects (convert it in NumPy: "),
            "{objects}"
        );
        for descr in ["'<f2'", "'<c8'", "'<U5'", "'|f4'", "'é'", "''"] {
            let error = message(&with_header(descr, "(2,)", &[0; 64]));
            assert!(
                error.starts_with("x.npy: dtype: expected |u1"),
                "{descr}: {error}"
            );
            assert!(error.contains("array.astype('float32')"), "{descr}");
        }
        let fields = message(&with_header("[('a', '<f4'), ('b', '<f4')]", "(2,)", &[]));
        assert!(
            fields.contains("found `[('a', '<f4'), ('b', '<f4')]`"),
            "{fields}"
        );
        for shape in ["()", "(0,)", "(3, 0)"] {
            let error = message(&with_header("'<f4'", shape, &[]));
            assert!(error.contains("sizes above zero"), "{shape}: {error}");
        }
        for length in 0..F4.len() {
            assert!(read(&F4[..length], "x").is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_header_that_promises_the_world_costs_no_memory() {
        let error = message(&with_header("'<f4'", "(4000000000, 1000000)", &[1; 64]));
        assert_eq!(
            error,
            "x.npy: data: expected 16000000000000000 bytes for the shape [4000000000, 1000000], found 64 (truncated?)"
        );
        for shape in [
            "(4294967296, 4294967296)",
            "(9223372036854775807,)",
            "(99999999999999999999, 1)",
        ] {
            let error = message(&with_header("'<f4'", shape, &[1; 64]));
            assert!(error.contains("a size that fits in memory"), "{error}");
        }
    }

    #[test]
    fn a_damaged_zip_is_refused_by_its_checksum() {
        let mut file = Vec::new();
        let values = NpyArrayRef::U8(&[300], &[7; 300]);
        write_npz(Cursor::new(&mut file), &[("x", values)]).expect("in memory");
        // The checksum, of the local header and of the directory.
        let directory = file.windows(4).position(|at| at == b"PK\x01\x02");
        let checksum = directory.expect("a directory") + 16;
        file[checksum] ^= 1;
        let mut npz = Npz::new(Cursor::new(file), "x.npz").expect("a zip");
        let error = npz.read("x").expect_err("a wrong checksum").to_string();
        assert!(error.contains("x.npz: x.npy: cannot be read"), "{error}");
    }

    proptest! {
        #[test]
        fn written_arrays_are_read_back(
            floats in vec(any::<u32>(), 1..50), bytes in vec(any::<u8>(), 1..50), integers in vec(any::<i64>(), 1..50),
        ) {
            let floats: Vec<_> = floats.into_iter().map(f32::from_bits).collect();
            let mut file = Vec::new();
            let arrays = [
                ("f", NpyArrayRef::F32(&[floats.len(), 1], &floats)),
                ("b", NpyArrayRef::U8(&[1, bytes.len()], &bytes)),
                ("i", NpyArrayRef::I64(&[integers.len()], &integers)),
            ];
            write_npz(Cursor::new(&mut file), &arrays).expect("in memory");
            let mut npz = Npz::new(Cursor::new(file), "x.npz").expect("a zip");
            let f = npz.read("f").expect("f");
            prop_assert_eq!(f.shape, [floats.len(), 1]);
            let NpyValues::F32(read) = f.values else { panic!("not floats") };
            // Bit for bit: NaN is not equal to itself.
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            prop_assert_eq!(bits(read), bits(floats));
            prop_assert_eq!(npz.read("b").expect("b"), array(&[1, bytes.len()], NpyValues::U8(bytes)));
            prop_assert_eq!(npz.read("i").expect("i"), array(&[integers.len()], NpyValues::Integers(integers)));
        }

        #[test]
        fn arbitrary_and_mutated_files_never_panic(
            bytes in vec(any::<u8>(), 0..300),
            text in "\\{('descr': '[<>|][uifbO][1248]',? ?|'shape': \\([0-9]{0,3},? ?[0-9]{0,21}\\),? ?|'fortran_order': (True|False),? ?){0,4}\\}",
            changes in vec((any::<usize>(), any::<u8>()), 1..5),
        ) {
            let _ = read(&bytes[..], "x");
            let _ = read(&[MAGIC, &[1, 0], &bytes[..]].concat()[..], "x");
            let _ = read(&file(1, &text, &bytes)[..], "x");
            if let Ok(mut npz) = Npz::new(Cursor::new(&bytes), "x") {
                let _ = npz.read("x");
            }
            for original in [F4, FORTRAN_I2, B1, F8] {
                let mut file = original.to_vec();
                for &(at, byte) in &changes {
                    let length = file.len();
                    file[at % length] = byte;
                }
                let _ = read(&file[..], "x");
                file.truncate(changes[0].0 % file.len());
                let _ = read(&file[..], "x");
            }
            let mut file = savez();
            for &(at, byte) in &changes {
                let length = file.len();
                file[at % length] = byte;
            }
            if let Ok(mut npz) = Npz::new(Cursor::new(file), "x") {
                let names: Vec<_> = npz.names().map(str::to_owned).collect();
                for name in names {
                    let _ = npz.read(&name);
                }
            }
        }
    }
}
