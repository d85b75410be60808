//! Image files within one file, which are unpacked into the cache folder once and read from there.

#[cfg(feature = "parquet")]
use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::folders::data_folder;
#[cfg(feature = "parquet")]
use super::folders::{are_parts, beginning};
use super::foreign::refused_zip;
use super::zipped::unzip;
use super::{ReadOptions, Source, open_file};
use crate::{DataError, OnProgress, fetch, folder};

/// What macOS adds to a zip.
const METADATA: &str = "__MACOSX";

/// Reads a zip of images as if it were a folder.
pub(super) fn zip_file(
    path: &Path,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let name = path.display().to_string();
    let unreadable = |error: zip::result::ZipError| DataError::unreadable(&name, error);
    let file = open_file(path)?;
    let stored = file.metadata();
    let stored = stored.map_err(|cause| DataError::unreadable(&name, cause))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
    let entries: Vec<String> = zip.file_names().map(str::to_owned).collect();
    let is_image = |entry: &String| folder::is_image_name(Path::new(entry));
    if !entries.iter().any(is_image) {
        return Err(refused_zip(&name, &entries));
    }
    let unpacked = unpacked(&[path], "", |target| {
        unzip(&mut zip, stored.len(), target, &name)
    })?;
    Ok(Source {
        name,
        ..data_folder(&without_wrapping(unpacked)?, options, on_progress)?
    })
}

/// The Parquet files of images directly in `folder`, or in the folder `data` in it, as Hugging Face lays them out.
#[cfg(feature = "parquet")]
pub(super) fn shards_in(folder: &Path) -> Vec<PathBuf> {
    let within = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let is_shard = |path: &PathBuf| {
            let is_parquet = path.extension().is_some_and(|ending| ending == "parquet");
            is_parquet && crate::parquet::has_images(path)
        };
        let mut shards: Vec<PathBuf> = paths.filter(is_shard).collect();
        shards.sort();
        shards
    };
    let direct = within(folder);
    if direct.is_empty() {
        within(&folder.join("data"))
    } else {
        direct
    }
}

/// Reads Parquet files of images; those of a part of the data are named by it: `train-00000-of-00002.parquet`.
///
/// # Errors
/// If a file is invalid.
#[cfg(feature = "parquet")]
pub(super) fn shards(
    root: &Path,
    shards: &[PathBuf],
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let label = super::parquet_label(options);
    let parts: BTreeSet<String> = shards.iter().map(|shard| beginning(shard)).collect();
    let has_parts = are_parts(&parts).map_err(|found| {
        let expected =
            "shards named by parts of the data (train-, and validation- or test-), or none of them";
        DataError::wrong(root.display().to_string(), "files", expected, found)
    })?;
    let paths: Vec<&Path> = shards.iter().map(PathBuf::as_path).collect();
    let column = label.map_or("", |label| label.name);
    let unpacked = unpacked(&paths, column, |target| {
        shards.iter().try_for_each(|shard| {
            let folder = if has_parts {
                target.join(beginning(shard))
            } else {
                target.to_owned()
            };
            crate::parquet::unpack(shard, label, &folder)
        })
    })?;
    let source = data_folder(&unpacked, options, on_progress)?;
    Ok(Source {
        name: root.display().to_string(),
        format: format!("{} in Parquet", source.format),
        ..source
    })
}

/// The folder into which `write` unpacks the files at `paths` as `how` says, unless that was done before.
///
/// # Errors
/// If there is no cache folder, or it cannot be written.
pub(super) fn unpacked(
    paths: &[&Path],
    how: &str,
    write: impl FnOnce(&Path) -> Result<(), DataError>,
) -> Result<PathBuf, DataError> {
    let key = facts(paths, how)?;
    let folder = fetch::cache_folder()?.join("unpacked").join(key);
    if folder.is_dir() {
        return Ok(folder);
    }
    let unwritable = |cause| DataError::Unwritable {
        path: folder.clone(),
        cause,
    };
    // Two processes may unpack the same file, and one may be stopped while it does.
    let unfinished = folder.with_extension(format!("{}.tmp", std::process::id()));
    fs::create_dir_all(&unfinished).map_err(unwritable)?;
    let moved = write(&unfinished).and_then(|()| {
        let moved = fs::rename(&unfinished, &folder);
        moved.or_else(|cause| {
            if folder.is_dir() {
                Ok(())
            } else {
                Err(unwritable(cause))
            }
        })
    });
    if moved.is_err() {
        // What is left takes up space only; the first error is the one that matters.
        let _ = fs::remove_dir_all(&unfinished);
    }
    moved.map(|()| folder)
}

/// A name for the content of the files at `paths`, by their sizes and times of change, read as `how` says.
///
/// # Errors
/// If one is not there.
pub(super) fn facts(paths: &[&Path], how: &str) -> Result<String, DataError> {
    let mut all = how.to_owned();
    for path in paths {
        let facts = fs::canonicalize(path).and_then(|path| Ok((fs::metadata(&path)?, path)));
        let (facts, whole) =
            facts.map_err(|cause| DataError::unreadable(path.display().to_string(), cause))?;
        let changed = facts.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        all += &format!("{whole:?} {} {changed:?}\n", facts.len());
    }
    Ok(hash(&all))
}

/// The hexadecimal SHA-256 of a text.
pub(super) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder in which the folders of classes or parts are, if all lie in another one, as in a zip of a folder.
fn without_wrapping(folder: PathBuf) -> Result<PathBuf, DataError> {
    let inside = |folder: &Path| {
        let mut folders = folder::folders(folder)?;
        folders.retain(|name| name != Path::new(METADATA));
        Ok(folders)
    };
    let [wrapping] = &inside(&folder)?[..] else {
        return Ok(folder);
    };
    let below = folder.join(wrapping);
    let has_folders = !inside(&below)?.is_empty();
    Ok(if has_folders { below } else { folder })
}
