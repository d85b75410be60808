//! Every kernel in every variant.

use super::*;
use crate::gpu::valid;
use crate::program::Layer;

fn program(columns: &[usize]) -> Program {
    Program {
        columns: columns.to_vec(),
        passes: Vec::new(),
    }
}

/// Kernels of every pass in every variant, at three sizes: one for each tile.
fn kernels() -> Vec<Kernel> {
    let [x, y, slope] = [MatrixId(0), MatrixId(1), MatrixId(2)];
    let mut kernels = Vec::new();
    for (batch, inputs, outputs) in [(1, 3, 2), (128, 784, 400), (8192, 784, 400)] {
        let mut add = |columns: &[usize], pass: Pass| {
            let program = program(columns);
            for (cores, bindings, parts) in [(Cores::LARGE, 8, 1), (Cores::ONE, 64, 3)] {
                let mut program = program.clone();
                // Gradients of several layers share a dispatch.
                program.passes = vec![pass; 4];
                kernels.extend(of_program(Lowering {
                    program: &program,
                    batch,
                    cores,
                    bindings,
                    losses: (parts > 1).then_some([x, y]),
                    gradients: Parts::new(parts, 1_000),
                }));
            }
        };
        for blocks in [1, 2] {
            let layer = Layer {
                offset: 0,
                inputs,
                outputs,
                blocks,
            };
            let columns = [inputs, layer.width(), layer.width(), inputs];
            for activation in [None].into_iter().chain(Activation::ALL.map(Some)) {
                for slope in [None, Some(slope)] {
                    let forward = Pass::DenseForward {
                        layer,
                        input: x,
                        output: y,
                        activation,
                        slope,
                    };
                    add(&columns, forward);
                }
            }
            for likelihood in [
                Likelihood::Bernoulli,
                Likelihood::Gaussian(Spread::Fixed(1.0)),
            ] {
                let nll = Pass::DenseNll {
                    layer,
                    input: x,
                    images: y,
                    likelihood,
                    recon: MatrixId(3),
                    d_output: slope,
                };
                add(&columns, nll);
            }
            let parameters = Pass::DenseBackwardParameters {
                layer,
                input: x,
                d_output: y,
            };
            add(&columns, parameters);
            for slope in [None, Some(x)] {
                let input = Pass::DenseBackwardInput {
                    layer,
                    d_output: y,
                    slope,
                    d_input: MatrixId(3),
                };
                add(&columns, input);
            }
        }
        for element in [Element::U8, Element::F32] {
            for binarize in [false, true] {
                let gather = Pass::Gather {
                    images: x,
                    element,
                    binarize,
                };
                add(&[inputs], gather);
            }
        }
        for corruption in [
            Corruption::Gaussian {
                sigma: 1.0,
                clamp: false,
            },
            Corruption::Gaussian {
                sigma: 0.3,
                clamp: true,
            },
            Corruption::SaltPepper { probability: 0.5 },
            Corruption::Mask {
                side: 1,
                height: 1,
                width: 3,
            },
        ] {
            let corrupt = Pass::Corrupt {
                images: x,
                corrupted: y,
                corruption,
            };
            add(&[inputs, inputs], corrupt);
        }
        let latent = [2 * outputs, outputs, outputs, 2 * outputs];
        let forward = Pass::SampleKlForward {
            posterior: x,
            z: y,
            kl: slope,
        };
        add(&latent, forward);
        let backward = Pass::SampleKlBackward {
            posterior: x,
            z: y,
            d_z: slope,
            d_posterior: MatrixId(3),
        };
        add(&latent, backward);
    }
    let [lr, rest] = [1e-3, 0.5];
    let adam = |is_amsgrad| Rule::Adam {
        step_size: lr,
        root_correction: rest,
        beta1: rest,
        beta2: rest,
        eps: rest,
        keep: 1.0,
        is_amsgrad,
    };
    for rule in [
        Rule::Rmsprop {
            lr,
            rho: rest,
            eps: rest,
        },
        adam(false),
        adam(true),
        Rule::Adagrad { lr, eps: rest },
        Rule::Sgd { lr, momentum: rest },
    ] {
        for clip in [None, Some(Clip::Norm(1.0)), Some(Clip::Value(1.0))] {
            for (weight_decay, ema) in
                [(0.0, None), (0.1, None), (0.0, Some(0.9)), (0.1, Some(0.9))]
            {
                let whole = Update {
                    rule,
                    clip,
                    weight_decay,
                    ema,
                };
                kernels.extend(update(whole, 1_000, Parts::new(2, 1_000)));
            }
        }
    }
    kernels
}

#[test]
fn every_variant_of_every_kernel_is_valid_wgsl_with_nothing_left_to_fill_in() {
    let kernels = kernels();
    assert!(kernels.len() > 100);
    for kernel in kernels {
        assert!(
            !kernel.source.contains("{{") && !kernel.source.contains("//?"),
            "{}",
            kernel.stem
        );
        if let Err(error) = valid(&kernel.source) {
            panic!("{}: {error}", kernel.stem);
        }
    }
}

#[test]
fn the_libraries_do_not_hide_a_mistake() {
    let renamed = |count| {
        kernels()[0]
            .source
            .replacen("fn size_k()", "fn size_of_k()", count)
    };
    assert!(valid(&renamed(0)).is_ok());
    let source = renamed(1);
    assert!(valid(&source).is_err());
}

#[test]
fn long_lists_are_folded_into_two_dimensions() {
    assert_eq!(linear(1), [1, 1]);
    assert_eq!(linear(256 * 65_535), [65_535, 1]);
    assert_eq!(linear(256 * 65_535 + 1), [65_535, 2]);
}
