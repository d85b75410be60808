//! The lines of metrics.jsonl: written with their kind and the version of their schema, read in every version
//! (docs/formats.md has the fields).

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::files::{self, METRICS};
use crate::{EpochReport, RunError, StepReport};

/// Version of the schema of a line; incremented when a field changes its meaning or goes away. Lines without it, and without a
/// kind, are of older programs and have the same fields.
pub const METRICS_SCHEMA: u32 = 1;

/// One line: its version and kind, then the fields of its content.
#[derive(Serialize)]
pub(crate) struct Line<'a, T> {
    schema: u32,
    kind: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// What a line of metrics holds.
pub(crate) trait Content: Serialize {
    /// Kind of the line.
    const KIND: &'static str;

    /// The line.
    fn line(&self) -> Line<'_, Self>
    where
        Self: Sized,
    {
        Line {
            schema: METRICS_SCHEMA,
            kind: Self::KIND,
            content: self,
        }
    }
}

impl Content for StepReport {
    const KIND: &'static str = "step";
}

impl Content for EpochReport {
    const KIND: &'static str = "epoch";
}

/// A return to the last checkpoint after a loss or weight that was not finite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rollback {
    /// Number of rollbacks of the run, with this one.
    pub rollback: usize,
    /// Epoch that training goes back to, counted from 1.
    pub epoch: usize,
    /// Step of this epoch after which training goes on.
    pub step: usize,
    /// Learning rate from here on.
    pub lr: f32,
    /// What was not finite.
    pub reason: String,
}

impl Content for Rollback {
    const KIND: &'static str = "rollback";
}

/// The metrics of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The epochs, in order.
    pub epochs: Vec<EpochReport>,
    /// Progress within the epochs, in order.
    pub steps: Vec<StepReport>,
    /// Number of rollbacks.
    pub rollbacks: usize,
    /// Lines that cannot be read, counted from 1.
    pub unreadable: Vec<usize>,
}

impl Metrics {
    /// Reads the metrics of the run in `folder`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RunError> {
        Ok(Self::parse(&files::read(folder, &folder.join(METRICS))?))
    }

    /// From the content of metrics.jsonl. A last line without an end is being written, and left out.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut metrics = Self::default();
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
        let lines = (1..).zip(bytes[..whole].split(|&byte| byte == b'\n'));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            if metrics.add(line).is_none() {
                metrics.unreadable.push(number);
            }
        }
        metrics
    }

    fn add(&mut self, line: &[u8]) -> Option<()> {
        let line: Value = serde_json::from_slice(line).ok()?;
        let is_newer = line["schema"]
            .as_u64()
            .is_some_and(|schema| schema > METRICS_SCHEMA.into());
        if is_newer {
            return None;
        }
        let has = |field: &str| line.get(field).is_some();
        // Older programs did not write the kind.
        let kind = line["kind"].as_str().unwrap_or(match () {
            () if has("rollback") => Rollback::KIND,
            () if has("validation") => EpochReport::KIND,
            () => StepReport::KIND,
        });
        if kind == EpochReport::KIND {
            self.epochs.push(serde_json::from_value(line).ok()?);
        } else if kind == StepReport::KIND {
            self.steps.push(serde_json::from_value(line).ok()?);
        } else if kind == Rollback::KIND {
            self.rollbacks += 1;
        } else {
            return None;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &impl Content) -> String {
        serde_json::to_string(&content.line()).expect("JSON") + "\n"
    }

    #[test]
    fn lines_are_read_back_by_their_kind_also_those_of_older_programs() {
        let epoch = EpochReport {
            epoch: 3,
            images_per_second: 0.1,
            ..EpochReport::default()
        };
        let step = StepReport {
            epoch: 3,
            step: 7,
            ..StepReport::default()
        };
        let rollback = Rollback {
            rollback: 1,
            epoch: 3,
            step: 0,
            lr: 0.5,
            reason: "the loss is NaN".into(),
        };
        let lines = text(&step) + &text(&epoch) + &text(&rollback);
        assert!(
            lines.starts_with(r#"{"schema":1,"kind":"step","epoch":3,"#),
            "{lines}"
        );
        let expected = Metrics {
            epochs: vec![epoch],
            steps: vec![step],
            rollbacks: 1,
            unreadable: Vec::new(),
        };
        assert_eq!(Metrics::parse(lines.as_bytes()), expected);
        let mut older = lines.replace(r#""schema":1,"#, "");
        for kind in ["step", "epoch", "rollback"] {
            older = older.replace(&format!(r#""kind":"{kind}","#), "");
        }
        assert_ne!(older, lines);
        assert_eq!(Metrics::parse(older.as_bytes()), expected);
    }

    #[test]
    fn a_line_of_a_newer_schema_or_of_no_kind_is_named_and_one_being_written_is_not() {
        let good = text(&StepReport::default());
        let newer = good.replace(r#""schema":1"#, r#""schema":2"#);
        let strange = good.replace("step\",", "dance\",");
        let lines = format!("{good}{newer}\n{strange}nonsense\n{{\"epoch\":");
        let metrics = Metrics::parse(lines.as_bytes());
        assert_eq!(metrics.unreadable, [2, 4, 5]);
        assert_eq!(metrics.steps.len(), 1);
    }
}
