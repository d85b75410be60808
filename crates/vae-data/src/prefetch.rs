//! Prefetching of memory-mapped data, so that training does not wait for the disk.

use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Images;

/// Page size of the operating system, in bytes; larger on some machines.
const PAGE: usize = 4096;
/// Number of threads: enough to keep several disk requests in flight.
const THREADS: usize = 4;
/// Prefetch distance in bytes: a few batches of large images, a fraction of any memory.
const AHEAD: usize = 1 << 28;

/// Progress of training, and whether it has ended.
#[derive(Debug, Default)]
struct Position {
    done: usize,
    has_ended: bool,
}

/// Threads that touch the pages of an epoch's samples in order, a little ahead of training.
#[derive(Debug)]
pub struct Prefetch {
    position: Arc<(Mutex<Position>, Condvar)>,
    threads: Vec<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts to prefetch `images` in `order`.
    #[must_use]
    pub fn start(images: &Images, order: Arc<[u32]>) -> Self {
        let position = Arc::new((Mutex::default(), Condvar::new()));
        let row_bytes = images.image_length() * images.array.element.size();
        let window = (AHEAD / row_bytes.max(1)).max(THREADS);
        let thread = |first: usize| {
            let (images, order, position) =
                (images.clone(), Arc::clone(&order), Arc::clone(&position));
            let touch = move || {
                for (index, &place) in order.iter().enumerate().skip(first).step_by(THREADS) {
                    if !wait_for(&position, index, window) {
                        return;
                    }
                    for page in images.bytes(place as usize).chunks(PAGE) {
                        black_box(page[0]);
                    }
                }
            };
            // If the thread cannot be started, training is only slower.
            thread::Builder::new()
                .name("prefetch".into())
                .spawn(touch)
                .ok()
        };
        Self {
            threads: (0..THREADS).filter_map(thread).collect(),
            position,
        }
    }

    /// Records that training has used the first `done` samples of the order.
    pub fn advance(&self, done: usize) {
        let (position, changed) = &*self.position;
        position.lock().unwrap_or_else(PoisonError::into_inner).done = done;
        changed.notify_all();
    }
}

/// Waits until `index` is less than `window` ahead; `false` if training has ended.
fn wait_for(position: &(Mutex<Position>, Condvar), index: usize, window: usize) -> bool {
    let (position, changed) = position;
    let position = position.lock().unwrap_or_else(PoisonError::into_inner);
    let is_far = |position: &mut Position| !position.has_ended && index >= position.done + window;
    let position = changed.wait_while(position, is_far);
    !position.unwrap_or_else(PoisonError::into_inner).has_ended
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        let (position, changed) = &*self.position;
        position
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .has_ended = true;
        changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of a prefetch thread only reduces prefetching.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, Shape};

    #[test]
    fn it_stops_at_its_window_and_when_nobody_wants_it_any_more() {
        let images = Images::from(Array::bytes(vec![0; 100], Shape::grey(1, 10)));
        let order: Arc<[u32]> = (0..10).collect();
        let prefetch = Prefetch::start(&images, Arc::clone(&order));
        prefetch.advance(10);
        drop(prefetch);
        let position = (
            Mutex::new(Position {
                done: 3,
                has_ended: false,
            }),
            Condvar::new(),
        );
        assert!(wait_for(&position, 4, 2));
        position.0.lock().expect("sane").has_ended = true;
        assert!(
            !wait_for(&position, 5, 2),
            "it would wait for ever otherwise"
        );
    }
}
