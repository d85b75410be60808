//! A trained model as a dictionary of functions.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use vae_data::Images;
use vae_device::Device;
use vae_infer::Inference;
use vae_rng::{Generator, Stream};
use vae_run::SavedRun;

use crate::arrays::{Owned, floats, owned, samples};
use crate::function;
use crate::train::setting;
use crate::work::{Desk, work};

/// A trained model and where it works.
struct Model {
    run: SavedRun,
    device: Device,
}

/// What the samples that are given are called in errors.
const NAME: &str = "X";

impl Model {
    /// Does `job` with an engine that ends where Ctrl-C asks for it.
    fn infer<T>(
        &self,
        desk: &Desk,
        job: impl FnOnce(&mut Inference<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let on_progress = |_: vae_data::Progress<'_>| desk.stop_here();
        let mut inference = Inference::open(&self.run, &self.device, &on_progress)?;
        job(&mut inference)
    }

    /// `images` as the model sees them.
    fn seen(&self, images: &Images) -> anyhow::Result<Images> {
        let (images, _) = self.run.recipe.matching(images, NAME)?;
        Ok(self.run.preprocessing.evaluation_images(&images)?)
    }

    /// The class of each of `count` latents, from as many labels or one for all; none if there are no labels.
    fn classes(&self, labels: &[String], count: usize) -> anyhow::Result<Vec<u32>> {
        let classes = labels.iter();
        let classes = classes.map(|label| self.run.preprocessing.class(label));
        let classes = classes.collect::<Result<Vec<u32>, _>>()?;
        Ok(match classes[..] {
            [one] => vec![one; count],
            _ => classes,
        })
    }

    /// Decodes `z` to units of the data.
    fn decode(&self, z: &[f32], labels: &[String], desk: &Desk) -> anyhow::Result<Vec<f32>> {
        let classes = self.classes(labels, z.len() / self.run.recipe.latent)?;
        let mut values = self.infer(desk, |inference| {
            Ok(if classes.is_empty() {
                inference.decode(z)?
            } else {
                inference.decode_as(z, &classes)?
            })
        })?;
        let length = self.run.recipe.image.length();
        self.run.preprocessing.undo(&mut values, length);
        Ok(values)
    }
}

/// `(run, config, backend)`: loads the model in the folder or the file `run`. Returns its `recipe` as JSON, its `device`, and the
/// functions `encode`, `decode`, `sample` and `score`.
pub(crate) fn open(arguments: &Bound<'_, PyTuple>) -> PyResult<Py<PyDict>> {
    let py = arguments.py();
    let (run, config, backend): (PathBuf, Option<PathBuf>, String) = arguments.extract()?;
    let backend = setting("backend", &backend)?;
    let model = work(py, None, move |_| {
        let run = SavedRun::open(&run, config.as_deref())?;
        let device = Device::open(backend)?;
        Ok(Arc::new(Model { run, device }))
    })?;
    let recipe = serde_json::to_string(&model.run.recipe);
    let opened = PyDict::new(py);
    opened.set_item("recipe", recipe.map_err(crate::errors::raised)?)?;
    opened.set_item("device", model.device.to_string())?;
    let of = |call: fn(&Arc<Model>, &Bound<'_, PyTuple>) -> PyResult<Vec<Owned>>| {
        let model = Arc::clone(&model);
        move |arguments: &Bound<'_, PyTuple>| call(&model, arguments)
    };
    opened.set_item("encode", function(py, c"encode", of(encode))?)?;
    opened.set_item("decode", function(py, c"decode", of(decode))?)?;
    opened.set_item("sample", function(py, c"sample", of(sample))?)?;
    opened.set_item("score", function(py, c"score", of(score))?)?;
    Ok(opened.unbind())
}

/// `(samples)`: the means and the log-variances of the posteriors, `[count, latent]` of 32-bit floats each.
fn encode(model: &Arc<Model>, arguments: &Bound<'_, PyTuple>) -> PyResult<Vec<Owned>> {
    let (given,): (Bound<'_, PyAny>,) = arguments.extract()?;
    let images = samples(&given)?;
    let model = Arc::clone(model);
    let posterior = work(arguments.py(), None, move |desk| {
        let images = model.seen(&images)?;
        model.infer(desk, |inference| Ok(inference.encode(&images)?))
    })?;
    [posterior.mu, posterior.log_var]
        .into_iter()
        .map(|values| owned(arguments.py(), values))
        .collect()
}

/// `(z, labels)`: the means of the likelihood in units of the data, `[count, pixels]` of 32-bit floats.
fn decode(model: &Arc<Model>, arguments: &Bound<'_, PyTuple>) -> PyResult<Vec<Owned>> {
    let (z, labels): (Bound<'_, PyAny>, Vec<String>) = arguments.extract()?;
    let z = floats(&z)?;
    let model = Arc::clone(model);
    let values = work(arguments.py(), None, move |desk| {
        model.decode(&z, &labels, desk)
    })?;
    Ok(vec![owned(arguments.py(), values)?])
}

/// `(count, seed, temperature, truncation, labels, draws_pixels)`: draws of the prior, `[count, latent]`, and what they are
/// decoded to in units of the data, `[count, pixels]`, of 32-bit floats.
fn sample(model: &Arc<Model>, arguments: &Bound<'_, PyTuple>) -> PyResult<Vec<Owned>> {
    type Arguments = (u32, u64, f64, Option<f64>, Vec<String>);
    let (count, seed, temperature, truncation, labels): Arguments = arguments.extract()?;
    let model = Arc::clone(model);
    let (z, values) = work(arguments.py(), None, move |desk| {
        let z = model.infer(desk, |inference| {
            let generator = Generator::new(seed, Stream::Prior);
            let prior = inference.prior()?;
            Ok(prior.sample(generator, 0..count, temperature, truncation))
        })?;
        let values = model.decode(&z, &labels, desk)?;
        Ok((z, values))
    })?;
    let py = arguments.py();
    Ok(vec![owned(py, z)?, owned(py, values)?])
}

/// `(samples, importance_samples)`: recon and kl of each sample and, with importance samples, its negative log-likelihood, as
/// 64-bit floats.
fn score(model: &Arc<Model>, arguments: &Bound<'_, PyTuple>) -> PyResult<Vec<Owned>> {
    let (given, importance_samples): (Bound<'_, PyAny>, Option<usize>) = arguments.extract()?;
    let images = samples(&given)?;
    let model = Arc::clone(model);
    let scores = work(arguments.py(), None, move |desk| {
        let images = model.seen(&images)?;
        model.infer(desk, |inference| {
            Ok(inference.score(&images, importance_samples)?)
        })
    })?;
    let recon = scores.iter().map(|score| score.recon).collect();
    let kl = scores.iter().map(|score| score.kl).collect();
    let nll: Vec<f64> = scores.iter().filter_map(|score| score.nll).collect();
    let parts: Vec<Vec<f64>> = vec![recon, kl, nll];
    let py = arguments.py();
    parts.into_iter().map(|values| owned(py, values)).collect()
}
