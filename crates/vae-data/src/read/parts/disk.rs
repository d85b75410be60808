//! Several mapped files as one in the cache folder. It is written once; when one of the files has changed, another takes its place.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::folders::beginning;
use super::super::unpacked::{facts, hash};
use crate::{DataError, OnProgress, Progress, fetch, replace};

/// Bytes that are written at a time.
const CHUNK: usize = 1 << 20;

/// The file that holds the values of all `parts`, which are those of the files at `paths`, below the `header`.
///
/// # Errors
/// If a file is no longer there, or there is no cache folder, or it cannot be written.
pub(super) fn joined(
    paths: &[PathBuf],
    header: &[u8],
    parts: Vec<Bytes>,
    on_progress: OnProgress<'_>,
) -> Result<PathBuf, DataError> {
    let from: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let name = facts(&from, &format!("{header:?}"))?;
    let folder = fetch::cache_folder()?.join("joined").join(place(&from));
    let path = folder.join(format!("{name}.npy"));
    if path.is_file() {
        return Ok(path);
    }
    let total = parts.iter().map(|part| part.len() as u64).sum();
    let mut done = 0;
    let write = || {
        fs::create_dir_all(&folder)?;
        replace(&path, |out| {
            out.write_all(header)?;
            // Each mapping ends once it is written.
            for part in parts {
                for chunk in part.chunks(CHUNK) {
                    out.write_all(chunk)?;
                    done += chunk.len() as u64;
                    on_progress(Progress {
                        what: "joining files",
                        done,
                        total: Some(total),
                        bytes: true,
                    });
                }
            }
            Ok(())
        })
    };
    let written = write();
    written.map_err(|cause| DataError::Unwritable {
        path: path.clone(),
        cause,
    })?;
    remove_others(&folder, &path);
    Ok(path)
}

/// A name for the place of the files, whatever is in them: that of their folder, and of the part of the data that they are.
fn place(paths: &[&Path]) -> String {
    let first = paths.first().copied().unwrap_or(Path::new(""));
    let folder = first.parent().unwrap_or(Path::new(""));
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    hash(&format!("{folder:?} {}", beginning(first)))
}

/// Removes what was joined of earlier files. A process that has mapped one keeps it; where it cannot be removed, it takes up space
/// only.
fn remove_others(folder: &Path, path: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let other = entry.path();
        if other != path && other.extension().is_some_and(|ending| ending == "npy") {
            let _ = fs::remove_file(other);
        }
    }
}
