//! Arrays of several files as one: in memory, or if they are mapped as one file in the cache folder, for the engines read their samples
//! from one range of bytes.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{disk, names};
use crate::table::listed;
use crate::{Array, DataError, Element, Images, Labels, Layout, OnProgress, Shape};
use crate::{mapped, npy};

/// The rows of all `arrays`, which are those of `paths`, in order, and notes for the user.
///
/// # Errors
/// If two of them do not fit together, they are more than memory holds, or the joined file cannot be written.
pub(super) fn join(
    paths: &[PathBuf],
    mut arrays: Vec<Array>,
    is_mapped: bool,
    on_progress: OnProgress<'_>,
) -> Result<(Array, Vec<String>), DataError> {
    let mut notes = Vec::new();
    if arrays.len() == 1 {
        return Ok((arrays.swap_remove(0), notes));
    }
    let first_name = paths[0].display().to_string();
    let mut reordered = Vec::new();
    if let [first, others @ ..] = &mut arrays[..] {
        for (path, array) in paths[1..].iter().zip(others) {
            let name = path.display().to_string();
            if align(first, array, [&first_name, &name])? {
                reordered.push(names::of(path));
            }
        }
    }
    if !reordered.is_empty() {
        notes.push(format!(
            "columns put in the order of those of {first_name}: in {}",
            listed(&reordered)
        ));
    }
    let mut rows = 0;
    let mut files = Vec::new();
    for (path, array) in paths.iter().zip(&arrays) {
        files.push((rows, path.display().to_string()));
        rows += array.rows();
    }
    if u32::try_from(rows).is_err() {
        let expected = format!("at most {} samples in all files", u32::MAX);
        return Err(DataError::wrong(
            first_name,
            "samples",
            expected,
            rows.to_string(),
        ));
    }
    let labels: Vec<Labels> = arrays
        .iter_mut()
        .filter_map(|array| array.labels.take())
        .collect();
    let names = arrays.iter_mut().filter_map(|array| array.names.take());
    let names: Vec<String> = names.flatten().collect();
    let pixels = arrays
        .iter_mut()
        .map(|array| std::mem::take(&mut array.pixels))
        .collect();
    let first = arrays.swap_remove(0);
    let pixels = if is_mapped {
        let header = header(first.element, first.shape, rows);
        let joined = disk::joined(paths, &header, pixels, on_progress)?;
        notes.push(format!(
            "--stream: the files are joined in {}, which stays for the next time and may be deleted",
            joined.display()
        ));
        mapped::open(&joined, None, Some(Layout::ChannelsFirst))?.pixels
    } else {
        in_memory(&first_name, pixels)?
    };
    let joined = Array {
        pixels,
        labels: (!labels.is_empty()).then(|| Labels::joined(&labels)),
        names: (!names.is_empty()).then_some(names),
        files,
        ..first
    };
    Ok((joined, notes))
}

/// The error for a file whose rows are unlike those of the first.
pub(super) fn unlike(name: &str, expected: &str, first: &str, found: &str) -> DataError {
    let expected = format!("{expected} as in {first}, for all files of a folder are one data set");
    let found =
        format!("{found} (write it anew, move it to another folder, or name a single file)");
    DataError::wrong(name, "samples", expected, found)
}

/// Puts the columns of `array` in the order of those of the first, and says whether they were in another.
///
/// # Errors
/// If both do not have the same kind of rows; the `names` are those of their files.
fn align(
    first: &Array,
    array: &mut Array,
    [first_name, name]: [&str; 2],
) -> Result<bool, DataError> {
    let kinds = [first, &*array].map(|array| {
        let elements = match (array.element, array.is_integer) {
            (Element::U8, _) => "bytes",
            (Element::F32, true) => "integers",
            (Element::F32, false) => "floats",
        };
        format!("samples of {} ({elements})", array.shape)
    });
    let has = |is_there: bool, what: &str| match is_there {
        true => format!("samples with {what}"),
        false => format!("samples without {what}"),
    };
    let labels = [first, &*array].map(|array| has(array.labels.is_some(), "labels"));
    let ids = [first, &*array].map(|array| has(array.names.is_some(), "ids"));
    for [expected, found] in [&kinds, &labels, &ids] {
        if expected != found {
            return Err(unlike(name, expected, first_name, found));
        }
    }
    let sorted = |columns: &[String]| {
        let mut sorted = columns.to_vec();
        sorted.sort();
        sorted
    };
    match (&first.columns, &array.columns) {
        (expected, found) if expected == found => Ok(false),
        (Some(expected), Some(found)) if sorted(expected) != sorted(found) => {
            let [expected, found] =
                [expected, found].map(|columns| format!("the columns {}", listed(columns)));
            Err(unlike(name, &expected, first_name, &found))
        }
        (None, Some(found)) => {
            let found = format!("the columns {}", listed(found));
            Err(unlike(name, "columns without names", first_name, &found))
        }
        (Some(expected), Some(_)) => {
            let (aligned, _) = Images::from(array.clone()).aligned(expected, name)?;
            *array = Arc::unwrap_or_clone(aligned.array);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// All `parts` in one piece of memory. Each is given back once it is copied, so that they take their space once.
fn in_memory(name: &str, parts: Vec<Bytes>) -> Result<Bytes, DataError> {
    let length: usize = parts.iter().map(Bytes::len).sum();
    let mut joined = Vec::new();
    joined.try_reserve_exact(length).map_err(|_| {
        let expected = "files that fit in memory together, or NPY files with --stream";
        DataError::wrong(
            name,
            "samples",
            expected,
            format!("{length} bytes in all files"),
        )
    })?;
    for part in parts {
        joined.extend_from_slice(&part);
    }
    Ok(joined.into())
}

fn header(element: Element, shape: Shape, rows: usize) -> Vec<u8> {
    let descr = match element {
        Element::U8 => "|u1",
        Element::F32 => "<f4",
    };
    npy::header_bytes(descr, &[rows, shape.channels, shape.height, shape.width])
}
