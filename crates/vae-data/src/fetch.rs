//! Named data sets: found in a folder or the cache, else downloaded, and always verified by their checksums.

mod download;
mod sets;

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use self::download::{Failure, Patience, download};
pub use self::sets::NamedSet;
use self::sets::Sum;
use crate::{DataError, OnProgress, Progress};

/// Location of named data sets, and whether they may be downloaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// Folder with the files, or with a sub-folder of the set's name; the cache folder if unset.
    pub data_dir: Option<PathBuf>,
    /// Disables downloads.
    pub offline: bool,
}

/// Returns the folder with the four files of `set`, each plain or as `.gz`; missing files are downloaded.
///
/// The folder is `data_dir/<name>`, `data_dir` if that has one of the files, or without a `data_dir` `<name>` in
/// [`cache_folder`]. The variable `VAE_GPU_MIRROR` replaces the built-in mirrors by one address that has
/// `<name>/<stem>.gz` below it.
///
/// # Errors
/// If a file is missing and cannot or may not be downloaded, or has the wrong checksum in `data_dir`, where no file is ever
/// overwritten.
pub fn fetch(
    set: &NamedSet,
    options: &FetchOptions,
    on_progress: OnProgress<'_>,
) -> Result<PathBuf, DataError> {
    let mirrors = match env::var("VAE_GPU_MIRROR") {
        Ok(base) if !base.is_empty() => {
            vec![format!("{}/{}", base.trim_end_matches('/'), set.name)]
        }
        _ => set.mirrors.iter().map(ToString::to_string).collect(),
    };
    let place = match &options.data_dir {
        Some(data_dir) => Place::of_the_user(set, data_dir),
        None => Place::cache(cache_folder()?.join(set.name)),
    };
    place.complete(set, &mirrors, options.offline, on_progress)?;
    Ok(place.folder)
}

/// The download folder: `data` in the folder named by the variable `VAE_GPU_CACHE`, or else in the operating system's cache
/// folder for `vae-gpu` (`~/.cache/vae-gpu` on Linux).
///
/// # Errors
/// If neither is known.
pub fn cache_folder() -> Result<PathBuf, DataError> {
    let cache = match env::var_os("VAE_GPU_CACHE") {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => ProjectDirs::from("", "", "vae-gpu")
            .ok_or(DataError::NoCacheFolder)?
            .cache_dir()
            .to_owned(),
    };
    Ok(cache.join("data"))
}

/// Location of the files of one data set.
struct Place {
    folder: PathBuf,
    /// Whether files with a wrong checksum may be replaced.
    ours: bool,
    patience: Patience,
}

impl Place {
    fn cache(folder: PathBuf) -> Self {
        Self {
            folder,
            ours: true,
            patience: Patience::default(),
        }
    }

    fn of_the_user(set: &NamedSet, data_dir: &Path) -> Self {
        let named = data_dir.join(set.name);
        let holds_some =
            |folder: &Path| (set.files.iter()).any(|(stem, _)| stored(folder, stem).is_some());
        let folder = if !holds_some(&named) && holds_some(data_dir) {
            data_dir.to_owned()
        } else {
            named
        };
        Self {
            folder,
            ours: false,
            patience: Patience::default(),
        }
    }

    /// Downloads the missing files.
    fn complete(
        &self,
        set: &NamedSet,
        mirrors: &[String],
        offline: bool,
        on_progress: OnProgress<'_>,
    ) -> Result<(), DataError> {
        let absent = self.absent(set)?;
        if absent.is_empty() {
            return Ok(());
        }
        if offline {
            let files: Vec<_> = (absent.iter())
                .map(|(stem, sum)| match sum {
                    Sum::Plain(_) => (*stem).to_owned(),
                    Sum::Gzip(_) => format!("{stem}.gz"),
                })
                .collect();
            return Err(DataError::Offline {
                name: set.name,
                folder: self.folder.clone(),
                files: files.join(", "),
            });
        }
        fs::create_dir_all(&self.folder).map_err(unwritable(&self.folder))?;
        let _lock = lock(&self.folder, on_progress)?;
        // Checked again: another process may have downloaded them while holding the lock.
        for (stem, sum) in self.absent(set)? {
            let file = format!("{stem}.gz");
            let part = self.folder.join(format!("{file}.part"));
            let mut reasons = String::new();
            let arrived = mirrors.iter().try_fold(false, |arrived, mirror| {
                if arrived {
                    return Ok(true);
                }
                let url = format!("{mirror}/{file}");
                match download(&url, &part, sum, self.patience, on_progress) {
                    Ok(()) => Ok(true),
                    Err(Failure::Mirror(reason) | Failure::Passing(reason)) => {
                        reasons += &format!("\n  {url}: {reason}");
                        Ok(false)
                    }
                    Err(Failure::Disk(error)) => Err(error),
                }
            })?;
            if !arrived {
                return Err(DataError::NoMirror {
                    name: set.name,
                    file,
                    reasons,
                });
            }
            let whole = self.folder.join(file);
            fs::rename(&part, &whole).map_err(unwritable(&whole))?;
            // A wrong plain file would be read before the right gzipped one.
            remove(&self.folder.join(stem))?;
        }
        Ok(())
    }

    /// The files to download.
    fn absent(&self, set: &NamedSet) -> Result<Vec<(&'static str, Sum)>, DataError> {
        let mut absent = Vec::new();
        for &(stem, sum) in &set.files {
            let Some(path) = stored(&self.folder, stem) else {
                absent.push((stem, sum));
                continue;
            };
            match sum.mismatch(&path) {
                None => {}
                Some(_) if self.ours => absent.push((stem, sum)),
                Some(found) => {
                    return Err(DataError::wrong(
                        path.display().to_string(),
                        sum.of_what().to_owned(),
                        format!("{} for `{}`", sum.hex(), set.name),
                        format!(
                            "{found} (your file is left as it is: move it away, or use another folder)"
                        ),
                    ));
                }
            }
        }
        Ok(absent)
    }
}

/// The stored file of this stem; a plain file is preferred over a gzipped one.
fn stored(folder: &Path, stem: &str) -> Option<PathBuf> {
    [folder.join(stem), folder.join(format!("{stem}.gz"))]
        .into_iter()
        .find(|path| path.is_file())
}

/// Keeps other processes from downloading into `folder` until the lock is dropped.
fn lock(folder: &Path, on_progress: OnProgress<'_>) -> Result<File, DataError> {
    let path = folder.join(".lock");
    // Not emptied, for it may be a link in a folder that is not ours.
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(unwritable(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            on_progress(Progress {
                what: "waiting for another download",
                done: 0,
                total: None,
                bytes: true,
            });
            file.lock().map_err(unwritable(&path))?;
        }
        Err(TryLockError::Error(cause)) => return Err(unwritable(&path)(cause)),
    }
    Ok(file)
}

fn remove(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(unwritable(path)(cause)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = path.to_owned();
    move |cause| DataError::Unwritable {
        path: path.clone(),
        cause,
    }
}

#[cfg(test)]
mod tests;
