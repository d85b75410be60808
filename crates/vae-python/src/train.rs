//! Training, new or resumed.

use std::path::{Path, PathBuf};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde_json::json;
use vae_data::{Dataset, Images};
use vae_device::Device;
use vae_recipe::{Preset, Recipe, RecipePatch};
use vae_run::Interrupted;
use vae_train::{Event, Outcome, Training};

use crate::arrays::samples;
use crate::errors::in_python;
use crate::work::{Desk, work};

/// What a run says of its data, which no file holds.
const DATA: &str = "arrays in memory";

/// The value of the setting `name` that its text says.
pub(crate) fn setting<T: for<'de> serde::Deserialize<'de>>(name: &str, text: &str) -> PyResult<T> {
    let value = serde_json::from_value(serde_json::Value::String(text.to_owned()));
    value.map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

/// The settings in a JSON object.
fn patch(settings: &str) -> anyhow::Result<RecipePatch> {
    let settings: serde_json::Map<String, serde_json::Value> = serde_json::from_str(settings)?;
    // As a file of settings, for its errors quote the line.
    let text = toml::to_string(&settings)?;
    Ok(RecipePatch::parse(&text, Path::new("settings"))?)
}

/// What is trained on, and where.
struct Task {
    train: Images,
    validation: Option<Images>,
    run: PathBuf,
    has_pictures: bool,
}

/// `(samples, validation, settings, preset, run, resumed_by, has_pictures, on_event)`: trains a run in the folder `run`, or goes
/// on with it, `resumed_by` epochs longer. `settings` is a JSON object; `on_event` is called with the JSON of each event.
pub(crate) fn train(arguments: &Bound<'_, PyTuple>) -> PyResult<()> {
    type Arguments<'py> = (
        Bound<'py, PyAny>,
        Option<Bound<'py, PyAny>>,
        String,
        Option<String>,
        PathBuf,
        Option<usize>,
        bool,
        Option<Py<PyAny>>,
    );
    let (train, validation, settings, preset, run, resumed_by, has_pictures, on_event): Arguments<
        '_,
    > = arguments.extract()?;
    let task = Task {
        train: samples(&train)?,
        validation: validation.as_ref().map(samples).transpose()?,
        run,
        has_pictures,
    };
    let preset = preset.map(|preset| setting::<Preset>("preset", &preset));
    let preset = preset.transpose()?.map(Preset::patch).unwrap_or_default();
    work(arguments.py(), on_event, move |desk| {
        let own = patch(&settings)?.overruling(preset);
        match resumed_by {
            None => new(task, own, desk),
            Some(more) => resume(task, own, more, desk),
        }
    })
}

fn dataset(task: &Task, settings: &RecipePatch) -> anyhow::Result<Dataset> {
    let (train, validation) = (task.train.clone(), task.validation.clone());
    Ok(Dataset::of(
        DATA,
        train,
        validation,
        &settings.validation(),
    )?)
}

fn new(task: Task, settings: RecipePatch, desk: &Desk) -> anyhow::Result<()> {
    let dataset = dataset(&task, &settings)?;
    let recipe = Recipe::resolve(settings, &dataset)?;
    let device = Device::open(recipe.backend)?;
    let training = Training::new(&recipe, &dataset, &device, &task.run)?;
    go(training, &task, &dataset, desk)
}

fn resume(task: Task, settings: RecipePatch, more: usize, desk: &Desk) -> anyhow::Result<()> {
    let (interrupted, recipe) = Interrupted::open(&task.run)?;
    let patch = RecipePatch {
        epochs: Some(recipe.epochs.saturating_add(more)),
        backend: settings.backend.or(Some(recipe.backend)),
        data: Some(DATA.into()),
        ..recipe.into()
    };
    let dataset = dataset(&task, &patch)?;
    interrupted.check(&dataset)?;
    let recipe = Recipe::resolve(patch, &dataset)?;
    let device = Device::open(recipe.backend)?;
    let training = Training::resume(interrupted, &recipe, &dataset, &device)?;
    go(training, &task, &dataset, desk)
}

fn go(training: Training<'_>, task: &Task, dataset: &Dataset, desk: &Desk) -> anyhow::Result<()> {
    let training = if task.has_pictures {
        training
    } else {
        training.without_pictures()
    };
    for note in &dataset.notes {
        desk.tell(json!({ "notice": in_python(note) }).to_string());
    }
    let (manifest, outcome) = training.run(&desk.stop, |event| {
        desk.tell(
            match event {
                Event::Progress(report) => json!({ "progress": report }),
                Event::Epoch(report) => json!({ "epoch": report }),
                Event::Notice(notice) => json!({ "notice": in_python(&notice) }),
            }
            .to_string(),
        );
    })?;
    let end = json!({ "end": {
        "is_interrupted": outcome == Outcome::Interrupted,
        "manifest": manifest,
    }});
    desk.tell(end.to_string());
    Ok(())
}
