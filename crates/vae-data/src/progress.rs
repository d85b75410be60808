//! How far a long reading is.

/// How far something that takes its time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// For example `decoding images` or a file's name.
    pub what: &'a str,
    /// Done so far.
    pub done: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
    /// Whether they are bytes; else they are items.
    pub bytes: bool,
}

/// What is called with the progress, from any thread.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);
