//! Progress of long operations.

/// Progress of a long operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Description of the operation, for example `decoding images` or a file name.
    pub what: &'a str,
    /// Amount done so far.
    pub done: u64,
    /// Total amount, if known.
    pub total: Option<u64>,
    /// Whether the amounts are bytes; else they are items.
    pub bytes: bool,
}

/// Callback for progress reports, called from any thread.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);
