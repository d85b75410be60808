//! `state.safetensors`: the complete training state for an exact resume, in one file so that its parts are consistent.

use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use vae_recipe::{Plateau, Recipe, RecipePatch, StoppingState};
use vae_spec::{Losses, NamedTensor, Snapshot, Weights};

use crate::checkpoint::{self, Metadata};
use crate::manifest::FORMAT_VERSION;
use crate::{Manifest, RunError};

pub(crate) const HEADER: &str = "state";
const WEIGHTS: &str = "weights.";
const LOSSES: &str = "losses";

/// Position of a run: everything in its state except tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Version of the folder format.
    pub format_version: u32,
    /// Recipe of the run up to here.
    #[serde(deserialize_with = "complete")]
    pub recipe: Recipe,
    /// Manifest with the progress.
    pub manifest: Manifest,
    /// Current epoch, counted from 1.
    pub epoch: usize,
    /// Length of `metrics.jsonl` in bytes.
    pub metrics_bytes: u64,
    /// State of the learning rate schedule.
    #[serde(default)]
    pub plateau: Plateau,
    /// State of early stopping.
    #[serde(default)]
    pub stopping: StoppingState,
    /// Factor on the learning rate from rollbacks.
    #[serde(default = "unscaled")]
    pub lr_scale: f32,
    /// Number of rollbacks so far.
    #[serde(default)]
    pub rollbacks: usize,
}

const fn unscaled() -> f32 {
    1.0
}

/// Deserializes a recipe; settings unknown to its version get their defaults.
fn complete<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Recipe, D::Error> {
    let patch = RecipePatch::deserialize(deserializer)?;
    let recipe = patch.over_defaults().complete();
    let recipe = recipe.ok_or_else(|| D::Error::missing_field("image"))?;
    recipe.check_size().map_err(D::Error::custom)?;
    Ok(recipe)
}

/// Training state of a run at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Position of the run.
    pub position: Position,
    /// Losses of this epoch's steps so far, in order.
    pub losses: Vec<Losses>,
    /// Weights and optimizer moments.
    pub snapshot: Snapshot,
}

impl State {
    /// Encodes the state as a file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, RunError> {
        let Snapshot { weights, moments } = &self.snapshot;
        let names = self.position.recipe.optimizer_config().moment_names();
        let of_weights = prefixed(weights, WEIGHTS);
        let of_moments = names
            .iter()
            .zip(moments)
            .flat_map(|(name, moment)| prefixed(moment, &format!("{name}.")));
        // Losses are computed in single precision, so nothing is lost here.
        let steps = self.losses.iter();
        let losses = NamedTensor {
            name: LOSSES.into(),
            shape: vec![self.losses.len(), Losses::TERMS],
            values: steps
                .flat_map(|step| step.to_array().map(|term| term as f32))
                .collect(),
        };
        let tensors: Vec<NamedTensor> = of_weights
            .into_iter()
            .chain(of_moments)
            .chain([losses])
            .collect();
        let header = serde_json::to_string(&self.position).map_err(|error| {
            RunError::damaged(
                Path::new("state.safetensors"),
                format!("cannot be encoded: {error}"),
            )
        })?;
        checkpoint::encode(&tensors, Metadata::from([(HEADER.to_owned(), header)]))
    }

    /// Decodes the state from the bytes of the file `path`.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self, RunError> {
        let damaged = |what: String| RunError::damaged(path, what);
        let (tensors, metadata) = checkpoint::decode(bytes, path)?;
        let header = metadata.get(HEADER).ok_or_else(|| {
            damaged(
                "holds no state to go on from (written by an older vae-gpu?); train anew with --config config.toml".into(),
            )
        })?;
        let version: Version =
            serde_json::from_str(header).map_err(|error| damaged(error.to_string()))?;
        if version.format_version > FORMAT_VERSION {
            return Err(damaged(format!(
                "format version {}, but this vae-gpu knows up to {FORMAT_VERSION}; update it",
                version.format_version
            )));
        }
        let position: Position =
            serde_json::from_str(header).map_err(|error| damaged(error.to_string()))?;
        let model = position.recipe.model();
        let of = |prefix: &str| -> Vec<NamedTensor> {
            let named = tensors.iter().filter_map(|tensor| {
                let name = tensor.name.strip_prefix(prefix)?.to_owned();
                Some(NamedTensor {
                    name,
                    ..tensor.clone()
                })
            });
            named.collect()
        };
        let weights = Weights::from_tensors(&model, of(WEIGHTS))?;
        let names = position.recipe.optimizer_config().moment_names();
        let moments = names.iter().map(|name| of(&format!("{name}.")));
        let moments: Vec<_> = moments.filter(|tensors| !tensors.is_empty()).collect();
        let moments = moments
            .into_iter()
            .map(|tensors| Weights::from_tensors(&model, tensors));
        let moments = moments.collect::<Result<Vec<_>, _>>()?;
        if !(moments.is_empty() || moments.len() == names.len()) {
            return Err(damaged(format!(
                "expected the moments {names:?}, found {}",
                moments.len()
            )));
        }
        let losses = tensors.iter().find(|tensor| tensor.name == LOSSES);
        let losses = losses.ok_or_else(|| damaged(format!("no tensor `{LOSSES}`")))?;
        let steps = losses
            .values
            .chunks_exact(losses.shape.last().copied().unwrap_or(1).max(1));
        let losses = steps.map(|terms| match *terms {
            // Format 2 stored only these two; its objective was always the ELBO.
            [recon, kl] => Losses::of_elbo(recon.into(), kl.into(), position.recipe.beta as f32),
            _ => {
                let mut all = [f64::NAN; Losses::TERMS];
                all.iter_mut()
                    .zip(terms)
                    .for_each(|(all, &term)| *all = term.into());
                Losses::from_array(all)
            }
        });
        Ok(Self {
            losses: losses.collect(),
            snapshot: Snapshot { weights, moments },
            position,
        })
    }
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

fn prefixed(weights: &Weights, prefix: &str) -> Vec<NamedTensor> {
    let tensors = weights.tensors().iter().map(|tensor| NamedTensor {
        name: format!("{prefix}{}", tensor.name),
        ..tensor.clone()
    });
    tensors.collect()
}
