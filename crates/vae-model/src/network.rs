//! The network: `Vae<B>`, written once, generic over burn backends.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{leaky_relu, log_sigmoid, relu, sigmoid, tanh};
use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::likelihood::{bernoulli_nll, gaussian_nll};
use crate::{Activation, Likelihood, ModelConfig, Weights, WeightsError};

/// Of a leaky ReLU below zero.
const LEAKY_SLOPE: f64 = 0.01;

/// A dense encoder and decoder (see [`ModelConfig`]).
#[derive(Module, Debug)]
pub struct Vae<B: Backend> {
    encoder: Vec<Linear<B>>,
    mu: Linear<B>,
    log_var: Linear<B>,
    decoder: Vec<Linear<B>>,
    output: Linear<B>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    likelihood: Likelihood,
}

impl<B: Backend> Vae<B> {
    /// The network of `config` with `weights`, on `device`.
    ///
    /// # Errors
    /// If `weights` belong to another configuration.
    pub fn new(
        config: &ModelConfig,
        weights: &Weights,
        device: &B::Device,
    ) -> Result<Self, WeightsError> {
        let tensor = |name: String| {
            let found = weights.tensors().iter().find(|tensor| tensor.name == name);
            found
                .map(|tensor| TensorData::new(tensor.values.clone(), tensor.shape.clone()))
                .ok_or(WeightsError::Missing(name))
        };
        let layer = |name: &str| -> Result<Linear<B>, WeightsError> {
            Ok(Linear {
                weight: Param::from_data(tensor(format!("{name}.weight"))?, device),
                bias: Some(Param::from_data(tensor(format!("{name}.bias"))?, device)),
            })
        };
        let hidden = |side: &str| -> Result<Vec<_>, _> {
            (0..config.hidden.len())
                .map(|index| layer(&format!("{side}.{index}")))
                .collect()
        };
        Ok(Self {
            encoder: hidden("encoder")?,
            mu: layer("mu")?,
            log_var: layer("log_var")?,
            decoder: hidden("decoder")?,
            output: layer("output")?,
            activation: config.activation,
            likelihood: config.likelihood,
        })
    }

    /// Images `[batch, pixels]` to `(mu, log_var)`, each `[batch, latent]`; `log_var` is not yet clamped.
    pub fn encode(&self, images: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 2>) {
        let features = self.hidden(&self.encoder, images);
        (
            self.mu.forward(features.clone()),
            self.log_var.forward(features),
        )
    }

    /// Latents `[batch, latent]` to what the likelihood takes: logits or means, `[batch, pixels]`.
    pub fn decode(&self, z: Tensor<B, 2>) -> Tensor<B, 2> {
        self.output.forward(self.hidden(&self.decoder, z))
    }

    fn hidden(&self, layers: &[Linear<B>], input: Tensor<B, 2>) -> Tensor<B, 2> {
        layers.iter().fold(input, |x, layer| {
            let x = layer.forward(x);
            match self.activation {
                Activation::Relu => relu(x),
                Activation::Tanh => tanh(x),
                Activation::Sigmoid => sigmoid(x),
                Activation::Gelu => gelu(x),
                Activation::LeakyRelu => leaky_relu(x, LEAKY_SLOPE),
                // burn's softplus overflows where exp does.
                Activation::Softplus => -log_sigmoid(-x),
            }
        })
    }

    /// Negative log-likelihood of `x` under the decoder's `output`, both `[batch, pixels]`: `[batch]`, nats.
    pub fn nll(&self, output: Tensor<B, 2>, x: Tensor<B, 2>) -> Tensor<B, 1> {
        match self.likelihood {
            Likelihood::Bernoulli => bernoulli_nll(output, x),
            Likelihood::Gaussian { sigma } => gaussian_nll(output, x, sigma),
        }
    }

    /// The mean image under the decoder's `output`, both `[batch, pixels]`.
    pub fn mean(&self, output: Tensor<B, 2>) -> Tensor<B, 2> {
        match self.likelihood {
            Likelihood::Bernoulli => sigmoid(output),
            Likelihood::Gaussian { .. } => output,
        }
    }

    /// The layers in the order of [`ModelConfig::layers`].
    pub fn layers(&self) -> impl Iterator<Item = &Linear<B>> {
        self.encoder
            .iter()
            .chain([&self.mu, &self.log_var])
            .chain(&self.decoder)
            .chain([&self.output])
    }

    /// The same, for an optimizer to change.
    pub fn layers_mut(&mut self) -> impl Iterator<Item = &mut Linear<B>> {
        self.encoder
            .iter_mut()
            .chain([&mut self.mu, &mut self.log_var])
            .chain(&mut self.decoder)
            .chain([&mut self.output])
    }
}

/// `x Phi(x)`. burn's own has the gradient of the tanh approximation, off by up to 1e-3.
fn gelu<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let below = ((x.clone() * std::f32::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
    x * below
}
