//! Two-dimensional convolutions and transposed convolutions over burn's backends, fast on ndarray.
//!
//! ```text
//! convolve:            map[o, y, x]   = bias[o] + sum_{c, i, j} weight[o, c, i, j] image[c, sy + i - p, sx + j - p]
//! convolve_transposed: image[c, v, u] = bias[c] + sum weight[o, c, i, j] map[o, y, x],  v = sy + i - p, u = sx + j - p
//! ```
//!
//! Both are linear maps between an `image` and a `map`, the one the adjoint of the other, so a gradient of one is the other.
//! [`Convolve`] is these maps as a trait over burn's backends. Its default bodies are burn's own operations, with burn's
//! own gradients; ndarray overrides them by matrix products of unfolded patches (im2col; Chellapilla, Puri, Simard, 2006).

mod autodiff;
mod ndarray;

use burn::tensor::backend::Backend;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, FloatTensor};
use burn::tensor::{Tensor, TensorPrimitive};
use burn_wgpu::{BoolElement, CubeBackend, IntElement, WgpuRuntime};
use vae_kernels::program::Geometry;
use vae_spec::network::Convolution;

fn options(geometry: Geometry) -> ConvOptions<2> {
    ConvOptions::new([geometry.stride; 2], [geometry.padding; 2], [1; 2], 1)
}

fn transpose_options(geometry: Geometry) -> ConvTransposeOptions<2> {
    let Geometry {
        kernel,
        stride,
        padding,
        image,
        map,
    } = geometry;
    let padding_out = [0, 1].map(|side| {
        let covered = (map[side] - 1) * stride + kernel;
        image[side] + 2 * padding - covered
    });
    ConvTransposeOptions::new([stride; 2], [padding; 2], padding_out, [1; 2], 1)
}

/// The operations, on the primitive tensors of a backend: `image` is `[batch, in, height, width]`, `map` `[batch, out,
/// height, width]`, `weight` `[out, in, kernel, kernel]`. Call [`conv2d`] and [`conv_transpose2d`] instead.
pub trait Convolve: Backend {
    /// Whether the backend overrides the bodies. If not, autodiff takes burn's own gradients, too.
    const OVERRIDDEN: bool = false;

    /// Convolves an image to a map; `bias` is `[out]`.
    fn convolve(
        image: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        Self::conv2d(image, weight, bias, options(geometry))
    }

    /// Convolves a map, transposed, to an image: the adjoint of [`Self::convolve`]; `bias` is `[in]`.
    fn convolve_transposed(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        Self::conv_transpose2d(map, weight, bias, transpose_options(geometry))
    }

    /// The gradient of `weight`, of the same shape, from the values of one side and the gradient of the other.
    fn convolve_weight_gradient(
        image: FloatTensor<Self>,
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        Self::conv2d_weight_backward(image, weight, map, options(geometry))
    }

    /// The gradient of `bias`, `[channels]`, from that of the output, `[batch, channels, height, width]`.
    fn convolve_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let gradient = tensor::<Self, 4>(gradient);
        let channels = gradient.dims()[1];
        let sum = gradient.sum_dim(0).sum_dim(2).sum_dim(3);
        primitive(sum.reshape([channels]))
    }
}

impl<I: IntElement, BT: BoolElement> Convolve for CubeBackend<WgpuRuntime, f32, I, BT> {}

/// Convolves `x`, `[batch, in, height, width]`, with `weight`, `[out, in, kernel, kernel]`, and adds `bias`, `[out]`:
/// `[batch, out, (height + 2 padding - kernel) / stride + 1, ..]`.
///
/// # Panics
/// If the shapes do not fit, or the kernel is larger than the padded image.
pub(crate) fn conv2d<B: Convolve>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    stride: usize,
    padding: usize,
) -> Tensor<B, 4> {
    let ([_, channels, height, width], [out, inputs, kernel, columns]) = (x.dims(), weight.dims());
    assert!(
        channels == inputs && kernel == columns && bias.dims() == [out],
        "conv2d of {:?} with weight {:?}, which has to be [out, {channels}, kernel, kernel], and bias {:?}, [out]",
        x.dims(),
        weight.dims(),
        bias.dims()
    );
    assert!(
        kernel > 0 && stride > 0 && kernel <= height.min(width) + 2 * padding,
        "conv2d with kernel {kernel} and stride {stride}, of {height} x {width} padded by {padding}"
    );
    let geometry = Geometry {
        kernel,
        stride,
        padding,
        image: [height, width],
        map: [height, width].map(|side| (side + 2 * padding - kernel) / stride + 1),
    };
    tensor(B::convolve(
        primitive(x),
        primitive(weight),
        Some(primitive(bias)),
        geometry,
    ))
}

/// Convolves `x`, `[batch, in, height, width]`, transposed, with `weight`, `[in, out, kernel, kernel]`, and adds `bias`,
/// `[out]`: `[batch, out, (height - 1) stride + kernel + padding_out - 2 padding, ..]`.
///
/// # Panics
/// If the shapes do not fit, or padding leaves nothing of the image.
pub(crate) fn conv_transpose2d<B: Convolve>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    stride: usize,
    padding: usize,
    padding_out: [usize; 2],
) -> Tensor<B, 4> {
    let ([_, channels, height, width], [inputs, out, kernel, columns]) = (x.dims(), weight.dims());
    assert!(
        channels == inputs && kernel == columns && bias.dims() == [out],
        "conv_transpose2d of {:?} with weight {:?}, which has to be [{channels}, out, kernel, kernel], and bias {:?}, [out]",
        x.dims(),
        weight.dims(),
        bias.dims()
    );
    let map = [height, width];
    let padded = [0, 1].map(|side| (map[side] - 1) * stride + kernel + padding_out[side]);
    assert!(
        kernel > 0 && stride > 0 && padded.iter().all(|&side| side > 2 * padding),
        "conv_transpose2d with kernel {kernel} and stride {stride}, to {padded:?} with padding {padding}"
    );
    let geometry = Geometry {
        kernel,
        stride,
        padding,
        image: padded.map(|side| side - 2 * padding),
        map,
    };
    tensor(B::convolve_transposed(
        primitive(x),
        primitive(weight),
        Some(primitive(bias)),
        geometry,
    ))
}

/// A convolutional layer by [`Convolve`], fast on ndarray.
pub(crate) fn convolve<B: Convolve>(
    layer: &Convolution,
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
) -> Tensor<B, 4> {
    let &Convolution {
        stride, padding, ..
    } = layer;
    if layer.is_transposed {
        let padding_out = layer.padding_out();
        conv_transpose2d(x, weight, bias, stride, padding, padding_out)
    } else {
        conv2d(x, weight, bias, stride, padding)
    }
}

fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

#[cfg(test)]
mod tests;
