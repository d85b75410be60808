//! What a model is made of, as plain data: enough to list, count and initialise its parameters.

use serde::{Deserialize, Serialize};

use crate::{Likelihood, Network};

/// How weights start.
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

impl Activation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Relu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Gelu,
        Self::LeakyRelu,
        Self::Softplus,
    ];
}

/// How the decoder of a convolutional network grows its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upsampling {
    /// By transposed convolutions.
    Transposed,
    /// By repeating pixels, then a convolution: without the checkerboards of the former (Odena et al. 2016).
    Nearest,
}

/// The convolutional part of a network: stages that each shrink the image, mirrored in the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolutions {
    /// Channels after each of the encoder's stages.
    pub channels: Vec<usize>,
    /// Side of every kernel.
    pub kernel: usize,
    /// By which each stage shrinks the image.
    pub stride: usize,
    /// How the decoder undoes that.
    pub upsampling: Upsampling,
    /// Groups of group normalisation (Wu and He 2018) before each activation, at most; none without.
    pub groups: Option<usize>,
    /// Residual blocks after each stage (He et al. 2016, in their order of 2016: normalisation and activation first).
    pub residual_blocks: usize,
}

/// What latents are expected to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prior {
    /// The standard normal.
    Normal,
    /// A mixture of normals, learned.
    Mixture {
        /// How many.
        components: usize,
    },
    /// A mixture of the posteriors of learned images (VampPrior: Tomczak and Welling 2018).
    Vamp {
        /// How many.
        inputs: usize,
    },
}

/// A variational autoencoder: `image - convolutions - hidden - latent`, and back.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Channels, height and width of an image; a table's rows are images of height 1.
    pub image: [usize; 3],
    /// Labels that encoder and decoder see beside the image and the latents; 0 for none.
    pub classes: usize,
    /// Between the image and the dense layers; none in a dense network.
    pub convolutions: Option<Convolutions>,
    /// Widths of the encoder's dense hidden layers.
    pub hidden: Vec<usize>,
    /// Of the decoder's, in the order in which data pass them.
    pub decoder_hidden: Vec<usize>,
    /// Latent dimensions.
    pub latent: usize,
    /// After every hidden layer.
    pub activation: Activation,
    /// What the decoder's output means.
    pub likelihood: Likelihood,
    /// What latents are expected to look like.
    pub prior: Prior,
    /// How weights start.
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

    /// Numbers of an image.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.image.iter().product()
    }

    /// Every parameter tensor, in the order in which data pass them, those of the likelihood and the prior at the end.
    #[must_use]
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        Network::new(self).parameters
    }

    /// The number of trainable numbers.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(ParameterSpec::length).sum()
    }
}

/// One parameter tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Its name in every file, for example `encoder.0.weight`.
    pub name: String,
    /// `[inputs, outputs]` for a dense weight, `[outputs, inputs, kernel, kernel]` for a convolution's, `[inputs, outputs,
    /// kernel, kernel]` for a transposed one's, as in PyTorch.
    pub shape: Vec<usize>,
    /// Its values before training.
    pub start: Start,
}

impl ParameterSpec {
    /// How many numbers it holds.
    #[must_use]
    pub fn length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a parameter is before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A layer's weight, as its [`Initialization`] says.
    Weight {
        /// Numbers that each output is a sum of.
        inputs: usize,
        /// Numbers that each input goes into.
        outputs: usize,
    },
    /// A layer's bias, as its [`Initialization`] says.
    Bias {
        /// Numbers that each output is a sum of.
        inputs: usize,
    },
    /// Zero.
    Zeros,
    /// One.
    Ones,
    /// Standard normal.
    Normal,
    /// Uniform from 0 to 1, until there are data to start from.
    Image,
}
