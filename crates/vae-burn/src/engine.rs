//! [`Engine`] for any burn backend with autodiff.

use burn::module::{AutodiffModule, Param};
use burn::nn::Linear;
use burn::tensor::backend::{AutodiffBackend, Backend, ExecutionError};
use burn::tensor::{Tensor, TensorData};
use vae_kernels::cpu;
use vae_kernels::gpu::Failure;
use vae_kernels::program::Element;
use vae_kernels::sample_kl::{LOG_VAR_MAX, LOG_VAR_MIN, Noise, SampleKl, sample_kl};
use vae_model::{
    Engine, EngineError, EngineSetup, Losses, ModelConfig, NamedTensor, ParameterSpec, Posterior,
    Snapshot, TrainingImages, Vae, Wait, Weights, WeightsError,
};
use vae_rng::{Generator, Stream};

use crate::optimizer::Stepper;

/// Steps whose losses are read back together when nobody waits for them.
const READ_AT_ONCE: usize = 16;

/// A model on a burn backend.
#[derive(Debug)]
pub struct BurnEngine<B: AutodiffBackend> {
    config: ModelConfig,
    vae: Vae<B>,
    stepper: Stepper<B::InnerBackend>,
    images: TrainingImages,
    noise: Generator,
    binarization: Generator,
    corruption: Generator,
    evaluation_noise: Generator,
    /// `[recon, kl]` of each step since the last [`Engine::take_losses`], still on the device.
    losses: Vec<Tensor<B::InnerBackend, 1>>,
    device: B::Device,
    failure: Failure,
}

impl<B: AutodiffBackend<InnerBackend: SampleKl> + SampleKl> BurnEngine<B> {
    /// An engine on `device`, whose driver leaves word in `failure`.
    ///
    /// # Errors
    /// If the weights belong to another network.
    pub fn new(
        setup: &EngineSetup<'_>,
        device: B::Device,
        failure: Failure,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            config: setup.model.clone(),
            vae: Vae::new(setup.model, setup.weights, &device)?,
            stepper: Stepper::new(setup.optimizer, setup.moments, &device),
            images: TrainingImages::default(),
            noise: Generator::new(setup.seed, Stream::Noise),
            binarization: Generator::new(setup.seed, Stream::Binarization),
            corruption: Generator::new(setup.seed, Stream::Corruption),
            evaluation_noise: Generator::new(setup.seed, Stream::EvaluationNoise),
            losses: Vec::new(),
            device,
            failure,
        })
    }

    /// `tensor` on the host, if the device is well.
    fn read<C: Backend, const D: usize>(
        &self,
        tensor: Tensor<C, D>,
    ) -> Result<Vec<f32>, EngineError> {
        let values = read(tensor)?;
        self.failure
            .get()
            .map_or(Ok(values), |message| Err(EngineError::Device(message)))
    }

    fn images<C: Backend<Device = B::Device>>(&self, images: &[f32]) -> Tensor<C, 2> {
        matrix(images, self.config.pixels, &self.device)
    }

    /// Losses of `images`, `[1]` each, and the gradient of `recon + beta * kl` with respect to each parameter, flattened, in
    /// the order of [`ModelConfig::parameters`]. The encoder sees `corrupted` instead, if there are such.
    fn backward(
        &self,
        images: &[f32],
        corrupted: Option<&[f32]>,
        step: u64,
        beta: f32,
    ) -> ([Inner<B>; 2], Vec<Inner<B>>) {
        let noise = Noise {
            generator: self.noise,
            step,
            first_row: 0,
        };
        let seen = self.images(corrupted.unwrap_or(images));
        let [recon, kl] = losses(&self.vae, seen, self.images(images), noise);
        let losses = [recon.clone().inner(), kl.clone().inner()];
        let gradients = (recon + kl * beta).backward();
        let parameters = self.vae.layers().flat_map(|Linear { weight, bias }| {
            let bias = bias.as_ref().map(|bias| gradient(bias, &gradients));
            [gradient(weight, &gradients)].into_iter().chain(bias)
        });
        (losses, parameters.collect())
    }
}

/// A flat tensor that no gradient flows through.
type Inner<B> = Tensor<<B as AutodiffBackend>::InnerBackend, 1>;

impl<B: AutodiffBackend<InnerBackend: SampleKl> + SampleKl> Engine for BurnEngine<B> {
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError> {
        self.images = images;
        Ok(())
    }

    fn train_step(&mut self, rows: &[u32], step: u64, beta: f32) -> Result<(), EngineError> {
        let TrainingImages {
            bytes,
            is_float,
            binarize,
            corruption,
        } = &self.images;
        let element = if *is_float { Element::F32 } else { Element::U8 };
        let binarization = binarize.then_some((self.binarization, step));
        let pixels = self.config.pixels;
        let images = cpu::gather(bytes, element, pixels, rows, binarization);
        let corrupted = corruption.map(|corruption| {
            let mut images = images.clone();
            cpu::corrupt(&mut images, pixels, corruption, self.corruption, step, 0);
            images
        });
        let (losses, mut gradients) = self.backward(&images, corrupted.as_deref(), step, beta);
        self.losses.push(Tensor::cat(losses.into(), 0));
        self.stepper.clip(&mut gradients);

        let mut gradients = gradients.into_iter().enumerate();
        for Linear { weight, bias } in self.vae.layers_mut() {
            if let Some((index, gradient)) = gradients.next() {
                *weight = stepped(&mut self.stepper, index, weight, gradient, step + 1);
            }
            if let (Some(bias), Some((index, gradient))) = (bias.as_mut(), gradients.next()) {
                *bias = stepped(&mut self.stepper, index, bias, gradient, step + 1);
            }
        }
        Ok(())
    }

    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError> {
        // burn cannot say whether a tensor is ready, so only many at once are worth the wait.
        let pending = std::mem::take(&mut self.losses);
        if pending.is_empty() || (wait == Wait::No && pending.len() < READ_AT_ONCE) {
            self.losses = pending;
            return Ok(Vec::new());
        }
        let values = self.read(Tensor::cat(pending, 0))?;
        Ok(values.chunks_exact(2).map(pair).collect())
    }

    fn gradients(
        &mut self,
        images: &[f32],
        step: u64,
        beta: f32,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        let (_, gradients) = self.backward(images, None, step, beta);
        let values = gradients
            .into_iter()
            .map(|gradient| self.read(gradient))
            .collect::<Result<_, _>>()?;
        Ok(named(&self.config, values))
    }

    fn evaluate(
        &mut self,
        images: &[f32],
        corrupted: Option<&[f32]>,
        first_row: u32,
    ) -> Result<Losses, EngineError> {
        let noise = Noise {
            generator: self.evaluation_noise,
            step: 0,
            first_row,
        };
        let seen = self.images(corrupted.unwrap_or(images));
        let losses = losses(&self.vae.valid(), seen, self.images(images), noise);
        Ok(pair(&self.read(Tensor::cat(losses.into(), 0))?))
    }

    fn nll(&mut self, z: &[f32], images: &[f32]) -> Result<Vec<f32>, EngineError> {
        let vae = self.vae.valid();
        let output = vae.decode(matrix(z, self.config.latent, &self.device));
        self.read(vae.nll(output, self.images(images)))
    }

    fn encode(&mut self, images: &[f32]) -> Result<Posterior, EngineError> {
        let (mu, log_var) = self.vae.valid().encode(self.images(images));
        Ok(Posterior {
            mu: self.read(mu)?,
            log_var: self.read(log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX))?,
        })
    }

    fn decode(&mut self, z: &[f32]) -> Result<Vec<f32>, EngineError> {
        let vae = self.vae.valid();
        self.read(vae.mean(vae.decode(matrix(z, self.config.latent, &self.device))))
    }

    fn snapshot(&mut self) -> Result<Snapshot, EngineError> {
        let mut values = Vec::new();
        for Linear { weight, bias } in self.vae.layers() {
            values.push(self.read(weight.val())?);
            values.extend(
                bias.as_ref()
                    .map(|bias| self.read(bias.val()))
                    .transpose()?,
            );
        }
        let weights = Weights::from_tensors(&self.config, named(&self.config, values))?;
        let parameters = self.stepper.moments();
        let kept = parameters.first().map_or(0, Vec::len);
        let moment = |index: usize| {
            let values = parameters
                .iter()
                .map(|moments| self.read(moments[index].clone()));
            let tensors = named(&self.config, values.collect::<Result<_, _>>()?);
            Ok(Weights::from_tensors(&self.config, tensors)?)
        };
        let moments = (0..kept).map(moment).collect::<Result<_, EngineError>>()?;
        Ok(Snapshot { weights, moments })
    }
}

/// One array for each parameter of `config`, with the parameter's name.
fn named(config: &ModelConfig, values: Vec<Vec<f32>>) -> Vec<NamedTensor> {
    let name = |(spec, values): (ParameterSpec, Vec<f32>)| NamedTensor {
        name: spec.name,
        shape: spec.shape,
        values,
    };
    config
        .parameters()
        .into_iter()
        .zip(values)
        .map(name)
        .collect()
}

/// The gradient of `parameter`, flattened; zero where the loss does not depend on it.
fn gradient<B: AutodiffBackend, const D: usize>(
    parameter: &Param<Tensor<B, D>>,
    gradients: &B::Gradients,
) -> Inner<B> {
    let value = parameter.val();
    let gradient = value.grad(gradients);
    gradient
        .unwrap_or_else(|| value.inner().zeros_like())
        .flatten(0, D - 1)
}

/// `parameter` after one step of the optimizer.
fn stepped<B: AutodiffBackend, const D: usize>(
    stepper: &mut Stepper<B::InnerBackend>,
    index: usize,
    parameter: &Param<Tensor<B, D>>,
    gradient: Inner<B>,
    update: u64,
) -> Param<Tensor<B, D>> {
    let value = parameter.val().inner();
    let shape = value.shape();
    let value = stepper.step(index, value.flatten(0, D - 1), gradient, update);
    Param::initialized(
        parameter.id,
        Tensor::from_inner(value.reshape(shape)).require_grad(),
    )
}

/// Means over the batch of recon and kl, `[1]` each, of `images` whose encoder sees `seen`.
fn losses<B: SampleKl>(
    vae: &Vae<B>,
    seen: Tensor<B, 2>,
    images: Tensor<B, 2>,
    noise: Noise,
) -> [Tensor<B, 1>; 2] {
    let (mu, log_var) = vae.encode(seen);
    let (z, kl) = sample_kl(mu, log_var, noise);
    let recon = vae.nll(vae.decode(z), images);
    [recon.mean(), kl.mean()]
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

fn pair(values: &[f32]) -> Losses {
    Losses {
        recon: values[0].into(),
        kl: values[1].into(),
    }
}
