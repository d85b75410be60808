//! The configuration of a model as plain data: enough to list, count and initialise its parameters.

use serde::{Deserialize, Serialize};

use crate::{Likelihood, Network};

/// How weights are initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialization {
    /// Weights uniform in `+-sqrt(6 / (inputs + outputs))`, biases zero: Glorot and Bengio 2010, the default of Keras.
    Glorot,
    /// Weights uniform in `+-sqrt(6 / inputs)`, biases zero: He et al. 2015, for ReLU.
    He,
    /// Weights and biases uniform in `+-1 / sqrt(inputs)`: the default of PyTorch's `Linear` and `Conv2d`.
    Pytorch,
}

/// Activation of a hidden layer, as a function of each pre-activation `x`.
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

impl Activation {
    /// Slope of a leaky ReLU below zero.
    pub const LEAKY_SLOPE: f64 = 0.01;
    /// All activations.
    pub const ALL: [Self; 6] = [
        Self::Relu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Gelu,
        Self::LeakyRelu,
        Self::Softplus,
    ];
}

/// How the decoder of a convolutional network upsamples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upsampling {
    /// Transposed convolutions.
    Transposed,
    /// Nearest-neighbour upsampling, then a convolution: without the checkerboards of transposed convolutions (Odena et al.
    /// 2016).
    Nearest,
}

/// The convolutional part of a network: stages that each downsample the image, mirrored in the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolutions {
    /// Channels after each stage of the encoder.
    pub channels: Vec<usize>,
    /// Kernel size (the side of every square kernel).
    pub kernel: usize,
    /// Stride, the factor by which each stage downsamples.
    pub stride: usize,
    /// How the decoder upsamples.
    pub upsampling: Upsampling,
    /// Largest number of groups of group normalisation (Wu and He 2018), before each activation; `None` for no normalisation.
    pub groups: Option<usize>,
    /// Residual blocks after each stage (He et al. 2016, in their order of 2016: normalisation and activation first).
    pub residual_blocks: usize,
}

/// The prior over the latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prior {
    /// The standard normal.
    Normal,
    /// A learned mixture of normals.
    Mixture {
        /// Number of components.
        components: usize,
    },
    /// A VampPrior: a mixture of the posteriors of learned pseudo-inputs (Tomczak and Welling 2018).
    Vamp {
        /// Number of pseudo-inputs.
        inputs: usize,
    },
}

/// Configuration of a variational autoencoder: `image - convolutions - hidden - latent`, and back.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Channels, height and width of an image; a table's rows are images of height 1.
    pub image: [usize; 3],
    /// Number of classes, if encoder and decoder see labels beside the image and the latents; 0 if not.
    pub classes: usize,
    /// Convolutional stages between the image and the dense layers; `None` in a dense network.
    pub convolutions: Option<Convolutions>,
    /// Widths of the encoder's dense hidden layers.
    pub hidden: Vec<usize>,
    /// Widths of the decoder's dense hidden layers, in the order in which data pass them.
    pub decoder_hidden: Vec<usize>,
    /// Number of latent dimensions.
    pub latent: usize,
    /// Activation after every hidden layer.
    pub activation: Activation,
    /// Likelihood of the data, whose parameters the decoder puts out.
    pub likelihood: Likelihood,
    /// Prior over the latents.
    pub prior: Prior,
    /// How weights are initialised.
    pub init: Initialization,
}

impl ModelConfig {
    /// A dense Bernoulli model with ReLUs, whose decoder mirrors its encoder.
    #[must_use]
    pub fn dense(pixels: usize, hidden: &[usize], latent: usize) -> Self {
        Self {
            image: [1, 1, pixels],
            classes: 0,
            convolutions: None,
            hidden: hidden.to_vec(),
            decoder_hidden: hidden.iter().rev().copied().collect(),
            latent,
            activation: Activation::Relu,
            likelihood: Likelihood::Bernoulli,
            prior: Prior::Normal,
            init: Initialization::Glorot,
        }
    }

    /// Number of values of an image.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.image.iter().product()
    }

    /// Every parameter tensor, in the order in which data pass them; those of the likelihood and the prior at the end.
    #[must_use]
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        Network::new(self).parameters
    }

    /// Number of trainable parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(ParameterSpec::length).sum()
    }
}

/// One parameter tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Name in every file, for example `encoder.0.weight`.
    pub name: String,
    /// Shape: `[inputs, outputs]` for a dense weight, `[outputs, inputs, kernel, kernel]` for a convolution's,
    /// `[inputs, outputs, kernel, kernel]` for a transposed one's, as in PyTorch.
    pub shape: Vec<usize>,
    /// How it is initialised.
    pub start: Start,
}

impl ParameterSpec {
    /// Number of values.
    #[must_use]
    pub fn length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// How a parameter is initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A layer's weight, as its [`Initialization`] says.
    Weight {
        /// Fan-in: numbers that each output is a sum of.
        inputs: usize,
        /// Fan-out: numbers that each input goes into.
        outputs: usize,
    },
    /// A layer's bias, as its [`Initialization`] says.
    Bias {
        /// Fan-in: numbers that each output is a sum of.
        inputs: usize,
    },
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
    /// Standard normal draws.
    Normal,
    /// Uniform from 0 to 1, until training data replace it.
    Image,
}
