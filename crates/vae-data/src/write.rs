//! Writes samples to files that [`crate::Source::open`] can read.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::npy::NpyArrayRef;
use crate::replace::replace_unsynchronised;
use crate::{DataError, Element, Images, OnProgress, Progress, Shape, npy, replace, table};

/// Output file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// NPY: one array, `[samples, values]`, `[samples, height, width]` or `[samples, channels, height, width]`; labels in a
    /// second file.
    Npy,
    /// NPZ with the arrays `x`, `y` and `ids`.
    Npz,
    /// CSV with a header and one line per sample.
    Csv,
    /// The same, tab-separated.
    Tsv,
    /// One PNG image per sample, in one folder per class.
    Png,
    /// IDX: a file of grayscale images and one of labels.
    Idx,
}

impl Format {
    /// The format for a path's extension; a path without one is a folder of PNG files.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let Some(extension) = path.extension() else {
            return Some(Self::Png);
        };
        match extension.to_string_lossy().to_ascii_lowercase().as_str() {
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "idx" => Some(Self::Idx),
            _ => None,
        }
    }
}

impl Format {
    /// File extension of the format; empty for folders.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Png => "",
            Self::Idx => "idx",
        }
    }

    /// The files, or the folder, that `images` take at `path`: labels of NPY and IDX have one of their own.
    #[must_use]
    pub fn files(self, images: &Images, path: &Path) -> Vec<PathBuf> {
        let labels = match self {
            Self::Npy => Some("labels.npy"),
            Self::Idx => Some("labels.idx"),
            Self::Npz | Self::Csv | Self::Tsv | Self::Png => None,
        };
        let labels = labels.filter(|_| images.array.labels.is_some());
        let labels = labels.map(|ending| path.with_extension(ending));
        [path.to_owned()].into_iter().chain(labels).collect()
    }
}

/// Writes `images` to `path`, into [`Format::files`], which are replaced.
///
/// # Errors
/// If a file cannot be written, or the format cannot hold such samples.
pub fn write(
    images: &Images,
    path: &Path,
    format: Format,
    on_progress: OnProgress<'_>,
) -> Result<(), DataError> {
    let name = path.display().to_string();
    let is_byte = images.array.element == Element::U8;
    let shape = images.shape();
    match format {
        Format::Png if images.array.is_deep => {}
        Format::Png | Format::Idx if !is_byte => {
            let what =
                "expected samples of bytes for this format, found floats; write .npy, .npz or .csv";
            return Err(DataError::unfit(&name, what));
        }
        Format::Png if !(shape.channels == 1 || shape.channels == 3) => {
            let what = format!(
                "expected 1 or 3 channels for PNG files, found {}",
                shape.channels
            );
            return Err(DataError::unfit(&name, what));
        }
        Format::Idx if shape.channels != 1 => {
            return Err(DataError::unfit(
                &name,
                "expected grey images for IDX, found coloured ones",
            ));
        }
        _ => {}
    }
    let files = format.files(images, path);
    let labels = files.get(1).zip(integers(images));
    let written = match format {
        Format::Npy => replace(path, |out| npy_samples(out, images, on_progress)).and_then(|()| {
            labels.map_or(Ok(()), |(file, classes)| {
                replace(file, |out| npy::write_i64(out, &[classes.len()], &classes))
            })
        }),
        Format::Npz => npz(path, images),
        Format::Csv => replace(path, |out| csv(out, b',', images)),
        Format::Tsv => replace(path, |out| csv(out, b'\t', images)),
        Format::Idx => replace(path, |out| idx(out, images)).and_then(|()| {
            labels.map_or(Ok(()), |(file, classes)| {
                replace(file, |out| idx_labels(out, &classes))
            })
        }),
        Format::Png => png_folder(path, images, on_progress),
    };
    written.map_err(|cause| DataError::Unwritable {
        path: path.to_owned(),
        cause,
    })
}

/// Array shape `[samples, ..]`.
fn sizes(images: &Images) -> Vec<usize> {
    let Shape {
        channels,
        height,
        width,
    } = images.shape();
    let count = images.count();
    match (channels, height) {
        (1, 1) => vec![count, width],
        (1, _) => vec![count, height, width],
        _ => vec![count, channels, height, width],
    }
}

fn npy_samples(
    out: &mut impl Write,
    images: &Images,
    on_progress: OnProgress<'_>,
) -> io::Result<()> {
    let descr = match images.array.element {
        Element::U8 => "|u1",
        Element::F32 => "<f4",
    };
    out.write_all(&npy::header_bytes(descr, &sizes(images)))?;
    for place in 0..images.count() {
        out.write_all(images.bytes(place))?;
        on_progress(Progress {
            what: "writing samples",
            done: place as u64 + 1,
            total: Some(images.count() as u64),
            bytes: false,
        });
    }
    Ok(())
}

fn npz(path: &Path, images: &Images) -> io::Result<()> {
    let (sizes, places) = (sizes(images), 0..images.count());
    let bytes: Vec<u8> = places
        .clone()
        .flat_map(|place| images.bytes(place).to_vec())
        .collect();
    let floats: Vec<f32>;
    let x = match images.array.element {
        Element::U8 => NpyArrayRef::U8(&sizes, &bytes),
        Element::F32 => {
            floats = bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes))
                .collect();
            NpyArrayRef::F32(&sizes, &floats)
        }
    };
    let classes = integers(images);
    let count = [images.count()];
    let y = classes
        .as_ref()
        .map(|classes| ("y", NpyArrayRef::I64(&count, classes)));
    let ids = ids(images);
    let ids = ids
        .as_ref()
        .map(|ids| ("ids", NpyArrayRef::Text(&count, ids)));
    let arrays: Vec<_> = [("x", x)].into_iter().chain(y).chain(ids).collect();
    replace(path, |out| npy::write_npz(out, &arrays))
}

/// The ids of the samples, if their source has any.
fn ids(images: &Images) -> Option<Vec<String>> {
    images.array.names.as_ref()?;
    let ids = (0..images.count()).map(|place| images.id(place).into_owned());
    Some(ids.collect())
}

/// Labels as integers: their names if all are integers, else class indices.
fn integers(images: &Images) -> Option<Vec<i64>> {
    let classes = images.classes()?;
    let names = images.class_names().iter();
    let values: Result<Vec<i64>, _> = names.map(|name| name.parse()).collect();
    let value = |class: u32| match &values {
        Ok(values) => values[class as usize],
        Err(_) => class.into(),
    };
    Some(classes.into_iter().map(value).collect())
}

/// The columns of ids and of labels that `images` have in a table.
#[must_use]
pub fn text_columns(images: &Images) -> [Option<&str>; 2] {
    let array = &images.array;
    let id = array.id_column.as_deref().unwrap_or("id");
    let label = array.label_column.as_deref().unwrap_or("label");
    [
        array.names.is_some().then_some(id),
        array.labels.is_some().then_some(label),
    ]
}

/// Writes a table in units of the source: bytes as 0 to 255.
fn csv(out: &mut impl Write, delimiter: u8, images: &Images) -> io::Result<()> {
    let places: Vec<u32> = (0..images.count() as u32).collect();
    let mut values = images.gather(&places);
    if images.array.element == Element::U8 {
        for value in &mut values {
            *value = (*value * 255.0).round();
        }
    }
    let labels: Option<Vec<String>> = (0..images.count())
        .map(|place| images.label(place).map(str::to_owned))
        .collect();
    let ids = ids(images);
    let [id_name, label_name] = text_columns(images);
    table::write(
        out,
        delimiter,
        images.image_length(),
        images.array.columns.as_deref(),
        &values,
        id_name.zip(ids.as_deref()),
        label_name.zip(labels.as_deref()),
    )
}

fn idx(out: &mut impl Write, images: &Images) -> io::Result<()> {
    let Shape { height, width, .. } = images.shape();
    out.write_all(&[0, 0, 8, 3])?;
    for size in [images.count(), height, width] {
        let size = u32::try_from(size).map_err(io::Error::other)?;
        out.write_all(&size.to_be_bytes())?;
    }
    (0..images.count()).try_for_each(|place| out.write_all(images.bytes(place)))
}

fn idx_labels(out: &mut impl Write, classes: &[i64]) -> io::Result<()> {
    out.write_all(&[0, 0, 8, 1])?;
    out.write_all(&(classes.len() as u32).to_be_bytes())?;
    let bytes: Result<Vec<u8>, _> = classes.iter().map(|&class| u8::try_from(class)).collect();
    out.write_all(&bytes.map_err(io::Error::other)?)
}

/// Writes each image to `<class>/<place>.png`, or `<place>.png` without labels.
fn png_folder(path: &Path, images: &Images, on_progress: OnProgress<'_>) -> io::Result<()> {
    let folder = |place: usize| match images.label(place) {
        Some(label) => path.join(folder_name(label)),
        None => path.to_owned(),
    };
    fs::create_dir_all(path)?;
    for name in images.class_names() {
        fs::create_dir_all(path.join(folder_name(name)))?;
    }
    let done = std::sync::atomic::AtomicU64::new(0);
    (0..images.count()).into_par_iter().try_for_each(|place| {
        let png = png(images, place)?;
        let file = folder(place).join(format!("{place:06}.png"));
        replace_unsynchronised(&file, |out| out.write_all(&png))?;
        on_progress(Progress {
            what: "writing images",
            done: done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1,
            total: Some(images.count() as u64),
            bytes: false,
        });
        Ok(())
    })
}

/// The folder of a class: one below the folder that is written, whatever the class is called.
fn folder_name(class: &str) -> String {
    match class.replace(['/', '\\'], "_").as_str() {
        "" | "." | ".." => "_".to_owned(),
        name => name.to_owned(),
    }
}

/// Encodes the image at `place` as PNG, with 8 bits or 16 as it has.
fn png(images: &Images, place: usize) -> io::Result<Vec<u8>> {
    let Shape {
        channels,
        height,
        width,
    } = images.shape();
    let is_deep = images.array.is_deep;
    let planes = images.gather(&[place as u32]);
    let pixels = (0..height * width).flat_map(|pixel| {
        let planes = planes.iter().skip(pixel).step_by(height * width);
        planes.take(channels).copied()
    });
    let bytes: Vec<u8> = if is_deep {
        let values = pixels.map(|value| value as u16);
        values.flat_map(u16::to_ne_bytes).collect()
    } else {
        pixels.map(|value| (value * 255.0).round() as u8).collect()
    };
    let colour = match (channels, is_deep) {
        (3, false) => ExtendedColorType::Rgb8,
        (3, true) => ExtendedColorType::Rgb16,
        (_, false) => ExtendedColorType::L8,
        (_, true) => ExtendedColorType::L16,
    };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&bytes, width as u32, height as u32, colour)
        .map_err(io::Error::other)?;
    Ok(png)
}
