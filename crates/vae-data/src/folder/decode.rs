//! Decodes a listed folder into memory or into an NPY file. The decoding itself is in `survey` and `file`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::process;

use serde::{Deserialize, Serialize};
use vae_spec::Element;

use super::survey::{Survey, wrong};
use super::{FolderOptions, Listing};
use crate::npy::header_bytes;
use crate::{DataError, OnProgress};

/// A folder's images in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedImages {
    /// Pixels `[count, channels, height, width]`, black 0 and white 255; the values of images of 16 bits as bytes of floats.
    pub pixels: Vec<u8>,
    /// Type of the pixels.
    pub element: Element,
    /// Number of channels: 1 if grayscale was asked for or all files are grayscale, else 3 (red, green, blue).
    pub channels: usize,
    /// Image height in pixels.
    pub height: usize,
    /// Image width in pixels.
    pub width: usize,
    /// Index of each image in [`Listing::files`].
    pub kept: Vec<usize>,
    /// Skipped files, each with the reason.
    pub skipped: Vec<String>,
    /// What was left of files that hold more: frames and pages, and bits.
    pub notes: Vec<String>,
}

/// A folder's images in an NPY file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodedFile {
    /// Shape of the array: `[count, channels, height, width]`.
    pub shape: [usize; 4],
    /// Index of each image in [`Listing::files`].
    pub kept: Vec<usize>,
    /// Skipped files, each with the reason.
    pub skipped: Vec<String>,
    /// What was left of files that hold more: frames and pages, and bits.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Decodes all images into memory.
///
/// The data set is grayscale if `options` says so or if every file is; else grayscale files are converted to RGB. Palette
/// images and WebP count as colour whatever they show. Scaling is linear and averages; alpha is composited on black; EXIF
/// orientation is applied. Images of 16 bits keep them, unless `options` say otherwise.
///
/// # Errors
/// If a file cannot be decoded (unless bad files are skipped and a good one is left), sizes differ and none is given, an
/// aspect ratio differs from that of the given size and `fit` is unset, some images have 16 bits and some 8, or there is not
/// enough memory.
pub fn decode(
    listing: &Listing,
    options: &FolderOptions,
    on_progress: OnProgress<'_>,
) -> Result<DecodedImages, DataError> {
    let mut survey = Survey::new(listing, options, on_progress)?;
    let notes = survey.notes();
    let mut pixels = Vec::new();
    let count = survey.files.len();
    let length = survey.image_length().saturating_mul(count);
    pixels.try_reserve_exact(length).map_err(|_| {
        let [channels, height, width] = survey.shape;
        wrong(
            &listing.root,
            "images",
            "a set that fits in memory",
            format!(
                "{count} x {channels} x {height} x {width} values of {} bytes",
                survey.element.size()
            ),
        )
    })?;
    let kept = survey.decode(on_progress, |image| {
        pixels.extend_from_slice(image);
        Ok(())
    })?;
    let [channels, height, width] = survey.shape;
    Ok(DecodedImages {
        pixels,
        element: survey.element,
        channels,
        height,
        width,
        kept,
        skipped: survey.skipped(),
        notes,
    })
}

/// Decodes all images as [`decode`] does into the file `npy`: `|u1` or `<f4`, `[count, channels, height, width]`. Only a chunk
/// is held in memory, and `npy` is replaced once everything is on disk.
///
/// # Errors
/// The same as [`decode`], and if the file cannot be written.
pub fn decode_to_file(
    listing: &Listing,
    options: &FolderOptions,
    npy: &Path,
    on_progress: OnProgress<'_>,
) -> Result<DecodedFile, DataError> {
    let mut survey = Survey::new(listing, options, on_progress)?;
    let notes = survey.notes();
    let unwritable = |cause| DataError::Unwritable {
        path: npy.to_owned(),
        cause,
    };
    let name = npy.file_name().unwrap_or_default().to_string_lossy();
    // The name is unique to the process, as two may fill a cache at the same time.
    let temporary = npy.with_file_name(format!(".{name}.{}.tmp", process::id()));
    let write = || -> Result<DecodedFile, DataError> {
        let [channels, height, width] = survey.shape;
        let descr = match survey.element {
            Element::U8 => "|u1",
            Element::F32 => "<f4",
        };
        let header = |count| header_bytes(descr, &[count, channels, height, width]);
        let mut file = BufWriter::new(File::create(&temporary).map_err(unwritable)?);
        file.write_all(&header(survey.files.len()))
            .map_err(unwritable)?;
        let kept = survey.decode(on_progress, |image| {
            file.write_all(image).map_err(unwritable)
        })?;
        let finish = || -> io::Result<()> {
            // Rewritten with the final count; the header's padding makes room for its digits.
            file.rewind()?;
            file.write_all(&header(kept.len()))?;
            file.into_inner()?.sync_all()?;
            fs::rename(&temporary, npy)
        };
        finish().map_err(unwritable)?;
        Ok(DecodedFile {
            shape: [kept.len(), channels, height, width],
            kept,
            skipped: survey.skipped(),
            notes,
        })
    };
    let written = write();
    if written.is_err() {
        // A leftover temporary file only takes up space; the first error is the one that matters.
        let _ = fs::remove_file(&temporary);
    }
    written
}
