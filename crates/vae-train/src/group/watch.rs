//! An end to waiting for other processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Sees to it that no wait is longer than it may be.
#[derive(Debug)]
pub(super) struct Watch {
    /// Beginnings and ends of waits so far: odd during one.
    waits: Arc<AtomicU64>,
}

impl Watch {
    /// Calls `give_up`, on a thread of its own, once a wait has taken `seconds`.
    pub(super) fn start(seconds: u64, give_up: impl FnOnce() + Send + 'static) -> Self {
        let waits = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&waits);
        thread::spawn(move || {
            let (mut last, mut waited) = (0, 0);
            // Counted, not read off a clock: a job that is stopped as a whole, and goes on later, has not waited.
            while waited < seconds {
                thread::sleep(Duration::from_secs(1));
                let now = watched.load(Ordering::Relaxed);
                waited = if now == last && now % 2 == 1 {
                    waited + 1
                } else {
                    0
                };
                last = now;
            }
            give_up();
        });
        Self { waits }
    }

    /// Does what may have to wait for other processes.
    pub(super) fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.waits.fetch_add(1, Ordering::Relaxed);
        let result = wait();
        self.waits.fetch_add(1, Ordering::Relaxed);
        result
    }
}
