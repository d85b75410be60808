//! A training run for machines: one JSON object a line on the standard output (docs/formats.md has the fields).

use serde::Serialize;
use serde_json::json;
use vae_run::Manifest;
use vae_train::{Event, Outcome};

use super::Subject;
use crate::report;

pub(super) fn start(subject: &Subject<'_>) {
    line(
        "start",
        json!({
            "run": subject.run,
            "device": subject.device.to_string(),
            "engine": subject.route.to_string(),
            "data": subject.dataset.name,
            "fingerprint": subject.dataset.fingerprint,
            "train_samples": subject.dataset.train.count(),
            "validation_samples": subject.dataset.validation.count(),
            "parameters": subject.recipe.model().parameter_count(),
            "config": subject.recipe,
        }),
    );
}

pub(super) fn event(event: &Event) {
    match event {
        Event::Progress(progress) => line("step", progress),
        Event::Epoch(epoch) => line("epoch", epoch),
        Event::Notice(text) => line("notice", json!({ "text": text })),
    }
}

pub(super) fn end(subject: &Subject<'_>, manifest: &Manifest, outcome: Outcome) {
    let outcome = match outcome {
        Outcome::Finished => "finished",
        Outcome::Interrupted => "interrupted",
    };
    line(
        "end",
        json!({ "outcome": outcome, "run": subject.run, "manifest": manifest }),
    );
}

/// The end of a run that failed.
pub(crate) fn failure(error: &anyhow::Error) {
    line("error", json!({ "text": format!("{error:#}") }));
}

/// An event and its fields.
#[derive(Serialize)]
struct Line<T> {
    event: &'static str,
    #[serde(flatten)]
    fields: T,
}

fn line(event: &'static str, fields: impl Serialize) {
    // All fields have names and values that JSON has, so this succeeds.
    if let Ok(text) = serde_json::to_string(&Line { event, fields }) {
        report::result(&text);
    }
}
