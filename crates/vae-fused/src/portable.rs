//! A decoder as plain data: its program, its kernels and its weights, for a page that decodes without this program.

use serde::Serialize;
use vae_kernels::gpu::{PortableKernel, portable_kernels};
use vae_kernels::program::{ForwardPass, MatrixId};
use vae_spec::network::Network;
use vae_spec::{ModelConfig, Weights};

use crate::layout::Layout;
use crate::plan::Model;

/// A decoder for one latent vector at a time.
#[derive(Clone, Debug, Serialize)]
pub struct PortableDecoder {
    /// Columns of each matrix.
    pub columns: Vec<usize>,
    /// The passes, in order.
    pub passes: Vec<ForwardPass>,
    /// The matrix of the latents.
    pub input: MatrixId,
    /// That of the number of the class, if the model sees labels.
    pub labels: Option<MatrixId>,
    /// That of the likelihood's parameters, images with channels first.
    pub output: MatrixId,
    /// The same program for WebGPU.
    pub kernels: Vec<PortableKernel>,
    /// The weights that the passes name by offsets.
    #[serde(skip)]
    pub parameters: Vec<f32>,
}

impl PortableDecoder {
    /// The decoder of a model with these weights; `None` if its program has a pass that cannot be written.
    #[must_use]
    pub fn new(config: &ModelConfig, weights: &Weights) -> Option<Self> {
        let network = Network::new(config);
        let whole = Layout::new(&network, config.image);
        // The decoder's parameters are those behind the heads of the encoder.
        let first = network.log_var.weight + 2;
        let behind = network.log_spread.or(network.prior);
        let behind = behind.unwrap_or(network.parameters.len());
        let lengths = (first..behind).map(|parameter| whole.length(parameter));
        let (start, length) = (whole.offset(first), lengths.sum());
        let parameters = whole.arena(weights)[start..][..length].to_vec();
        let layout = whole.starting_at(first);
        let model = Model {
            config,
            network: &network,
            layout: &layout,
        };
        let plan = model.decode();
        let passes = plan.program.passes.iter().map(ForwardPass::of);
        Some(Self {
            passes: passes.collect::<Option<_>>()?,
            kernels: portable_kernels(&plan.program, 1)?,
            input: *plan.inputs.first()?,
            labels: plan.labels,
            output: plan.output,
            columns: plan.program.columns,
            parameters,
        })
    }
}

#[cfg(test)]
mod tests {
    use vae_spec::{Likelihood, Prior, Spread};

    use super::*;

    #[test]
    fn the_weights_are_those_of_the_decoder_alone_from_the_first_on() {
        let config = ModelConfig {
            classes: 3,
            likelihood: Likelihood::Gaussian(Spread::PerDimension),
            prior: Prior::Mixture { components: 4 },
            ..ModelConfig::dense(12, &[8, 5], 2)
        };
        let weights = Weights::initial(&config, 7);
        let decoder = PortableDecoder::new(&config, &weights).expect("dense");
        let tensors = weights.tensors().iter();
        let of_decoder = tensors.filter(|tensor| {
            ["decoder.", "output."]
                .iter()
                .any(|side| tensor.name.starts_with(side))
        });
        let expected: Vec<f32> = of_decoder
            .flat_map(|tensor| tensor.values.clone())
            .collect();
        assert_eq!(decoder.parameters, expected);
        let layers = decoder.passes.iter().filter_map(|pass| match pass {
            ForwardPass::DenseForward { layer, .. } => Some((layer.offset, layer.inputs)),
            _ => None,
        });
        // The decoder sees the label, too: 2 + 3 inputs, 5 outputs and their biases, and so on.
        let expected = [(0, 5), (6 * 5, 5), (6 * 5 + 6 * 8, 8)];
        assert_eq!(layers.collect::<Vec<_>>(), expected);
        assert_eq!(decoder.kernels.len(), decoder.passes.len());
        assert!(decoder.labels.is_some());
    }
}
