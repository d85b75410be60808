//! The processes that train one run together. Each computes its part of every batch; [`Group`] is all that they need of each other.

#[cfg(feature = "mpi")]
mod mpi;
mod sum;
#[cfg(feature = "mpi")]
mod watch;

use std::fmt;

use serde::Serialize;

use crate::TrainError;

#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub(crate) use sum::{Tree, add_up};

/// Processes that call the same methods in the same order, each of which waits for all of them, though not for ever.
pub trait Group: fmt::Debug {
    /// This process, from 0.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn size(&self) -> usize;

    /// This process among those of its machine, from 0, and their number.
    fn local(&self) -> [usize; 2];

    /// Sends so many numbers of `sent` to each process, in order of ranks, and receives what each sends here.
    ///
    /// # Panics
    /// If the counts do not add up to the lengths.
    fn exchange(
        &self,
        sent: &[f32],
        sent_counts: &[usize],
        received: &mut [f32],
        received_counts: &[usize],
    );

    /// Puts together in `all` what each process has, of these lengths in order of ranks.
    ///
    /// # Panics
    /// If the counts do not add up to the length of `all`.
    fn gather_all(&self, mine: &[f32], all: &mut [f32], counts: &[usize]);

    /// Copies `bytes` from process 0 to all others.
    fn broadcast(&self, bytes: &mut Vec<u8>);

    /// What each process has, in order of ranks, on process 0; nothing on the others.
    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>>;
}

/// Fails on all processes, and in the same words, if not all of them have the same `facts`: what each is, and what it is here.
///
/// # Errors
/// If one differs: which process, and what it has instead.
pub fn agree(group: &dyn Group, facts: &[(String, String)]) -> Result<(), TrainError> {
    let of_all = group.gather(&serde_json::to_vec(facts).unwrap_or_default());
    let difference = of_all.iter().enumerate().find_map(|(rank, bytes)| {
        let theirs: Vec<(String, String)> = serde_json::from_slice(bytes).unwrap_or_default();
        let found = |what: &str| theirs.iter().find(|(name, _)| name == what);
        let is_same = |fact: &&(String, String)| found(&fact.0) == Some(fact);
        let (what, expected) = facts.iter().find(|fact| !is_same(fact))?;
        let found = found(what).map_or("none", |(_, found)| found);
        Some(format!(
            "process {rank} has another {what} than process 0: expected {expected}, found {found}; processes that train together need \
             the same program, settings and data"
        ))
    });
    let mut verdict = difference.unwrap_or_default().into_bytes();
    group.broadcast(&mut verdict);
    match verdict.is_empty() {
        true => Ok(()),
        false => Err(TrainError::Group(
            String::from_utf8_lossy(&verdict).into_owned(),
        )),
    }
}

/// Each field of `settings` as a fact.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn facts(settings: &impl Serialize) -> Result<Vec<(String, String)>, serde_json::Error> {
    let serde_json::Value::Object(fields) = serde_json::to_value(settings)? else {
        return Ok(Vec::new());
    };
    let fact = |(name, value): (String, serde_json::Value)| {
        let value = match value {
            serde_json::Value::Null => "none".to_owned(),
            value => value.to_string(),
        };
        (format!("setting {name}"), value)
    };
    Ok(fields.into_iter().map(fact).collect())
}

/// One process that trains alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone;

impl Group for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn local(&self) -> [usize; 2] {
        [0, 1]
    }

    fn exchange(&self, sent: &[f32], _: &[usize], received: &mut [f32], _: &[usize]) {
        received.copy_from_slice(sent);
    }

    fn gather_all(&self, mine: &[f32], all: &mut [f32], _: &[usize]) {
        all.copy_from_slice(mine);
    }

    fn broadcast(&self, _: &mut Vec<u8>) {}

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        vec![bytes.to_vec()]
    }
}
