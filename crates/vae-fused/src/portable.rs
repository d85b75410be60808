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
