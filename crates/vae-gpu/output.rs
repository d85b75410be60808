//! Where results go: a file that is replaced whole, a folder, or with `-` the standard output.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use vae_data::{Shape, npy};
use vae_infer::{Inference, grid};

use crate::report;

/// Writes `bytes` to `out` and says where.
pub(crate) fn write(out: &Path, bytes: &[u8]) -> Result<()> {
    if out.as_os_str() == "-" {
        return report::bytes(bytes);
    }
    save(out, bytes)?;
    report::result(&out.display().to_string());
    Ok(())
}

/// Writes `bytes` to the file `out`.
pub(crate) fn save(out: &Path, bytes: &[u8]) -> Result<()> {
    let unwritable = || format!("{}: cannot be written", out.display());
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(unwritable)?;
    }
    vae_data::replace(out, |file| file.write_all(bytes)).with_context(unwritable)
}

/// The end of `out`'s name, in small letters; of `-` what goes to the standard output.
pub(crate) fn extension(out: &Path, standard: &str) -> String {
    if out.as_os_str() == "-" {
        return standard.to_owned();
    }
    let extension = out.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_lowercase()
}

/// Where results go if nothing is said: `<stem>.png`, or of a table `<stem>.csv`.
pub(crate) fn or_default(out: Option<&Path>, stem: &str, shape: Shape) -> PathBuf {
    let extension = if shape.is_table() { "csv" } else { "png" };
    out.map_or_else(|| Path::new(stem).with_extension(extension), Path::to_owned)
}

/// Whether `out` is a picture of samples of `shape`.
pub(crate) fn is_picture(out: &Path, shape: Shape) -> bool {
    extension(out, "png") == "png" && !shape.is_table()
}

/// How many samples are worked on if nothing is said: what a picture has room for, else all.
pub(crate) const fn shown(is_picture: bool) -> usize {
    if is_picture { 40 } else { usize::MAX }
}

/// `images`, `[count, pixels]` in units of the model: as a grid (.png), an array or table in units of the data (.npy, .csv),
/// or in a folder as a PNG file each.
pub(crate) fn images(
    inference: &Inference<'_>,
    mut images: Vec<f32>,
    columns: usize,
    out: &Path,
) -> Result<()> {
    let shape = inference.shape();
    let length = shape.length();
    let count = images.len() / length;
    let kind = extension(out, if shape.is_table() { "csv" } else { "png" });
    if shape.is_table() && (kind == "png" || kind.is_empty()) {
        bail!(
            "{}: the model was trained on a table, so there are no images to draw; choose .csv or .npy",
            out.display()
        );
    }
    match kind.as_str() {
        "png" => write(out, &grid(inference, images, columns).png()?),
        "" => {
            grid(inference, images, columns).save_each(out)?;
            report::result(&out.display().to_string());
            Ok(())
        }
        "npy" => {
            inference.preprocessing().undo(&mut images, length);
            let sizes = [count, shape.channels, shape.height, shape.width];
            let sizes = match (shape.channels, shape.height) {
                (1, 1) => &[count, shape.width][..],
                (1, _) => &[count, shape.height, shape.width],
                _ => &sizes,
            };
            let mut bytes = Vec::new();
            npy::write_f32(&mut bytes, sizes, &images)?;
            write(out, &bytes)
        }
        "csv" => {
            inference.preprocessing().undo(&mut images, length);
            let mut columns = inference.preprocessing().columns().to_vec();
            if columns.is_empty() {
                columns = (1..=length).map(|column| format!("x_{column}")).collect();
            }
            let mut bytes = Vec::new();
            let columns = Some(&columns[..]);
            vae_data::table::write(&mut bytes, b',', length, columns, &images, None, None)?;
            write(out, &bytes)
        }
        _ => bail!(
            "{}: expected a name that ends in .png (an image grid), .npy or .csv, or a folder for single PNG files",
            out.display()
        ),
    }
}

/// Bytes that `content` writes with a cursor.
pub(crate) fn seekable(
    content: impl FnOnce(&mut Cursor<Vec<u8>>) -> std::io::Result<()>,
) -> Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    content(&mut out)?;
    Ok(out.into_inner())
}
