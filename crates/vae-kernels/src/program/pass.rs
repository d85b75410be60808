//! The steps of a computation.

use serde::Serialize;
use vae_spec::{Activation, Corruption, Element, KlEstimate, Likelihood};

use super::{Convolution, KlGradient, Layer, MatrixId, PriorPass};

/// The derivative of an activation, which a backward pass multiplies with a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slope {
    /// The forward pass has left it in this matrix.
    Kept(MatrixId),
    /// It follows from the activation's output, which is this matrix: of those that [`Self::follows`].
    Of(Activation, MatrixId),
}

impl Slope {
    /// Whether the derivative of an activation follows from its output, without loss of digits.
    #[must_use]
    pub const fn follows(activation: Activation) -> bool {
        match activation {
            Activation::Relu | Activation::LeakyRelu | Activation::Tanh | Activation::Sigmoid => {
                true
            }
            Activation::Gelu | Activation::Softplus => false,
        }
    }

    /// The matrix that is read.
    #[must_use]
    pub const fn matrix(self) -> MatrixId {
        match self {
            Self::Kept(matrix) | Self::Of(_, matrix) => matrix,
        }
    }

    /// The activation from whose output it follows.
    #[must_use]
    pub const fn activation(self) -> Option<Activation> {
        match self {
            Self::Kept(_) => None,
            Self::Of(activation, _) => Some(activation),
        }
    }
}

/// What becomes of a product before it is stored: `(y, slope) = activation(product + bias + add)`, and `y times` is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finish {
    /// Offset of the bias in the arena, one number for each channel.
    pub bias: Option<usize>,
    /// Added to the product.
    pub add: Option<MatrixId>,
    /// Activation, if any.
    pub activation: Option<Activation>,
    /// Becomes the activation's derivative.
    pub slope: Option<MatrixId>,
    /// Multiplied with the result: the slope of the activation that made the values whose gradient this is.
    pub times: Option<Slope>,
}

/// One step of the computation. Matrices of images and maps are `[batch, height * width * channels]`, channels last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pass {
    /// Rows of the executor's images: bytes scaled to `[0, 1]`, or floats as they are.
    Gather {
        /// `[batch, pixels]`
        images: MatrixId,
        /// Element type of the executor's images.
        element: Element,
        /// Whether each pixel is drawn as 0 or 1, with its brightness the probability of 1.
        binarize: bool,
    },
    /// Classes of the same rows.
    GatherLabels {
        /// `[batch, 1]`: the number of the class.
        labels: MatrixId,
    },
    /// Corrupted copies of images.
    Corrupt {
        /// `[batch, pixels]`
        images: MatrixId,
        /// `[batch, pixels]`
        corrupted: MatrixId,
        /// Kind of corruption.
        corruption: Corruption,
    },
    /// Each row of the input is a matrix `[rows, columns]`, which is transposed: channels that come first become the last, or
    /// the other way round.
    Transpose {
        /// `[batch, rows * columns]`
        input: MatrixId,
        /// `[batch, columns * rows]`
        output: MatrixId,
        /// Rows of each row's matrix.
        rows: usize,
    },
    /// `output = ln(1 + input)`, of counts.
    LogOfCounts {
        /// `[batch, columns]`
        input: MatrixId,
        /// `[batch, columns]`
        output: MatrixId,
    },
    /// The input with the one-hot label behind it: a column for each class, 1 for the label's, 0 for the others.
    Label {
        /// `[batch, columns]`
        input: MatrixId,
        /// `[batch, 1]`: the number of the class.
        labels: MatrixId,
        /// `[batch, columns + classes]`
        output: MatrixId,
    },
    /// Each row of the input as often in succession as the output has rows for it.
    RepeatRows {
        /// `[batch, columns]`
        input: MatrixId,
        /// `[batch * draws, columns]`
        output: MatrixId,
    },
    /// Its adjoint: the sums over the draws of each row.
    SumRows {
        /// `[batch * draws, columns]`
        input: MatrixId,
        /// `[batch, columns]`
        output: MatrixId,
    },
    /// Importance weights of each row's draws (Burda et al. 2016): `v = softmax(-recon - beta kl)` over its draws,
    /// `bound = -log mean exp(-recon - beta kl)`.
    Importance {
        /// `[batch * draws, parts]`, whose sum is the negative log-likelihood.
        recon: MatrixId,
        /// `[batch * draws, 1]`: `log q(z | x) - log p(z)`.
        kl: MatrixId,
        /// `[batch * draws, 1]`: `v draws`, of mean 1.
        weights: MatrixId,
        /// `[batch, 1]`
        bound: MatrixId,
    },
    /// Adds the importance weights of each row's draws, `log w = -recon - kl`, to those of the runs before.
    ImportanceSum {
        /// `[batch * draws, parts]`, whose sum is the negative log-likelihood.
        recon: MatrixId,
        /// `[batch * draws, 1]`: `log q(z | x) - log p(z)`.
        kl: MatrixId,
        /// `[batch, 2]`: the largest `log w`, and the sum of all `w` in its units.
        sums: MatrixId,
    },
    /// `values *= weights`, row by row.
    ScaleRows {
        /// `[batch * draws, columns]`
        values: MatrixId,
        /// `[batch * draws, 1]`
        weights: MatrixId,
    },
    /// `output = activation(input W + b)`
    DenseForward {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: MatrixId,
        /// `[batch, width]`
        output: MatrixId,
        /// Activation of the output, if any.
        activation: Option<Activation>,
        /// `[batch, width]`: the activation's derivative, where a backward pass needs it.
        slope: Option<MatrixId>,
    },
    /// Gradients of a layer's parameters: `d_W = input^T d_output`, `d_b = ` the column sums of `d_output`.
    DenseBackwardParameters {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: MatrixId,
        /// `[batch, width]`
        d_output: MatrixId,
    },
    /// Gradient of the layer's first inputs, as many as `d_input` has columns: `d_input = d_output W^T`, times the slope of the
    /// activation that made them.
    DenseBackwardInput {
        /// The layer.
        layer: Layer,
        /// `[batch, width]`
        d_output: MatrixId,
        /// As `d_input`.
        slope: Option<Slope>,
        /// `[batch, inputs]`, or fewer columns.
        d_input: MatrixId,
    },
    /// `map[place, o] = sum_q patch(image)[place, q] W[q, o]`, then `finish`.
    Convolve {
        /// The linear map.
        convolution: Convolution,
        /// `[batch, image]`
        image: MatrixId,
        /// `[batch, map]`
        map: MatrixId,
        /// What becomes of the sums.
        finish: Finish,
    },
    /// The adjoint: `image[pixel, c] = sum map[place, o] W[(tap, c), o]` over all places whose patch has the pixel under a
    /// tap, then `finish`.
    ConvolveTransposed {
        /// The linear map.
        convolution: Convolution,
        /// `[batch, map]`
        map: MatrixId,
        /// `[batch, image]`
        image: MatrixId,
        /// What becomes of the sums.
        finish: Finish,
    },
    /// Gradient of the weight, from the values of one side and the gradient of the other:
    /// `d_W[q, o] = sum_place patch(image)[place, q] map[place, o]` over the batch.
    ConvolveBackwardWeight {
        /// The linear map.
        convolution: Convolution,
        /// `[batch, image]`
        image: MatrixId,
        /// `[batch, map]`
        map: MatrixId,
    },
    /// Gradient of parameters that are added to every row: the column sums of `values`, taken as rows of `columns` numbers.
    Sums {
        /// A whole number of such rows for each row of the batch.
        values: MatrixId,
        /// Number of parameters.
        columns: usize,
        /// Offset of the first parameter in the arena.
        offset: usize,
    },
    /// `(output, slope) = activation(input)`
    Activate {
        /// `[batch, columns]`
        input: MatrixId,
        /// `[batch, columns]`
        output: MatrixId,
        /// The activation.
        activation: Activation,
        /// `[batch, columns]`: the activation's derivative, where a backward pass needs it.
        slope: Option<MatrixId>,
    },
    /// `output = (one + other) times`
    Add {
        /// `[batch, columns]`
        one: MatrixId,
        /// `[batch, columns]`
        other: MatrixId,
        /// `[batch, columns]`
        times: Option<Slope>,
        /// `[batch, columns]`
        output: MatrixId,
    },
    /// Nearest-neighbour upsampling: each pixel becomes a square, and what is beyond the larger image is cropped.
    RepeatForward {
        /// Sizes.
        repeat: Repeat,
        /// `[batch, small]`
        input: MatrixId,
        /// `[batch, large]`
        output: MatrixId,
    },
    /// Its adjoint: the sum of each square, times the slope of the activation that made the small image.
    RepeatBackward {
        /// Sizes.
        repeat: Repeat,
        /// `[batch, large]`
        d_output: MatrixId,
        /// `[batch, small]`
        slope: Option<Slope>,
        /// `[batch, small]`
        d_input: MatrixId,
    },
    /// Group normalisation (Wu and He 2018) and the activation behind it: `unit = (input - mean) inverse_deviation` over each
    /// row's group of channels, `(output, slope) = activation(unit scale + shift)`.
    GroupNormForward {
        /// Sizes and parameters.
        norm: GroupNorm,
        /// `[batch, pixels * channels]`
        input: MatrixId,
        /// `[batch, 2 groups]`: the means, then the inverse deviations.
        statistics: MatrixId,
        /// As `input`.
        output: MatrixId,
        /// The activation.
        activation: Option<Activation>,
        /// As `input`: the activation's derivative, where a backward pass needs it.
        slope: Option<MatrixId>,
    },
    /// With `h = d_output scale`: `d_input = inverse_deviation (h - mean(h) - unit mean(h unit))`; and each row's share of the
    /// parameters' gradients.
    GroupNormBackward {
        /// Sizes and parameters.
        norm: GroupNorm,
        /// `[batch, pixels * channels]`
        d_output: MatrixId,
        /// As `d_output`.
        input: MatrixId,
        /// `[batch, 2 groups]`
        statistics: MatrixId,
        /// As `d_output`.
        d_input: MatrixId,
        /// `[batch, 2 channels]`: sums over the pixels of `d_output unit`, then of `d_output`.
        d_parameters: MatrixId,
    },
    /// `z` and `kl` of [`crate::sample_kl`].
    SampleKlForward {
        /// `[batch, 2 latent]`: mu | log_var, not clamped.
        posterior: MatrixId,
        /// `[batch, latent]`
        z: MatrixId,
        /// `[batch, 1]`, nats.
        kl: MatrixId,
        /// Whether `kl` is the closed form, or `log q(z | x) - log p(z)` at the draw.
        estimate: KlEstimate,
        /// Whether the prior is not the standard normal, so that `kl` is only `log q(z | x)`.
        learned_prior: bool,
    },
    /// The loss's gradient with respect to the posterior.
    SampleKlBackward {
        /// `[batch, 2 latent]`: mu | log_var, not clamped.
        posterior: MatrixId,
        /// `[batch, latent]`
        z: MatrixId,
        /// `[batch, latent]`
        d_z: MatrixId,
        /// `[batch, 2 latent]`: d_mu | d_log_var
        d_posterior: MatrixId,
        /// How it follows.
        through: KlGradient,
    },
    /// The last dense layer with [`Self::Nll`] of its output, which is not kept, under a likelihood without a learned spread.
    DenseNll {
        /// The layer.
        layer: Layer,
        /// `[batch, inputs]`
        input: MatrixId,
        /// `[batch, width]`, or a row for each row of the batch that all its draws are compared with.
        images: MatrixId,
        /// Likelihood whose parameter the output is.
        likelihood: Likelihood,
        /// `[batch, ceil(width / NLL_COLUMNS)]`, nats: each number is the sum over [`super::NLL_COLUMNS`] columns.
        recon: MatrixId,
        /// `[batch, width]`, divided by the batch size, if it is wanted.
        d_output: Option<MatrixId>,
    },
    /// The negative log-likelihood of `images` under a decoder's output, and the loss's gradients with respect to that output
    /// and to the learned spread.
    Nll {
        /// `[batch, width]`
        output: MatrixId,
        /// `[batch, width]`, or a row for each row of the batch that all its draws are compared with.
        images: MatrixId,
        /// Likelihood whose parameter the output is.
        likelihood: Likelihood,
        /// The learned spread, if there is one.
        spread: Option<LearnedSpread>,
        /// `[batch, ceil(width / NLL_COLUMNS)]`, nats: each number is the sum over [`super::NLL_COLUMNS`] columns.
        recon: MatrixId,
        /// `[batch, width]`, divided by the batch size, if gradients are wanted.
        d_output: Option<MatrixId>,
    },
    /// A step of the prior or of what compares latents.
    Prior(PriorPass),
}

/// Sizes of an upsampling by repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Repeat {
    /// Height and width of the small image.
    pub small: [usize; 2],
    /// Height and width of the large image.
    pub large: [usize; 2],
    /// Channels of both.
    pub channels: usize,
    /// Side of the square that a pixel becomes.
    pub factor: usize,
}

/// Sizes and parameters of a group normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GroupNorm {
    /// Offset of the scale in the arena, `[channels]`; the shift, `[channels]`, is behind it.
    pub scale: usize,
    /// Number of channels.
    pub channels: usize,
    /// Number of groups that they make up.
    pub groups: usize,
}

/// The spread of a likelihood as parameters of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedSpread {
    /// Offset of the parameters in the arena.
    pub offset: usize,
    /// Their number: 1, or the number of columns.
    pub length: usize,
    /// Gradients still to be summed over the rows, if gradients are wanted, divided by the batch size: `[batch, ceil(width / NLL_COLUMNS)]` for one
    /// parameter, as `recon`; `[batch, width]` for one in each column.
    pub d_spread: MatrixId,
}

impl Pass {
    /// Name in tests, benchmarks and shaders.
    #[must_use]
    pub const fn stem(&self) -> &'static str {
        match self {
            Self::Gather { .. } => "gather",
            Self::GatherLabels { .. } => "gather_labels",
            Self::Corrupt { .. } => "corrupt",
            Self::Transpose { .. } => "transpose",
            Self::LogOfCounts { .. } => "log_of_counts",
            Self::Label { .. } => "label",
            Self::RepeatRows { .. } => "repeat_rows",
            Self::SumRows { .. } => "sum_rows",
            Self::Importance { .. } => "importance",
            Self::ImportanceSum { .. } => "importance_sum",
            Self::ScaleRows { .. } => "scale_rows",
            Self::DenseForward { .. } => "dense_forward",
            Self::DenseBackwardParameters { .. } => "dense_backward_parameters",
            Self::DenseBackwardInput { .. } => "dense_backward_input",
            Self::Convolve { .. } => "convolve",
            Self::ConvolveTransposed { .. } => "convolve_transposed",
            Self::ConvolveBackwardWeight { .. } => "convolve_backward_weight",
            Self::Sums { .. } => "sums",
            Self::Activate { .. } => "activate",
            Self::Add { .. } => "add",
            Self::RepeatForward { .. } => "repeat_forward",
            Self::RepeatBackward { .. } => "repeat_backward",
            Self::GroupNormForward { .. } => "group_norm_forward",
            Self::GroupNormBackward { .. } => "group_norm_backward",
            Self::SampleKlForward { .. } => "sample_kl_forward",
            Self::SampleKlBackward { .. } => "sample_kl_backward",
            Self::DenseNll { .. } => "dense_nll",
            Self::Nll { .. } => "nll",
            Self::Prior(pass) => pass.stem(),
        }
    }

    /// A matrix of as many rows as the pass runs over: of several kinds of rows, the more numerous for what repeats or weights
    /// them, and the fewer for their sums.
    pub(super) const fn runs_over(&self) -> MatrixId {
        match *self {
            Self::Gather { images, .. } => images,
            Self::GatherLabels { labels } => labels,
            Self::Corrupt { corrupted, .. } => corrupted,
            Self::Importance { bound, .. } => bound,
            Self::ImportanceSum { sums, .. } => sums,
            Self::ScaleRows { values, .. } | Self::Sums { values, .. } => values,
            Self::DenseBackwardParameters { d_output, .. } => d_output,
            Self::ConvolveBackwardWeight { map, .. } | Self::Convolve { map, .. } => map,
            Self::ConvolveTransposed { image, .. } => image,
            Self::DenseBackwardInput { d_input, .. }
            | Self::RepeatBackward { d_input, .. }
            | Self::GroupNormBackward { d_input, .. } => d_input,
            Self::SampleKlForward { z, .. } | Self::SampleKlBackward { z, .. } => z,
            Self::Prior(ref pass) => pass.runs_over(),
            Self::DenseNll { recon, .. } | Self::Nll { recon, .. } => recon,
            Self::Transpose { output, .. }
            | Self::LogOfCounts { output, .. }
            | Self::Label { output, .. }
            | Self::RepeatRows { output, .. }
            | Self::SumRows { output, .. }
            | Self::DenseForward { output, .. }
            | Self::Activate { output, .. }
            | Self::Add { output, .. }
            | Self::RepeatForward { output, .. }
            | Self::GroupNormForward { output, .. } => output,
        }
    }

    /// Multiply-adds of its matrix product on `batch` rows, if it has one.
    pub(super) const fn work(&self, batch: usize) -> usize {
        match self {
            Self::DenseForward { layer, .. }
            | Self::DenseBackwardParameters { layer, .. }
            | Self::DenseBackwardInput { layer, .. }
            | Self::DenseNll { layer, .. } => batch * layer.inputs * layer.width(),
            Self::Convolve { convolution, .. }
            | Self::ConvolveTransposed { convolution, .. }
            | Self::ConvolveBackwardWeight { convolution, .. } => {
                batch * convolution.geometry.places() * convolution.weights()
            }
            _ => 0,
        }
    }

    /// Number of the parameters of its layer, if it has one: which it reads, or whose gradients it writes.
    pub(crate) const fn parameters(&self) -> usize {
        match self {
            Self::DenseForward { layer, .. }
            | Self::DenseBackwardParameters { layer, .. }
            | Self::DenseBackwardInput { layer, .. }
            | Self::DenseNll { layer, .. } => (layer.inputs + 1) * layer.width(),
            Self::Convolve { convolution, .. }
            | Self::ConvolveTransposed { convolution, .. }
            | Self::ConvolveBackwardWeight { convolution, .. } => convolution.weights(),
            Self::GroupNormForward { norm, .. } | Self::GroupNormBackward { norm, .. } => {
                2 * norm.channels
            }
            _ => 0,
        }
    }
}
