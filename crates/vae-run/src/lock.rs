//! A lock on a file, which the system frees when its process ends in whatever way.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::RunError;

/// Whoever looks whether a file is locked holds it for an instant, so a lock is asked for this often before it counts as
/// taken, with this pause.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Refuses to write to `path` if it is a link: a run folder from elsewhere could have it point at any file.
pub(crate) fn no_link(path: &Path) -> Result<(), RunError> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if is_link {
        let what = "expected a file of its own, found a link to another place; delete it";
        return Err(RunError::damaged(path, what));
    }
    Ok(())
}

/// A file that no other process, and nobody else in this one, can lock before this is dropped.
///
/// The file stays when it is freed: if it were deleted, one process could lock the deleted file and another its successor.
#[derive(Debug)]
pub(crate) struct FileLock {
    pub(crate) file: File,
}

impl FileLock {
    /// Locks `path`, which is made if it is not there; `None` if another holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, RunError> {
        let file = open(path)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { file })),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(cause)) => return Err(RunError::unwritable(path)(cause)),
            }
        }
        Ok(None)
    }

    /// The same; waits until it is free.
    pub(crate) fn wait(path: &Path) -> Result<Self, RunError> {
        let file = open(path)?;
        file.lock().map_err(RunError::unwritable(path))?;
        Ok(Self { file })
    }

    /// Whether somebody holds the lock of `path`.
    pub(crate) fn is_taken(path: &Path) -> bool {
        let file = File::open(path);
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

fn open(path: &Path) -> Result<File, RunError> {
    no_link(path)?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(RunError::unwritable(path))
}
