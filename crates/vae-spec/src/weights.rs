//! Weights as named tensors: what an engine is built from, what it returns, and what a file holds.

use vae_rng::{Generator, Stream};

use crate::{Initialization, Likelihood, ModelConfig, Network, ParameterSpec, Spread, Start};

/// A named tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Name, for example `encoder.0.weight`.
    pub name: String,
    /// Shape, as [`ParameterSpec::shape`] says.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// All parameters of one model, in the order of [`ModelConfig::parameters`].
#[derive(Clone, Debug, PartialEq)]
pub struct Weights(Vec<NamedTensor>);

/// Statistics and samples of the training data, for parameters that are initialised from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataStart {
    /// Mean of each pixel.
    pub means: Vec<f32>,
    /// Standard deviation of each pixel.
    pub deviations: Vec<f32>,
    /// As many training images as a VampPrior has pseudo-inputs, `[inputs, pixels]`.
    pub images: Vec<f32>,
}

/// Why tensors are not the weights of a model.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A parameter of the model is not among the tensors.
    #[error("no tensor `{0}`: these weights belong to another network")]
    Missing(String),
    /// A tensor is not a parameter of the model.
    #[error("tensor `{0}` has no place in this network: these weights belong to another one")]
    Surplus(String),
    /// A tensor has the wrong shape.
    #[error("tensor `{name}`: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Shape that the model's configuration requires.
        expected: Vec<usize>,
        /// Shape that was given.
        found: Vec<usize>,
    },
    /// A tensor holds a value that is not finite.
    #[error("tensor `{name}`: value {value} at index {index}; weights must be finite")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Row-major index of the first such value.
        index: usize,
        /// The value.
        value: f32,
    },
}

impl Weights {
    /// Initial weights for `config`: a function of the seed alone, the same on every backend.
    #[must_use]
    pub fn initial(config: &ModelConfig, seed: u64) -> Self {
        let generator = Generator::new(seed, Stream::Init);
        let tensor = |(index, spec): (usize, ParameterSpec)| {
            let columns = spec.shape.last().copied().unwrap_or(1);
            let (index, rows) = (index as u64, spec.length() / columns);
            let within = |bound: f32| {
                let uniforms = generator.uniforms(index, 0, rows, columns).into_iter();
                uniforms.map(|u| bound * (2.0 * u - 1.0)).collect()
            };
            let values = match (spec.start, config.init) {
                (Start::Weight { inputs, outputs }, Initialization::Glorot) => {
                    within((6.0 / (inputs + outputs) as f32).sqrt())
                }
                (Start::Weight { inputs, .. }, Initialization::He) => {
                    within((6.0 / inputs as f32).sqrt())
                }
                (
                    Start::Weight { inputs, .. } | Start::Bias { inputs },
                    Initialization::Pytorch,
                ) => within(1.0 / (inputs as f32).sqrt()),
                (Start::Bias { .. } | Start::Zeros, _) => vec![0.0; spec.length()],
                (Start::Ones, _) => vec![1.0; spec.length()],
                (Start::Normal, _) => generator.normals(index, 0, rows, columns),
                (Start::Image, _) => generator.uniforms(index, 0, rows, columns),
            };
            NamedTensor {
                name: spec.name,
                shape: spec.shape,
                values,
            }
        };
        let parameters = config.parameters().into_iter().enumerate();
        Self(parameters.map(tensor).collect())
    }

    /// The likelihood's spread: one number, or one for each pixel; 1 for a likelihood that has none.
    #[must_use]
    pub fn spread(&self, config: &ModelConfig) -> Vec<f64> {
        match config.likelihood.spread() {
            Some(Spread::Fixed(spread)) => vec![spread.into()],
            Some(Spread::Learned | Spread::PerDimension) => {
                let parameters = self.values("likelihood.log_spread").iter();
                parameters
                    .map(|&parameter| Likelihood::spread_of(parameter.into()))
                    .collect()
            }
            None => vec![1.0],
        }
    }

    /// Initialises the likelihood's spread and a VampPrior's pseudo-inputs from `data`.
    pub fn start_from(&mut self, config: &ModelConfig, data: &DataStart) {
        let smallest = 0.01;
        let spread = match config.likelihood.spread() {
            Some(Spread::PerDimension) => data.deviations.clone(),
            _ => {
                let squares = data.deviations.iter().map(|x| x * x).sum::<f32>();
                vec![(squares / data.deviations.len() as f32).sqrt()]
            }
        };
        for tensor in &mut self.0 {
            match tensor.name.as_str() {
                // The dispersion of counts is not a spread around a mean: it starts at about 1.
                "likelihood.log_spread" if !config.likelihood.is_count() => {
                    let parameter = |&spread: &f32| {
                        Likelihood::parameter_of(spread.max(smallest).into()) as f32
                    };
                    tensor.values = spread.iter().map(parameter).collect();
                }
                "prior.images" => tensor.values.clone_from(&data.images),
                _ => {}
            }
        }
    }

    /// Initialises the output bias from the data's mean image: from a channel's mean, where the bias is one for each channel.
    pub fn start_output_from(&mut self, config: &ModelConfig, data: &DataStart) {
        let bias = self
            .0
            .iter_mut()
            .find(|tensor| tensor.name == Network::OUTPUT_BIAS);
        let Some(bias) = bias else { return };
        let each = data.means.len() / bias.values.len();
        for (bias, means) in bias.values.iter_mut().zip(data.means.chunks(each)) {
            let mean = means.iter().sum::<f32>() / each as f32;
            *bias = config.likelihood.output_for_mean(mean.into()) as f32;
        }
    }

    /// Checks that `tensors` are exactly the parameters of `config` and puts them in order.
    ///
    /// # Errors
    /// If one is missing, surplus, of the wrong shape, or not finite.
    pub fn from_tensors(
        config: &ModelConfig,
        mut tensors: Vec<NamedTensor>,
    ) -> Result<Self, WeightsError> {
        let mut ordered = Vec::new();
        for spec in config.parameters() {
            let index = tensors.iter().position(|tensor| tensor.name == spec.name);
            let tensor =
                tensors.swap_remove(index.ok_or_else(|| WeightsError::Missing(spec.name.clone()))?);
            let NamedTensor {
                name,
                shape,
                values,
            } = &tensor;
            if *shape != spec.shape || values.len() != spec.shape.iter().product::<usize>() {
                return Err(WeightsError::Shape {
                    name: spec.name,
                    expected: spec.shape,
                    found: shape.clone(),
                });
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(WeightsError::NotFinite {
                    name: name.clone(),
                    index,
                    value: values[index],
                });
            }
            ordered.push(tensor);
        }
        match tensors.pop() {
            Some(surplus) => Err(WeightsError::Surplus(surplus.name)),
            None => Ok(Self(ordered)),
        }
    }

    /// All values, one tensor after the other.
    #[must_use]
    pub fn to_flat(&self) -> Vec<f32> {
        let tensors = self.0.iter();
        tensors.flat_map(|tensor| &tensor.values).copied().collect()
    }

    /// The weights of `config` with these values, one tensor after the other.
    ///
    /// # Panics
    /// If they are not as many as `config` has parameters.
    #[must_use]
    pub fn from_flat(config: &ModelConfig, mut values: &[f32]) -> Self {
        let tensors = config.parameters().into_iter().map(|spec| {
            let (of_tensor, rest) = values.split_at(spec.length());
            values = rest;
            NamedTensor {
                name: spec.name,
                shape: spec.shape,
                values: of_tensor.to_vec(),
            }
        });
        let weights = Self(tensors.collect());
        assert!(values.is_empty(), "more values than parameters");
        weights
    }

    /// The values of the tensor `name`; empty if there is no such tensor.
    #[must_use]
    pub fn values(&self, name: &str) -> &[f32] {
        let tensor = self.0.iter().find(|tensor| tensor.name == name);
        tensor.map_or(&[], |tensor| &tensor.values)
    }

    /// The tensors, in order.
    #[must_use]
    pub fn tensors(&self) -> &[NamedTensor] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(init: Initialization) -> ModelConfig {
        ModelConfig {
            init,
            ..ModelConfig::dense(12, &[8, 5], 3)
        }
    }

    fn tensor<'a>(weights: &'a Weights, name: &str) -> &'a NamedTensor {
        weights
            .tensors()
            .iter()
            .find(|tensor| tensor.name == name)
            .expect("a known name")
    }

    #[test]
    fn layers_mirror_the_encoder_in_the_decoder() {
        let weights = config(Initialization::Glorot).parameters();
        let weights = weights.iter().filter(|spec| spec.shape.len() == 2);
        let layers: Vec<String> = weights
            .map(|spec| format!("{} {}x{}", spec.name, spec.shape[0], spec.shape[1]))
            .collect();
        let expected = [
            "encoder.0.weight 12x8",
            "encoder.1.weight 8x5",
            "mu.weight 5x3",
            "log_var.weight 5x3",
            "decoder.0.weight 3x5",
            "decoder.1.weight 5x8",
            "output.weight 8x12",
        ];
        assert_eq!(layers, expected);
        assert_eq!(
            config(Initialization::Glorot).parameter_count(),
            104 + 45 + 18 + 18 + 20 + 48 + 108
        );
    }

    #[test]
    fn glorot_weights_fill_their_bound_and_biases_are_zero() {
        let weights = Weights::initial(&config(Initialization::Glorot), 1);
        let bound = (6.0f32 / 20.0).sqrt();
        let largest = tensor(&weights, "encoder.0.weight")
            .values
            .iter()
            .fold(0f32, |m, v| m.max(v.abs()));
        assert!(
            largest <= bound && largest > 0.9 * bound,
            "{largest} against {bound}"
        );
        assert!(
            tensor(&weights, "encoder.0.bias")
                .values
                .iter()
                .all(|&v| v == 0.0)
        );
    }

    #[test]
    fn pytorch_weights_and_biases_fill_one_over_the_root_of_the_inputs() {
        let weights = Weights::initial(&config(Initialization::Pytorch), 1);
        for name in ["encoder.0.weight", "output.bias"] {
            let bound = 1.0
                / if name.starts_with("encoder") {
                    12f32
                } else {
                    8.0
                }
                .sqrt();
            let largest = tensor(&weights, name)
                .values
                .iter()
                .fold(0f32, |m, v| m.max(v.abs()));
            assert!(
                largest <= bound && largest > 0.8 * bound,
                "{name}: {largest} against {bound}"
            );
        }
    }

    #[test]
    fn foreign_weights_are_refused_by_name() {
        let config = config(Initialization::Glorot);
        let tensors = || Weights::initial(&config, 1).tensors().to_vec();
        let message = |tensors| {
            Weights::from_tensors(&config, tensors)
                .expect_err("foreign")
                .to_string()
        };
        assert!(Weights::from_tensors(&config, tensors()).is_ok());

        let mut missing = tensors();
        missing.remove(4);
        assert_eq!(
            message(missing),
            "no tensor `mu.weight`: these weights belong to another network"
        );
        let mut surplus = tensors();
        surplus.push(NamedTensor {
            name: "x".into(),
            shape: vec![1],
            values: vec![0.0],
        });
        assert!(message(surplus).starts_with("tensor `x` has no place"));
        let mut shape = tensors();
        shape[0].shape = vec![8, 12];
        assert_eq!(
            message(shape),
            "tensor `encoder.0.weight`: expected shape [12, 8], found [8, 12]"
        );
        let mut nan = tensors();
        nan[1].values[2] = f32::NAN;
        assert_eq!(
            message(nan),
            "tensor `encoder.0.bias`: value NaN at index 2; weights must be finite"
        );
    }
}
