//! [`Engine`] for any burn backend with autodiff.

mod importance;
mod loss;
mod training;

use burn::tensor::backend::{AutodiffBackend, Backend, ExecutionError};
use burn::tensor::{Tensor, TensorData};
use vae_model::{Draws, Inputs, Vae, objective};
use vae_rng::Generators;
use vae_spec::{
    Batch, Engine, EngineError, EngineSetup, LOG_VAR_MAX, LOG_VAR_MIN, Losses, ModelConfig,
    NamedTensor, Objective, ParameterSpec, Part, Posterior, Snapshot, Step, TrainingImages, Wait,
    Weighting, Weights,
};

use crate::convolution::{Convolve, convolve};
use crate::optimizer::Stepper;
use crate::sample_kl::SampleKl;
use loss::all;

/// Number of steps whose losses are read back together when nobody waits for them.
const READ_AT_ONCE: usize = 16;

/// A model on a burn backend.
#[derive(Debug)]
pub struct BurnEngine<B: AutodiffBackend> {
    config: ModelConfig,
    objective: Objective,
    vae: Vae<B>,
    stepper: Stepper<B::InnerBackend>,
    images: TrainingImages,
    generators: Generators,
    /// Loss terms of each step since the last [`Engine::take_losses`], still on the device.
    losses: Vec<Tensor<B::InnerBackend, 1>>,
    device: B::Device,
}

/// A flat tensor that no gradient flows through.
type Inner<B> = Tensor<<B as AutodiffBackend>::InnerBackend, 1>;

impl<B: AutodiffBackend<InnerBackend: SampleKl + Convolve> + SampleKl + Convolve> BurnEngine<B> {
    /// An engine on `device`.
    #[must_use]
    pub fn new(setup: &EngineSetup<'_>, device: B::Device) -> Self {
        Self {
            config: setup.model.clone(),
            objective: setup.objective,
            vae: Vae::new(setup.model, setup.weights, &device, convolve),
            stepper: Stepper::new(setup.optimizer, setup.moments, &device),
            images: TrainingImages::default(),
            generators: Generators::new(setup.seed),
            losses: Vec::new(),
            device,
        }
    }

    /// The model used outside training: with the average of the weights, if one is kept.
    fn evaluated(&self) -> Vae<B::InnerBackend> {
        match self.stepper.averages() {
            Some(averages) => Vae::with(&self.config, averages, convolve),
            None => self.vae.valid(convolve),
        }
    }

    fn images<C: Backend<Device = B::Device>>(&self, images: &[f32]) -> Tensor<C, 2> {
        matrix(images, self.config.pixels(), &self.device)
    }

    /// One-hot labels, a row for each.
    fn labels<C: Backend<Device = B::Device>>(&self, labels: &[u32]) -> Option<Tensor<C, 2>> {
        let classes = self.config.classes;
        (classes > 0).then(|| {
            let mut rows = vec![0.0; labels.len() * classes];
            for (row, &label) in rows.chunks_exact_mut(classes).zip(labels) {
                row[label as usize] = 1.0;
            }
            matrix(&rows, classes, &self.device)
        })
    }

    fn inputs<C: Backend<Device = B::Device>>(&self, batch: &Batch<'_>) -> Inputs<C> {
        let images = self.images(batch.images);
        Inputs {
            seen: match batch.corrupted {
                Some(corrupted) => self.images(corrupted),
                None => images.clone(),
            },
            images,
            labels: self.labels(batch.labels),
        }
    }

    /// Named tensors, from one array for each parameter.
    fn named(&self, values: Vec<Vec<f32>>) -> Vec<NamedTensor> {
        let name = |(spec, values): (&ParameterSpec, Vec<f32>)| NamedTensor {
            name: spec.name.clone(),
            shape: spec.shape.clone(),
            values,
        };
        let parameters = self.vae.network().parameters.iter();
        parameters.zip(values).map(name).collect()
    }
}

impl<B: AutodiffBackend<InnerBackend: SampleKl + Convolve> + SampleKl + Convolve> Engine
    for BurnEngine<B>
{
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError> {
        self.images = images;
        Ok(())
    }

    fn train_on_part(&mut self, part: Part<'_>, step: &Step) -> Result<(), EngineError> {
        if let Some((losses, gradients)) = self.sums(part, step) {
            self.losses.push(losses);
            self.apply(gradients, step);
        }
        Ok(())
    }

    fn part_gradients(
        &mut self,
        part: Part<'_>,
        step: &Step,
        gradients: &mut Vec<f32>,
    ) -> Result<Losses, EngineError> {
        let Some((losses, sums)) = self.sums(part, step) else {
            return Ok(Losses::default());
        };
        *gradients = read(Tensor::cat(sums, 0))?;
        Ok(Losses::of_terms(self.objective.kind, &read(losses)?))
    }

    fn update(&mut self, gradients: &mut Vec<f32>, step: &Step) -> Result<(), EngineError> {
        let of_each = self.split(gradients);
        self.apply(of_each, step);
        Ok(())
    }

    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError> {
        // burn cannot say whether a tensor is ready, so only reading many at once is worth the wait.
        let pending = std::mem::take(&mut self.losses);
        if pending.is_empty() || (wait == Wait::No && pending.len() < READ_AT_ONCE) {
            self.losses = pending;
            return Ok(Vec::new());
        }
        let terms = pending[0].dims()[0];
        let values = read(Tensor::cat(pending, 0))?;
        let kind = self.objective.kind;
        Ok(values
            .chunks_exact(terms)
            .map(|terms| Losses::of_terms(kind, terms))
            .collect())
    }

    fn gradients(
        &mut self,
        batch: &Batch<'_>,
        step: &Step,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        let (_, gradients) = self.backward(batch, step);
        let values = gradients.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(self.named(values))
    }

    fn trace(&mut self, batch: &Batch<'_>, step: &Step) -> Result<Vec<NamedTensor>, EngineError> {
        let vae = self.vae.valid(convolve);
        let Inputs {
            images,
            seen,
            labels,
        } = self.inputs(batch);
        let mut seen_on_the_way = vec![("images".to_owned(), seen.clone())];
        let mut observe = |name: &str, values: &Tensor<B::InnerBackend, 2>| {
            seen_on_the_way.push((name.to_owned(), values.clone()));
        };
        let (mu, log_var) = vae.encode(seen, labels.as_ref(), &mut observe);
        let drawn = self.drawn(self.generators.noise, step.number, batch.first_row);
        let (z, kl) = drawn.posterior(mu, log_var);
        observe("kl", &kl.unsqueeze_dim(1));
        observe("z", &z);
        let output = vae.decode(z, labels.as_ref(), &mut observe);
        observe("recon", &vae.nll(output, images).unsqueeze_dim(1));
        let mut trace = Vec::new();
        for (name, values) in seen_on_the_way {
            trace.push(NamedTensor {
                name,
                shape: values.dims().to_vec(),
                values: read(values)?,
            });
        }
        let gradients = self.gradients(batch, step)?.into_iter();
        trace.extend(gradients.map(|gradient| NamedTensor {
            name: format!("gradient of {}", gradient.name),
            ..gradient
        }));
        Ok(trace)
    }

    fn evaluate(&mut self, batch: &Batch<'_>, weighting: Weighting) -> Result<Losses, EngineError> {
        let mut drawn = self.drawn(self.generators.evaluation_noise, 0, batch.first_row);
        // Training steps count from 0: this is none of them.
        drawn.prior.step = u64::MAX;
        let (vae, inputs) = (self.evaluated(), self.inputs(batch));
        let count = self.images.count;
        let terms = objective(&vae, &self.objective, weighting, inputs, count, &drawn);
        Ok(Losses::of_terms(self.objective.kind, &read(all(&terms))?))
    }

    fn nll(&mut self, z: &[f32], batch: &Batch<'_>) -> Result<Vec<f32>, EngineError> {
        let vae = self.evaluated();
        let labels = self.labels(batch.labels);
        let z = matrix(z, self.config.latent, &self.device);
        let output = vae.decode(z, labels.as_ref(), &mut |_, _| {});
        read(vae.nll(output, self.images(batch.images)))
    }

    fn importance_nll(
        &mut self,
        batch: &Batch<'_>,
        counts: &[usize],
    ) -> Result<Vec<Vec<f64>>, EngineError> {
        importance::nll(self, batch, counts)
    }

    fn encode(&mut self, batch: &Batch<'_>) -> Result<Posterior, EngineError> {
        let images = self.images(batch.images);
        let labels = self.labels(batch.labels);
        let (mu, log_var) = self
            .evaluated()
            .encode(images, labels.as_ref(), &mut |_, _| {});
        Ok(Posterior {
            mu: read(mu)?,
            log_var: read(log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX))?,
        })
    }

    fn decode(&mut self, z: &[f32], labels: &[u32]) -> Result<Vec<f32>, EngineError> {
        let z = matrix(z, self.config.latent, &self.device);
        let labels = self.labels(labels);
        read(self.evaluated().decode(z, labels.as_ref(), &mut |_, _| {}))
    }

    fn snapshot(&mut self) -> Result<Snapshot, EngineError> {
        let parameters = self.vae.parameters().iter();
        let values = parameters.map(|parameter| read(parameter.clone()));
        let tensors = self.named(values.collect::<Result<_, _>>()?);
        let weights = Weights::from_tensors(&self.config, tensors)?;
        let parameters = self.stepper.moments();
        let kept = parameters.first().map_or(0, Vec::len);
        let moment = |index: usize| {
            let values = parameters
                .iter()
                .map(|moments| read(moments[index].clone()));
            let tensors = self.named(values.collect::<Result<_, _>>()?);
            Ok(Weights::from_tensors(&self.config, tensors)?)
        };
        let moments = (0..kept).map(moment).collect::<Result<_, EngineError>>()?;
        Ok(Snapshot { weights, moments })
    }

    fn numbers(&mut self) -> Result<Vec<f32>, EngineError> {
        let moments = self.stepper.moments();
        let kept = moments.first().map_or(0, Vec::len);
        let moments = (0..kept).flat_map(|kind| moments.iter().map(move |each| &each[kind]));
        let parameters = self
            .vae
            .parameters()
            .iter()
            .map(|tensor| tensor.clone().inner());
        read(Tensor::cat(parameters.chain(moments.cloned()).collect(), 0))
    }

    fn set_numbers(&mut self, numbers: &[f32]) -> Result<(), EngineError> {
        let mut kinds = numbers.chunks(self.config.parameter_count());
        let parameters = self.split(kinds.next().unwrap_or_default());
        for (place, value) in self.vae.parameters_mut().iter_mut().zip(parameters) {
            *place = Tensor::from_inner(value).require_grad();
        }
        let kinds: Vec<Vec<Inner<B>>> = kinds.map(|moments| self.split(moments)).collect();
        self.stepper.set_moments(kinds);
        Ok(())
    }
}

fn matrix<B: Backend>(values: &[f32], columns: usize, device: &B::Device) -> Tensor<B, 2> {
    assert_eq!(
        values.len() % columns,
        0,
        "{} values are no whole number of rows of {columns}",
        values.len()
    );
    let data = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
    Tensor::from_data(data.convert::<B::FloatElem>(), device)
}

fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>, EngineError> {
    let data = tensor
        .try_into_data()
        .map_err(|error: ExecutionError| EngineError::Device(error.to_string()))?;
    data.convert::<f32>()
        .to_vec()
        .map_err(|error| EngineError::Device(format!("{error:?}")))
}
