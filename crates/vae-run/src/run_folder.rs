//! The run folder: writing and reading the files of a run. Every file is written under a temporary name, synced and renamed
//! ([`vae_data::replace`]), so that a kill at any moment leaves a loadable run; only `metrics.jsonl` is appended to.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vae_data::Scaling;
use vae_recipe::Recipe;
use vae_spec::Weights;

use crate::files::{
    self, BEST_WEIGHTS, CONFIG, LAST_WEIGHTS, MANIFEST, METRICS, STATE, json, weights_file,
};
use crate::lock::{FileLock, no_link};
use crate::metrics::Content;
use crate::state::State;
use crate::{EpochReport, Manifest, Metrics, Rollback, RunError, StepReport};

pub(crate) const LOCK: &str = ".lock";

/// A run folder open for writing, locked against other processes.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: Mutex<Log>,
    _lock: FileLock,
}

/// A file that is appended to, with what could not be written yet.
#[derive(Debug)]
struct Log {
    file: File,
    unwritten: Vec<u8>,
}

impl Log {
    fn new(file: File) -> Mutex<Self> {
        Mutex::new(Self {
            file,
            unwritten: Vec::new(),
        })
    }

    /// Writes as much as there is room for.
    fn flush(&mut self) -> std::io::Result<()> {
        while !self.unwritten.is_empty() {
            let written = match self.file.write(&self.unwritten) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                written => written?,
            };
            self.unwritten.drain(..written);
        }
        Ok(())
    }
}

impl RunFolder {
    /// The first of `runs/<data>-1`, `runs/<data>-2`, .. that does not exist.
    #[must_use]
    pub fn next_free(data: &str) -> PathBuf {
        let stem = Path::new(data)
            .file_name()
            .map_or_else(|| data.into(), |name| name.to_string_lossy());
        let path = |number: usize| PathBuf::from("runs").join(format!("{stem}-{number}"));
        (1..)
            .map(path)
            .find(|path| !path.exists())
            .unwrap_or_else(|| path(0))
    }

    /// Creates and locks the folder, so that an output that cannot be written is found before training. It is not a run before
    /// [`Self::write_recipe`].
    ///
    /// # Errors
    /// If it already holds a run, another process writes to it, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, RunError> {
        if path.join(CONFIG).exists() {
            return Err(RunError::FolderTaken(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(RunError::unwritable(path))?;
        let lock = lock(path)?;
        remove_unfinished(path);
        let metrics = path.join(METRICS);
        no_link(&metrics)?;
        if fs::metadata(&metrics).is_ok_and(|metrics| metrics.len() > 0) {
            let what = "holds the metrics of something else; choose another folder with --out, or delete it";
            return Err(RunError::Damaged {
                path: metrics,
                what: what.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            metrics: Log::new(File::create(&metrics).map_err(RunError::unwritable(&metrics))?),
            _lock: lock,
        })
    }

    /// Locks the folder of a run to resume, truncates its metrics to `metrics_bytes`, and returns the epochs in them, and the lines,
    /// counted from 1, that are none.
    ///
    /// # Errors
    /// If another process writes to it, or it cannot be written.
    pub fn reopen(
        path: &Path,
        metrics_bytes: u64,
    ) -> Result<(Self, Vec<EpochReport>, Vec<usize>), RunError> {
        let lock = lock(path)?;
        remove_unfinished(path);
        let name = path.join(METRICS);
        no_link(&name)?;
        let all = files::read(path, &name)?;
        let known = usize::try_from(metrics_bytes)
            .ok()
            .and_then(|length| all.get(..length));
        let known = known.ok_or_else(|| RunError::Damaged {
            path: name.clone(),
            what: format!(
                "expected at least {metrics_bytes} bytes, as there were at the last checkpoint, found {}",
                all.len()
            ),
        })?;
        let metrics = OpenOptions::new()
            .append(true)
            .open(&name)
            .map_err(RunError::unwritable(&name))?;
        metrics
            .set_len(metrics_bytes)
            .map_err(RunError::unwritable(&name))?;
        let Metrics {
            epochs, unreadable, ..
        } = Metrics::parse(known);
        let folder = Self {
            path: path.to_owned(),
            metrics: Log::new(metrics),
            _lock: lock,
        };
        Ok((folder, epochs, unreadable))
    }

    /// Reads the recipe and the state of the run in `path`.
    ///
    /// # Errors
    /// If it is not a run, or a file of it is corrupt or of a newer version.
    pub fn read_state(path: &Path) -> Result<(Recipe, State), RunError> {
        let recipe = files::recipe(path, &path.join(CONFIG))?;
        let file = path.join(STATE);
        let state = State::decode(&files::read(path, &file)?, &file)?;
        Ok((recipe, state))
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file `name` atomically.
    ///
    /// # Errors
    /// If it cannot be written, for example on a full disk; the old content is kept.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        vae_data::replace(&path, |out| out.write_all(bytes)).map_err(RunError::unwritable(&path))
    }

    /// Replaces the manifest.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), RunError> {
        self.write(MANIFEST, &json(manifest, MANIFEST)?)
    }

    /// Writes the recipe: from here on the folder is a run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_recipe(&self, recipe: &Recipe) -> Result<(), RunError> {
        let config = toml::to_string(recipe).map_err(|error| RunError::Damaged {
            path: self.path.join(CONFIG),
            what: format!("cannot be encoded: {error}"),
        })?;
        self.write(CONFIG, config.as_bytes())
    }

    /// Replaces the weights of the best epoch.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_best(&self, weights: &Weights, scaling: Option<&Scaling>) -> Result<(), RunError> {
        self.write(BEST_WEIGHTS, &weights_file(weights, scaling)?)
    }

    /// Writes a checkpoint: the state first, as everything else follows from it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_state(&self, state: &State, scaling: Option<&Scaling>) -> Result<(), RunError> {
        // The metrics that the state refers to must be on disk before it.
        let mut metrics = self.metrics();
        let written = metrics.flush().and_then(|()| metrics.file.sync_data());
        drop(metrics);
        written.map_err(RunError::unwritable(&self.path.join(METRICS)))?;
        self.write(STATE, &state.encode()?)?;
        self.write_rest(state, scaling)
    }

    /// Writes what follows from a checkpoint: the weights and the manifest. A process that was killed may have written the state
    /// alone, so whoever goes on from it writes them again.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_rest(&self, state: &State, scaling: Option<&Scaling>) -> Result<(), RunError> {
        self.write(
            LAST_WEIGHTS,
            &weights_file(&state.snapshot.weights, scaling)?,
        )?;
        self.write_manifest(&state.position.manifest)
    }

    /// Appends the progress within an epoch to the metrics. Lines that there is no room for are written later, at the latest with the
    /// next checkpoint.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn log_step(&self, step: &StepReport) -> Result<(), RunError> {
        self.log(step)
    }

    /// Appends an epoch to the metrics, as [`Self::log_step`].
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn log_epoch(&self, epoch: &EpochReport) -> Result<(), RunError> {
        self.log(epoch)
    }

    /// Appends a rollback to the metrics, as [`Self::log_step`].
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn log_rollback(&self, rollback: &Rollback) -> Result<(), RunError> {
        self.log(rollback)
    }

    fn log(&self, content: &impl Content) -> Result<(), RunError> {
        let mut metrics = self.metrics();
        metrics.unwritten.extend(json(&content.line(), METRICS)?);
        metrics.unwritten.push(b'\n');
        // A checkpoint says what stands in the way.
        let _ = metrics.flush();
        Ok(())
    }

    fn metrics(&self) -> MutexGuard<'_, Log> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Length of the metrics file in bytes, once all is written.
    ///
    /// # Errors
    /// If the length of the file cannot be read.
    pub fn metrics_bytes(&self) -> Result<u64, RunError> {
        let metrics = self.metrics();
        let metadata = metrics.file.metadata();
        let metadata = metadata.map_err(RunError::unwritable(&self.path.join(METRICS)))?;
        Ok(metadata.len() + metrics.unwritten.len() as u64)
    }
}

/// Removes what processes that were killed have left half written in the folder, which is locked.
fn remove_unfinished(path: &Path) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(".tmp") {
            // It only takes up space.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Locks the folder. The lock ends with the process, however that ends; its file stays ([`FileLock`]).
fn lock(path: &Path) -> Result<FileLock, RunError> {
    let lock = FileLock::take(&path.join(LOCK))?;
    lock.ok_or_else(|| RunError::FolderLocked(path.to_owned()))
}
