//! Download of one file from one mirror over HTTPS, with time-outs, a size limit, further tries, resumption and verification. A proxy
//! is used as `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::RANGE;

use super::sets::{LARGEST, Sum};
use super::{remove, unwritable};
use crate::{DataError, OnProgress, Progress};

const CHUNK: usize = 64 << 10;
const MOST_REDIRECTS: u32 = 5;

/// How long a mirror is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until its address is found, and until it answers a connection.
    pub(super) connect: Duration,
    /// Until the answer begins, and between two parts of it.
    pub(super) stall: Duration,
    /// Until the whole file is there.
    pub(super) whole: Duration,
    /// Before each further try, if it failed in a way that may pass.
    pub(super) pauses: [Duration; 2],
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            // The largest file that is allowed, at 20 kB a second.
            whole: Duration::from_secs(3600),
            pauses: [1, 4].map(Duration::from_secs),
        }
    }
}

/// Reason for a failed download.
#[derive(Debug)]
pub(super) enum Failure {
    /// Mirror failure: another mirror may work.
    Mirror(String),
    /// The same, of a kind that may pass: the connection, or a server with too much to do.
    Passing(String),
    /// Local failure: no other mirror will help.
    Disk(DataError),
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        use ureq::Error::{ConnectionFailed, HostNotFound, Io, Timeout};
        let text = error.to_string();
        match error {
            ConnectionFailed | HostNotFound | Io(_) | Timeout(_) => Self::Passing(text),
            _ => Self::Mirror(text),
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Disk(error)
    }
}

/// Downloads into `part`, resuming an earlier download, and tries again after failures that may pass. On success `part` is complete
/// and verified; a file with the wrong checksum is deleted, an unfinished one is kept.
pub(super) fn download(
    url: &str,
    part: &Path,
    sum: Sum,
    patience: Patience,
    on_progress: OnProgress<'_>,
) -> Result<(), Failure> {
    let agent = agent(url, patience)?;
    // The folder may be somebody's who has a link there to a file that is not to be written.
    if fs::symlink_metadata(part).is_ok_and(|found| found.is_symlink()) {
        remove(part)?;
    }
    for pause in patience.pauses {
        match once(&agent, url, part, sum, on_progress) {
            Err(Failure::Passing(_)) => {}
            ended => return ended,
        }
        on_progress(Progress {
            what: "waiting to try again",
            done: 0,
            total: None,
            bytes: true,
        });
        thread::sleep(pause);
    }
    let last = once(&agent, url, part, sum, on_progress);
    last.map_err(|failure| match failure {
        Failure::Passing(reason) => {
            let tries = patience.pauses.len() + 1;
            Failure::Mirror(format!("{reason} (tried {tries} times)"))
        }
        other => other,
    })
}

/// What asks for `url`: by HTTPS alone, and nowhere else if it is redirected. A server on this machine itself needs no HTTPS.
pub(super) fn agent(url: &str, patience: Patience) -> Result<Agent, Failure> {
    const HERE: [&str; 3] = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let is_here = HERE.iter().any(|here| {
        let rest = url.strip_prefix(here);
        // What is before an @ is a name and a password, and no host.
        rest.is_some_and(|rest| rest.starts_with([':', '/']) && !rest.contains('@'))
    });
    if !is_here && !url.starts_with("https://") {
        let reason = "expected an address that begins with https://, as only a server on this machine may have http://";
        return Err(Failure::Mirror(reason.into()));
    }
    let config = Agent::config_builder()
        .https_only(!is_here)
        .max_redirects(if is_here { 0 } else { MOST_REDIRECTS })
        .max_redirects_will_error(false)
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .timeout_global(Some(patience.whole))
        .http_status_as_error(false);
    Ok(config.build().into())
}

fn once(
    agent: &Agent,
    url: &str,
    part: &Path,
    sum: Sum,
    on_progress: OnProgress<'_>,
) -> Result<(), Failure> {
    let mut start = fs::metadata(part).map_or(0, |part| part.len());
    let mut response = match start {
        0 => agent.get(url).call()?,
        _ => (agent.get(url).header(RANGE, format!("bytes={start}-"))).call()?,
    };
    if start > 0 && response.status() == 416 {
        remove(part)?;
        start = 0;
        response = agent.get(url).call()?;
    }
    let resumed = match response.status().as_u16() {
        206 if start > 0 => true,
        200 => {
            start = 0;
            false
        }
        status @ (408 | 429 | 500..) => {
            return Err(Failure::Passing(format!("HTTP status {status}")));
        }
        status => return Err(Failure::Mirror(format!("HTTP status {status}"))),
    };

    let total = (response.body().content_length()).map(|length| start.saturating_add(length));
    let too_large = || Failure::Mirror(format!("more than {LARGEST} bytes"));
    if total.is_some_and(|total| total > LARGEST) {
        return Err(too_large());
    }
    let mut output = OpenOptions::new()
        .create(true)
        .write(true)
        .append(resumed)
        .truncate(!resumed)
        .open(part)
        .map_err(unwritable(part))?;
    let mut input = response.body_mut().as_reader();
    let mut chunk = vec![0; CHUNK];
    let mut done = start;
    loop {
        let progress = Progress {
            what: url.rsplit('/').next().unwrap_or(url),
            done,
            total,
            bytes: true,
        };
        on_progress(progress);
        let count = (input.read(&mut chunk))
            .map_err(|cause| Failure::Passing(format!("broke off after {done} bytes: {cause}")))?;
        if count == 0 {
            break;
        }
        done += count as u64;
        if done > LARGEST {
            remove(part)?;
            return Err(too_large());
        }
        (output.write_all(&chunk[..count])).map_err(unwritable(part))?;
    }
    output.sync_all().map_err(unwritable(part))?;
    drop(output);

    let Some(found) = sum.mismatch(part) else {
        return Ok(());
    };
    remove(part)?;
    if resumed {
        // The first part may be from another mirror: try this mirror's whole file.
        return once(agent, url, part, sum, on_progress);
    }
    let (of_what, expected) = (sum.of_what(), sum.hex());
    Err(Failure::Mirror(format!(
        "{of_what}: expected {expected}, found {found}"
    )))
}
