//! Convolutions on ndarray: unwraps its tensors for [`vae_kernels::cpu::convolution`], in single or double precision.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Element, TensorData, TensorMetadata};
use burn_ndarray::{
    FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, QuantElement, SharedArray,
};

use vae_kernels::cpu::convolution::{self, Real, Sizes};
use vae_kernels::program::Geometry;

use super::Convolve;

impl<E: FloatNdArrayElement, I: IntNdArrayElement, Q: QuantElement> Convolve for NdArray<E, I, Q>
where
    NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>,
{
    const OVERRIDDEN: bool = true;

    fn convolve(
        image: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        match image.dtype() {
            DType::F64 => convolve::<f64>(image, weight, bias, geometry),
            _ => convolve::<f32>(image, weight, bias, geometry),
        }
    }

    fn convolve_transposed(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        match map.dtype() {
            DType::F64 => convolve_transposed::<f64>(map, weight, bias, geometry),
            _ => convolve_transposed::<f32>(map, weight, bias, geometry),
        }
    }

    fn convolve_weight_gradient(
        image: FloatTensor<Self>,
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        match image.dtype() {
            DType::F64 => weight_gradient::<f64>(image, map, weight, geometry),
            _ => weight_gradient::<f32>(image, map, weight, geometry),
        }
    }

    fn convolve_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        match gradient.dtype() {
            DType::F64 => bias_gradient::<f64>(gradient),
            _ => bias_gradient::<f32>(gradient),
        }
    }
}

fn convolve<T: Values>(
    image: NdArrayTensor,
    weight: NdArrayTensor,
    bias: Option<NdArrayTensor>,
    geometry: Geometry,
) -> NdArrayTensor {
    let sizes = sizes(image.shape()[0], &weight, geometry);
    let (image, weight) = (contiguous::<T>(image), contiguous(weight));
    let bias = bias.map(contiguous);
    let map = convolution::convolve(
        values(&image),
        values(&weight),
        bias.as_ref().map(values),
        sizes,
    );
    from_values(map, [sizes.batch, sizes.map_channels], &geometry.map)
}

fn convolve_transposed<T: Values>(
    map: NdArrayTensor,
    weight: NdArrayTensor,
    bias: Option<NdArrayTensor>,
    geometry: Geometry,
) -> NdArrayTensor {
    let sizes = sizes(map.shape()[0], &weight, geometry);
    let (map, weight) = (contiguous::<T>(map), contiguous(weight));
    let bias = bias.map(contiguous);
    let image = convolution::convolve_transposed(
        values(&map),
        values(&weight),
        bias.as_ref().map(values),
        sizes,
    );
    from_values(image, [sizes.batch, sizes.image_channels], &geometry.image)
}

fn weight_gradient<T: Values>(
    image: NdArrayTensor,
    map: NdArrayTensor,
    weight: NdArrayTensor,
    geometry: Geometry,
) -> NdArrayTensor {
    let sizes = sizes(image.shape()[0], &weight, geometry);
    let (image, map) = (contiguous::<T>(image), contiguous(map));
    let gradient = convolution::weight_gradient(values(&image), values(&map), sizes);
    let channels = [sizes.map_channels, sizes.image_channels];
    from_values(gradient, channels, &[geometry.kernel; 2])
}

fn bias_gradient<T: Values>(gradient: NdArrayTensor) -> NdArrayTensor {
    let shape = gradient.shape();
    let gradient = contiguous::<T>(gradient);
    let sums = convolution::channel_sums(values(&gradient), shape[1], shape[2] * shape[3]);
    NdArrayTensor::from_data(TensorData::new(sums, [shape[1]]))
}

fn sizes(batch: usize, weight: &NdArrayTensor, geometry: Geometry) -> Sizes {
    let weight = weight.shape();
    Sizes {
        batch,
        map_channels: weight[0],
        image_channels: weight[1],
        geometry,
    }
}

/// Element types of ndarray's tensors that convolutions take.
trait Values: Real + Element {
    /// # Panics
    /// If the tensor is of another type, which burn's operations do not take either.
    fn array(tensor: NdArrayTensor) -> SharedArray<Self>;
}

impl Values for f32 {
    fn array(tensor: NdArrayTensor) -> SharedArray<Self> {
        match tensor {
            NdArrayTensor::F32(storage) => storage.into_shared(),
            other => panic!("a convolution of F32 with {:?}", other.dtype()),
        }
    }
}

impl Values for f64 {
    fn array(tensor: NdArrayTensor) -> SharedArray<Self> {
        match tensor {
            NdArrayTensor::F64(storage) => storage.into_shared(),
            other => panic!("a convolution of F64 with {:?}", other.dtype()),
        }
    }
}

fn contiguous<T: Values>(tensor: NdArrayTensor) -> SharedArray<T> {
    let array = T::array(tensor);
    if array.is_standard_layout() {
        array
    } else {
        array.as_standard_layout().into_owned().into_shared()
    }
}

#[expect(
    clippy::expect_used,
    reason = "only called with what `contiguous` made"
)]
fn values<T>(array: &SharedArray<T>) -> &[T] {
    array.as_slice().expect("a contiguous array")
}

fn from_values<T: Values>(
    values: Vec<T>,
    [first, second]: [usize; 2],
    [height, width]: &[usize; 2],
) -> NdArrayTensor {
    NdArrayTensor::from_data(TensorData::new(values, [first, second, *height, *width]))
}
