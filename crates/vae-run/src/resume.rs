//! Resuming a run: which settings must stay the same, and which may change.

use std::path::{Path, PathBuf};

use vae_data::Dataset;
use vae_recipe::Recipe;
use vae_spec::Weights;

use crate::manifest::FORMAT_VERSION;
use crate::state::State;
use crate::{RunError, RunFolder, SavedRun};

/// Settings that may change on resuming: they affect the length of training at most, and the results of its steps by rounding.
const FREE: [&str; 12] = [
    "backend",
    "engine",
    "epochs",
    "data",
    "val_data",
    "stream",
    "checkpoint_steps",
    "checkpoint_minutes",
    "tensorboard",
    "on_device_lost",
    "verify_every",
    "pieces",
];

/// An interrupted run at its last checkpoint.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// The run folder.
    pub path: PathBuf,
    /// State at the checkpoint.
    pub state: State,
    /// Weights of the best epoch.
    pub best: Weights,
}

impl Interrupted {
    /// Reads the run in the folder `path` and its recipe.
    ///
    /// # Errors
    /// If it is not a run, a file of it is corrupt or of a newer version, or a setting of its `config.toml` was changed that the
    /// checkpoint depends on.
    pub fn open(path: &Path) -> Result<(Self, Recipe), RunError> {
        let (recipe, state) = RunFolder::read_state(path)?;
        let is_older = state.position.format_version < FORMAT_VERSION;
        let changed = changed(&state.position.recipe, &recipe, is_older);
        if !changed.is_empty() {
            return Err(RunError::Changed {
                run: path.to_owned(),
                what: format!(
                    "config.toml was changed since the checkpoint: {}; undo that, or start a new run with --config",
                    changed.join(", ")
                ),
            });
        }
        let best = SavedRun::open(path, None)?.weights;
        let interrupted = Self {
            path: path.to_owned(),
            state,
            best,
        };
        Ok((interrupted, recipe))
    }

    /// Position to resume from: the epoch, counted from 1, and the number of its steps done.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        (self.state.position.epoch, self.state.losses.len())
    }

    /// What a run with `recipe` would do otherwise than this one did, setting by setting, but for those that may change on resuming.
    #[must_use]
    pub fn differences(&self, recipe: &Recipe) -> Vec<String> {
        let position = &self.state.position;
        changed(
            &position.recipe,
            recipe,
            position.format_version < FORMAT_VERSION,
        )
    }

    /// Version of vae-gpu that wrote the checkpoint, if it differs: results may not be bit-identical.
    #[must_use]
    pub fn other_version(&self) -> Option<&str> {
        let version = &self.state.position.manifest.program_version;
        (version != env!("CARGO_PKG_VERSION")).then_some(version)
    }

    /// Checks that `dataset` is the data that the run was trained on.
    ///
    /// # Errors
    /// If the data differ.
    pub fn check(&self, dataset: &Dataset) -> Result<(), RunError> {
        let known = &self.state.position.manifest.data;
        if known.fingerprint == dataset.fingerprint {
            return Ok(());
        }
        Err(RunError::Changed {
            run: self.path.clone(),
            what: format!(
                "the data have changed: expected {} training and {} validation samples with fingerprint {}, found {} and {} \
                 with {} in {}; name the old data with --data, or start a new run",
                known.train,
                known.validation,
                known.fingerprint,
                dataset.train.count(),
                dataset.validation.count(),
                dataset.fingerprint,
                dataset.name
            ),
        })
    }
}

/// Describes the changed settings that matter. Settings missing from a recipe of an older version are ignored.
fn changed(before: &Recipe, after: &Recipe, is_older: bool) -> Vec<String> {
    let table = |recipe: &Recipe| toml::Table::try_from(recipe).unwrap_or_default();
    let (before, after) = (table(before), table(after));
    let names = before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(*name)));
    let shown = |value: Option<&toml::Value>| value.map_or("none".into(), ToString::to_string);
    names
        .filter(|name| !FREE.contains(&name.as_str()) && before.get(*name) != after.get(*name))
        .filter(|name| before.contains_key(*name) || !is_older)
        .map(|name| {
            let values = [&before, &after].map(|table| shown(table.get(name)));
            format!("{name} from {} to {}", values[0], values[1])
        })
        .collect()
}
