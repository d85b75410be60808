//! The header of an NPY file.

use std::io::Read;

use crate::DataError;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Maximum header length. Plain arrays need about 128 bytes; only structured types, which are refused, come near the limit.
const LONGEST_HEADER: usize = 64 * 1024;

/// Maximum number of dimensions: NumPy's own limit (`NPY_MAXDIMS`).
const MOST_DIMENSIONS: usize = 64;

/// Supported element types.
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
    F16,
    F32,
    F64,
    /// `S`: so many bytes of Latin-1, filled up with zeros.
    Bytes(usize),
    /// `U`: so many code points of four bytes, filled up with zeros.
    Unicode(usize),
}

impl NpyElement {
    /// Size of an element in bytes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Bytes(length) => length,
            Self::Unicode(length) => length.saturating_mul(size_of::<char>()),
        }
    }

    /// The type named in `descr` after the byte order.
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
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => {
                let length = name.get(1..)?.parse().ok().filter(|&length| length > 0)?;
                match name.as_bytes()[0] {
                    b'S' => Self::Bytes(length),
                    b'U' => Self::Unicode(length),
                    _ => return None,
                }
            }
        })
    }
}

/// A validated header: at least one dimension, none of size zero, and an addressable length in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// Element type.
    pub element: NpyElement,
    /// Whether elements are big-endian.
    pub big_endian: bool,
    /// Whether the array is in Fortran order (first dimension fastest).
    pub fortran_order: bool,
    /// Dimensions of the array.
    pub shape: Vec<usize>,
    /// Byte offset of the elements in the file.
    pub data_offset: usize,
}

impl NpyHeader {
    /// Number of elements.
    #[must_use]
    pub fn length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Reads and validates the header.
///
/// # Errors
/// If it is not the header of a supported array; the error contains `source_name`.
pub fn read_header(input: &mut impl Read, source_name: &str) -> Result<NpyHeader, DataError> {
    let mut next = |length: usize| {
        let mut bytes = Vec::with_capacity(length);
        input
            .take(length as u64)
            .read_to_end(&mut bytes)
            .map_err(|cause| DataError::unreadable(source_name, cause))?;
        if bytes.len() < length {
            let found = format!("{} (truncated?)", bytes.len());
            return Err(DataError::wrong(
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
        return Err(DataError::wrong(
            source_name,
            "magic number",
            expected,
            found,
        ));
    }
    let version = next(2)?;
    let length_bytes = match version[..] {
        [1, 0] => 2,
        [2 | 3, 0] => 4,
        _ => {
            let found = format!("{}.{}", version[0], version[1]);
            return Err(DataError::wrong(
                source_name,
                "version",
                "1.0, 2.0 or 3.0",
                found,
            ));
        }
    };
    let length = next(length_bytes)?
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | usize::from(byte));
    if length > LONGEST_HEADER {
        let expected = format!("at most {LONGEST_HEADER} bytes");
        let found = length.to_string();
        return Err(DataError::wrong(
            source_name,
            "header length",
            expected,
            found,
        ));
    }
    let text = next(length)?;
    let text = String::from_utf8_lossy(&text);
    let Some((descr, fortran_order, shape)) = dictionary(&text) else {
        let expected = "a dictionary with 'descr', 'fortran_order' and 'shape'";
        return Err(DataError::wrong(
            source_name,
            "header",
            expected,
            shortened(&text),
        ));
    };

    let element = descr
        .split_at_checked(1)
        .and_then(|(order, name)| Some((order, NpyElement::named(name)?)))
        .filter(|(order, element)| {
            let is_of_bytes = element.size() == 1 || matches!(element, NpyElement::Bytes(_));
            matches!(*order, "<" | ">") || *order == "|" && is_of_bytes
        });
    let Some((order, element)) = element else {
        let expected =
            "|u1, |b1, <f2, <f4, <f8, integers, or text as labels (>: big-endian is read too)";
        let what = if descr.ends_with('O') {
            ", Python objects"
        } else {
            ""
        };
        let found = format!(
            "{}{what} (convert it in NumPy: array.astype('float32'))",
            shortened(descr)
        );
        return Err(DataError::wrong(source_name, "dtype", expected, found));
    };
    if shape.is_empty() || shape.len() > MOST_DIMENSIONS || shape.contains(&0) {
        let expected = format!("1 to {MOST_DIMENSIONS} dimensions with sizes above zero");
        let what = if shape.contains(&0) {
            ", an array without values (leave the file out)"
        } else {
            ""
        };
        let found = shortened(&format!("{shape:?}")) + what;
        return Err(DataError::wrong(source_name, "shape", expected, found));
    }
    shape
        .iter()
        .try_fold(element.size(), |product, &size| product.checked_mul(size))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| {
            let found = format!("{shape:?}");
            DataError::wrong(source_name, "shape", "a size that fits in memory", found)
        })?;
    Ok(NpyHeader {
        element,
        big_endian: order == ">",
        fortran_order,
        shape,
        data_offset: MAGIC.len() + 2 + length_bytes + length,
    })
}

/// Parses `descr`, `fortran_order` and `shape` from a header's text.
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

/// A structured type, `[('x', '<f4'), ..]`: taken whole, to be named in the error. Nothing after it has brackets.
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
        // An overflow becomes the largest number, which no array in memory can have.
        shape.push(rest[..end].parse().unwrap_or(usize::MAX));
        *rest = &rest[end..];
        if eat(rest, ",").is_none() {
            eat(rest, ")")?;
            break;
        }
    }
    Some(shape)
}

/// Shortens a text from a file for an error message.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 100;
    let mut start: String = text.trim().chars().take(LENGTH + 1).collect();
    if start.chars().count() > LENGTH {
        start.pop();
        start.push('…');
    }
    format!("`{start}`")
}
