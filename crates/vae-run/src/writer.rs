//! Background writing of a run's files, in order: training waits for the copy, not for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::{RunError, RunFolder};

type Job = Box<dyn FnOnce(&RunFolder) -> Result<(), RunError> + Send>;

/// A thread that runs write jobs until one fails.
pub struct Writer {
    folder: Arc<RunFolder>,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
    /// Number of unfinished jobs.
    open: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts a writer for `folder`.
    #[must_use]
    pub fn start(folder: Arc<RunFolder>) -> Self {
        // One job runs while the next is queued; the sender of a third blocks.
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
        // Without a thread, jobs run on the caller's thread.
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

    /// Whether all jobs are done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Queues `job` after all earlier ones.
    ///
    /// # Errors
    /// The error of an earlier job that failed.
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
    /// The error of a job that failed.
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
        // A trainer that fails reports its own error; queued jobs are still written.
        let _ = self.finish();
    }
}
