//! Convolutions against burn's own, in double precision, and against their definition.

use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, ModuleOps};
use burn::tensor::{DType, Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use rayon::ThreadPoolBuilder;
use vae_rng::{Generator, Stream};

use vae_kernels::program::Geometry;

use super::{Convolve, conv_transpose2d, conv2d, primitive, tensor, transpose_options};

type Plain = NdArray<f64>;
type Differentiable = Autodiff<Plain>;

/// `[batch, in, out, kernel, stride, padding]`, `[height, width]`, `padding_out` (of the transposed convolution).
const CASES: [([usize; 6], [usize; 2], [usize; 2]); 19] = [
    ([130, 1, 32, 3, 2, 1], [28, 28], [1, 1]),
    ([40, 32, 64, 3, 2, 1], [14, 14], [1, 1]),
    ([40, 64, 64, 3, 2, 1], [7, 7], [1, 1]),
    ([1, 1, 1, 1, 1, 0], [1, 1], [0, 0]),
    ([2, 1, 3, 3, 2, 1], [28, 28], [1, 1]),
    ([1, 3, 1, 3, 1, 1], [5, 7], [0, 0]),
    ([3, 2, 4, 3, 2, 1], [5, 7], [1, 0]),
    ([2, 3, 2, 2, 2, 0], [5, 7], [0, 1]),
    ([2, 3, 2, 2, 1, 2], [5, 7], [0, 0]),
    ([2, 2, 3, 4, 2, 1], [7, 5], [0, 0]),
    ([9, 2, 3, 4, 3, 2], [5, 7], [2, 1]),
    ([17, 1, 2, 5, 1, 2], [5, 7], [0, 0]),
    ([2, 4, 2, 5, 3, 2], [7, 9], [1, 2]),
    ([2, 4, 3, 5, 2, 0], [5, 7], [0, 0]),
    ([2, 3, 2, 1, 2, 0], [5, 7], [1, 1]),
    ([2, 3, 2, 1, 1, 2], [6, 7], [0, 0]),
    ([2, 5, 1, 3, 3, 0], [7, 5], [2, 0]),
    ([2, 4, 1, 2, 1, 1], [5, 7], [0, 0]),
    ([2, 1, 4, 4, 1, 2], [7, 6], [0, 0]),
];

/// Values in -1..1.
fn values(seed: u64, length: usize) -> Vec<f64> {
    let uniforms = Generator::new(seed, Stream::Init).uniforms(0, 0, 1, length);
    uniforms
        .into_iter()
        .map(|u| 2.0 * f64::from(u) - 1.0)
        .collect()
}

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<Differentiable, D> {
    let data = TensorData::new(values(seed, shape.iter().product()), shape);
    // Explicit, because burn's default type is one for all of ndarray, that of the first test to use it.
    Tensor::from_data(data, (&Default::default(), DType::F64)).require_grad()
}

/// The output, then the gradients of its product with fixed values with respect to input, weight and bias.
fn with_gradients(
    parameters: [Tensor<Differentiable, 4>; 2],
    bias: Tensor<Differentiable, 1>,
    operation: impl Fn(
        Tensor<Differentiable, 4>,
        Tensor<Differentiable, 4>,
        Tensor<Differentiable, 1>,
    ) -> Tensor<Differentiable, 4>,
) -> [TensorData; 4] {
    let [x, weight] = parameters;
    let out = operation(x.clone(), weight.clone(), bias.clone());
    let gradients = (out.clone() * random(4, out.dims()).detach())
        .sum()
        .backward();
    [
        out.into_data(),
        x.grad(&gradients).expect("of x").into_data(),
        weight.grad(&gradients).expect("of the weight").into_data(),
        bias.grad(&gradients).expect("of the bias").into_data(),
    ]
}

fn distance(a: &TensorData, b: &TensorData) -> f64 {
    assert_eq!(a.shape, b.shape);
    let (a, b) = (a.as_slice::<f64>().unwrap(), b.as_slice::<f64>().unwrap());
    assert!(!a.is_empty() && a.iter().chain(b).all(|value| value.is_finite()));
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

/// Two sums, in whatever order, of at most `terms` products of values below 1: each addition rounds a sum below `terms` to
/// 2^-53 of it.
fn tolerance(terms: usize) -> f64 {
    2.0 * (terms * terms) as f64 * 2f64.powi(-53)
}

/// The largest number of terms in a sum of the forward or backward pass.
fn terms([batch, inputs, outputs, kernel, ..]: [usize; 6], places: usize) -> usize {
    (inputs.max(outputs) * kernel * kernel + 1).max(batch * places)
}

#[test]
fn convolutions_and_their_gradients_are_those_of_burn() {
    for (sizes @ [batch, inputs, outputs, kernel, stride, padding], [height, width], _) in CASES {
        let x = random(1, [batch, inputs, height, width]);
        let weight = random(2, [outputs, inputs, kernel, kernel]);
        let bias = random(3, [outputs]);
        let own = with_gradients(
            [x.clone(), weight.clone()],
            bias.clone(),
            |x, weight, bias| conv2d(x, weight, bias, stride, padding),
        );
        let burns = with_gradients([x, weight], bias, |x, weight, bias| {
            let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
            module::conv2d(x, weight, Some(bias), options)
        });
        let places = own[0].shape[2] * own[0].shape[3];
        for (name, (own, burns)) in ["y", "x", "weight", "bias"]
            .iter()
            .zip(own.iter().zip(&burns))
        {
            let distance = distance(own, burns);
            assert!(
                distance <= tolerance(terms(sizes, places)),
                "{name} of {sizes:?}, {height} x {width}: {distance}"
            );
        }
    }
}

#[test]
fn transposed_convolutions_and_their_gradients_are_those_of_burn() {
    let mut compared = 0;
    for (sizes, [height, width], padding_out) in CASES {
        let [batch, inputs, outputs, kernel, stride, padding] = sizes;
        if (height.min(width) - 1) * stride + kernel <= 2 * padding {
            continue;
        }
        let x = random(1, [batch, inputs, height, width]);
        let weight = random(2, [inputs, outputs, kernel, kernel]);
        let bias = random(3, [outputs]);
        let own = with_gradients(
            [x.clone(), weight.clone()],
            bias.clone(),
            |x, weight, bias| conv_transpose2d(x, weight, bias, stride, padding, padding_out),
        );
        let burns = with_gradients([x, weight], bias, |x, weight, bias| {
            let options =
                ConvTransposeOptions::new([stride; 2], [padding; 2], padding_out, [1; 2], 1);
            module::conv_transpose2d(x, weight, Some(bias), options)
        });
        let places = own[0].shape[2] * own[0].shape[3];
        for (name, (own, burns)) in ["y", "x", "weight", "bias"]
            .iter()
            .zip(own.iter().zip(&burns))
        {
            let distance = distance(own, burns);
            assert!(
                distance <= tolerance(terms(sizes, places)),
                "{name} of {sizes:?}, {height} x {width} and {padding_out:?}: {distance}"
            );
        }
        compared += 1;
    }
    assert_eq!(compared, CASES.len());
}

fn geometry([_, _, _, kernel, stride, padding]: [usize; 6], image: [usize; 2]) -> Geometry {
    Geometry {
        kernel,
        stride,
        padding,
        image,
        map: image.map(|side| (side + 2 * padding - kernel) / stride + 1),
    }
}

#[test]
fn burns_operations_by_default_are_the_same_maps() {
    for (sizes @ [batch, inputs, outputs, kernel, ..], image, _) in CASES {
        let geometry = geometry(sizes, image);
        let [height, width] = geometry.map;
        let map = primitive(random::<4>(1, [batch, outputs, height, width]).inner());
        let weight = primitive(random::<4>(2, [outputs, inputs, kernel, kernel]).inner());
        let bias = Some(primitive(random::<1>(3, [inputs]).inner()));
        let options = transpose_options(geometry);
        let burns = Plain::conv_transpose2d(map.clone(), weight.clone(), bias.clone(), options);
        let own = Plain::convolve_transposed(map, weight, bias, geometry);
        let [own, burns] = [own, burns].map(|image| tensor::<Plain, 4>(image).into_data());
        assert!(
            distance(&own, &burns) <= tolerance(terms(sizes, height * width)),
            "{sizes:?}"
        );
    }
}

#[test]
fn single_precision_is_double_precision_rounded() {
    let [x, weight] = [random(1, [3, 4, 9, 7]), random(2, [5, 4, 3, 3])].map(Tensor::inner);
    let bias = random(3, [5]).inner();
    let double = conv2d(x.clone(), weight.clone(), bias.clone(), 2, 1);
    let single = conv2d(
        x.cast(DType::F32),
        weight.cast(DType::F32),
        bias.cast(DType::F32),
        2,
        1,
    );
    assert_eq!(single.dtype(), DType::F32);
    let distance = distance(&single.into_data().convert::<f64>(), &double.into_data());
    // As `tolerance`, with 24 bits in place of 53 and 37 terms, plus the two inputs of each rounded to 24 bits.
    let tolerance = (37.0 * 37.0 + 2.0 * 37.0) * 2f64.powi(-24);
    assert!(distance > 0.0 && distance <= tolerance, "{distance}");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let results = [1, 2].map(|threads| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let x = random(1, [37, 3, 9, 11]);
            let down = with_gradients([x, random(2, [5, 3, 3, 3])], random(3, [5]), |x, w, b| {
                conv2d(x, w, b, 2, 1)
            });
            let x = random(1, [37, 5, 9, 11]);
            let up = with_gradients([x, random(2, [5, 3, 3, 3])], random(3, [3]), |x, w, b| {
                conv_transpose2d(x, w, b, 2, 1, [1, 0])
            });
            [down, up]
        })
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn a_flipped_kernel_and_a_padding_off_by_one_are_told_apart() {
    let sizes = [2, 3, 4, 3, 2, 1];
    let right = geometry(sizes, [5, 7]);
    let convolve = |weight: Tensor<Differentiable, 4>, geometry| {
        let (image, weight) = (random::<4>(1, [2, 3, 5, 7]).inner(), weight.inner());
        tensor::<Plain, 4>(Plain::convolve(
            primitive(image),
            primitive(weight),
            None,
            geometry,
        ))
        .into_data()
    };
    let weight = random(2, [4, 3, 3, 3]);
    let expected = convolve(weight.clone(), right);
    let off_by_one = Geometry {
        padding: 0,
        ..right
    };
    // Sums of 27 products of unrelated values in -1..1 differ by far more than by rounding.
    assert!(distance(&expected, &convolve(weight.clone(), off_by_one)) > 0.1);
    assert!(distance(&expected, &convolve(weight.flip([2, 3]), right)) > 0.1);
}
