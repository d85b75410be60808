//! Event files of TensorBoard: scalars, histograms and pictures of a run, and its settings for the HParams page.

mod histogram;
mod proto;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use vae_recipe::Recipe;
use vae_spec::Losses;

use crate::{EpochReport, RunError, StepReport};
use histogram::histogram;
use proto::{
    Event, Experiment, HparamInfo, HparamsData, Image, MetricInfo, MetricName, PluginData,
    SessionEnd, SessionLog, SessionStart, Summary, SummaryMetadata, SummaryValue, data, event,
    value,
};

/// The most latents that get a histogram of their own.
const LATENTS: usize = 32;

/// An event file in a run folder, written while the run goes on.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Starts a file in `folder` for a run with `recipe`, whose next step is `step`: TensorBoard forgets what older files say of
    /// later steps.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(folder: &Path, recipe: &Recipe, step: u64) -> Result<Self, RunError> {
        let seconds = now() as u64;
        // Two files of one second, as of a run that is resumed at once.
        let names = (0..1000).map(|more| format!("events.out.tfevents.{}.vae-gpu", seconds + more));
        let mut path = folder.to_owned();
        let mut opened = Err(std::io::ErrorKind::AlreadyExists.into());
        for name in names {
            path = folder.join(name);
            opened = OpenOptions::new().write(true).create_new(true).open(&path);
            let is_taken = opened
                .as_ref()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists);
            if !is_taken {
                break;
            }
        }
        let file = opened.map_err(RunError::unwritable(&path))?;
        let mut events = Self { path, file };
        events.write(0, event::What::FileVersion("brain.Event:2".to_owned()))?;
        if step > 0 {
            let start = SessionLog {
                status: SessionLog::START,
            };
            // What was written after the last step that counts is taken back, not that step.
            events.write(step + 1, event::What::SessionLog(start))?;
        }
        events.settings(recipe)?;
        Ok(events)
    }

    /// The progress within an epoch, after `step` steps of the run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn step(&mut self, step: u64, report: &StepReport) -> Result<(), RunError> {
        let mut values = losses("train", &report.train);
        values.push(scalar("training/beta", report.beta.into()));
        values.push(scalar("training/lr", report.lr.into()));
        values.push(scalar(
            "training/samples_per_second",
            report.images_per_second,
        ));
        self.summary(step, values)
    }

    /// An epoch, after `step` steps of the run, with the posterior means of the validation samples, `[count, latent]`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn epoch(&mut self, step: u64, report: &EpochReport, mu: &[f32]) -> Result<(), RunError> {
        let mut values = losses("validation", &report.validation);
        values.push(scalar("latents/active_units", report.active_units as f64));
        values.push(scalar(
            "latents/mutual_information",
            report.mutual_information,
        ));
        let latent = report.kl_per_dimension.len().max(1);
        values.push(summary(
            "latents/mu",
            value::Content::Histogram(histogram(mu.iter().copied())),
        ));
        for dimension in 0..latent.min(LATENTS) {
            let column = mu.iter().skip(dimension).step_by(latent).copied();
            let tag = format!("latents/mu_{}", dimension + 1);
            values.push(summary(&tag, value::Content::Histogram(histogram(column))));
            let tag = format!("latents/kl_{}", dimension + 1);
            values.push(scalar(&tag, report.kl_per_dimension[dimension]));
        }
        self.summary(step, values)
    }

    /// A PNG file as the picture `tag`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn picture(&mut self, step: u64, tag: &str, png: &[u8]) -> Result<(), RunError> {
        // Width and height stand behind the signature, the length and the name of the first chunk.
        let number = |at: usize| {
            let bytes = png.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, i32::from_be_bytes)
        };
        let image = Image {
            height: number(20),
            width: number(16),
            colorspace: Image::RGB,
            encoded: png.to_vec(),
        };
        self.summary(step, vec![summary(tag, value::Content::Image(image))])
    }

    /// The end of the run, so that the HParams page knows it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end(&mut self, step: u64) -> Result<(), RunError> {
        let end = SessionEnd {
            status: SessionEnd::SUCCESS,
            end_time: now(),
        };
        self.hparams(step, "_hparams_/session_end_info", data::Content::End(end))
    }

    /// What the HParams page compares runs by: the settings that are numbers, words or switches, and the validation losses.
    fn settings(&mut self, recipe: &Recipe) -> Result<(), RunError> {
        let table = toml::Table::try_from(recipe).unwrap_or_default();
        let settings = table.iter().map(|(name, setting)| {
            let kind = match setting {
                toml::Value::Integer(number) => proto::setting::Kind::Number(*number as f64),
                toml::Value::Float(number) => proto::setting::Kind::Number(*number),
                toml::Value::Boolean(is_set) => proto::setting::Kind::Switch(*is_set),
                toml::Value::String(text) => proto::setting::Kind::Text(text.clone()),
                other => proto::setting::Kind::Text(other.to_string()),
            };
            (name.clone(), proto::Setting { kind: Some(kind) })
        });
        let start = SessionStart {
            hparams: settings.collect(),
            start_time: now(),
        };
        let infos = start
            .hparams
            .keys()
            .map(|name| HparamInfo { name: name.clone() });
        let metrics = ["loss", "recon", "kl"].map(|term| MetricInfo {
            name: Some(MetricName {
                tag: format!("validation/{term}"),
            }),
        });
        let experiment = Experiment {
            hparams: infos.collect(),
            metrics: metrics.to_vec(),
        };
        self.hparams(
            0,
            "_hparams_/experiment",
            data::Content::Experiment(experiment),
        )?;
        self.hparams(
            0,
            "_hparams_/session_start_info",
            data::Content::Start(start),
        )
    }

    fn hparams(&mut self, step: u64, tag: &str, content: data::Content) -> Result<(), RunError> {
        let data = HparamsData {
            version: 0,
            content: Some(content),
        };
        let plugin = PluginData {
            name: "hparams".to_owned(),
            content: data.encode_to_vec(),
        };
        let value = SummaryValue {
            tag: tag.to_owned(),
            metadata: Some(SummaryMetadata {
                plugin: Some(plugin),
            }),
            content: None,
        };
        self.summary(step, vec![value])
    }

    fn summary(&mut self, step: u64, values: Vec<SummaryValue>) -> Result<(), RunError> {
        self.write(step, event::What::Summary(Summary { values }))
    }

    fn write(&mut self, step: u64, what: event::What) -> Result<(), RunError> {
        let event = Event {
            wall_time: now(),
            step: step as i64,
            what: Some(what),
        };
        let record = record::framed(&event.encode_to_vec());
        self.file
            .write_all(&record)
            .map_err(RunError::unwritable(&self.path))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn summary(tag: &str, content: value::Content) -> SummaryValue {
    SummaryValue {
        tag: tag.to_owned(),
        metadata: None,
        content: Some(content),
    }
}

fn scalar(tag: &str, number: f64) -> SummaryValue {
    summary(tag, value::Content::Scalar(number as f32))
}

/// The terms of a loss, as they are called in metrics.jsonl.
fn losses(part: &str, losses: &Losses) -> Vec<SummaryValue> {
    let terms = serde_json::to_value(losses).unwrap_or_default();
    let terms = terms.as_object().into_iter().flatten();
    let terms = terms.filter_map(|(name, number)| Some((name, number.as_f64()?)));
    terms
        .map(|(name, number)| scalar(&format!("{part}/{name}"), number))
        .collect()
}
