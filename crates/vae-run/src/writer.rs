//! Writes the files of a run behind the trainer's back, in order: training waits for the copy, not for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::{RunError, RunFolder};

type Job = Box<dyn FnOnce(&RunFolder) -> Result<(), RunError> + Send>;

/// A thread that works through jobs until one fails.
pub struct Writer {
    folder: Arc<RunFolder>,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
    /// Jobs that are not done.
    open: Arc<AtomicUsize>,
}

impl Writer {
    /// A writer of `folder`.
    #[must_use]
    pub fn start(folder: Arc<RunFolder>) -> Self {
        // One is written while the next waits; who brings a third waits, too.
        let (jobs, waiting) = sync_channel::<Job>(1);
        let open = Arc::new(AtomicUsize::new(0));
        let (own_folder, own_open) = (Arc::clone(&folder), Arc::clone(&open));
        let work = move || {
            for job in waiting {
                job(&own_folder)?;
                own_open.fetch_sub(1, Ordering::Release);
            }
            Ok(())
        };
        // Without a thread the trainer writes by itself.
        let thread = thread::Builder::new()
            .name("writer".into())
            .spawn(work)
            .ok();
        Self {
            folder,
            jobs: thread.is_some().then_some(jobs),
            thread,
            open,
        }
    }

    /// Whether all is written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Has `job` done after all earlier ones.
    ///
    /// # Errors
    /// What an earlier one failed with.
    pub fn write(
        &mut self,
        job: impl FnOnce(&RunFolder) -> Result<(), RunError> + Send + 'static,
    ) -> Result<(), RunError> {
        let Some(jobs) = &self.jobs else {
            return job(&self.folder);
        };
        self.open.fetch_add(1, Ordering::Release);
        match jobs.send(Box::new(job)) {
            Ok(()) => Ok(()),
            Err(_) => self.finish(),
        }
    }

    /// Waits for all jobs.
    ///
    /// # Errors
    /// What one failed with.
    pub fn finish(&mut self) -> Result<(), RunError> {
        self.jobs = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(RunError::NoWriter),
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A trainer that fails has its own error to report; what was handed over before is still written.
        let _ = self.finish();
    }
}
