//! [`Engine`] for any burn backend with autodiff.

use burn::module::{AutodiffModule, Param};
use burn::nn::Linear;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::{AutodiffBackend, Backend, ExecutionError};
use burn::tensor::{Tensor, TensorData};
use vae_kernels::sample_kl::{LOG_VAR_MAX, LOG_VAR_MIN, Noise, SampleKl, sample_kl};
use vae_model::{
    Engine, EngineError, EngineSetup, Losses, ModelConfig, NamedTensor, ParameterSpec, Posterior,
    Snapshot, Vae, Weights, WeightsError, bernoulli_nll,
};
use vae_rng::{Generator, Stream};

use crate::optimizer::Optimizer;

/// A model on a burn backend.
#[derive(Debug)]
pub struct BurnEngine<B: AutodiffBackend> {
    config: ModelConfig,
    vae: Vae<B>,
    optimizer: Optimizer<B::InnerBackend>,
    noise: Generator,
    evaluation_noise: Generator,
    /// `[recon, kl]` of each step since the last [`Engine::take_losses`], still on the device.
    losses: Vec<Tensor<B::InnerBackend, 1>>,
    device: B::Device,
}

impl<B: AutodiffBackend<InnerBackend: SampleKl> + SampleKl> BurnEngine<B> {
    /// An engine on `device`.
    ///
    /// # Errors
    /// If the weights belong to another network.
    pub fn new(setup: &EngineSetup<'_>, device: B::Device) -> Result<Self, WeightsError> {
        Ok(Self {
            config: setup.model.clone(),
            vae: Vae::new(setup.model, setup.weights, &device)?,
            optimizer: Optimizer::new(setup.optimizer, setup.lr),
            noise: Generator::new(setup.seed, Stream::Noise),
            evaluation_noise: Generator::new(setup.seed, Stream::EvaluationNoise),
            losses: Vec::new(),
            device,
        })
    }

    fn images<C: Backend<Device = B::Device>>(&self, images: &[f32]) -> Tensor<C, 2> {
        matrix(images, self.config.pixels, &self.device)
    }
}

impl<B: AutodiffBackend<InnerBackend: SampleKl> + SampleKl> Engine for BurnEngine<B> {
    fn train_step(&mut self, images: &[f32], step: u64, beta: f32) -> Result<(), EngineError> {
        let noise = Noise {
            generator: self.noise,
            step,
            first_row: 0,
        };
        let (recon, kl) = losses(&self.vae, self.images(images), noise);
        self.losses.push(Tensor::cat(
            vec![recon.clone().inner(), kl.clone().inner()],
            0,
        ));
        let gradients = (recon + kl * beta).backward();

        let update = step + 1;
        for (layer, Linear { weight, bias }) in self.vae.layers_mut().enumerate() {
            *weight = stepped(&mut self.optimizer, 2 * layer, weight, &gradients, update);
            *bias = bias
                .as_ref()
                .map(|bias| stepped(&mut self.optimizer, 2 * layer + 1, bias, &gradients, update));
        }
        Ok(())
    }

    fn gradients(
        &self,
        images: &[f32],
        step: u64,
        beta: f32,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        let noise = Noise {
            generator: self.noise,
            step,
            first_row: 0,
        };
        let (recon, kl) = losses(&self.vae, self.images(images), noise);
        let gradients = (recon + kl * beta).backward();
        let mut values = Vec::new();
        for Linear { weight, bias } in self.vae.layers() {
            values.push(read(gradient(weight, &gradients))?);
            values.extend(
                bias.as_ref()
                    .map(|bias| read(gradient(bias, &gradients)))
                    .transpose()?,
            );
        }
        Ok(named(&self.config, "", values))
    }

    fn take_losses(&mut self) -> Result<Vec<Losses>, EngineError> {
        let pending = std::mem::take(&mut self.losses);
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let values = read(Tensor::cat(pending, 0))?;
        Ok(values.chunks_exact(2).map(pair).collect())
    }

    fn evaluate(&self, images: &[f32], first_row: u32) -> Result<Losses, EngineError> {
        let noise = Noise {
            generator: self.evaluation_noise,
            step: 0,
            first_row,
        };
        let (recon, kl) = losses(&self.vae.valid(), self.images(images), noise);
        Ok(pair(&read(Tensor::cat(vec![recon, kl], 0))?))
    }

    fn encode(&self, images: &[f32]) -> Result<Posterior, EngineError> {
        let (mu, log_var) = self.vae.valid().encode(self.images(images));
        Ok(Posterior {
            mu: read(mu)?,
            log_var: read(log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX))?,
        })
    }

    fn decode(&self, z: &[f32]) -> Result<Vec<f32>, EngineError> {
        read(sigmoid(self.vae.valid().decode(matrix(
            z,
            self.config.latent,
            &self.device,
        ))))
    }

    fn snapshot(&self) -> Result<Snapshot, EngineError> {
        let mut values = Vec::new();
        for Linear { weight, bias } in self.vae.layers() {
            values.push(read(weight.val())?);
            values.extend(bias.as_ref().map(|bias| read(bias.val())).transpose()?);
        }
        let weights = Weights::from_tensors(&self.config, named(&self.config, "", values))?;
        let mut optimizer = Vec::new();
        for (index, moment) in self.optimizer.config().moment_names().iter().enumerate() {
            let values = self
                .optimizer
                .moments()
                .iter()
                .map(|moments| read(moments[index].clone()));
            optimizer.extend(named(
                &self.config,
                &format!("{moment}."),
                values.collect::<Result<_, _>>()?,
            ));
        }
        Ok(Snapshot { weights, optimizer })
    }
}

/// One array for each parameter of `config`, with the parameter's name behind `prefix`.
fn named(config: &ModelConfig, prefix: &str, values: Vec<Vec<f32>>) -> Vec<NamedTensor> {
    let name = |(spec, values): (ParameterSpec, Vec<f32>)| NamedTensor {
        name: format!("{prefix}{}", spec.name),
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

/// The gradient of `parameter`; zero where the loss does not depend on it.
fn gradient<B: AutodiffBackend, const D: usize>(
    parameter: &Param<Tensor<B, D>>,
    gradients: &B::Gradients,
) -> Tensor<B::InnerBackend, D> {
    let value = parameter.val();
    value
        .grad(gradients)
        .unwrap_or_else(|| value.inner().zeros_like())
}

/// `parameter` after one step of the optimizer.
fn stepped<B: AutodiffBackend, const D: usize>(
    optimizer: &mut Optimizer<B::InnerBackend>,
    index: usize,
    parameter: &Param<Tensor<B, D>>,
    gradients: &B::Gradients,
    update: u64,
) -> Param<Tensor<B, D>> {
    let value = optimizer.step(
        index,
        parameter.val().inner(),
        gradient(parameter, gradients),
        update,
    );
    Param::initialized(parameter.id, Tensor::from_inner(value).require_grad())
}

/// Means over the batch of recon and kl, `[1]` each.
fn losses<B: SampleKl>(
    vae: &Vae<B>,
    images: Tensor<B, 2>,
    noise: Noise,
) -> (Tensor<B, 1>, Tensor<B, 1>) {
    let (mu, log_var) = vae.encode(images.clone());
    let (z, kl) = sample_kl(mu, log_var, noise);
    let recon = bernoulli_nll(vae.decode(z), images);
    (recon.mean(), kl.mean())
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
