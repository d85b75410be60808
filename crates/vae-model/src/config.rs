//! What a model is made of, as plain data: enough to list, count and initialise its parameters.

use serde::{Deserialize, Serialize};

/// How weights start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialization {
    /// Weights uniform in `+-sqrt(6 / (inputs + outputs))`, biases zero: Glorot and Bengio 2010, the default of Keras.
    Glorot,
    /// Weights and biases uniform in `+-1 / sqrt(inputs)`: the default of PyTorch's `Linear`.
    Pytorch,
}

/// What a hidden layer does to each of its sums `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `tanh x`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `x Phi(x)`, Phi the normal distribution function (not its tanh approximation).
    Gelu,
    /// `x`, or `0.01 x` below zero.
    LeakyRelu,
    /// `ln(1 + exp(x))`
    Softplus,
}

/// How likely an image is, given the decoder's output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Likelihood {
    /// Each pixel is a coin: the output is its logit.
    Bernoulli,
    /// Each pixel is a normal: the output is its mean.
    Gaussian {
        /// The standard deviation, the same for all.
        sigma: f32,
    },
}

/// A dense variational autoencoder `pixels - hidden - latent - mirrored hidden - pixels`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Width of the input and of the output.
    pub pixels: usize,
    /// Widths of the encoder's hidden layers; the decoder has the same in reverse.
    pub hidden: Vec<usize>,
    /// Latent dimensions.
    pub latent: usize,
    /// After every hidden layer.
    pub activation: Activation,
    /// What the decoder's output means.
    pub likelihood: Likelihood,
    /// How weights start.
    pub init: Initialization,
}

/// One parameter tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Its name in every file, for example `encoder.0.weight`.
    pub name: String,
    /// `[inputs, outputs]` for a weight, `[outputs]` for a bias.
    pub shape: Vec<usize>,
    /// Inputs of the layer it belongs to.
    pub inputs: usize,
    /// Outputs of the layer it belongs to.
    pub outputs: usize,
}

impl ModelConfig {
    /// Every dense layer as (name, inputs, outputs), in the order in which data passes them.
    #[must_use]
    pub fn layers(&self) -> Vec<(String, usize, usize)> {
        let mut layers = Vec::new();
        let mut width = self.pixels;
        for (index, &next) in self.hidden.iter().enumerate() {
            layers.push((format!("encoder.{index}"), width, next));
            width = next;
        }
        layers.push(("mu".into(), width, self.latent));
        layers.push(("log_var".into(), width, self.latent));
        width = self.latent;
        for (index, &next) in self.hidden.iter().rev().enumerate() {
            layers.push((format!("decoder.{index}"), width, next));
            width = next;
        }
        layers.push(("output".into(), width, self.pixels));
        layers
    }

    /// Every parameter tensor: weight then bias of each of [`Self::layers`].
    #[must_use]
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let tensors = |(layer, inputs, outputs): (String, usize, usize)| {
            let spec = |tensor, shape| ParameterSpec {
                name: format!("{layer}.{tensor}"),
                shape,
                inputs,
                outputs,
            };
            [
                spec("weight", vec![inputs, outputs]),
                spec("bias", vec![outputs]),
            ]
        };
        self.layers().into_iter().flat_map(tensors).collect()
    }

    /// The number of trainable numbers.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters()
            .iter()
            .map(|spec| spec.shape.iter().product::<usize>())
            .sum()
    }
}
