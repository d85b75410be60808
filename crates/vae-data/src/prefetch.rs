//! Reads ahead in data that are mapped from a file, so that training does not wait for the disk.

use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Images;

/// What the operating system reads at a time; on some machines more.
const PAGE: usize = 4096;
/// Enough that a disk has several requests to work on.
const THREADS: usize = 4;
/// How far ahead of training to read, bytes: a few batches of large images, a fraction of any memory.
const AHEAD: usize = 1 << 28;

/// How far training is, and whether it goes on.
#[derive(Debug, Default)]
struct Position {
    done: usize,
    has_ended: bool,
}

/// Threads that touch the pages of an epoch's images in order, a little ahead of whoever trains on them.
#[derive(Debug)]
pub struct Prefetch {
    position: Arc<(Mutex<Position>, Condvar)>,
    threads: Vec<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts to read `images` in `order`.
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
            // Without the thread training is slower, not wrong.
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

    /// Training has used the first `done` images of the order.
    pub fn advance(&self, done: usize) {
        let (position, changed) = &*self.position;
        position.lock().unwrap_or_else(PoisonError::into_inner).done = done;
        changed.notify_all();
    }
}

/// Waits until `index` is less than `window` ahead; `false` if nobody wants it any more.
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
            // A thread that panicked has only read less.
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
