//! Sizes, names and initial values of every network that fits its images.

use std::collections::HashSet;

use super::{Network, Op};
use crate::{Convolutions, Initialization, ModelConfig, Start, Upsampling, Weights};

fn stages(count: usize, kernel: usize, stride: usize, upsampling: Upsampling) -> Convolutions {
    Convolutions {
        channels: [4, 6, 5][..count].to_vec(),
        kernel,
        stride,
        upsampling,
        groups: Some(3),
        residual_blocks: 1,
    }
}

fn with(image: [usize; 3], convolutions: Convolutions) -> ModelConfig {
    ModelConfig {
        image,
        convolutions: Some(convolutions),
        ..ModelConfig::dense(image.iter().product(), &[7], 2)
    }
}

/// Every network of these kernels, strides and stages on images of sides 1 to 33, and on a colour image that is not square.
fn all() -> Vec<ModelConfig> {
    let mut all = Vec::new();
    let squares = (1..=33).map(|side| [1, side, side]);
    for image in squares.chain([[3, 5, 9]]) {
        for kernel in 1..=5 {
            for stride in 1..=kernel.min(3) {
                for count in 1..=3 {
                    for upsampling in [Upsampling::Transposed, Upsampling::Nearest] {
                        let is_possible = kernel % 2 == 1 || upsampling == Upsampling::Transposed;
                        let stages = stages(count, kernel, stride, upsampling);
                        if is_possible && stages.fits(image) {
                            all.push(with(image, stages));
                        }
                    }
                }
            }
        }
    }
    all
}

/// The columns that come out of `ops`; checks that each operation takes what the one before gives.
fn walk(network: &Network, ops: &[Op], columns: usize) -> usize {
    let shape = |parameter: usize| network.parameters[parameter].shape.clone();
    let product = |size: &[usize; 3]| size.iter().product::<usize>();
    ops.iter().fold(columns, |columns, op| match op {
        Op::Label | Op::Activation => columns,
        Op::Dense(layer) => {
            assert_eq!(columns, layer.inputs);
            assert_eq!(shape(layer.weight), [layer.inputs, layer.outputs]);
            assert_eq!(shape(layer.weight + 1), [layer.outputs]);
            layer.outputs
        }
        Op::Convolution(layer) => {
            assert_eq!(columns, product(&layer.input));
            assert_eq!(shape(layer.weight), layer.weight_shape());
            assert_eq!(shape(layer.weight + 1), [layer.output[0]]);
            let (large, small) = if layer.is_transposed {
                // Frameworks refuse an output padding of the stride or more.
                assert!(layer.padding_out().iter().all(|&more| more < layer.stride));
                (layer.output, layer.input)
            } else {
                (layer.input, layer.output)
            };
            for axis in [1, 2] {
                let shrunk = (large[axis] + 2 * layer.padding - layer.kernel) / layer.stride + 1;
                assert_eq!(small[axis], shrunk);
            }
            product(&layer.output)
        }
        Op::Repeat {
            input,
            output,
            factor,
        } => {
            assert_eq!(columns, product(input));
            assert_eq!(input[0], output[0]);
            for axis in [1, 2] {
                // No row or column of squares is cropped as a whole.
                let grown = input[axis] * factor;
                assert!(output[axis] <= grown && output[axis] + factor > grown);
            }
            product(output)
        }
        Op::GroupNorm {
            scale,
            size,
            groups,
            ..
        } => {
            assert_eq!(columns, product(size));
            assert!(size[0].is_multiple_of(*groups) && *groups <= 3);
            assert_eq!([shape(*scale), shape(scale + 1)], [[size[0]], [size[0]]]);
            columns
        }
        Op::Residual(ops) => {
            assert_eq!(walk(network, ops, columns), columns);
            columns
        }
    })
}

#[test]
fn every_network_that_fits_gives_back_an_image_of_the_size_it_was_given() {
    let all = all();
    assert!(all.len() > 1000, "{}", all.len());
    for config in all {
        let network = Network::new(&config);
        let features = walk(&network, &network.encoder, config.pixels());
        assert_eq!(
            [network.mu.inputs, network.log_var.inputs],
            [features, features]
        );
        let output = walk(&network, &network.decoder, config.latent);
        assert_eq!(output, config.pixels(), "{config:?}");
        let Some(Op::Convolution(last)) = network.decoder.last() else {
            panic!("the last layer convolves: {config:?}")
        };
        assert_eq!(last.output, config.image, "{config:?}");
        assert!(network.widest() >= config.pixels().max(features));
    }
}

#[test]
fn names_of_parameters_are_unique() {
    for config in all() {
        let parameters = Network::new(&config).parameters;
        let names: HashSet<&str> = parameters.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names.len(), parameters.len(), "{config:?}");
    }
}

#[test]
fn what_does_not_fit_is_said_before_it_is_built() {
    let stages = |kernel| stages(3, kernel, 2, Upsampling::Transposed);
    // Sides 4, 2 and 1: kernel 2 has no padding.
    assert!(!stages(2).fits([1, 4, 4]));
    assert!(stages(2).fits([1, 8, 8]));
    assert!(!stages(2).fits([1, 8, 4]));
    // Side 1: padding makes room for odd kernels.
    assert!(stages(5).fits([1, 1, 1]));
    // Side 1: padding 1 leaves 3 pixels for a kernel of 4.
    assert!(!stages(4).fits([1, 1, 1]));
}

/// The largest magnitude in the parameter of this name.
fn largest(config: &ModelConfig, name: &str) -> f64 {
    let weights = Weights::initial(config, 3);
    let values = weights.values(name).iter();
    values.fold(0f64, |most, &value| most.max(f64::from(value.abs())))
}

#[test]
fn weights_of_convolutions_fill_the_bounds_of_pytorch_and_keras() {
    let stages = Convolutions {
        channels: vec![8, 12],
        groups: None,
        residual_blocks: 0,
        ..stages(2, 3, 2, Upsampling::Transposed)
    };
    // PyTorch's fan-in of a transposed weight [inputs, outputs, 3, 3] is `outputs * 9`: that of its second axis.
    for (name, first, second) in [
        ("encoder.conv.1.weight", 12.0, 8.0),
        ("decoder.conv.1.weight", 12.0, 8.0),
        ("output.weight", 3.0, 8.0),
    ] {
        let fans: [f64; 2] = [second * 9.0, first * 9.0];
        let bounds = [
            (
                Initialization::Glorot,
                (6.0 / (fans[0] + fans[1])).sqrt(),
                0.0,
            ),
            (Initialization::He, (6.0 / fans[0]).sqrt(), 0.0),
            (
                Initialization::Pytorch,
                fans[0].sqrt().recip(),
                fans[0].sqrt().recip(),
            ),
        ];
        for (init, bound, of_bias) in bounds {
            let config = ModelConfig {
                init,
                ..with([3, 9, 9], stages.clone())
            };
            let found = largest(&config, name);
            // All of 216 uniform draws or more are below 0.95 of the bound once in 65,000.
            let is_full = found <= bound * (1.0 + 1e-6) && found > 0.95 * bound;
            assert!(is_full, "{init:?} {name}: {found}, bound {bound}");
            let bias = largest(&config, &name.replace("weight", "bias"));
            assert!(
                bias <= of_bias * (1.0 + 1e-6),
                "{init:?} {name}: bias {bias}"
            );
            assert_eq!(bias > 0.0, of_bias > 0.0, "{init:?} {name}");
        }
    }
}

#[test]
fn norms_start_as_the_identity() {
    let config = with([1, 8, 8], stages(1, 3, 2, Upsampling::Nearest));
    let norms = config.parameters().into_iter();
    let norms: Vec<Start> = norms
        .filter(|spec| spec.name.contains("norm"))
        .map(|spec| spec.start)
        .collect();
    // One normalisation in each stage and two in each block, of encoder and decoder; a scale and a shift each.
    assert_eq!(norms, [Start::Ones, Start::Zeros].repeat(6));
}
