//! Background writing of a run's weights and checkpoints: training waits neither for the disk nor for room on it. What cannot be
//! written is kept, until something newer takes its place, and tried again with it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use vae_data::Scaling;
use vae_spec::Weights;

use crate::{RunError, RunFolder, State};

/// A thread that writes the newest of each file.
pub struct Writer {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What the trainer and the thread share.
struct Desk {
    folder: Arc<RunFolder>,
    scaling: Option<Scaling>,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    /// Weights of the best epoch that are not on disk yet.
    best: Option<Arc<Weights>>,
    /// A checkpoint that is not on disk yet.
    state: Option<Arc<State>>,
    /// Whether any of that has not been tried.
    is_new: bool,
    is_busy: bool,
    is_over: bool,
    trouble: Option<RunError>,
}

impl Desk {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        work: MutexGuard<'a, Work>,
        is_it: impl Fn(&Work) -> bool,
    ) -> MutexGuard<'a, Work> {
        let done = self.changed.wait_while(work, |work| !is_it(work));
        done.unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries to write what is there; the state last, for it refers to the best epoch.
    fn attempt(&self) {
        let (best, state) = {
            let mut work = self.work();
            work.is_new = false;
            work.is_busy = true;
            (work.best.clone(), work.state.clone())
        };
        let scaling = self.scaling.as_ref();
        let write_best = |best: &Arc<Weights>| self.folder.write_best(best, scaling);
        let write_state = |state: &Arc<State>| self.folder.write_state(state, scaling);
        let is_same =
            |best: &Option<Arc<Weights>>, other: &Option<Arc<Weights>>| match (best, other) {
                (Some(best), Some(other)) => Arc::ptr_eq(best, other),
                _ => false,
            };
        let best_written = best.as_ref().map_or(Ok(()), write_best);
        let state_written = match &best_written {
            Ok(()) => state.as_ref().map_or(Ok(()), write_state),
            Err(_) => Ok(()),
        };
        let mut work = self.work();
        if best_written.is_ok() && is_same(&work.best, &best) {
            work.best = None;
        }
        if best_written.is_ok()
            && state_written.is_ok()
            && let (Some(waiting), Some(written)) = (&work.state, &state)
            && Arc::ptr_eq(waiting, written)
        {
            work.state = None;
        }
        if let Err(error) = best_written.and(state_written) {
            work.trouble = Some(error);
        }
        work.is_busy = false;
        drop(work);
        self.changed.notify_all();
    }
}

impl Writer {
    /// Starts a writer for `folder`, whose weights are for data of this scaling.
    #[must_use]
    pub fn start(folder: Arc<RunFolder>, scaling: Option<Scaling>) -> Self {
        let desk = Arc::new(Desk {
            folder,
            scaling,
            work: Mutex::default(),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&desk);
        let work = move || {
            loop {
                let work = own.wait(own.work(), |work| work.is_new || work.is_over);
                let (is_new, is_over) = (work.is_new, work.is_over);
                drop(work);
                if is_new {
                    own.attempt();
                } else if is_over {
                    return;
                }
            }
        };
        // Without a thread, the caller writes.
        let thread = thread::Builder::new().name("writer".into()).spawn(work);
        Self {
            desk,
            thread: thread.ok(),
        }
    }

    /// Weights of a new best epoch, to be written in the background.
    pub fn write_best(&self, weights: Weights) {
        self.desk.work().best = Some(Arc::new(weights));
        self.try_again();
    }

    /// A checkpoint, to be written in the background.
    pub fn write_state(&self, state: Arc<State>) {
        self.desk.work().state = Some(state);
        self.try_again();
    }

    /// Whether nothing is being written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let work = self.desk.work();
        !work.is_busy && !work.is_new
    }

    /// Whether everything is on disk.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.desk.work().is_written()
    }

    /// Why the last attempt failed, if it did since this was last asked.
    #[must_use]
    pub fn trouble(&self) -> Option<RunError> {
        self.desk.work().trouble.take()
    }

    /// Waits until everything is written, which what has failed is tried once more for.
    ///
    /// # Errors
    /// If something cannot be written; it is kept for another try.
    pub fn flush(&self) -> Result<(), RunError> {
        let idle = |work: &Work| !work.is_busy && !work.is_new;
        if self.thread.is_some() {
            drop(self.desk.wait(self.desk.work(), idle));
        }
        if self.desk.work().is_written() {
            return Ok(());
        }
        self.try_again();
        if self.thread.is_some() {
            drop(self.desk.wait(self.desk.work(), idle));
        }
        let mut work = self.desk.work();
        let trouble = work.trouble.take();
        match work.is_written() {
            true => Ok(()),
            false => Err(trouble.unwrap_or(RunError::NoWriter)),
        }
    }

    fn try_again(&self) {
        if self.thread.is_none() {
            return self.desk.attempt();
        }
        self.desk.work().is_new = true;
        self.desk.changed.notify_all();
    }
}

impl Work {
    const fn is_written(&self) -> bool {
        self.best.is_none() && self.state.is_none()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A trainer that fails reports its own error; what waits is still written, if there is room now.
        let _ = self.flush();
        self.desk.work().is_over = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vae_spec::ModelConfig;

    use super::*;

    #[test]
    fn what_cannot_be_written_is_said_kept_and_written_when_there_is_room() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("run");
        let folder = Arc::new(RunFolder::create(&path).expect("created"));
        let writer = Writer::start(folder, None);
        let file = path.join("model.safetensors");
        // A folder under the file's name cannot be replaced.
        fs::create_dir_all(file.join("in the way")).expect("created");
        let weights = |seed| Weights::initial(&ModelConfig::dense(4, &[3], 2), seed);
        writer.write_best(weights(0));
        let error = writer.flush().expect_err("in the way").to_string();
        assert!(error.contains("model.safetensors"), "{error}");
        // The newest is what is written.
        writer.write_best(weights(1));
        assert!(writer.flush().is_err());
        fs::remove_dir_all(&file).expect("removed");
        writer.flush().expect("room");
        let written = fs::read(&file).expect("written");
        assert!(written == crate::files::weights_file(&weights(1), None).expect("encoded"));
        assert!(writer.trouble().is_none() && writer.is_idle());
    }
}
