//! `sample_kl`: one draw from a diagonal Gaussian posterior and its KL divergence from the standard normal, as one op.
//!
//! ```text
//! v  = clamp(log_var, -30, 20)
//! z  = mu + exp(v / 2) * eps                          [batch, latent]
//! kl = 0.5 * sum_j (mu_j^2 + exp(v_j) - v_j - 1)      [batch], nats
//! ```
//!
//! [`SampleKl`] is the op as a trait over burn's backends. Its default bodies are the plain-tensor reference; wgpu overrides them
//! with `shaders/op/sample_kl_*.wgsl`, which draw `eps` themselves; `Autodiff` makes forward and backward one node. An autodiff
//! op has one output, so `z` and `kl` travel packed as `[batch, packed]`: `z` in the first columns, `kl` behind it, and what a backend
//! adds behind both.

mod autodiff;
mod wgpu;

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use burn_ndarray::{
    FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, QuantElement, SharedArray,
};
use vae_rng::Noise;

/// The op, on the primitive tensors of a backend. Call [`sample_kl`] instead.
pub trait SampleKl: Backend {
    /// `mu` and `log_var`, `[batch, latent]`, to `z | kl`, `[batch, latent + 1]` or wider.
    fn sample_kl_forward(
        mu: FloatTensor<Self>,
        log_var: FloatTensor<Self>,
        noise: Noise,
    ) -> FloatTensor<Self> {
        primitive(reference::forward(
            tensor::<Self>(mu),
            tensor(log_var),
            noise,
        ))
    }

    /// Gradients `(d_mu, d_log_var)` of a forward pass that gave `z_kl`, from `d_z_kl`, the gradient of its output.
    fn sample_kl_backward(
        mu: FloatTensor<Self>,
        log_var: FloatTensor<Self>,
        z_kl: FloatTensor<Self>,
        d_z_kl: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (d_mu, d_log_var) = reference::backward(
            tensor::<Self>(mu),
            tensor(log_var),
            tensor(z_kl),
            tensor(d_z_kl),
        );
        (primitive(d_mu), primitive(d_log_var))
    }
}

impl<E: FloatNdArrayElement, I: IntNdArrayElement, Q: QuantElement> SampleKl for NdArray<E, I, Q> where
    NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>
{
}

/// Draws `z`, `[batch, latent]`, and returns it with `kl`, `[batch]`, nats.
pub fn sample_kl<B: SampleKl>(
    mu: Tensor<B, 2>,
    log_var: Tensor<B, 2>,
    noise: Noise,
) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let latent = mu.dims()[1];
    let z_kl = tensor::<B>(B::sample_kl_forward(
        primitive(mu),
        primitive(log_var),
        noise,
    ));
    (
        z_kl.clone().narrow(1, 0, latent),
        z_kl.narrow(1, latent, 1).squeeze_dim(1),
    )
}

/// Standard normal draws of `noise` as a tensor, `[rows, columns]`.
pub(crate) fn normals<B: Backend>(
    noise: Noise,
    [rows, columns]: [usize; 2],
    device: &B::Device,
) -> Tensor<B, 2> {
    let values = TensorData::new(noise.normals(rows, columns), [rows, columns]);
    Tensor::from_data(values.convert::<B::FloatElem>(), device)
}

fn tensor<B: Backend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend>(tensor: Tensor<B, 2>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// The op in plain tensor operations: the reference for every faster form.
pub mod reference {
    use vae_spec::{LOG_VAR_MAX, LOG_VAR_MIN};

    use super::{Backend, Noise, Tensor, normals};

    /// See [`super::SampleKl::sample_kl_forward`].
    pub fn forward<B: Backend>(
        mu: Tensor<B, 2>,
        log_var: Tensor<B, 2>,
        noise: Noise,
    ) -> Tensor<B, 2> {
        let [batch, latent] = mu.dims();
        let eps = normals(noise, [batch, latent], &mu.device());
        let v = log_var.clamp(LOG_VAR_MIN, LOG_VAR_MAX);
        let z = mu.clone() + (v.clone() * 0.5).exp() * eps;
        let kl = (mu.square() + v.clone().exp() - v - 1.0).sum_dim(1) * 0.5;
        Tensor::cat(vec![z, kl], 1)
    }

    /// See [`super::SampleKl::sample_kl_backward`]. `eps` is not drawn again: `dz / dlog_var = (z - mu) / 2`.
    pub fn backward<B: Backend>(
        mu: Tensor<B, 2>,
        log_var: Tensor<B, 2>,
        z_kl: Tensor<B, 2>,
        d_z_kl: Tensor<B, 2>,
    ) -> (Tensor<B, 2>, Tensor<B, 2>) {
        let latent = mu.dims()[1];
        let z = z_kl.narrow(1, 0, latent);
        let d_z = d_z_kl.clone().narrow(1, 0, latent);
        let d_kl = d_z_kl.narrow(1, latent, 1);
        let outside = log_var
            .clone()
            .lower_elem(LOG_VAR_MIN)
            .bool_or(log_var.clone().greater_elem(LOG_VAR_MAX));
        let d_log_var =
            (d_z.clone() * (z - mu.clone()) + d_kl.clone() * (log_var.exp() - 1.0)) * 0.5;
        (d_z + d_kl * mu, d_log_var.mask_fill(outside, 0.0))
    }
}
