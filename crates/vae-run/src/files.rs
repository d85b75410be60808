//! The files of a run folder: what they are called, and how they are encoded and read.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use vae_data::Scaling;
use vae_data::folder::Bits;
use vae_recipe::{Recipe, RecipePatch};
use vae_spec::Weights;

use crate::checkpoint::{self, Metadata};
use crate::manifest::FORMAT_VERSION;
use crate::{Manifest, RunError};

/// Config file, written last when a run begins: a folder that has one is a run.
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const MANIFEST: &str = "manifest.json";
/// Weights of the best epoch by `--best-by`.
pub(crate) const BEST_WEIGHTS: &str = "model.safetensors";
/// Weights of the latest checkpoint.
pub(crate) const LAST_WEIGHTS: &str = "last.safetensors";
/// Everything needed to resume the run.
pub(crate) const STATE: &str = "state.safetensors";
pub(crate) const METRICS: &str = "metrics.jsonl";
/// Metadata key for the data scaling in a weights file.
pub(crate) const SCALING: &str = "scaling";

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

pub(crate) fn manifest(folder: &Path) -> Result<Manifest, RunError> {
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
    let patch = RecipePatch::parse(&text, config)?;
    // Settings unknown to the run's version get their defaults, or what that version did.
    let before = RecipePatch {
        bits: Some(Some(Bits::Eight)),
        ..RecipePatch::default()
    };
    let complete = patch.over(before).over_defaults().complete();
    let recipe = complete.ok_or_else(|| RunError::Damaged {
        path: config.to_owned(),
        what: "`image` is missing: the shape of the images that the model was trained on".into(),
    })?;
    let size = recipe.check_size();
    size.map_err(|error| RunError::damaged(config, error.to_string()))?;
    Ok(recipe)
}

/// Encodes weights with everything else that is needed to use them with the config.
pub(crate) fn weights_file(
    weights: &Weights,
    scaling: Option<&Scaling>,
) -> Result<Vec<u8>, RunError> {
    let mut metadata = Metadata::from([("format".into(), format!("vae-gpu {FORMAT_VERSION}"))]);
    if let Some(scaling) = scaling {
        let text = String::from_utf8_lossy(&json(scaling, BEST_WEIGHTS)?).into_owned();
        metadata.insert(SCALING.into(), text);
    }
    checkpoint::encode(weights.tensors(), metadata)
}

pub(crate) fn json(value: &impl Serialize, file: &'static str) -> Result<Vec<u8>, RunError> {
    serde_json::to_vec(value)
        .map_err(|error| RunError::damaged(Path::new(file), format!("cannot be encoded: {error}")))
}
