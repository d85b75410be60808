//! The folder of a sweep: which of its runs is free, in work or ended, agreed on by all processes that share the folder.
//! How a run is trained is not known here.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use vae_recipe::Sweep;

use crate::RunError;
use crate::files::CONFIG;
use crate::lock::FileLock;
use crate::run_folder::LOCK;

/// What the sweep is, in the folder of its runs.
const SWEEP: &str = "sweep.toml";
/// In the folder of each run: locked by the process that works on it, then how it ended. It is not the lock of the run itself,
/// which is taken only when its data are read and its network is made.
const CLAIM: &str = ".sweep";

/// The folder of a sweep.
#[derive(Clone, Debug)]
pub struct SweepFolder {
    path: PathBuf,
}

/// How far a run of a sweep is.
#[derive(Clone, Debug, PartialEq)]
pub enum RunProgress {
    /// Nobody works on it, and it has not ended.
    Free,
    /// A process works on it.
    InWork,
    /// All its epochs are done, or early stopping has ended it.
    Finished,
    /// It failed.
    Failed(Failure),
}

/// The failure of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Why it failed.
    pub reason: String,
    /// When, seconds since 1970: with the process, what tells a failure from a later one for the same reason.
    when: f64,
    process: u32,
}

/// How a run ended, as its file says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Finished,
    Failed(Failure),
}

/// A run that this process alone works on.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    lock: FileLock,
}

impl SweepFolder {
    /// The folder `path` of `sweep`, which is made if it is not there; if it holds the sweep with fewer points or seeds, the others
    /// are added.
    ///
    /// # Errors
    /// If the folder holds something else or a sweep that `sweep` does not continue, or cannot be read or written.
    pub fn open(path: &Path, sweep: &Sweep) -> Result<Self, RunError> {
        fs::create_dir_all(path).map_err(RunError::unwritable(path))?;
        let folder = Self::at(path);
        let _lock = folder.lock()?;
        if folder.check(sweep)? {
            return Ok(folder);
        }
        let text = toml::to_string(sweep).map_err(|error| {
            RunError::damaged(&path.join(SWEEP), format!("cannot be encoded: {error}"))
        })?;
        folder.replace(SWEEP, text.as_bytes())?;
        Ok(folder)
    }

    /// The folder, to be looked at and not changed; `None` if it is not there yet.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn look(path: &Path, sweep: &Sweep) -> Result<Option<Self>, RunError> {
        if !path.exists() {
            return Ok(None);
        }
        let folder = Self::at(path);
        folder.check(sweep)?;
        Ok(Some(folder))
    }

    fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Whether the folder holds just `sweep`, and not fewer points or none.
    fn check(&self, sweep: &Sweep) -> Result<bool, RunError> {
        let file = self.path.join(SWEEP);
        if file.exists() {
            let before = Sweep::read(&file)?;
            let changes = sweep.changes_from(&before);
            if changes.is_empty() {
                return Ok(*sweep == before);
            }
            return Err(RunError::OtherSweep {
                path: self.path.clone(),
                what: format!(
                    "holds the runs of other settings: {}; undo that, or choose another folder with --out",
                    changes.join(", ")
                ),
            });
        }
        let entries = fs::read_dir(&self.path).map_err(|cause| RunError::File {
            action: "read",
            path: self.path.clone(),
            cause,
        })?;
        // Locks, and what was being written when a process ended, begin with a dot.
        let names = entries.flatten().map(|entry| entry.file_name());
        let other = names
            .map(|name| name.to_string_lossy().into_owned())
            .find(|name| !name.starts_with('.'));
        match other {
            None => Ok(false),
            Some(name) => Err(RunError::OtherSweep {
                path: self.path.clone(),
                what: format!(
                    "expected an empty folder or that of a sweep, found {name}; choose another one with --out"
                ),
            }),
        }
    }

    /// The folder of the run `name`.
    #[must_use]
    pub fn run(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// How far the run `name` is.
    ///
    /// # Errors
    /// If what is known of it cannot be read.
    pub fn progress(&self, name: &str) -> Result<RunProgress, RunError> {
        let path = self.run(name).join(CLAIM);
        if FileLock::is_taken(&path) {
            return Ok(RunProgress::InWork);
        }
        match File::open(&path) {
            Ok(file) => progress(&file, &path),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(RunProgress::Free),
            Err(cause) => Err(RunError::File {
                action: "read",
                path,
                cause,
            }),
        }
    }

    /// Takes the run `name` if nobody works on it and it has not ended, or ended with the failure `retried`.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn claim(&self, name: &str, retried: Option<&Failure>) -> Result<Option<Claim>, RunError> {
        let folder = self.run(name);
        fs::create_dir_all(&folder).map_err(RunError::unwritable(&folder))?;
        let path = folder.join(CLAIM);
        let Some(lock) = FileLock::take(&path)? else {
            return Ok(None);
        };
        let is_free = match progress(&lock.file, &path)? {
            RunProgress::Free => true,
            RunProgress::Failed(failure) => Some(&failure) == retried,
            RunProgress::InWork | RunProgress::Finished => false,
        };
        let claim = Claim { path: folder, lock };
        if is_free {
            claim.write(b"")?;
        }
        Ok(is_free.then_some(claim))
    }

    /// Replaces results, files by their names, with what `make` makes while no other process does the same, so that the latest
    /// stay.
    ///
    /// # Errors
    /// If they cannot be made or written.
    pub fn write_results<E: From<RunError>>(
        &self,
        make: impl FnOnce() -> Result<Vec<(&'static str, Vec<u8>)>, E>,
    ) -> Result<(), E> {
        let _lock = self.lock()?;
        for (name, bytes) in make()? {
            self.replace(name, &bytes)?;
        }
        Ok(())
    }

    fn lock(&self) -> Result<FileLock, RunError> {
        FileLock::wait(&self.path.join(LOCK))
    }

    /// Replaces a file of the folder, whose lock is held.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        vae_data::replace(&path, |out| out.write_all(bytes)).map_err(RunError::unwritable(&path))
    }
}

/// What the file of a claim says. One that is not whole was being written when its process ended: the run has not.
fn progress(mut file: &File, path: &Path) -> Result<RunProgress, RunError> {
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|cause| RunError::File {
            action: "read",
            path: path.to_owned(),
            cause,
        })?;
    Ok(match serde_json::from_str(&text) {
        Ok(End::Finished) => RunProgress::Finished,
        Ok(End::Failed(failure)) => RunProgress::Failed(failure),
        Err(_) => RunProgress::Free,
    })
}

impl Claim {
    /// The folder of the run.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the run was begun before.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.path.join(CONFIG).exists()
    }

    /// Says that the run is finished.
    ///
    /// # Errors
    /// If this cannot be written.
    pub fn finish(self) -> Result<(), RunError> {
        self.end(&End::Finished)
    }

    /// Says that the run failed, and why.
    ///
    /// # Errors
    /// If this cannot be written.
    pub fn fail(self, reason: String) -> Result<(), RunError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.end(&End::Failed(Failure {
            reason,
            when: now.unwrap_or_default().as_secs_f64(),
            process: process::id(),
        }))
    }

    fn end(self, end: &End) -> Result<(), RunError> {
        self.write(&crate::files::json(end, CLAIM)?)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), RunError> {
        let mut file = &self.lock.file;
        let mut write = || -> io::Result<()> {
            file.rewind()?;
            file.set_len(0)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(RunError::unwritable(&self.path.join(CLAIM)))
    }
}
