//! Models to and from other programs: ONNX files, and PyTorch state dicts as safetensors.

use std::fs;
use std::path::{Path, PathBuf};

use vae_data::{Scaling, Shape};
use vae_model::layout::{self, Op};
use vae_model::{Activation, Likelihood, ModelConfig, NamedTensor, Network, Weights};

use crate::checkpoint::{self, Metadata};
use crate::onnx::{self, Dense, OnnxActivation};
use crate::run_folder::{BEST_WEIGHTS, CONFIG, weights_file};
use crate::{Recipe, SavedRun, TrainError};

/// What a model is exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// `encoder.onnx`: `images` to `mu` and `log_var`, which draws nothing, and `decoder.onnx`: `z` to mean images.
    Onnx,
    /// `pytorch.safetensors`: a state dict whose weights are `[outputs, inputs]`, as those of `torch.nn.Linear` are.
    Pytorch,
}

/// Writes the model of `run` into `folder` and gives the files.
///
/// # Errors
/// If a file cannot be written.
pub fn export(
    run: &SavedRun,
    format: ExportFormat,
    folder: &Path,
) -> Result<Vec<PathBuf>, TrainError> {
    let files = match format {
        ExportFormat::Onnx => onnx_files(run)?,
        ExportFormat::Pytorch => vec![("pytorch.safetensors", pytorch_file(run)?)],
    };
    fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(unwritable(&path))?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |cause| TrainError::File {
        action: "written",
        path,
        cause,
    }
}

/// What a reader of an exported file needs to know.
fn facts(run: &SavedRun) -> Result<Vec<(&'static str, String)>, TrainError> {
    let Shape {
        channels,
        height,
        width,
    } = run.recipe.image;
    let json = |scaling: &Scaling| {
        serde_json::to_string(scaling).map_err(|error| TrainError::Damaged {
            path: "scaling".into(),
            what: format!("cannot be encoded: {error}"),
        })
    };
    let scaling = run.sight.scaling().map(json).transpose()?;
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
    Ok(facts)
}

fn onnx_files(run: &SavedRun) -> Result<Vec<(&'static str, Vec<u8>)>, TrainError> {
    let config = run.recipe.model();
    let facts = facts(run)?;
    let network = Network::new(&config);
    let encoder = chain(run, &network.encoder)?;
    let [mu, log_var] = [&network.mu, &network.log_var].map(|head| dense(run, head));
    let mut decoder = chain(run, &network.decoder)?;
    if let (Likelihood::Bernoulli, Some(last)) = (config.likelihood, decoder.last_mut()) {
        last.activation = OnnxActivation::Sigmoid;
    }
    Ok(vec![
        (
            "encoder.onnx",
            onnx::encoder(&encoder, &mu, &log_var, &facts),
        ),
        ("decoder.onnx", onnx::decoder(&decoder, &facts)),
    ])
}

/// A dense layer with its weights, no activation after it.
fn dense<'a>(run: &'a SavedRun, layer: &'a layout::Dense) -> Dense<'a> {
    let tensors = run.weights.tensors();
    Dense {
        name: &layer.name,
        inputs: layer.inputs,
        outputs: layer.outputs,
        weight: &tensors[layer.weight].values,
        bias: &tensors[layer.weight + 1].values,
        activation: OnnxActivation::Identity,
    }
}

/// The dense layers that `ops` are.
fn chain<'a>(run: &'a SavedRun, ops: &'a [Op]) -> Result<Vec<Dense<'a>>, TrainError> {
    let mut layers: Vec<Dense<'_>> = Vec::new();
    for op in ops {
        match op {
            Op::Dense(layer) => layers.push(dense(run, layer)),
            Op::Activation => {
                if let Some(last) = layers.last_mut() {
                    last.activation = activation(run.recipe.activation);
                }
            }
            _ => {
                return Err(TrainError::Setting {
                    setting: "export",
                    expected: "a dense model without labels, for ONNX".into(),
                    found: "another; --format pytorch exports the weights of any".into(),
                });
            }
        }
    }
    Ok(layers)
}

const fn activation(activation: Activation) -> OnnxActivation {
    match activation {
        Activation::Relu => OnnxActivation::Relu,
        Activation::Tanh => OnnxActivation::Tanh,
        Activation::Sigmoid => OnnxActivation::Sigmoid,
        Activation::Gelu => OnnxActivation::Gelu,
        Activation::LeakyRelu => OnnxActivation::LeakyRelu,
        Activation::Softplus => OnnxActivation::Softplus,
    }
}

fn pytorch_file(run: &SavedRun) -> Result<Vec<u8>, TrainError> {
    let tensors: Vec<NamedTensor> = run.weights.tensors().iter().map(transposed).collect();
    let facts = facts(run)?.into_iter();
    let metadata: Metadata = facts.map(|(name, fact)| (name.to_owned(), fact)).collect();
    checkpoint::encode(&tensors, metadata)
}

/// A weight with its axes exchanged; a bias as it is.
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

/// Reads a PyTorch state dict in the safetensors file `path` as the weights of `recipe`'s network. `names` says which of our
/// layers each of its layers is, for example `fc1` and `encoder.0`; others keep their names.
///
/// # Errors
/// If the file cannot be read, or its tensors are not those of the network.
pub fn read_pytorch(
    path: &Path,
    recipe: &Recipe,
    names: &[(String, String)],
) -> Result<Weights, TrainError> {
    let bytes = fs::read(path).map_err(|cause| TrainError::File {
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
    Weights::from_tensors(&config, renamed.collect()).map_err(|error| TrainError::Damaged {
        path: path.to_owned(),
        what: format!(
            "{error} (shapes as [inputs, outputs]). It holds {}; the network's layers are {}; --map THEIRS=OURS renames one",
            found.join(", "),
            layers(&config).join(", ")
        ),
    })
}

/// What the layers of `config` are called.
fn layers(config: &ModelConfig) -> Vec<String> {
    let parameters = config.parameters().into_iter();
    let layers = parameters.filter_map(|spec| Some(spec.name.strip_suffix(".weight")?.to_owned()));
    layers.collect()
}

/// Makes the folder `path` of a model that every command but `train --resume` takes.
///
/// # Errors
/// If there is one already, or it cannot be written.
pub fn write_model(path: &Path, recipe: &Recipe, weights: &Weights) -> Result<(), TrainError> {
    let config = path.join(CONFIG);
    if config.exists() {
        return Err(TrainError::FolderTaken(path.to_owned()));
    }
    fs::create_dir_all(path).map_err(unwritable(path))?;
    let file = path.join(BEST_WEIGHTS);
    fs::write(&file, weights_file(weights, None)?).map_err(unwritable(&file))?;
    let text = toml::to_string(recipe).map_err(|error| TrainError::Damaged {
        path: config.clone(),
        what: format!("cannot be encoded: {error}"),
    })?;
    fs::write(&config, text).map_err(unwritable(&config))
}
