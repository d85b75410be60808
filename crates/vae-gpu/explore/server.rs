//! Listens on the loopback address alone. Connections are read and written on threads of their own; requests are answered one after
//! the other by the thread that has the model.

use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::guard::Guard;
use super::http::{self, Head, Reply, Unread};

/// Connections at a time: a browser opens six.
const CONNECTIONS: usize = 64;

/// A request, and where its reply goes.
struct Job {
    method: String,
    path: String,
    body: Vec<u8>,
    reply: SyncSender<Reply>,
}

/// A server that listens.
pub(super) struct Server {
    jobs: Receiver<Job>,
    /// The address of the page.
    pub(super) address: String,
}

impl Server {
    /// Listens on `port`, or on one that is free for 0.
    pub(super) fn listen(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("--port: {port} on 127.0.0.1 cannot be listened on; choose another, or leave it out for one that is free")
        })?;
        let guard = Arc::new(Guard::new(listener.local_addr()?.port())?);
        let (sender, jobs) = mpsc::channel();
        let address = guard.address();
        thread::spawn(move || {
            let count = Arc::new(AtomicUsize::new(0));
            // A connection that fails is the client's affair.
            for stream in listener.incoming().flatten() {
                let open = Open::one_more(&count);
                if open.is_too_many {
                    continue;
                }
                let (guard, sender) = (Arc::clone(&guard), sender.clone());
                thread::spawn(move || {
                    // So is one that ends in the middle.
                    let _ = converse(stream, &guard, &sender);
                    drop(open);
                });
            }
        });
        Ok(Self { jobs, address })
    }

    /// Answers requests: `answer` gets the method, what is behind the token in the path, and the body. Ends when no request came for
    /// as long as `idle` says, if it says anything.
    pub(super) fn serve(
        &self,
        idle: Option<Duration>,
        mut answer: impl FnMut(&str, &str, &[u8]) -> Reply,
    ) {
        loop {
            let job = match idle {
                Some(idle) => self.jobs.recv_timeout(idle),
                None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let Ok(job) = job else { return };
            // Whoever asked may have gone.
            let _ = job.reply.send(answer(&job.method, &job.path, &job.body));
        }
    }
}

/// A connection among those that are open.
struct Open {
    count: Arc<AtomicUsize>,
    is_too_many: bool,
}

impl Open {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        Self {
            is_too_many: count.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS,
            count: Arc::clone(count),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request and its reply.
fn converse(mut stream: TcpStream, guard: &Guard, jobs: &mpsc::Sender<Job>) -> std::io::Result<()> {
    let reply = match http::read(&mut stream, |head: &Head| guard.check(head)) {
        Err(Unread::Gone) => return Ok(()),
        Err(Unread::Refused(refusal)) => refusal,
        Ok((head, body)) => {
            let (sender, reply) = mpsc::sync_channel(1);
            let path = guard.behind_token(&head.path).unwrap_or_default();
            let job = Job {
                method: head.method,
                path: path.to_owned(),
                body,
                reply: sender,
            };
            let answered = jobs.send(job).ok().and_then(|()| reply.recv().ok());
            answered.unwrap_or_else(|| Reply::refusal(500, "The program is ending."))
        }
    };
    reply.write(&stream)?;
    stream.shutdown(Shutdown::Write)
}
