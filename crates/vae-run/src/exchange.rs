//! Model export and import: ONNX files, and PyTorch state dicts as safetensors.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vae_data::Shape;
use vae_recipe::Recipe;
use vae_spec::{ModelConfig, NamedTensor, Weights};

use crate::checkpoint::{self, Metadata};
use crate::files::{BEST_WEIGHTS, CONFIG, weights_file};
use crate::{RunError, SavedRun, onnx};

/// Export format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// `encoder.onnx`: `images` to `mu` and `log_var`, without sampling, and `decoder.onnx`: `z` to mean images; for conditional
    /// models both also take the `label`.
    Onnx,
    /// `pytorch.safetensors`: a state dict whose weights are `[outputs, inputs]`, as those of `torch.nn.Linear` are.
    Pytorch,
}

/// Exports the model of `run` into `folder` and returns the files.
///
/// # Errors
/// If a file cannot be written, or is there already with another content, unless it `replaces` such files.
pub fn export(
    run: &SavedRun,
    format: ExportFormat,
    folder: &Path,
    replaces: bool,
) -> Result<Vec<PathBuf>, RunError> {
    let files = match format {
        ExportFormat::Onnx => onnx_files(run)?,
        ExportFormat::Pytorch => vec![("pytorch.safetensors", pytorch_file(run)?)],
    };
    fs::create_dir_all(folder).map_err(RunError::unwritable(folder))?;
    for (name, bytes) in &files {
        let path = folder.join(name);
        if !replaces && fs::read(&path).is_ok_and(|found| found != *bytes) {
            return Err(RunError::FileTaken(path));
        }
    }
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = folder.join(name);
        vae_data::replace(&path, |out| out.write_all(&bytes))
            .map_err(RunError::unwritable(&path))?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

/// Metadata of an exported file.
fn facts(run: &SavedRun) -> Result<Vec<(&'static str, String)>, RunError> {
    let Shape {
        channels,
        height,
        width,
    } = run.recipe.image;
    let scaling = run.preprocessing.scaling().map(json).transpose()?;
    let mut facts = vec![
        (
            "shape",
            format!("{channels} x {height} x {width}, flattened row by row"),
        ),
        ("likelihood", format!("{:?}", run.recipe.model().likelihood)),
    ];
    facts.push((
        "values",
        match &scaling {
            Some(_) => "(x - offset) / range of each column or channel, see scaling".into(),
            None => "as they are; bytes divided by 255".into(),
        },
    ));
    facts.extend(scaling.map(|scaling| ("scaling", scaling)));
    if !run.recipe.columns.is_empty() {
        facts.push(("columns", json(&run.recipe.columns)?));
    }
    if run.recipe.conditional {
        facts.push(("classes", json(&run.recipe.classes)?));
    }
    Ok(facts)
}

fn json<T: Serialize + ?Sized>(fact: &T) -> Result<String, RunError> {
    serde_json::to_string(fact).map_err(|error| {
        RunError::damaged(
            Path::new("what is exported"),
            format!("cannot be encoded: {error}"),
        )
    })
}

fn onnx_files(run: &SavedRun) -> Result<Vec<(&'static str, Vec<u8>)>, RunError> {
    let (config, facts) = (run.recipe.model(), facts(run)?);
    Ok(vec![
        ("encoder.onnx", onnx::encoder(&config, &run.weights, &facts)),
        ("decoder.onnx", onnx::decoder(&config, &run.weights, &facts)),
    ])
}

fn pytorch_file(run: &SavedRun) -> Result<Vec<u8>, RunError> {
    let tensors: Vec<NamedTensor> = run.weights.tensors().iter().map(transposed).collect();
    let facts = facts(run)?.into_iter();
    let metadata: Metadata = facts.map(|(name, fact)| (name.to_owned(), fact)).collect();
    checkpoint::encode(&tensors, metadata)
}

/// Transposes a weight; leaves a bias unchanged.
fn transposed(tensor: &NamedTensor) -> NamedTensor {
    let ([rows, columns], true) = (&tensor.shape[..], tensor.name.ends_with(".weight")) else {
        return tensor.clone();
    };
    let (rows, columns) = (*rows, *columns);
    let places = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    NamedTensor {
        name: tensor.name.clone(),
        shape: vec![columns, rows],
        values: places.map(|place| tensor.values[place]).collect(),
    }
}

/// Reads a PyTorch state dict in the safetensors file `path` as the weights of `recipe`'s network. `names` maps its layer
/// names to ours, for example `fc1` to `encoder.0`; other layers keep their names.
///
/// # Errors
/// If the file cannot be read, or its tensors are not those of the network.
pub fn read_pytorch(
    path: &Path,
    recipe: &Recipe,
    names: &[(String, String)],
) -> Result<Weights, RunError> {
    recipe.check_size()?;
    let bytes = fs::read(path).map_err(|cause| RunError::File {
        action: "read",
        path: path.to_owned(),
        cause,
    })?;
    let (tensors, _) = checkpoint::decode(&bytes, path)?;
    let found: Vec<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let renamed = tensors.iter().map(|tensor| {
        let (layer, part) = tensor.name.rsplit_once('.').unwrap_or((&tensor.name, ""));
        let ours = names.iter().find(|(theirs, _)| theirs == layer);
        let layer = ours.map_or(layer, |(_, ours)| ours);
        NamedTensor {
            name: format!("{layer}.{part}"),
            ..transposed(tensor)
        }
    });
    let config: ModelConfig = recipe.model();
    Weights::from_tensors(&config, renamed.collect()).map_err(|error| RunError::Damaged {
        path: path.to_owned(),
        what: format!(
            "{error} (shapes as [inputs, outputs]). It holds {}; the network's layers are {}; --map THEIRS=OURS renames one",
            found.join(", "),
            layers(&config).join(", ")
        ),
    })
}

/// Names of the layers of `config`.
fn layers(config: &ModelConfig) -> Vec<String> {
    let parameters = config.parameters().into_iter();
    let layers = parameters.filter_map(|spec| Some(spec.name.strip_suffix(".weight")?.to_owned()));
    layers.collect()
}

/// Creates the model folder `path`, accepted by every command except `train --resume`.
///
/// # Errors
/// If it already holds a model, or cannot be written.
pub fn write_model(path: &Path, recipe: &Recipe, weights: &Weights) -> Result<(), RunError> {
    let config = path.join(CONFIG);
    if config.exists() {
        return Err(RunError::FolderTaken(path.to_owned()));
    }
    fs::create_dir_all(path).map_err(RunError::unwritable(path))?;
    let file = path.join(BEST_WEIGHTS);
    let bytes = weights_file(weights, None)?;
    vae_data::replace(&file, |out| out.write_all(&bytes)).map_err(RunError::unwritable(&file))?;
    let text = toml::to_string(recipe).map_err(|error| RunError::Damaged {
        path: config.clone(),
        what: format!("cannot be encoded: {error}"),
    })?;
    vae_data::replace(&config, |out| out.write_all(text.as_bytes()))
        .map_err(RunError::unwritable(&config))
}
