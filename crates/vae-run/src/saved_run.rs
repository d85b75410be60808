//! Loading a trained model from a run folder, or from a weights file with a config.

use std::fs;
use std::io;
use std::path::Path;

use vae_data::Scaling;
use vae_recipe::{Preprocessing, Recipe, RecipeError, RecipePatch};
use vae_spec::Weights;

use crate::checkpoint;
use crate::manifest::FORMAT_VERSION;
use crate::run_folder::{BEST_WEIGHTS, CONFIG, MANIFEST};
use crate::{Manifest, RunError};

/// Metadata key for the data scaling in a weights file.
pub(crate) const SCALING: &str = "scaling";

/// A trained model.
#[derive(Clone, Debug)]
pub struct SavedRun {
    /// Recipe that it was trained with.
    pub recipe: Recipe,
    /// Manifest of the run; `None` for bare and imported weights.
    pub manifest: Option<Manifest>,
    /// The weights of the best epoch, or those of the weights file.
    pub weights: Weights,
    /// Preprocessing of its data.
    pub preprocessing: Preprocessing,
}

impl SavedRun {
    /// Reads the run in the folder `path`, or the weights file `path` with the config `config`, by default the `config.toml`
    /// next to it.
    ///
    /// # Errors
    /// If it is neither, or a file of it is corrupt or of a newer version.
    pub fn open(path: &Path, config: Option<&Path>) -> Result<Self, RunError> {
        let folder = if path.is_file() {
            path.parent().unwrap_or(Path::new(""))
        } else {
            path
        };
        let config = config.map_or_else(|| folder.join(CONFIG), Path::to_owned);
        let recipe = recipe(folder, &config)?;
        let has_manifest = !path.is_file() && folder.join(MANIFEST).exists();
        let manifest = has_manifest.then(|| manifest(folder)).transpose()?;
        let file = if path.is_file() {
            path.to_owned()
        } else {
            folder.join(BEST_WEIGHTS)
        };
        let (tensors, metadata) = checkpoint::decode(&read(folder, &file)?, &file)?;
        let damaged = |what: String| RunError::damaged(&file, what);
        let weights = Weights::from_tensors(&recipe.model(), tensors)
            .map_err(|error| damaged(error.to_string()))?;
        let scaling = metadata
            .get(SCALING)
            .map(|text| serde_json::from_str::<Scaling>(text));
        let scaling = scaling
            .transpose()
            .map_err(|error| damaged(format!("scaling: {error}")))?;
        Ok(Self {
            preprocessing: Preprocessing::saved(&recipe, scaling),
            recipe,
            manifest,
            weights,
        })
    }
}

/// Reads `file`; if it is missing, `folder` is not a run.
pub(crate) fn read(folder: &Path, file: &Path) -> Result<Vec<u8>, RunError> {
    fs::read(file).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => RunError::NotARun {
            path: folder.to_owned(),
            missing: file.to_owned(),
        },
        _ => RunError::File {
            action: "read",
            path: file.to_owned(),
            cause,
        },
    })
}

fn manifest(folder: &Path) -> Result<Manifest, RunError> {
    let path = folder.join(MANIFEST);
    let damaged = |what: String| RunError::damaged(&path, what);
    let manifest: Manifest = serde_json::from_slice(&read(folder, &path)?).map_err(|error| {
        damaged(format!(
            "not a manifest: {error}; without it the weights still serve: name model.safetensors instead of the folder"
        ))
    })?;
    if manifest.format_version > FORMAT_VERSION {
        let found = manifest.format_version;
        return Err(damaged(format!(
            "format version {found}, but this vae-gpu knows up to {FORMAT_VERSION}; update it"
        )));
    }
    Ok(manifest)
}

/// Reads the recipe in the file `config` of the run `folder`.
pub(crate) fn recipe(folder: &Path, config: &Path) -> Result<Recipe, RunError> {
    let text = String::from_utf8_lossy(&read(folder, config)?).into_owned();
    let patch: RecipePatch = toml::from_str(&text).map_err(|cause| RecipeError::Config {
        path: config.to_owned(),
        cause: Box::new(cause),
    })?;
    // Settings unknown to the run's version get their defaults.
    let complete = patch.over_defaults().complete();
    complete.ok_or_else(|| RunError::Damaged {
        path: config.to_owned(),
        what: "`image` is missing: the shape of the images that the model was trained on".into(),
    })
}
