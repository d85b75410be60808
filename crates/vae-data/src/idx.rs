//! The IDX format of MNIST: a big-endian header, then raw bytes. Header fields are checked before memory is allocated.
//!
//! Layout (LeCun et al., "The MNIST database"): two zero bytes, one byte for the element type (0x08 = unsigned byte), one
//! for the number of dimensions, then each dimension as a big-endian `u32`, then the elements, last dimension fastest.

use std::io::{self, BufReader, Read};

use crate::limits::gunzip;
use crate::npy::{self, NpyArray, NpyElement, NpyHeader};
use crate::{Array, DataError, Images, Labels, Shape};

const UNSIGNED_BYTE: u8 = 0x08;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A checked IDX array of unsigned bytes with `D` dimensions.
#[derive(Debug, PartialEq, Eq)]
pub struct IdxArray<const D: usize> {
    /// Dimensions, slowest first.
    pub shape: [usize; D],
    /// Elements, last dimension fastest.
    pub bytes: Vec<u8>,
}

/// Reads images and their labels from two files, each with its name for error messages.
///
/// # Errors
/// If one cannot be read, or their numbers differ.
pub fn labelled<R: Read>(
    (images, images_name): (R, String),
    (labels, labels_name): (R, String),
) -> Result<Images, DataError> {
    let images: IdxArray<3> = read(images, &images_name)?;
    let labels: IdxArray<1> = read(labels, &labels_name)?;
    let [count, height, width] = images.shape;
    if count != labels.shape[0] {
        return Err(DataError::wrong(
            labels_name,
            "number of labels",
            format!("{count}, as many as there are images in {images_name}"),
            format!("{} (of another data set?)", labels.shape[0]),
        ));
    }
    let classes: Vec<i64> = labels.bytes.iter().map(|&byte| byte.into()).collect();
    Ok(Images::from(Array {
        labels: Some(Labels::of_integers(&classes)),
        ..Array::bytes(images.bytes, Shape::grey(height, width))
    }))
}

/// Reads a whole IDX file, gzipped or not (detected by its first two bytes).
///
/// # Errors
/// If any header field, the length or the gzip stream is wrong; the error contains `source_name`.
pub fn read<const D: usize>(input: impl Read, source_name: &str) -> Result<IdxArray<D>, DataError> {
    read_plain(unzipped(input, source_name)?, source_name)
}

/// Reads a whole IDX file of any element type and number of dimensions, gzipped or not.
///
/// # Errors
/// If any header field, the length or the gzip stream is wrong; the error contains `source_name`.
pub fn read_any(input: impl Read, source_name: &str) -> Result<NpyArray, DataError> {
    let unreadable = unreadable(source_name);
    let wrong = wrong(source_name);
    let mut input = unzipped(input, source_name)?;
    let mut magic = [0; 4];
    input.read_exact(&mut magic).map_err(unreadable)?;
    let element = match magic {
        [0, 0, UNSIGNED_BYTE, _] => NpyElement::U8,
        [0, 0, 0x09, _] => NpyElement::I8,
        [0, 0, 0x0b, _] => NpyElement::I16,
        [0, 0, 0x0c, _] => NpyElement::I32,
        [0, 0, 0x0d, _] => NpyElement::F32,
        [0, 0, 0x0e, _] => NpyElement::F64,
        _ => {
            let expected = "0, 0 and one of the element types 08, 09, 0b, 0c, 0d, 0e";
            return wrong("magic number", expected.into(), format!("{magic:02x?}"));
        }
    };
    let mut sizes = vec![0; 4 * usize::from(magic[3])];
    input.read_exact(&mut sizes).map_err(unreadable)?;
    let sizes = sizes.as_chunks().0.iter();
    let shape: Vec<usize> = sizes
        .map(|&size| u32::from_be_bytes(size) as usize)
        .collect();
    let bytes = shape
        .iter()
        .try_fold(element.size(), |product, &size| product.checked_mul(size));
    if bytes.is_none_or(|bytes| bytes == 0) || shape.is_empty() {
        let expected = "sizes above zero that fit in memory".into();
        return wrong("dimensions", expected, format!("{shape:?}"));
    }
    let header = NpyHeader {
        element,
        big_endian: true,
        fortran_order: false,
        data_offset: 4 + 4 * shape.len(),
        shape,
    };
    npy::read_after(header, input, source_name)
}

/// The content of a file that may be gzipped.
fn unzipped<'a>(input: impl Read + 'a, source_name: &str) -> Result<Box<dyn Read + 'a>, DataError> {
    let unreadable = unreadable(source_name);
    let mut input = BufReader::new(input);
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    input
        .by_ref()
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    let is_gzip = start == GZIP_MAGIC;
    let whole = io::Cursor::new(start).chain(input);
    Ok(if is_gzip {
        Box::new(gunzip(whole))
    } else {
        Box::new(whole)
    })
}

fn unreadable(source_name: &str) -> impl Fn(io::Error) -> DataError + Copy {
    move |cause| DataError::unreadable(source_name, cause)
}

fn wrong<T>(source_name: &str) -> impl Fn(&str, String, String) -> Result<T, DataError> + Copy {
    move |field, expected, found| Err(DataError::wrong(source_name, field, expected, found))
}

/// Reads the header of an IDX file that is not gzipped, up to its data, and returns the dimensions.
///
/// # Errors
/// If a field is wrong.
pub fn read_header<const D: usize>(
    input: &mut impl Read,
    source_name: &str,
) -> Result<[usize; D], DataError> {
    let unreadable = unreadable(source_name);
    let wrong = wrong(source_name);

    let header_length = 4 + 4 * D;
    let mut header = Vec::with_capacity(header_length);
    input
        .by_ref()
        .take(header_length as u64)
        .read_to_end(&mut header)
        .map_err(unreadable)?;
    if header.len() < header_length {
        return wrong(
            "header",
            format!("{header_length} bytes"),
            format!("a file of {} bytes", header.len()),
        );
    }
    if header[..2] != [0, 0] {
        return wrong(
            "magic number",
            "two zero bytes".into(),
            format!("{:02x} {:02x}", header[0], header[1]),
        );
    }
    if header[2] != UNSIGNED_BYTE {
        return wrong(
            "element type",
            "0x08 (unsigned byte)".into(),
            format!("0x{:02x}", header[2]),
        );
    }
    if usize::from(header[3]) != D {
        let expected = if D == 3 {
            "3 (images x rows x columns)".into()
        } else {
            format!("{D}")
        };
        return wrong("number of dimensions", expected, header[3].to_string());
    }
    let mut shape = [0; D];
    for (size, field) in shape.iter_mut().zip(header[4..].chunks_exact(4)) {
        *size = field
            .iter()
            .fold(0, |value, &byte| value << 8 | usize::from(byte));
    }
    if shape.contains(&0) {
        return wrong(
            "dimensions",
            "sizes above zero".into(),
            format!("{shape:?}"),
        );
    }
    let length = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    match length {
        Some(_) => Ok(shape),
        None => wrong(
            "dimensions",
            "a size that fits in memory".into(),
            format!("{shape:?}"),
        ),
    }
}

fn read_plain<const D: usize>(
    mut input: impl Read,
    source_name: &str,
) -> Result<IdxArray<D>, DataError> {
    let shape = read_header(&mut input, source_name)?;
    let length: usize = shape.iter().product();
    let unreadable = unreadable(source_name);
    let wrong = wrong(source_name);

    // `read_to_end` allocates as data arrive: a header that claims more than the file holds costs no memory.
    let mut bytes = Vec::new();
    input
        .by_ref()
        .take(length as u64)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() < length {
        return wrong(
            "data",
            format!("{length} bytes for {shape:?}"),
            format!("{} bytes (truncated?)", bytes.len()),
        );
    }
    if input.read(&mut [0]).map_err(unreadable)? != 0 {
        return wrong(
            "data",
            format!("{length} bytes for {shape:?}"),
            "more bytes than that".into(),
        );
    }
    Ok(IdxArray { shape, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A valid file of two 2 x 3 images.
    fn images() -> Vec<u8> {
        let mut file = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        file.extend(0..12);
        file
    }

    fn message(file: &[u8]) -> String {
        read::<3>(file, "images")
            .expect_err("a wrong file")
            .to_string()
    }

    #[test]
    fn a_correct_file_is_read_plain_and_gzipped() {
        let expected = IdxArray {
            shape: [2, 2, 3],
            bytes: (0..12).collect(),
        };
        assert_eq!(read::<3>(&images()[..], "images").expect("plain"), expected);
        let plain = images();
        let mut gzip = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::best());
        let mut file = Vec::new();
        gzip.read_to_end(&mut file).expect("in memory");
        assert_eq!(read::<3>(&file[..], "images").expect("gzip"), expected);

        file.truncate(file.len() - 9);
        assert!(
            message(&file).contains("cannot be read"),
            "{}",
            message(&file)
        );
    }

    #[test]
    fn every_element_type_is_read() {
        use npy::NpyValues;
        let read = |kind: u8, data: &[u8]| {
            let file = [&[0, 0, kind, 2, 0, 0, 0, 1, 0, 0, 0, 2], data].concat();
            read_any(&file[..], "x").expect("a correct file")
        };
        let integers = NpyValues::Integers(vec![-2, 258]);
        assert_eq!(read(0x0b, &[0xff, 0xfe, 1, 2]).values, integers);
        let i32s = [0xff, 0xff, 0xff, 0xfe, 0, 0, 1, 2];
        assert_eq!(read(0x0c, &i32s).values, integers);
        let floats = NpyValues::F32(vec![1.5, -2.0]);
        assert_eq!(
            read(0x0d, &[0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0]).values,
            floats
        );
        let f64s = [1.5f64, -2.0].map(f64::to_be_bytes).concat();
        assert_eq!(read(0x0e, &f64s).values, floats);
        assert_eq!(read(0x08, &[7, 9]).values, NpyValues::U8(vec![7, 9]));
        assert_eq!(
            read(0x09, &[0xff, 3]).values,
            NpyValues::Integers(vec![-1, 3])
        );
        assert_eq!(read(0x08, &[7, 9]).shape, [1, 2]);
        for file in [
            &[0, 0, 0x0a, 1, 0, 0, 0, 1, 0][..],
            &[0, 0, 8, 1, 0, 0, 0, 0],
            &[0, 0, 8],
        ] {
            assert!(read_any(file, "x").is_err(), "{file:02x?}");
        }
        let huge = [&[0, 0, 0x0e, 3][..], &[255; 12]].concat();
        assert!(read_any(&huge[..], "x").is_err());
    }

    #[test]
    fn each_wrong_header_field_is_named() {
        let with = |index: usize, byte: u8| {
            let mut file = images();
            file[index] = byte;
            message(&file)
        };
        assert_eq!(
            with(0, 1),
            "images: magic number: expected two zero bytes, found 01 00"
        );
        assert_eq!(
            with(2, 0x0d),
            "images: element type: expected 0x08 (unsigned byte), found 0x0d"
        );
        assert_eq!(
            with(3, 1),
            "images: number of dimensions: expected 3 (images x rows x columns), found 1"
        );
        assert_eq!(
            with(7, 0),
            "images: dimensions: expected sizes above zero, found [0, 2, 3]"
        );
        assert_eq!(
            with(7, 3),
            "images: data: expected 18 bytes for [3, 2, 3], found 12 bytes (truncated?)"
        );
        assert_eq!(
            with(7, 1),
            "images: data: expected 6 bytes for [1, 2, 3], found more bytes than that"
        );
    }

    #[test]
    fn short_files_are_refused_at_every_length() {
        let file = images();
        for length in 0..file.len() {
            assert!(
                read::<3>(&file[..length], "images").is_err(),
                "{length} bytes were accepted"
            );
        }
    }

    #[test]
    fn a_header_that_promises_the_world_costs_no_memory() {
        let mut file = images();
        file[4..16].fill(0x7f);
        assert!(
            message(&file).starts_with("images: d"),
            "{}",
            message(&file)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read::<3>(&bytes[..], "images");
            let _ = read::<1>(&bytes[..], "labels");
        }

        #[test]
        fn a_changed_byte_is_refused_or_changes_what_is_read(place in 0usize..28, byte: u8) {
            let mut file = images();
            let is_same = file[place] == byte;
            file[place] = byte;
            let read = read::<3>(&file[..], "images");
            let original = super::read::<3>(&images()[..], "images");
            proptest::prop_assert_eq!(is_same, read.is_ok_and(|array| Some(array) == original.ok()));
        }
    }
}
