//! The network: `Vae<B>`, written once, generic over burn backends.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::{ModelConfig, Weights, WeightsError};

/// A dense encoder and decoder (see [`ModelConfig`]).
#[derive(Module, Debug)]
pub struct Vae<B: Backend> {
    encoder: Vec<Linear<B>>,
    mu: Linear<B>,
    log_var: Linear<B>,
    decoder: Vec<Linear<B>>,
    logits: Linear<B>,
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
            logits: layer("logits")?,
        })
    }

    /// Images `[batch, pixels]` to `(mu, log_var)`, each `[batch, latent]`; `log_var` is not yet clamped.
    pub fn encode(&self, images: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 2>) {
        let features = Self::hidden(&self.encoder, images);
        (
            self.mu.forward(features.clone()),
            self.log_var.forward(features),
        )
    }

    /// Latents `[batch, latent]` to the logits of the pixels, `[batch, pixels]`.
    pub fn decode(&self, z: Tensor<B, 2>) -> Tensor<B, 2> {
        self.logits.forward(Self::hidden(&self.decoder, z))
    }

    fn hidden(layers: &[Linear<B>], input: Tensor<B, 2>) -> Tensor<B, 2> {
        layers.iter().fold(input, |x, layer| relu(layer.forward(x)))
    }

    /// The layers in the order of [`ModelConfig::layers`].
    pub fn layers(&self) -> impl Iterator<Item = &Linear<B>> {
        self.encoder
            .iter()
            .chain([&self.mu, &self.log_var])
            .chain(&self.decoder)
            .chain([&self.logits])
    }

    /// The same, for an optimizer to change.
    pub fn layers_mut(&mut self) -> impl Iterator<Item = &mut Linear<B>> {
        self.encoder
            .iter_mut()
            .chain([&mut self.mu, &mut self.log_var])
            .chain(&mut self.decoder)
            .chain([&mut self.logits])
    }
}
