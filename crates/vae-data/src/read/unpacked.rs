//! Image files within one file, which are unpacked into the cache folder once and read from there.

#[cfg(feature = "parquet")]
use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::folders::image_folder;
#[cfg(feature = "parquet")]
use super::folders::{is_part, is_training};
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
        ..image_folder(&without_wrapping(unpacked)?, options, on_progress)?
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
    let part = |shard: &Path| {
        let name = shard
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        name.split(['-', '_', '.'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let parts: BTreeSet<String> = shards.iter().map(|shard| part(shard)).collect();
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
                target.join(part(shard))
            } else {
                target.to_owned()
            };
            crate::parquet::unpack(shard, label, &folder)
        })
    })?;
    let source = image_folder(&unpacked, options, on_progress)?;
    Ok(Source {
        name: root.display().to_string(),
        format: format!("{} in Parquet", source.format),
        ..source
    })
}

/// Whether what the names of shards begin with are parts of the data, among them one to train on; what was found, if some are
/// and some are not: as folders they would be taken for classes.
#[cfg(feature = "parquet")]
fn are_parts(beginnings: &BTreeSet<String>) -> Result<bool, String> {
    let known = beginnings.iter().filter(|name| is_part(name)).count();
    let has_training = beginnings.iter().any(|name| is_training(name));
    if known == 0 || beginnings.len() == 1 {
        return Ok(false);
    }
    if known == beginnings.len() && has_training {
        return Ok(true);
    }
    let found: Vec<String> = beginnings.iter().map(|name| format!("`{name}`")).collect();
    Err(found.join(", "))
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
    let mut hash = Sha256::new_with_prefix(how);
    for path in paths {
        let facts = fs::canonicalize(path).and_then(|path| Ok((fs::metadata(&path)?, path)));
        let (facts, whole) =
            facts.map_err(|cause| DataError::unreadable(path.display().to_string(), cause))?;
        let changed = facts.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        hash.update(format!("{whole:?} {} {changed:?}\n", facts.len()));
    }
    let key: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
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

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use super::*;

    #[test]
    fn shards_are_parts_only_if_all_their_names_say_so() {
        let are_parts =
            |names: &[&str]| are_parts(&names.iter().map(ToString::to_string).collect());
        assert_eq!(are_parts(&["train", "test"]), Ok(true));
        assert_eq!(are_parts(&["train", "validation", "test"]), Ok(true));
        assert_eq!(are_parts(&["train"]), Ok(false));
        assert_eq!(are_parts(&["0000", "0001"]), Ok(false));
        assert!(are_parts(&["train", "unsupervised"]).is_err());
        assert!(are_parts(&["validation", "test"]).is_err());
    }
}
