//! What a run is and how far it came, without its weights.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use vae_recipe::{Recipe, StoppingState};

use crate::files::{self, BEST_WEIGHTS, CONFIG, MANIFEST, STATE};
use crate::lock::FileLock;
use crate::run_folder::LOCK;
use crate::state::HEADER;
use crate::{Manifest, Metrics, RunError};

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// A process is training it.
    Training,
    /// Epochs are left: `train --resume` goes on with it.
    Resumable,
    /// All epochs are done, or early stopping has ended it.
    Finished,
    /// Imported or copied weights, without a state to go on from.
    Weights,
}

/// A run, without its weights.
#[derive(Clone, Debug)]
pub struct RunOverview {
    /// Its folder.
    pub path: PathBuf,
    /// All its settings.
    pub recipe: Recipe,
    /// Data, device and progress; `None` of imported weights.
    pub manifest: Option<Manifest>,
    /// Its metrics; empty of imported weights.
    pub metrics: Metrics,
    /// How far it came.
    pub status: RunStatus,
    /// When it was last written to.
    pub changed: SystemTime,
}

impl RunOverview {
    /// Reads the run in the folder `path`.
    ///
    /// # Errors
    /// If it is not a run, or a file of it is corrupt or of a newer version.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let recipe = files::recipe(path, &path.join(CONFIG))?;
        let is_there = |name: &str| path.join(name).exists();
        let manifest = is_there(MANIFEST)
            .then(|| files::manifest(path))
            .transpose()?;
        let metrics = match &manifest {
            Some(_) => Metrics::read(path)?,
            None => Metrics::default(),
        };
        let written = [MANIFEST, BEST_WEIGHTS, CONFIG].map(|name| path.join(name));
        let written = written.iter().filter_map(|file| {
            let metadata = fs::metadata(file).ok()?;
            metadata.modified().ok()
        });
        Ok(Self {
            status: status(path, &recipe, manifest.as_ref()),
            path: path.to_owned(),
            recipe,
            manifest,
            metrics,
            changed: written.max().unwrap_or(SystemTime::UNIX_EPOCH),
        })
    }

    /// The runs in `folder` and in its sub-folders, and what is wrong with those that cannot be read.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn below(folder: &Path) -> Result<(Vec<Self>, Vec<RunError>), RunError> {
        let (mut runs, mut bad) = (Vec::new(), Vec::new());
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            if folder.join(CONFIG).exists() {
                match Self::open(&folder) {
                    Ok(run) => runs.push(run),
                    Err(error) => bad.push(error),
                }
                continue;
            }
            let entries = fs::read_dir(&folder).map_err(|cause| RunError::File {
                action: "read",
                path: folder.clone(),
                cause,
            })?;
            // Links are not followed: they may lead back.
            let entries = entries.flatten().filter(|entry| {
                let kind = entry.file_type();
                kind.is_ok_and(|kind| kind.is_dir())
            });
            folders.extend(entries.map(|entry| entry.path()));
        }
        runs.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((runs, bad))
    }
}

fn status(path: &Path, recipe: &Recipe, manifest: Option<&Manifest>) -> RunStatus {
    let Some(manifest) = manifest else {
        return RunStatus::Weights;
    };
    if FileLock::is_taken(&path.join(LOCK)) {
        return RunStatus::Training;
    }
    let is_stopped = recipe
        .early_stopping
        .is_some_and(|stopping| stopping_of(path).is_some_and(|state| stopping.is_over(&state)));
    if manifest.epochs >= recipe.epochs || is_stopped {
        RunStatus::Finished
    } else {
        RunStatus::Resumable
    }
}

/// The state of early stopping, out of the header of the state file.
fn stopping_of(path: &Path) -> Option<StoppingState> {
    /// Headers are some kilobytes; a longer one is none.
    const LONGEST: u64 = 1 << 24;
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: crate::checkpoint::Metadata,
    }
    #[derive(Deserialize)]
    struct Stopped {
        #[serde(default)]
        stopping: StoppingState,
    }
    let mut file = File::open(path.join(STATE)).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    let read = file.take(length.min(LONGEST)).read_to_end(&mut header);
    read.ok()?;
    let header: Header = serde_json::from_slice(&header).ok()?;
    let position: Stopped = serde_json::from_str(header.metadata.get(HEADER)?).ok()?;
    Some(position.stopping)
}
