//! Flags of the network, its likelihood and its prior.

use clap::Args;
use vae_recipe::{LikelihoodName, OutputBias, PriorText, RecipePatch, Sigma};
use vae_spec::{Activation, Initialization, Upsampling};

use crate::arguments::{one_of, positive};

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(super) struct NetworkArguments {
    /// Latent dimensions [default: 2].
    #[arg(long, value_parser = positive())]
    latent: Option<usize>,
    /// Widths of the encoder's dense hidden layers [default: 256].
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "WIDTH[,WIDTH..]")]
    hidden: Option<Vec<usize>>,
    /// Widths of the decoder's [default: those of the encoder, reversed].
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "WIDTH[,WIDTH..]")]
    decoder_hidden: Option<Vec<usize>>,
    /// Convolve the image before the dense layers: channels after each stage; the decoder mirrors them [default: none].
    #[arg(long, value_delimiter = ',', value_parser = positive(), value_name = "CHANNELS[,CHANNELS..]")]
    channels: Option<Vec<usize>>,
    /// Side of the convolutions' kernels [default: 3].
    #[arg(long, value_parser = positive(), value_name = "SIDE")]
    kernel: Option<usize>,
    /// By which each convolution shrinks the image [default: 2].
    #[arg(long, value_parser = positive(), value_name = "PIXELS")]
    stride: Option<usize>,
    /// How the decoder grows it again: by transposed convolutions, or by repeating pixels before a convolution
    /// [default: transposed].
    #[arg(long, value_parser = one_of::<Upsampling>(UPSAMPLINGS))]
    upsampling: Option<Upsampling>,
    /// Normalise channels in so many groups after each convolution, or in as many below that as divide them [default: none].
    #[arg(long, value_parser = positive(), value_name = "GROUPS")]
    group_norm: Option<usize>,
    /// Residual blocks after each convolution [default: 0].
    #[arg(long, value_name = "BLOCKS")]
    residual_blocks: Option<usize>,
    /// After every hidden layer [default: relu].
    #[arg(long, value_parser = one_of::<Activation>(ACTIVATIONS))]
    activation: Option<Activation>,
    /// Show encoder and decoder the label, for `sample --label`.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    conditional: Option<bool>,
    /// Initial weights: uniform as in Keras (glorot), after He et al. 2015 (he), or as in PyTorch [default: glorot].
    #[arg(long, value_parser = one_of::<Initialization>(INITS))]
    init: Option<Initialization>,
    /// Start the output's bias as every bias (init), or at the mean of the training images (data) [default: init].
    #[arg(long, value_parser = one_of::<OutputBias>(OUTPUT_BIASES))]
    output_bias: Option<OutputBias>,
    /// What the decoder says of a pixel or number [default: bernoulli].
    #[arg(long, value_parser = one_of::<LikelihoodName>(LIKELIHOODS))]
    likelihood: Option<LikelihoodName>,
    /// How wide the likelihood is, in units of what the model sees: the deviation of gaussian, the scale of laplace and
    /// discretized-logistic, the inverse dispersion of negative-binomial; a number, learned, or learned per-dimension
    /// [default: 0.1 of gaussian and laplace, learned of discretized-logistic, per-dimension of negative-binomial].
    #[arg(long, value_name = "NUMBER|learned|per-dimension")]
    sigma: Option<Sigma>,
    /// What latents are expected to look like: normal, mixture:COMPONENTS or vamp:IMAGES; the latter two are learned
    /// [default: normal].
    #[arg(long)]
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

const UPSAMPLINGS: &[&str] = &["transposed", "nearest"];
const ACTIVATIONS: &[&str] = &["relu", "tanh", "sigmoid", "gelu", "leaky-relu", "softplus"];
const INITS: &[&str] = &["glorot", "he", "pytorch"];
const OUTPUT_BIASES: &[&str] = &["init", "data"];
const LIKELIHOODS: &[&str] = &[
    "bernoulli",
    "continuous-bernoulli",
    "gaussian",
    "laplace",
    "discretized-logistic",
    "poisson",
    "negative-binomial",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::check_names;

    #[test]
    fn every_name_on_the_command_line_is_one_of_the_config_file() {
        check_names::<Upsampling>(UPSAMPLINGS);
        check_names::<Activation>(ACTIVATIONS);
        check_names::<Initialization>(INITS);
        check_names::<OutputBias>(OUTPUT_BIASES);
        check_names::<LikelihoodName>(LIKELIHOODS);
    }
}
