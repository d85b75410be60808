//! Array files: NPY, NPZ, IDX, with labels in separate files.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::{ReadOptions, Source, in_memory_only, open_file};
use crate::mapped::{array_shape, flat};
use crate::{Array, DataError, Images, Labels, Shape, idx, mapped, matrix_market, npy};

pub(super) fn npy_file(path: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    let name = path.display().to_string();
    let array = if options.stream {
        mapped::open(path, options.size, options.layout)?
    } else {
        let array = npy::read(BufReader::new(open_file(path)?), &name)?;
        samples(&name, array, options)?
    };
    let labels = asked_labels(options)?;
    let format = format!("NPY of {:?}", array.element);
    Ok(Source::new(&name, format, labelled(path, array, labels)?))
}

/// The array of an NPZ file that names its samples.
const IDS: &str = "ids";

pub(super) fn npz_file(path: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    in_memory_only(path, options)?;
    let name = path.display().to_string();
    let mut npz = npy::Npz::open(path)?;
    let names: Vec<String> = npz.names().map(str::to_owned).collect();
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let choose = |asked: Option<&String>, is_inherited: bool, usual: &[&str]| {
        let asked = asked.filter(|asked| !is_inherited || has(asked));
        let usual = usual
            .iter()
            .find(|usual| has(usual))
            .map(ToString::to_string);
        asked.cloned().or(usual)
    };
    let mut part = |images: &str, labels: Option<String>| {
        let array = samples(&name, npz.read(images)?, options)?;
        let labels = labels
            .map(|labels| classes(&name, npz.read(&labels)?))
            .transpose()?;
        labelled(path, array, labels)
    };
    let inherited = options.inherited;
    let array = options.array.as_ref();
    let array = array.filter(|array| !inherited.array || has(array));
    if array.is_none() && has("x_train") && has("x_test") {
        let train = part("x_train", has("y_train").then(|| "y_train".into()))?;
        let test = part("x_test", has("y_test").then(|| "y_test".into()))?;
        let validation = has("x_val").then(|| part("x_val", has("y_val").then(|| "y_val".into())));
        let validation = validation.transpose()?;
        let format = match validation {
            Some(_) => "NPZ with x_train, x_val and x_test",
            None => "NPZ with x_train and x_test",
        };
        return Ok(Source {
            validation: validation.map(Images::from),
            test: Some(test.into()),
            ..Source::new(&name, format, train)
        });
    }
    let only = (names.len() == 1).then(|| names[0].clone());
    let images = choose(array, false, &["x", "images", "data"]).or(only);
    let Some(images) = images.as_ref().filter(|images| has(images)) else {
        let expected = match images {
            Some(asked) => format!("the samples in `{asked}`, as --array says"),
            None => "the samples in `x`, `images`, `data`, or what --array names".to_owned(),
        };
        return Err(DataError::wrong(name, "array", expected, names.join(", ")));
    };
    let labels = choose(options.labels.as_ref(), inherited.labels, &["y", "labels"]);
    let mut array = part(images, labels)?;
    if has(IDS) {
        array.names = ids(npz.read(IDS)?, array.rows());
    }
    Ok(Source::new(&name, format!("NPZ, array `{images}`"), array))
}

/// The ids in an array, if it has one for each of `rows`.
fn ids(array: npy::NpyArray, rows: usize) -> Option<Vec<String>> {
    let ids: Vec<String> = match array.values {
        npy::NpyValues::Text(ids) => ids,
        npy::NpyValues::Integers(ids) => ids.iter().map(ToString::to_string).collect(),
        npy::NpyValues::U8(_) | npy::NpyValues::F32(_) => return None,
    };
    (array.shape == [rows]).then_some(ids)
}

pub(super) fn idx_file(path: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    let name = path.display().to_string();
    let array = if options.stream {
        mapped::open(path, None, None)?
    } else {
        samples(&name, idx::read_any(open_file(path)?, &name)?, options)?
    };
    let labels = asked_labels(options)?;
    Ok(Source::new(&name, "IDX", labelled(path, array, labels)?))
}

/// Reads a Matrix Market file, each row a sample.
pub(super) fn matrix_file(
    path: &Path,
    input: impl BufRead,
    options: &ReadOptions,
) -> Result<Source, DataError> {
    in_memory_only(path, options)?;
    let name = path.display().to_string();
    let matrix = matrix_market::read(input, &name)?;
    let shape = flat(&name, matrix.columns, options.size)?;
    let array = Array {
        is_integer: matrix.is_integer,
        ..Array::floats(matrix.values, shape)
    };
    let note = format!(
        "samples: each of the {} rows is one; if its samples are the columns, as cells are in files of 10x Genomics, write the \
         transpose",
        matrix.rows
    );
    let labelled = labelled(path, array, asked_labels(options)?)?;
    Ok(Source {
        notes: vec![note],
        ..Source::new(&name, "Matrix Market", labelled)
    })
}

/// Converts an NPY array to samples, channels first.
pub(super) fn samples(
    name: &str,
    array: npy::NpyArray,
    options: &ReadOptions,
) -> Result<Array, DataError> {
    let (_, shape, is_channels_last) =
        array_shape(name, &array.shape, options.size, options.layout)?;
    let Shape {
        channels,
        height,
        width,
    } = shape;
    fn reordered<T: Copy>(values: Vec<T>, channels: usize, pixels: usize) -> Vec<T> {
        let images = values.chunks_exact(channels * pixels);
        let planes = |image: &[T]| -> Vec<T> {
            let places =
                (0..channels).flat_map(|channel| (0..pixels).map(move |pixel| (channel, pixel)));
            places
                .map(|(channel, pixel)| image[pixel * channels + channel])
                .collect()
        };
        images.flat_map(planes).collect()
    }
    let floats = |values: Vec<f32>| {
        let values = if is_channels_last {
            reordered(values, channels, height * width)
        } else {
            values
        };
        Array::floats(values, shape)
    };
    Ok(match array.values {
        npy::NpyValues::U8(bytes) if is_channels_last => {
            Array::bytes(reordered(bytes, channels, height * width), shape)
        }
        npy::NpyValues::U8(bytes) => Array::bytes(bytes, shape),
        npy::NpyValues::Text(_) => {
            return Err(DataError::wrong(name, "element type", "numbers", "text"));
        }
        npy::NpyValues::F32(values) => floats(values),
        npy::NpyValues::Integers(values) => {
            if let Some(value) = values.iter().find(|&&value| value as f32 as i64 != value) {
                let expected = "integers that 32-bit floats hold exactly, up to 16777216 (2^24), or floats \
                    (array.astype('float32') rounds them)";
                return Err(DataError::wrong(
                    name,
                    "values",
                    expected,
                    value.to_string(),
                ));
            }
            Array {
                is_integer: true,
                ..floats(values.into_iter().map(|value| value as f32).collect())
            }
        }
    })
}

/// The labels in the file that `options` name, if they do.
fn asked_labels(options: &ReadOptions) -> Result<Option<Labels>, DataError> {
    let labels = options.labels.as_ref();
    let labels = labels.filter(|_| !options.inherited.labels);
    labels
        .map(|labels| labels_file(Path::new(labels)))
        .transpose()
}

/// Reads labels from an NPY or IDX file.
pub(super) fn labels_file(path: &Path) -> Result<Labels, DataError> {
    let name = path.display().to_string();
    let mut start = Vec::new();
    let input = open_file(path)?.take(1).read_to_end(&mut start);
    input.map_err(|cause| DataError::unreadable(name.clone(), cause))?;
    if start == [0x93] {
        return classes(&name, npy::read(BufReader::new(open_file(path)?), &name)?);
    }
    let array = idx::read_any(open_file(path)?, &name)?;
    classes(&name, first_of_qmnist(array))
}

/// The classes of QMNIST's labels, whose rows are eight integers, the class and then where the digit is from (Yadav and Bottou
/// 2019); other arrays as they are.
fn first_of_qmnist(array: npy::NpyArray) -> npy::NpyArray {
    const COLUMNS: usize = 8;
    match (&array.shape[..], array.values) {
        ([count, COLUMNS], npy::NpyValues::Integers(values)) => npy::NpyArray {
            shape: vec![*count],
            values: npy::NpyValues::Integers(values.into_iter().step_by(COLUMNS).collect()),
        },
        (_, values) => npy::NpyArray { values, ..array },
    }
}

pub(super) fn classes(name: &str, array: npy::NpyArray) -> Result<Labels, DataError> {
    let wrong = |found: String| {
        Err(DataError::wrong(
            name,
            "labels",
            "one whole number or text for each sample, [n] or [n, 1]",
            found,
        ))
    };
    let ([_] | [_, 1]) = array.shape[..] else {
        return wrong(format!("an array of shape {:?}", array.shape));
    };
    match array.values {
        npy::NpyValues::U8(labels) => {
            let labels: Vec<i64> = labels.iter().map(|&byte| byte.into()).collect();
            Ok(Labels::of_integers(&labels))
        }
        npy::NpyValues::Integers(labels) => Ok(Labels::of_integers(&labels)),
        npy::NpyValues::Text(labels) => Ok(Labels::of(&labels)),
        npy::NpyValues::F32(labels) => {
            // Beyond 2^24 whole numbers are not told apart.
            let is_whole = |x: f32| x.fract() == 0.0 && x.abs() <= 16_777_216.0;
            match labels.iter().position(|&label| !is_whole(label)) {
                Some(place) => wrong(format!(
                    "{} in entry {place} (counted from 0)",
                    labels[place]
                )),
                None => {
                    let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
                    Ok(Labels::of_integers(&labels))
                }
            }
        }
    }
}

pub(super) fn labelled(
    path: &Path,
    array: Array,
    labels: Option<Labels>,
) -> Result<Array, DataError> {
    let count = labels.as_ref().map(|labels| labels.classes.len());
    if let Some(count) = count.filter(|&count| count != array.rows()) {
        return Err(DataError::wrong(
            path.display().to_string(),
            "number of labels",
            format!("{}, as many as there are samples", array.rows()),
            count.to_string(),
        ));
    }
    Ok(Array { labels, ..array })
}
