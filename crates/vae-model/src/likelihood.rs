//! The reconstruction term: how likely an image is under the decoder's output.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Tensor, backend::Backend};

/// Negative log-likelihood of `x` under independent Bernoullis with `logits`, summed over pixels: `[batch]`, nats.
///
/// `x` and `logits` are `[batch, pixels]`; `x` may be anything in `[0, 1]`. Equal to
/// `sum_d (max(l, 0) - l x + log(1 + exp(-|l|)))`, written as `sum_d (l - l x - log sigmoid(l))`: both are finite for every
/// logit, but burn's gradient of the first at a logit of exactly 0 is `-x` instead of `1/2 - x`.
pub(crate) fn bernoulli_nll<B: Backend>(logits: Tensor<B, 2>, x: Tensor<B, 2>) -> Tensor<B, 1> {
    let nll = logits.clone() - logits.clone() * x - log_sigmoid(logits);
    nll.sum_dim(1).squeeze_dim(1)
}

/// Negative log-likelihood of `x` under independent normals with `means` and standard deviation `sigma`, summed over
/// pixels: `sum_d (((x - m) / sigma)^2 / 2 + ln sigma + ln(2 pi) / 2)`, `[batch]`, nats.
///
/// `x` and `means` are `[batch, pixels]`.
pub(crate) fn gaussian_nll<B: Backend>(
    means: Tensor<B, 2>,
    x: Tensor<B, 2>,
    sigma: f32,
) -> Tensor<B, 1> {
    let constant = sigma.ln() + 0.5 * std::f32::consts::TAU.ln();
    let scaled = (x - means) / sigma;
    let nll = scaled.square() * 0.5 + constant;
    nll.sum_dim(1).squeeze_dim(1)
}
