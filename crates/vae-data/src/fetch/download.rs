//! Download of one file from one mirror, with timeouts, a size limit, resumption and verification.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::RANGE;

use super::sets::{LARGEST, Sum};
use super::{remove, unwritable};
use crate::{DataError, OnProgress, Progress};

const CHUNK: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Reason for a failed download.
pub(super) enum Failure {
    /// Mirror failure: another mirror may work.
    Mirror(String),
    /// Local failure: no other mirror will help.
    Disk(DataError),
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        Self::Mirror(error.to_string())
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Disk(error)
    }
}

/// Downloads into `part`, resuming an earlier download. On success `part` is complete and verified; a file with the wrong
/// checksum is deleted, an unfinished one is kept.
pub(super) fn download(
    url: &str,
    part: &Path,
    sum: Sum,
    on_progress: OnProgress<'_>,
) -> Result<(), Failure> {
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(STALL_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
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
            .map_err(|cause| Failure::Mirror(format!("broke off after {done} bytes: {cause}")))?;
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
        return download(url, part, sum, on_progress);
    }
    let (of_what, expected) = (sum.of_what(), sum.hex());
    Err(Failure::Mirror(format!(
        "{of_what}: expected {expected}, found {found}"
    )))
}
