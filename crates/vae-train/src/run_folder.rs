//! The run folder: what a run leaves, and how it is read back. Every file is written whole under a temporary name, synced
//! and renamed, so that a kill at any moment leaves a loadable run; only `metrics.jsonl` grows by lines.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use vae_model::{Engine, NamedTensor, Weights};

use crate::manifest::FORMAT_VERSION;
use crate::trainer::EVALUATION_BATCH;
use crate::{Device, EngineChoice, Manifest, Recipe, RecipePatch, TrainError, checkpoint};

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";
/// The weights of the epoch with the lowest validation loss.
const BEST_WEIGHTS: &str = "model.safetensors";
/// The weights of the latest epoch.
const LAST_WEIGHTS: &str = "last.safetensors";
const OPTIMIZER_STATE: &str = "state.safetensors";
const METRICS: &str = "metrics.jsonl";
const LOCK: &str = ".lock";
/// A run folder that this process writes; no other process can while it lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
    _lock: File,
}

impl RunFolder {
    /// The first of `runs/<data>-1`, `runs/<data>-2`, .. that does not exist yet.
    #[must_use]
    pub fn next_free(data: &str) -> PathBuf {
        let stem = Path::new(data)
            .file_name()
            .map_or_else(|| data.into(), |name| name.to_string_lossy());
        let path = |number: usize| PathBuf::from("runs").join(format!("{stem}-{number}"));
        (1..)
            .map(path)
            .find(|path| !path.exists())
            .unwrap_or_else(|| path(0))
    }

    /// Makes the folder, locks it, and writes the recipe: an output that cannot be written is found before training.
    ///
    /// # Errors
    /// If it holds a run already, another process writes it, or it cannot be written.
    pub fn create(path: &Path, recipe: &Recipe) -> Result<Self, TrainError> {
        let written = |path: PathBuf| {
            move |cause| TrainError::File {
                action: "written",
                path,
                cause,
            }
        };
        if path.join(CONFIG).exists() {
            return Err(TrainError::FolderTaken(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(written(path.to_owned()))?;
        let lock = File::create(path.join(LOCK)).map_err(written(path.join(LOCK)))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(TrainError::FolderLocked(path.to_owned()));
            }
            Err(fs::TryLockError::Error(cause)) => return Err(written(path.join(LOCK))(cause)),
        }
        let metrics = File::create(path.join(METRICS)).map_err(written(path.join(METRICS)))?;
        let folder = Self {
            path: path.to_owned(),
            metrics,
            _lock: lock,
        };
        let config = toml::to_string(recipe).map_err(|error| TrainError::Damaged {
            path: path.join(CONFIG),
            what: format!("cannot be encoded: {error}"),
        })?;
        folder.write(CONFIG, config.as_bytes())?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file `name` atomically.
    ///
    /// # Errors
    /// If it cannot be written, for example on a full disk; the old content stays.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!(".{name}.tmp"));
        let replace = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        replace().map_err(|cause| {
            // What is left of the temporary file only takes room; the error that matters is the first.
            let _ = fs::remove_file(&temporary);
            TrainError::File {
                action: "written",
                path,
                cause,
            }
        })
    }

    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), TrainError> {
        self.write(MANIFEST, &json(manifest, MANIFEST)?)
    }

    pub(crate) fn write_best(&self, weights: &Weights) -> Result<(), TrainError> {
        self.write(BEST_WEIGHTS, &weights_file(weights)?)
    }

    pub(crate) fn write_last(&self, weights: &Weights) -> Result<(), TrainError> {
        self.write(LAST_WEIGHTS, &weights_file(weights)?)
    }

    /// The optimizer's moments, with the manifest in the header: it says which step they are of.
    pub(crate) fn write_optimizer(
        &self,
        moments: &[NamedTensor],
        manifest: &Manifest,
    ) -> Result<(), TrainError> {
        let header = String::from_utf8_lossy(&json(manifest, OPTIMIZER_STATE)?).into_owned();
        self.write(
            OPTIMIZER_STATE,
            &checkpoint::encode(moments, &[("manifest", header)])?,
        )
    }

    /// Appends one line of metrics.
    pub(crate) fn log(&mut self, metrics: &impl Serialize) -> Result<(), TrainError> {
        let mut line = json(metrics, METRICS)?;
        line.push(b'\n');
        let path = self.path.join(METRICS);
        self.metrics
            .write_all(&line)
            .map_err(|cause| TrainError::File {
                action: "written",
                path,
                cause,
            })
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // The lock is the open file, not its name: a file that stays behind locks nobody out.
        let _ = fs::remove_file(self.path.join(LOCK));
    }
}

fn weights_file(weights: &Weights) -> Result<Vec<u8>, TrainError> {
    checkpoint::encode(
        weights.tensors(),
        &[("format", format!("vae-gpu {FORMAT_VERSION}"))],
    )
}

fn json(value: &impl Serialize, file: &'static str) -> Result<Vec<u8>, TrainError> {
    serde_json::to_vec(value).map_err(|error| TrainError::Damaged {
        path: file.into(),
        what: format!("cannot be encoded: {error}"),
    })
}

/// A run read back from its folder.
#[derive(Clone, Debug)]
pub struct SavedRun {
    /// How it was trained.
    pub recipe: Recipe,
    /// On what, and how far.
    pub manifest: Manifest,
    /// The best weights.
    pub weights: Weights,
}

impl SavedRun {
    /// Reads the run in `path`.
    ///
    /// # Errors
    /// If it is no run folder, or a file of it is damaged or of a newer version.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let read = |name: &'static str| {
            let file = path.join(name);
            fs::read(&file).map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => TrainError::NotARun {
                    path: path.to_owned(),
                    missing: name,
                },
                _ => TrainError::File {
                    action: "read",
                    path: file,
                    cause,
                },
            })
        };
        let damaged = |name, what| TrainError::Damaged {
            path: path.join(name),
            what,
        };
        let manifest: Manifest = serde_json::from_slice(&read(MANIFEST)?)
            .map_err(|error| damaged(MANIFEST, error.to_string()))?;
        if manifest.format_version > FORMAT_VERSION {
            let found = manifest.format_version;
            let what = format!(
                "format version {found}, but this vae-gpu knows up to {FORMAT_VERSION}; update it"
            );
            return Err(damaged(MANIFEST, what));
        }
        let config = String::from_utf8_lossy(&read(CONFIG)?).into_owned();
        let patch: RecipePatch =
            toml::from_str(&config).map_err(|error| damaged(CONFIG, error.to_string()))?;
        // Settings that the run's version did not know yet have their defaults.
        let recipe = patch
            .over(RecipePatch::defaults())
            .complete()
            .ok_or_else(|| damaged(CONFIG, "a setting without a default is missing".into()))?;
        let tensors = checkpoint::decode(&read(BEST_WEIGHTS)?, &path.join(BEST_WEIGHTS))?;
        let weights = Weights::from_tensors(&recipe.model(), tensors)
            .map_err(|error| damaged(BEST_WEIGHTS, error.to_string()))?;
        Ok(Self {
            recipe,
            manifest,
            weights,
        })
    }

    /// The trained model on `device`.
    ///
    /// # Errors
    /// If the model does not fit the device.
    pub fn engine(&self, device: &Device) -> Result<Box<dyn Engine>, TrainError> {
        device.engine(
            &self.recipe.setup(&self.recipe.model(), &self.weights),
            EngineChoice::Auto,
            EVALUATION_BATCH,
        )
    }
}

#[cfg(test)]
mod tests {
    use vae_data::Dataset;

    use super::*;
    use crate::{DataSummary, RecipePatch};

    fn recipe() -> Recipe {
        let patch = RecipePatch {
            hidden: Some(vec![4]),
            ..RecipePatch::default()
        };
        Recipe::resolve(patch, &Dataset::digits().expect("built in")).expect("valid")
    }

    #[test]
    fn what_was_written_reads_back() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let path = parent.path().join("run");
        let folder = RunFolder::create(&path, &recipe()).expect("writable");
        let dataset = Dataset::digits().expect("built in");
        let manifest = Manifest::new("cpu".into(), DataSummary::of(&dataset), 3);
        let weights = Weights::initial(&recipe().model(), 1);
        folder.write_manifest(&manifest).expect("writable");
        folder.write_best(&weights).expect("writable");

        let saved = SavedRun::open(&path).expect("complete");
        assert_eq!(
            (saved.recipe, saved.manifest, saved.weights),
            (recipe(), manifest, weights)
        );
    }

    #[test]
    fn a_second_writer_is_refused_while_the_first_lives_and_afterwards() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let path = parent.path().join("run");
        let folder = RunFolder::create(&path, &recipe()).expect("writable");
        fs::remove_file(path.join(CONFIG)).expect("written");
        assert!(matches!(
            RunFolder::create(&path, &recipe()),
            Err(TrainError::FolderLocked(_))
        ));
        folder.write(CONFIG, b"").expect("writable");
        drop(folder);
        assert!(matches!(
            RunFolder::create(&path, &recipe()),
            Err(TrainError::FolderTaken(_))
        ));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let file = parent.path().join("file");
        fs::write(&file, "").expect("writable");
        let error =
            RunFolder::create(&file.join("run"), &recipe()).expect_err("a file is no folder");
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }

    #[test]
    fn missing_and_damaged_files_are_named() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let path = parent.path().join("run");
        let message = |path: &Path| SavedRun::open(path).expect_err("not whole").to_string();
        assert!(message(&path).contains("manifest.json is missing"));

        let folder = RunFolder::create(&path, &recipe()).expect("writable");
        let dataset = Dataset::digits().expect("built in");
        let manifest = Manifest::new("cpu".into(), DataSummary::of(&dataset), 3);
        folder.write_manifest(&manifest).expect("writable");
        assert!(message(&path).contains("model.safetensors is missing"));
        let whole = weights_file(&Weights::initial(&recipe().model(), 1)).expect("encodable");
        folder
            .write(BEST_WEIGHTS, &whole[..whole.len() - 1])
            .expect("writable");
        assert!(message(&path).contains("truncated"), "{}", message(&path));
        folder
            .write_manifest(&Manifest {
                format_version: 2,
                ..manifest
            })
            .expect("writable");
        assert!(
            message(&path).contains("format version 2"),
            "{}",
            message(&path)
        );
    }
}
