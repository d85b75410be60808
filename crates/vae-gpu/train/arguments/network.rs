//! Options of the network, its likelihood and its prior.

use clap::Args;
use vae_recipe::{LikelihoodName, OutputBias, PriorText, RecipePatch, Sigma};
use vae_spec::{Activation, Initialization, Upsampling};

use crate::arguments::{one_of, positive};

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(super) struct NetworkArguments {
    /// Latent dimension: the number of latent variables [default: 2].
    #[arg(long, value_parser = positive(), value_name = "N")]
    latent: Option<usize>,
    /// Widths of the encoder's dense hidden layers, such as 512,256 [default: 256].
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "WIDTH[,WIDTH..]")]
    hidden: Option<Vec<usize>>,
    /// Widths of the decoder's dense hidden layers [default: those of the encoder, reversed].
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "WIDTH[,WIDTH..]")]
    decoder_hidden: Option<Vec<usize>>,
    /// Output channels of convolutional stages, such as 32,64 [default: none, a dense network].
    ///
    /// The stages precede the encoder's dense layers; the decoder mirrors them.
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "CHANNELS[,CHANNELS..]")]
    channels: Option<Vec<usize>>,
    /// Kernel size of the convolutions in pixels [default: 3].
    #[arg(long, value_parser = positive(), value_name = "PIXELS")]
    kernel: Option<usize>,
    /// Stride of the convolutional stages, each of which shrinks the image by this factor [default: 2].
    #[arg(long, value_parser = positive(), value_name = "PIXELS")]
    stride: Option<usize>,
    /// How the decoder upsamples: transposed convolutions, or nearest-neighbour upsampling before each convolution
    /// [default: transposed].
    #[arg(long, value_parser = one_of::<Upsampling>())]
    upsampling: Option<Upsampling>,
    /// Group normalisation after each convolution, with this many groups of channels [default: no normalisation].
    ///
    /// Where the number does not divide the channels, the next lower one that does is taken.
    #[arg(long, value_parser = positive(), value_name = "GROUPS")]
    group_norm: Option<usize>,
    /// Residual blocks after each convolutional stage [default: 0].
    #[arg(long, value_name = "BLOCKS")]
    residual_blocks: Option<usize>,
    /// Activation function of the hidden layers [default: relu].
    #[arg(long, value_parser = one_of::<Activation>())]
    activation: Option<Activation>,
    /// Condition encoder and decoder on the label, which `sample --label` then chooses [default: false].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    conditional: Option<bool>,
    /// Initial weights: Glorot uniform as in Keras, He uniform, or PyTorch's default [default: glorot].
    #[arg(long, value_parser = one_of::<Initialization>())]
    init: Option<Initialization>,
    /// Initial bias of the output layer: as --init says (init), or from the mean training sample (data) [default: init].
    #[arg(long, value_parser = one_of::<OutputBias>())]
    output_bias: Option<OutputBias>,
    /// Distribution of each value given the latents [default: bernoulli]
    ///
    /// bernoulli, continuous-bernoulli    values from 0 to 1
    /// gaussian, laplace                  any values
    /// discretized-logistic               bytes, as 256 levels
    /// poisson, negative-binomial         counts
    #[arg(
        long,
        verbatim_doc_comment,
        value_parser = one_of::<LikelihoodName>(),
        help_heading = "Likelihood and prior"
    )]
    likelihood: Option<LikelihoodName>,
    /// Spread of the likelihood, in units of the scaled values: a number, learned or per-dimension [default: by likelihood]
    ///
    /// learned trains one number for all values, per-dimension one for each pixel or column.
    ///
    /// gaussian               standard deviation    [default: 0.1; of tables learned]
    /// laplace                scale                 [default: 0.1; of tables learned]
    /// discretized-logistic   scale                 [default: learned]
    /// negative-binomial      inverse dispersion    [default: per-dimension]
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "NUMBER|learned|per-dimension",
        help_heading = "Likelihood and prior"
    )]
    sigma: Option<Sigma>,
    /// Prior of the latents [default: normal]
    ///
    /// normal       the standard normal
    /// mixture:10   a learned mixture of 10 Gaussians
    /// vamp:100     a VampPrior of 100 learned pseudo-inputs
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "normal|mixture:N|vamp:N",
        help_heading = "Likelihood and prior"
    )]
    prior: Option<PriorText>,
}

impl NetworkArguments {
    pub(super) fn patch(&self) -> RecipePatch {
        RecipePatch {
            latent: self.latent,
            hidden: self.hidden.clone(),
            decoder_hidden: self.decoder_hidden.clone().map(Some),
            channels: self.channels.clone(),
            kernel: self.kernel,
            stride: self.stride,
            upsampling: self.upsampling,
            group_norm: self.group_norm.map(Some),
            residual_blocks: self.residual_blocks,
            activation: self.activation,
            conditional: self.conditional,
            init: self.init,
            output_bias: self.output_bias,
            likelihood: self.likelihood,
            sigma: self.sigma.map(Some),
            prior: self.prior,
            ..RecipePatch::default()
        }
    }
}
