//! The pixels of a listed folder, into memory or into an NPY file. How they come about is in `survey` and `file`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::process;

use serde::{Deserialize, Serialize};

use super::survey::{Survey, wrong};
use super::{FolderOptions, Listing};
use crate::npy::header_bytes;
use crate::{DataError, OnProgress};

/// A folder's images in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedImages {
    /// `[count, channels, height, width]`, black 0 and white 255.
    pub pixels: Vec<u8>,
    /// 1 if grey was asked for or all files are grey, else 3 (red, green, blue).
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// The index of each image in [`Listing::files`].
    pub kept: Vec<usize>,
    /// Which files were left out, and why.
    pub skipped: Vec<String>,
}

/// A folder's images in an NPY file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodedFile {
    /// `[count, channels, height, width]`.
    pub shape: [usize; 4],
    /// The index of each image in [`Listing::files`].
    pub kept: Vec<usize>,
    /// Which files were left out, and why.
    pub skipped: Vec<String>,
}

/// Decodes all images into memory.
///
/// The set is grey if `options` says so or if every file is; else grey files among coloured ones become coloured. Palettes
/// and WebP count as coloured whatever they show. Scaling is linear and averages; alpha is composited on black; 16 bits
/// become 8; EXIF orientation is applied.
///
/// # Errors
/// If a file cannot be decoded (unless bad ones are skipped and another is left), sizes differ and none is asked for, an
/// aspect ratio differs from the size asked for and there is no `fit`, or memory does not suffice.
pub fn decode(
    listing: &Listing,
    options: &FolderOptions,
    on_progress: OnProgress<'_>,
) -> Result<DecodedImages, DataError> {
    let mut survey = Survey::new(listing, options, on_progress)?;
    let mut pixels = Vec::new();
    let count = survey.files.len();
    let length = survey.image_length().saturating_mul(count);
    pixels.try_reserve_exact(length).map_err(|_| {
        let [channels, height, width] = survey.shape;
        wrong(
            &listing.root,
            "images",
            "a set that fits in memory",
            format!("{count} x {channels} x {height} x {width} bytes"),
        )
    })?;
    let kept = survey.decode(on_progress, |image| {
        pixels.extend_from_slice(image);
        Ok(())
    })?;
    let [channels, height, width] = survey.shape;
    Ok(DecodedImages {
        pixels,
        channels,
        height,
        width,
        kept,
        skipped: survey.skipped(),
    })
}

/// Decodes all images as [`decode`] does into the file `npy`: `|u1`, `[count, channels, height, width]`. It holds only a
/// chunk in memory, and replaces `npy` once all is on disk.
///
/// # Errors
/// As [`decode`], and if the file cannot be written.
pub fn decode_to_file(
    listing: &Listing,
    options: &FolderOptions,
    npy: &Path,
    on_progress: OnProgress<'_>,
) -> Result<DecodedFile, DataError> {
    let mut survey = Survey::new(listing, options, on_progress)?;
    let unwritable = |cause| DataError::Unwritable {
        path: npy.to_owned(),
        cause,
    };
    let name = npy.file_name().unwrap_or_default().to_string_lossy();
    // Of its own name for each process, as two may fill a cache at the same time.
    let temporary = npy.with_file_name(format!(".{name}.{}.tmp", process::id()));
    let mut write = || -> Result<DecodedFile, DataError> {
        let [channels, height, width] = survey.shape;
        let header = |count| header_bytes("|u1", &[count, channels, height, width]);
        let mut file = BufWriter::new(File::create(&temporary).map_err(unwritable)?);
        file.write_all(&header(survey.files.len()))
            .map_err(unwritable)?;
        let kept = survey.decode(on_progress, |image| {
            file.write_all(image).map_err(unwritable)
        })?;
        let finish = || -> io::Result<()> {
            // Once more with the final count, which needs no other room: the padding takes up the digits.
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
        })
    };
    let written = write();
    if written.is_err() {
        // What is left of the temporary file only takes room; the error that matters is the first.
        let _ = fs::remove_file(&temporary);
    }
    written
}
