//! Memory-mapped files whose samples are read on demand, for data larger than memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

use crate::{Array, DataError, Element, Layout, Shape, idx, npy};

/// Maps the samples of an NPY or IDX file. The file must not be changed or truncated while it is used: the system would kill
/// the program.
///
/// # Errors
/// If the file cannot be read, or its layout cannot be mapped.
pub(crate) fn open(
    path: &Path,
    size: Option<[usize; 2]>,
    layout: Option<Layout>,
) -> Result<Array, DataError> {
    let name = path.display().to_string();
    let unreadable = |cause| DataError::unreadable(name.clone(), cause);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic).map_err(unreadable)?;
    let is_other = match magic {
        [0x1f, 0x8b, ..] => Some("gzipped files"),
        [0, 0, 8, 3] => None,
        [0, 0, 8, _] => Some("IDX files of another number of dimensions than three"),
        [0, 0, ..] => Some("IDX files of other elements than unsigned bytes"),
        _ => None,
    };
    if let Some(what) = is_other {
        return Err(convert(&name, what));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let (element, shape, rows, offset) = if magic == [0, 0, 8, 3] {
        let [rows, height, width] = idx::read_header(&mut file, &name)?;
        (Element::U8, Shape::grey(height, width), rows, 16)
    } else {
        let header = npy::read_header(&mut file, &name)?;
        let (element, shape, rows) = laid_out([&name, &name], &header, size, layout)?;
        (element, shape, rows, header.data_offset)
    };
    #[expect(
        unsafe_code,
        reason = "no safe way to map a file; see the function's docs"
    )]
    // SAFETY: the mapping is read-only, and the docs forbid changing the file meanwhile.
    let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
    let length = rows.checked_mul(shape.length() * element.size());
    let end = length.and_then(|length| offset.checked_add(length));
    if end != Some(map.len()) {
        return Err(DataError::wrong(
            name,
            "data",
            format!(
                "a file of {} bytes for {rows} x {shape}",
                end.unwrap_or(usize::MAX)
            ),
            format!("{} bytes (truncated?)", map.len()),
        ));
    }
    Ok(Array {
        element,
        is_integer: element == Element::U8,
        ..Array::bytes(Bytes::from_owner(map).slice(offset..), shape)
    })
}

/// Element type, row shape and number of rows of an NPY file that can be mapped as it lies. The names are its own and that of the
/// data that it belongs to.
///
/// # Errors
/// If it cannot.
pub(crate) fn laid_out(
    [name, all]: [&str; 2],
    header: &npy::NpyHeader,
    size: Option<[usize; 2]>,
    layout: Option<Layout>,
) -> Result<(Element, Shape, usize), DataError> {
    let element = match header.element {
        npy::NpyElement::U8 => Element::U8,
        npy::NpyElement::F32 if !header.big_endian => Element::F32,
        other => return Err(convert(all, &format!("elements of {other:?}"))),
    };
    let (rows, shape, is_channels_last) = array_shape(name, &header.shape, size, layout)?;
    if header.fortran_order || is_channels_last {
        return Err(convert(all, "Fortran order or channels last"));
    }
    Ok((element, shape, rows))
}

fn convert(name: &str, what: &str) -> DataError {
    DataError::unfit(
        name,
        format!(
            "{what} cannot be streamed as they lie; write them anew with `vae-gpu data convert {name} --out FILE.npy`, or load \
             them without --stream"
        ),
    )
}

/// Number of rows, row shape, and whether channels come last, for an array of samples of `sizes` that is called `name`. `size`
/// shapes flat rows into images; `layout` says where the channels are where that could be either.
///
/// # Errors
/// If `sizes` are not those of samples.
pub fn array_shape(
    name: &str,
    sizes: &[usize],
    size: Option<[usize; 2]>,
    layout: Option<Layout>,
) -> Result<(usize, Shape, bool), DataError> {
    let wrong = |expected: &str| {
        Err(DataError::wrong(
            name,
            "shape",
            expected,
            format!("{sizes:?}"),
        ))
    };
    let (rows, shape, last) = match *sizes {
        [rows, length] => (rows, flat(name, length, size)?, false),
        [rows, height, width] => (rows, Shape::grey(height, width), false),
        [rows, a, height_or_width, b] => {
            let is_count = |channels| channels == 1 || channels == 3;
            let layout = match (layout, is_count(a), is_count(b)) {
                (Some(layout), ..) => layout,
                (None, true, false) => Layout::ChannelsFirst,
                (None, false, true) => Layout::ChannelsLast,
                _ => {
                    return wrong(
                        "--layout channels-first or channels-last, for this could be either",
                    );
                }
            };
            let (channels, height, width) = match layout {
                Layout::ChannelsFirst => (a, height_or_width, b),
                Layout::ChannelsLast => (b, a, height_or_width),
            };
            let shape = Shape {
                channels,
                height,
                width,
            };
            (rows, shape, layout == Layout::ChannelsLast && channels > 1)
        }
        _ => {
            return wrong(
                "[samples, values], [samples, height, width] or [samples, channels, height, width]",
            );
        }
    };
    if sizes.len() > 2 && size.is_some_and(|size| size != [shape.height, shape.width]) {
        return wrong("images of --size, which resizes image files and shapes flat rows only");
    }
    Ok((rows, shape, last))
}

/// The shape of a row of `length` values: an image of `size` if one is given, with one or three channels.
pub(crate) fn flat(
    name: &str,
    length: usize,
    size: Option<[usize; 2]>,
) -> Result<Shape, DataError> {
    let Some([height, width]) = size else {
        return Ok(Shape::grey(1, length));
    };
    let channels = length / (height * width).max(1);
    if channels * height * width != length || !(channels == 1 || channels == 3) {
        return Err(DataError::wrong(
            name,
            "values of a sample",
            format!("{height} x {width} of --size, once or three times"),
            length.to_string(),
        ));
    }
    Ok(Shape {
        channels,
        height,
        width,
    })
}
