//! Work on a thread of its own, while the thread that called lets others use the interpreter and listens for Ctrl-C.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::raised;

/// How long Ctrl-C may go unnoticed.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a thread at work is given.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Set when the work is to end.
    pub(crate) stop: Arc<AtomicBool>,
    news: Sender<News>,
}

enum News {
    /// JSON for the caller's function.
    Event(String),
    Ended,
}

/// What a thread unwinds with that was asked to stop in the middle of a call.
struct Stopped;

impl Desk {
    /// Tells the caller's function.
    pub(crate) fn tell(&self, json: String) {
        // A caller that has gone does not listen.
        let _ = self.news.send(News::Event(json));
    }

    /// Ends the work here if it is to end: for callbacks, which cannot return an error. Everything that the work holds is its own.
    pub(crate) fn stop_here(&self) {
        if self.stop.load(Ordering::Relaxed) {
            resume_unwind(Box::new(Stopped));
        }
    }
}

/// Does `job` on a thread. Ctrl-C, or an exception of `on_event`, tells it to stop, and is raised once it has; a second Ctrl-C
/// does not wait for it.
pub(crate) fn work<T: Send + 'static>(
    py: Python<'_>,
    on_event: Option<Py<PyAny>>,
    job: impl FnOnce(&Desk) -> anyhow::Result<T> + Send + 'static,
) -> PyResult<T> {
    refuse_forks()?;
    let (news, heard) = channel();
    let desk = Desk {
        stop: Arc::default(),
        news,
    };
    let stop = Arc::clone(&desk.stop);
    let thread = thread::Builder::new().name("vae-gpu".into());
    let thread = thread.spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| job(&desk)));
        let _ = desk.news.send(News::Ended);
        result
    });
    let thread = thread.map_err(raised)?;
    let raised_meanwhile = py.detach(move || listen(&heard, on_event.as_ref(), &stop));
    if let Some(Raised {
        error,
        is_ended: false,
    }) = raised_meanwhile
    {
        return Err(error);
    }
    let result = py.detach(|| thread.join().and_then(|result| result));
    match (raised_meanwhile, result) {
        (Some(Raised { error, .. }), _) => Err(error),
        (None, Ok(result)) => result.map_err(raised),
        (None, Err(panic)) => Err(PyRuntimeError::new_err(format!(
            "a bug in vae-gpu: {}",
            words(panic.as_ref())
        ))),
    }
}

/// An exception while a thread worked, and whether that has ended.
struct Raised {
    error: PyErr,
    is_ended: bool,
}

fn listen(
    heard: &Receiver<News>,
    on_event: Option<&Py<PyAny>>,
    stop: &AtomicBool,
) -> Option<Raised> {
    let mut raised = None;
    loop {
        let news = heard.recv_timeout(PATIENCE);
        let answer = match news {
            Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => {
                return raised.map(|error| Raised {
                    error,
                    is_ended: true,
                });
            }
            Ok(News::Event(json)) => on_event.map_or(Ok(()), |on_event| {
                Python::attach(|py| on_event.call1(py, (json,)).map(drop))
            }),
            Err(RecvTimeoutError::Timeout) => Ok(()),
        };
        let Err(error) = answer.and_then(|()| Python::attach(|py| py.check_signals())) else {
            continue;
        };
        stop.store(true, Ordering::Relaxed);
        if raised.is_some() {
            return Some(Raised {
                error,
                is_ended: false,
            });
        }
        raised = Some(error);
    }
}

/// The threads that compute do not survive a fork: whoever waits for them in the child would wait for ever.
fn refuse_forks() -> PyResult<()> {
    static FIRST: OnceLock<u32> = OnceLock::new();
    let process = std::process::id();
    if *FIRST.get_or_init(|| process) == process {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "this process was forked from one that had used vae_gpu, whose threads it lacks; start processes by \"spawn\" or \
         \"forkserver\", as joblib's do by themselves",
    ))
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "it ended early".to_owned())
}
