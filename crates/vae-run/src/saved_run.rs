//! Loading a trained model from a run folder, or from a weights file with a config.

use std::path::Path;

use vae_data::Scaling;
use vae_recipe::{Preprocessing, Recipe};
use vae_spec::Weights;

use crate::checkpoint;
use crate::files::{BEST_WEIGHTS, CONFIG, MANIFEST, SCALING, manifest, read, recipe};
use crate::{Manifest, RunError};

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
        let shape = recipe.image;
        if scaling
            .as_ref()
            .is_some_and(|scaling| !scaling.is_for(shape))
        {
            return Err(damaged(format!(
                "scaling: expected a finite offset and range, not 0, for each column or channel of {shape}; take a copy of the file \
                 that is whole, or train anew with --config config.toml"
            )));
        }
        Ok(Self {
            preprocessing: Preprocessing::saved(&recipe, scaling),
            recipe,
            manifest,
            weights,
        })
    }
}
