//! The network: `Vae<B>`, written once, generic over burn backends.

#[cfg(test)]
mod start_tests;
#[cfg(test)]
mod tests;

use burn::tensor::activation::{leaky_relu, log_sigmoid, relu, sigmoid, tanh};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Element, Tensor, TensorData};

use vae_spec::network::{Convolution, Dense, Network, Op, Parameter, Size};
use vae_spec::{Activation, GROUP_NORM_EPS, ModelConfig, Weights};

use crate::likelihood;

/// Callback that is given each intermediate matrix `[batch, columns]` with its name, for finding where numbers go wrong.
pub type Observer<'a, B> = &'a mut dyn FnMut(&str, &Tensor<B, 2>);

/// Function that computes a layer on images `[batch, channels, height, width]` with its weight and bias; [`convolve`] is one.
pub type Convolve<B> =
    fn(&Convolution, Tensor<B, 4>, weight: Tensor<B, 4>, bias: Tensor<B, 1>) -> Tensor<B, 4>;

/// An encoder and a decoder (see [`ModelConfig`]) with their parameters.
#[derive(Clone, Debug)]
pub struct Vae<B: Backend> {
    config: ModelConfig,
    network: Network,
    /// Parameter tensors, each flat.
    parameters: Vec<Tensor<B, 1>>,
    convolve: Convolve<B>,
}

impl<B: Backend> Vae<B> {
    /// The network of `config` with its `weights` on `device`, where `convolve` is fast; gradients flow to the weights.
    pub fn new(
        config: &ModelConfig,
        weights: &Weights,
        device: &B::Device,
        convolve: Convolve<B>,
    ) -> Self {
        // Unless told otherwise, a device makes tensors of one type, whatever its backend's.
        let options = (device, B::FloatElem::dtype());
        let parameter = |values: &Vec<f32>| {
            let data = TensorData::new(values.clone(), [values.len()]);
            Tensor::from_data(data, options).require_grad()
        };
        let tensors = weights.tensors().iter();
        let parameters = tensors.map(|tensor| parameter(&tensor.values)).collect();
        Self::with(config, parameters, convolve)
    }

    /// The network of `config` with `parameters`, each flat, in the order of [`ModelConfig::parameters`].
    #[must_use]
    pub fn with(
        config: &ModelConfig,
        parameters: Vec<Tensor<B, 1>>,
        convolve: Convolve<B>,
    ) -> Self {
        Self {
            config: config.clone(),
            network: Network::new(config),
            parameters,
            convolve,
        }
    }

    /// The model's configuration.
    pub const fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Layers and parameter tensors.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Parameter tensors, each flat, in the order of [`ModelConfig::parameters`].
    pub fn parameters(&self) -> &[Tensor<B, 1>] {
        &self.parameters
    }

    /// The parameter tensors, for an optimizer to change.
    pub fn parameters_mut(&mut self) -> &mut [Tensor<B, 1>] {
        &mut self.parameters
    }

    /// Encodes images `[batch, pixels]` to `(mu, log_var)`, each `[batch, latent]`; `log_var` is not yet clamped. `labels`,
    /// `[batch, classes]`, are one-hot, if the model sees labels.
    pub fn encode(
        &self,
        images: Tensor<B, 2>,
        labels: Option<&Tensor<B, 2>>,
        observer: Observer<'_, B>,
    ) -> (Tensor<B, 2>, Tensor<B, 2>) {
        // Counts may be of any size; their logarithms are of a size that networks work with.
        let seen = if self.config.likelihood.is_count() {
            images.log1p()
        } else {
            images
        };
        let features = self.run(&self.network.encoder, seen, labels, observer);
        let (mu, log_var) = (
            self.dense(&self.network.mu, features.clone()),
            self.dense(&self.network.log_var, features),
        );
        observer("mu", &mu);
        observer("log_var", &log_var);
        (mu, log_var)
    }

    /// Decodes latents `[batch, latent]` to the likelihood's parameters, `[batch, pixels]`.
    pub fn decode(
        &self,
        z: Tensor<B, 2>,
        labels: Option<&Tensor<B, 2>>,
        observer: Observer<'_, B>,
    ) -> Tensor<B, 2> {
        self.run(&self.network.decoder, z, labels, observer)
    }

    /// Negative log-likelihood of `x` under the decoder's `output`, both `[batch, pixels]`: `[batch]`, nats.
    pub fn nll(&self, output: Tensor<B, 2>, x: Tensor<B, 2>) -> Tensor<B, 1> {
        let spread = self.network.log_spread.map(|parameter| {
            let spread = self.parameters[parameter].clone();
            likelihood::log_spread(spread.unsqueeze_dim(0))
        });
        likelihood::nll(self.config.likelihood, output, x, spread)
    }

    /// The learned prior's parameter number `offset`, with `columns` columns.
    pub(crate) fn of_prior(&self, offset: usize, columns: usize) -> Tensor<B, 2> {
        let first = self.network.prior.unwrap_or_default();
        let values = self.parameters[first + offset].clone();
        let rows = values.dims()[0] / columns;
        values.reshape([rows, columns])
    }

    fn run(
        &self,
        ops: &[Op],
        input: Tensor<B, 2>,
        labels: Option<&Tensor<B, 2>>,
        observer: Observer<'_, B>,
    ) -> Tensor<B, 2> {
        ops.iter().fold(input, |x, op| match op {
            Op::Label => match labels {
                // A clone, for burn's autodiff forgets a tensor that ends with `cat` where another thread's backward pass cleans
                // up at that moment, and with it all gradients before it.
                Some(labels) => Tensor::cat(vec![x.clone(), labels.clone()], 1),
                None => x,
            },
            Op::Dense(layer) => observed(observer, &layer.name, self.dense(layer, x)),
            Op::Convolution(layer) => observed(observer, &layer.name, self.convolution(layer, x)),
            Op::Repeat {
                input,
                output,
                factor,
            } => repeat(x, *input, *output, *factor),
            Op::GroupNorm {
                name,
                scale,
                size,
                groups,
            } => observed(observer, name, self.group_norm(x, *scale, *size, *groups)),
            Op::Activation => activate(self.config.activation, x),
            Op::Residual(ops) => x.clone() + self.run(ops, x, labels, observer),
        })
    }

    fn dense(&self, layer: &Dense, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let weight = self.parameters[layer.weight].clone();
        let bias = self.parameters[layer.weight + 1].clone();
        x.matmul(weight.reshape([layer.inputs, layer.outputs])) + bias.unsqueeze_dim(0)
    }

    fn convolution(&self, layer: &Convolution, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let weight = self.parameters[layer.weight].clone();
        let bias = self.parameters[layer.weight + 1].clone();
        let weight = weight.reshape(layer.weight_shape());
        rows((self.convolve)(layer, images(x, layer.input), weight, bias))
    }

    fn group_norm(
        &self,
        x: Tensor<B, 2>,
        scale: Parameter,
        size: Size,
        groups: usize,
    ) -> Tensor<B, 2> {
        let [channels, height, width] = size;
        let [batch, columns] = x.dims();
        let x = x.reshape([batch * groups, columns / groups]);
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1);
        let unit = centred / (variance + GROUP_NORM_EPS).sqrt();
        let [scale, shift] = [scale, scale + 1]
            .map(|parameter| self.parameters[parameter].clone().reshape([1, channels, 1]));
        let unit = unit.reshape([batch, channels, height * width]);
        (unit * scale + shift).reshape([batch, columns])
    }
}

impl<B: AutodiffBackend> Vae<B> {
    /// The same model without autodiff; `convolve` is for the inner backend.
    #[must_use]
    pub fn valid(&self, convolve: Convolve<B::InnerBackend>) -> Vae<B::InnerBackend> {
        let parameters = self.parameters.iter().map(|values| values.clone().inner());
        Vae {
            config: self.config.clone(),
            network: self.network.clone(),
            parameters: parameters.collect(),
            convolve,
        }
    }
}

/// A convolutional layer by burn's own operations.
pub fn convolve<B: Backend>(
    layer: &Convolution,
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
) -> Tensor<B, 4> {
    let (stride, padding) = ([layer.stride; 2], [layer.padding; 2]);
    if layer.is_transposed {
        let options = ConvTransposeOptions::new(stride, padding, layer.padding_out(), [1; 2], 1);
        conv_transpose2d(x, weight, Some(bias), options)
    } else {
        let options = ConvOptions::new(stride, padding, [1; 2], 1);
        conv2d(x, weight, Some(bias), options)
    }
}

fn observed<B: Backend>(observer: Observer<'_, B>, name: &str, x: Tensor<B, 2>) -> Tensor<B, 2> {
    observer(name, &x);
    x
}

fn images<B: Backend>(x: Tensor<B, 2>, [channels, height, width]: Size) -> Tensor<B, 4> {
    let batch = x.dims()[0];
    x.reshape([batch, channels, height, width])
}

fn rows<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 2> {
    x.flatten(1, 3)
}

/// Nearest-neighbour upsampling: each pixel as a square of `factor` by `factor`, cropped to `output`.
fn repeat<B: Backend>(x: Tensor<B, 2>, input: Size, output: Size, factor: usize) -> Tensor<B, 2> {
    let [channels, height, width] = input;
    let batch = x.dims()[0];
    let planes = batch * channels;
    let x = x.reshape([planes, height, 1, width, 1]);
    let x = x.expand([planes, height, factor, width, factor]);
    let x = x.reshape([batch, channels, height * factor, width * factor]);
    rows(x.slice([0..batch, 0..channels, 0..output[1], 0..output[2]]))
}

fn activate<B: Backend>(activation: Activation, x: Tensor<B, 2>) -> Tensor<B, 2> {
    match activation {
        Activation::Relu => relu(x),
        Activation::Tanh => tanh(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Gelu => gelu(x),
        Activation::LeakyRelu => leaky_relu(x, Activation::LEAKY_SLOPE),
        // burn's softplus overflows where exp does.
        Activation::Softplus => -log_sigmoid(-x),
    }
}

/// `x Phi(x)`. burn's own has the gradient of the tanh approximation, off by up to 1e-3.
fn gelu<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let below = ((x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
    x * below
}
