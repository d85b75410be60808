//! Errors as Python's exceptions, with the program's own words.

use std::error::Error;
use std::io;

use pyo3::PyErr;
use pyo3::exceptions::{
    PyFileExistsError, PyFileNotFoundError, PyMemoryError, PyOSError, PyRuntimeError, PyValueError,
};
use vae_data::DataError;
use vae_device::DeviceError;
use vae_infer::InferError;
use vae_recipe::{RecipeError, RecipePatch};
use vae_run::RunError;
use vae_spec::EngineError;
use vae_train::TrainError;

/// What kind of exception an error is.
enum Kind {
    /// An argument, a setting or data that cannot be.
    Value,
    /// A file or a run that is not there.
    NotFound,
    /// A folder that holds something else.
    Exists,
    /// The system would not read or write.
    System,
    /// Too large for the machine.
    Memory,
    /// The device or the training failed.
    Runtime,
}

/// Settings that are about files, which Python has none of.
const OF_FILES: [&str; 14] = [
    "data",
    "image",
    "columns",
    "grey",
    "fit",
    "bits",
    "skip_bad",
    "labels",
    "ids",
    "header",
    "separator",
    "decimal",
    "array",
    "stream",
];
/// Settings of several processes, of which Python is one.
const OF_PROCESSES: [&str; 1] = ["local_steps"];
/// Settings that are arguments of their own in Python, and what these are called.
const OTHERWISE: [(&str, &str); 2] = [("val_data", "validation"), ("classes", "y")];

/// The settings that are parameters in Python.
pub(crate) fn settings() -> impl Iterator<Item = &'static str> {
    let is_other = |name: &str| OTHERWISE.iter().any(|(other, _)| *other == name);
    let names = RecipePatch::NAMES.iter().copied();
    let is_elsewhere = |name: &str| OF_FILES.contains(&name) || OF_PROCESSES.contains(&name);
    names.filter(move |name| !is_elsewhere(name) && !is_other(name))
}

/// `words` with the options of the command called as Python calls them: `--batch-size` is `batch_size`.
pub(crate) fn in_python(words: &str) -> String {
    let mut parts = words.split("--");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_name = |c: char| c.is_ascii_lowercase() || c == '-';
        let end = part.find(|c| !is_of_name(c)).unwrap_or(part.len());
        let (option, rest) = part.split_at(end);
        let name = option.replace('-', "_");
        let other = OTHERWISE.iter().find(|(other, _)| *other == name);
        match other {
            Some((_, name)) => text.push_str(name),
            None if settings().any(|setting| setting == name) => text.push_str(&name),
            None => text.extend(["--", option]),
        }
        text.push_str(rest);
    }
    text
}

/// The exception that `error` is, with the causes that it does not name itself.
pub(crate) fn raised(error: impl Into<anyhow::Error>) -> PyErr {
    let error = error.into();
    let words = in_python(&format!("{error:#}"));
    match kind(error.as_ref()) {
        Kind::Value => PyValueError::new_err(words),
        Kind::NotFound => PyFileNotFoundError::new_err(words),
        Kind::Exists => PyFileExistsError::new_err(words),
        Kind::System => PyOSError::new_err(words),
        Kind::Memory => PyMemoryError::new_err(words),
        Kind::Runtime => PyRuntimeError::new_err(words),
    }
}

fn kind(error: &(dyn Error + 'static)) -> Kind {
    let is_missing = |cause: &io::Error| cause.kind() == io::ErrorKind::NotFound;
    if let Some(error) = error.downcast_ref::<TrainError>() {
        return match error {
            TrainError::Data(error) => kind(error),
            TrainError::Recipe(error) => kind(error),
            TrainError::Device(error) => kind(error),
            TrainError::Engine(error) => kind(error),
            TrainError::Run(error) => kind(error),
            TrainError::Infer(error) => kind(error),
            TrainError::Memory { .. } => Kind::Memory,
            TrainError::Picture(_)
            | TrainError::Diverged(_)
            | TrainError::DeviceLost { .. }
            | TrainError::Wrong { .. }
            | TrainError::Pieces { .. }
            | TrainError::Group(_) => Kind::Runtime,
        };
    }
    if let Some(error) = error.downcast_ref::<InferError>() {
        return match error {
            InferError::Engine(error) => kind(error),
            InferError::Recipe(error) => kind(error),
            InferError::Data(error) => kind(error),
        };
    }
    if let Some(error) = error.downcast_ref::<RunError>() {
        return match error {
            RunError::NotARun { .. } => Kind::NotFound,
            RunError::FolderTaken(_) | RunError::FileTaken(_) => Kind::Exists,
            RunError::File { cause, .. } if is_missing(cause) => Kind::NotFound,
            RunError::File { .. } | RunError::FolderLocked(_) => Kind::System,
            RunError::NoWriter => Kind::Runtime,
            RunError::Recipe(error) => kind(error),
            RunError::Weights(_)
            | RunError::Damaged { .. }
            | RunError::Changed { .. }
            | RunError::OtherSweep { .. } => Kind::Value,
        };
    }
    if let Some(error) = error.downcast_ref::<RecipeError>() {
        return match error {
            RecipeError::Data(error) => kind(error),
            RecipeError::File { cause, .. } if is_missing(cause) => Kind::NotFound,
            RecipeError::File { .. } => Kind::System,
            RecipeError::Setting { .. }
            | RecipeError::Config { .. }
            | RecipeError::Sweep { .. } => Kind::Value,
        };
    }
    match error.downcast_ref::<DataError>() {
        Some(DataError::NoSuchData(_)) => Kind::NotFound,
        Some(DataError::Unreadable { .. } | DataError::Unwritable { .. }) => Kind::System,
        Some(_) => Kind::Value,
        None => match error.downcast_ref::<DeviceError>() {
            Some(DeviceError::TooLarge { .. }) => Kind::Memory,
            Some(DeviceError::NotFused(_)) => Kind::Value,
            Some(DeviceError::Engine(EngineError::Weights(_))) => Kind::Value,
            _ => Kind::Runtime,
        },
    }
}
