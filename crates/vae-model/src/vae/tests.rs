//! Layers against their closed forms, computed in loops in f64.

mod whole;

use burn::tensor::{DType, Tensor, TensorData};
use burn_ndarray::NdArray;

use super::{Vae, activate, convolve};
use vae_spec::network::{Convolution, Op};
use vae_spec::{Activation, Convolutions, ModelConfig, Upsampling, Weights};

type Matrix = Tensor<NdArray<f64>, 2>;

/// Rounding of sums of some tens of numbers below 10.
const ROUNDED: f64 = 1e-13;

fn matrix(values: &[f64], columns: usize) -> Matrix {
    let data = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
    Tensor::from_data(data, (&Default::default(), DType::F64))
}

fn read(tensor: Matrix) -> Vec<f64> {
    assert_eq!(tensor.dtype(), DType::F64);
    tensor.into_data().iter().collect()
}

/// Numbers that are all different, within [-1, 1].
fn numbers(count: usize) -> Vec<f64> {
    (0..count)
        .map(|place| (1.3 * place as f64 + 0.4).sin())
        .collect()
}

/// A network all of whose parameters are different numbers.
fn vae(config: &ModelConfig) -> Vae<NdArray<f64>> {
    let mut weights = Weights::initial(config, 1).tensors().to_vec();
    for (index, tensor) in weights.iter_mut().enumerate() {
        for (place, value) in tensor.values.iter_mut().enumerate() {
            *value = (0.7 * place as f32 + index as f32).cos();
        }
    }
    let weights = Weights::from_tensors(config, weights).expect("the same tensors");
    Vae::new(config, &weights, &Default::default(), convolve)
}

fn convolutional(image: [usize; 3], convolutions: Convolutions) -> ModelConfig {
    ModelConfig {
        image,
        convolutions: Some(convolutions),
        ..ModelConfig::dense(image.iter().product(), &[5], 2)
    }
}

const STAGE: Convolutions = Convolutions {
    channels: Vec::new(),
    kernel: 3,
    stride: 2,
    upsampling: Upsampling::Transposed,
    groups: None,
    residual_blocks: 0,
};

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        assert!(
            error < ROUNDED * (1.0 + expected.abs()),
            "{found}, not {expected}"
        );
    }
}

/// `y[o, p] = b[o] + sum w[o, i, k] x[i, stride p + k - padding]`, in loops; of a transposed one the same terms, each
/// with `x` and `y` exchanged.
fn in_loops(layer: &Convolution, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let [inputs, in_rows, in_columns] = layer.input;
    let [outputs, rows, columns] = layer.output;
    let mut y: Vec<f64> = bias.iter().flat_map(|&b| vec![b; rows * columns]).collect();
    let (small, large) = if layer.is_transposed {
        ([in_rows, in_columns], [rows, columns])
    } else {
        ([rows, columns], [in_rows, in_columns])
    };
    let area = layer.kernel * layer.kernel;
    for (o, i) in (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))) {
        for (r, c) in (0..small[0]).flat_map(|r| (0..small[1]).map(move |c| (r, c))) {
            for k in 0..area {
                let [kr, kc] = [k / layer.kernel, k % layer.kernel];
                let (at_row, at_column) = (layer.stride * r + kr, layer.stride * c + kc);
                let (Some(row), Some(column)) = (
                    at_row.checked_sub(layer.padding),
                    at_column.checked_sub(layer.padding),
                ) else {
                    continue;
                };
                if row >= large[0] || column >= large[1] {
                    continue;
                }
                let (near, far) = (r * small[1] + c, row * large[1] + column);
                if layer.is_transposed {
                    let place = i * small[0] * small[1] + near;
                    y[o * large[0] * large[1] + far] +=
                        weight[(i * outputs + o) * area + k] * x[place];
                } else {
                    let place = i * large[0] * large[1] + far;
                    y[o * small[0] * small[1] + near] +=
                        weight[(o * inputs + i) * area + k] * x[place];
                }
            }
        }
    }
    y
}

#[test]
fn convolutions_and_transposed_ones_are_sums_over_their_kernels() {
    let mut transposed = 0;
    for (kernel, stride) in [(1, 1), (2, 2), (3, 1), (3, 2), (4, 3), (5, 3)] {
        let stages = Convolutions {
            channels: vec![3],
            kernel,
            stride,
            ..STAGE
        };
        let vae = vae(&convolutional([2, 7, 9], stages));
        for op in vae.network.encoder.iter().chain(&vae.network.decoder) {
            let Op::Convolution(layer) = op else { continue };
            let x = numbers(2 * layer.input.iter().product::<usize>());
            let half = x.len() / 2;
            let [weight, bias] = [0, 1].map(|offset| {
                let values = vae.parameters[layer.weight + offset].clone();
                values.into_data().iter().collect::<Vec<f64>>()
            });
            let expected = x
                .chunks(half)
                .flat_map(|x| in_loops(layer, x, &weight, &bias));
            let found = read(vae.convolution(layer, matrix(&x, half)));
            close(&found, &expected.collect::<Vec<_>>());
            transposed += usize::from(layer.is_transposed);
        }
    }
    assert_eq!(transposed, 6);
}

#[test]
fn nearest_upsampling_repeats_pixels_and_cuts_off_the_rest() {
    let op = Op::Repeat {
        input: [2, 1, 2],
        output: [2, 2, 3],
        factor: 2,
    };
    let vae = vae(&ModelConfig::dense(4, &[3], 2));
    let x = matrix(&[1.0, 2.0, 3.0, 4.0], 4);
    let found = read(vae.run(&[op], x, None, &mut |_, _| {}));
    let [first, second] = [[1.0, 1.0, 2.0], [3.0, 3.0, 4.0]];
    assert_eq!(found, [first, first, second, second].concat());
}

#[test]
fn group_norm_is_its_closed_form() {
    let stages = Convolutions {
        channels: vec![6],
        groups: Some(4),
        ..STAGE
    };
    let vae = vae(&convolutional([1, 5, 5], stages));
    let Some(
        op @ Op::GroupNorm {
            scale,
            size,
            groups,
            ..
        },
    ) = vae.network.encoder.get(1)
    else {
        panic!("the second step normalises: {:?}", vae.network.encoder)
    };
    // The most groups up to 4 that divide 6.
    assert_eq!((*size, *groups), ([6, 3, 3], 3));
    let columns = 6 * 9;
    let x = numbers(2 * columns);
    let values = |parameter: usize| -> Vec<f64> {
        vae.parameters[parameter]
            .clone()
            .into_data()
            .iter()
            .collect()
    };
    let (scales, shifts) = (values(*scale), values(scale + 1));
    let mut expected = Vec::new();
    for group in x.chunks(2 * 9) {
        let count = group.len() as f64;
        let mean = group.iter().sum::<f64>() / count;
        let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        for x in group {
            let channel = expected.len() % columns / 9;
            let unit = (x - mean) / (variance + 1e-5).sqrt();
            expected.push(scales[channel] * unit + shifts[channel]);
        }
    }
    let found = vae.run(
        std::slice::from_ref(op),
        matrix(&x, columns),
        None,
        &mut |_, _| {},
    );
    close(&read(found), &expected);
}

#[test]
fn a_residual_block_adds_what_went_in() {
    let stages = Convolutions {
        channels: vec![2],
        residual_blocks: 1,
        groups: Some(2),
        ..STAGE
    };
    let vae = vae(&convolutional([1, 4, 4], stages));
    let blocks = vae.network.encoder.iter().filter_map(|op| match op {
        Op::Residual(inner) => Some((op, inner)),
        _ => None,
    });
    let [(block, inner)] = blocks.collect::<Vec<_>>().try_into().expect("one block");
    assert_eq!(inner.len(), 6);
    let x = numbers(2 * 2 * 4);
    let run = |ops: &[Op]| read(vae.run(ops, matrix(&x, 8), None, &mut |_, _| {}));
    let inner = run(inner);
    let sums: Vec<f64> = inner.iter().zip(&x).map(|(y, x)| x + y).collect();
    assert_eq!(run(std::slice::from_ref(block)), sums);
    assert!(inner.iter().all(|&y| y != 0.0));
}

fn activated(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Gelu => x * 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
    }
}

#[test]
fn activations_are_their_formulas() {
    let x = [-40.0, -3.0, -0.2, 0.0, 0.7, 2.5, 40.0];
    for activation in [
        Activation::Relu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Gelu,
        Activation::LeakyRelu,
        Activation::Softplus,
    ] {
        let found = read(activate(activation, matrix(&x, 7)));
        for (found, x) in found.iter().zip(x) {
            let error = (found - activated(activation, x)).abs();
            let tolerance = match activation {
                // burn computes it in f32 on every backend.
                Activation::Sigmoid => 1e-7,
                _ => 1e-14 * (1.0 + x.abs()),
            };
            assert!(error < tolerance, "{activation:?} {x}: {found}");
        }
    }
}
