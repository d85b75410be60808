//! Every kernel in every variant.

use std::collections::BTreeSet;

use super::*;
use crate::gpu::valid;
use crate::program::{
    Coefficient, Convolution, Finish, Gate, Geometry, GroupNorm, KlGradient, Layer, LearnedSpread,
    Normals, PriorPass, Repeat, Rows, Slope, Weight,
};
use vae_spec::{KlEstimate, Likelihood, MmdKernel, Spread};

fn program(columns: &[usize]) -> Program {
    Program {
        columns: columns.to_vec(),
        rows: vec![Rows::BATCH; columns.len()],
        passes: Vec::new(),
    }
}

const LIKELIHOODS: [Likelihood; 7] = [
    Likelihood::Bernoulli,
    Likelihood::ContinuousBernoulli,
    Likelihood::Gaussian(Spread::Fixed(1.0)),
    Likelihood::Laplace(Spread::Fixed(0.3)),
    Likelihood::DiscretizedLogistic(Spread::Fixed(0.1)),
    Likelihood::Poisson,
    Likelihood::NegativeBinomial(Spread::Fixed(2.0)),
];

/// Every pass over latents and priors in every variant.
fn of_priors() -> Vec<Pass> {
    let [x, y, z, u, v] = [0, 1, 2, 3, 4].map(MatrixId);
    let mut passes = vec![
        PriorPass::KlParts {
            posterior: x,
            parts: y,
        },
        PriorPass::LogSoftmax {
            logits: 0,
            output: x,
        },
        PriorPass::Correlation {
            posterior: x,
            z: y,
            sums: z,
            information: u,
            correlation: v,
        },
        PriorPass::PriorDraws { y: x },
        PriorPass::PseudoInputs {
            images: x,
            seen: y,
            offset: 0,
            range: [f32::MIN, f32::MAX],
        },
        PriorPass::LastRows {
            input: x,
            output: y,
        },
    ];
    passes.extend(
        [true, false].map(|are_counts| PriorPass::PseudoInputsBackward {
            d_seen: x,
            offset: 0,
            range: [0.0, 1.0],
            are_counts,
        }),
    );
    for gate in [Gate::AtLeast(0.1), Gate::MeanAtLeast(1e-9), Gate::Capacity] {
        passes.push(PriorPass::Gate {
            gate,
            kl: x,
            factors: y,
            cost: z,
        });
    }
    for kernel in [MmdKernel::Imq, MmdKernel::Rbf] {
        passes.push(PriorPass::DiscrepancyForward {
            z: x,
            y,
            kernel,
            parts: u,
        });
        passes.push(PriorPass::DiscrepancyBackward {
            z: x,
            y,
            kernel,
            weight: 100.0,
            d_z: u,
        });
    }
    let mixture = Normals::Parameters {
        offset: 6,
        logits: 0,
        count: 6,
        log_weights: v,
    };
    for normals in [Normals::Posteriors(y), Normals::Behind(y), mixture] {
        for there in [false, true] {
            let other = |matrix| there.then_some(matrix);
            passes.push(PriorPass::PairsForward {
                z: x,
                normals,
                sums: z,
                kl: other(u),
            });
            let weight = Weight {
                coefficient: Coefficient::Beta,
                factors: other(u),
            };
            passes.push(PriorPass::PairsBackwardRows {
                z: x,
                normals,
                sums: z,
                weight,
                d_z: MatrixId(5),
            });
            let is_parameter = matches!(normals, Normals::Parameters { .. });
            passes.push(PriorPass::PairsBackwardNormals {
                z: x,
                normals,
                sums: z,
                weight,
                d_normals: (!is_parameter).then_some(MatrixId(5)),
            });
        }
    }
    passes.into_iter().map(Pass::Prior).collect()
}

/// Every pass over images in every variant.
fn of_images() -> Vec<Pass> {
    let [x, y, z, u, v] = [0, 1, 2, 3, 4].map(MatrixId);
    let mut passes = vec![
        Pass::GatherLabels { labels: x },
        Pass::Transpose {
            input: x,
            output: y,
            rows: 3,
        },
        Pass::LogOfCounts {
            input: x,
            output: y,
        },
        Pass::Label {
            input: x,
            labels: y,
            output: z,
        },
        Pass::Sums {
            values: x,
            columns: 6,
            offset: 0,
        },
        Pass::RepeatRows {
            input: x,
            output: y,
        },
        Pass::SumRows {
            input: x,
            output: y,
        },
        Pass::ScaleRows {
            values: x,
            weights: y,
        },
        Pass::Importance {
            recon: x,
            kl: y,
            weights: z,
            bound: u,
        },
        Pass::ImportanceSum {
            recon: x,
            kl: y,
            sums: z,
        },
    ];
    let repeat = Repeat {
        small: [1, 2],
        large: [2, 4],
        channels: 3,
        factor: 2,
    };
    passes.push(Pass::RepeatForward {
        repeat,
        input: x,
        output: y,
    });
    let norm = GroupNorm {
        scale: 0,
        channels: 6,
        groups: 2,
    };
    passes.push(Pass::GroupNormBackward {
        norm,
        d_output: x,
        input: y,
        statistics: z,
        d_input: u,
        d_parameters: v,
    });
    for there in [false, true] {
        let other = |matrix| there.then_some(matrix);
        passes.push(Pass::RepeatBackward {
            repeat,
            d_output: x,
            slope: other(z).map(Slope::Kept),
            d_input: y,
        });
        passes.push(Pass::Add {
            one: x,
            other: y,
            times: other(z).map(Slope::Kept),
            output: u,
        });
        for activation in Activation::ALL {
            passes.push(Pass::Activate {
                input: x,
                output: y,
                activation,
                slope: other(z),
            });
            passes.push(Pass::GroupNormForward {
                norm,
                input: x,
                statistics: z,
                output: u,
                activation: there.then_some(activation),
                slope: other(v),
            });
        }
    }
    for likelihood in LIKELIHOODS {
        for (length, d_output) in [
            (None, None),
            (None, Some(v)),
            (Some(1), None),
            (Some(1), Some(v)),
            (Some(6), None),
            (Some(6), Some(v)),
        ] {
            passes.push(Pass::Nll {
                output: x,
                images: y,
                likelihood,
                spread: length.map(|length| LearnedSpread {
                    offset: 0,
                    length,
                    d_spread: z,
                }),
                recon: u,
                d_output,
            });
        }
    }
    // Images of few channels have a kernel of their own.
    for image_channels in [4, 8] {
        let convolution = Convolution {
            weight: 0,
            geometry: Geometry {
                kernel: 3,
                stride: 2,
                padding: 1,
                image: [28, 28],
                map: [14, 14],
            },
            image_channels,
            map_channels: 8,
        };
        passes.push(Pass::ConvolveBackwardWeight {
            convolution,
            image: x,
            map: y,
        });
        for flags in 0..32 {
            let set = |bit: u32| flags >> bit & 1 == 1;
            let finish = Finish {
                bias: set(0).then_some(0),
                add: set(1).then_some(z),
                activation: set(2).then_some(Activation::Gelu),
                slope: set(3).then_some(u),
                times: set(4).then_some(Slope::Of(Activation::Tanh, v)),
            };
            passes.push(Pass::Convolve {
                convolution,
                image: x,
                map: y,
                finish,
            });
            passes.push(Pass::ConvolveTransposed {
                convolution,
                map: x,
                image: y,
                finish,
            });
        }
    }
    passes
}

/// The kernels of a program, of which each binds what its pass says that it touches.
fn checked(lowering: Lowering<'_>) -> Vec<Kernel> {
    let places = |matrices: Vec<MatrixId>, without: &[MatrixId]| {
        let others = matrices.into_iter().filter(|of| !without.contains(of));
        others.map(|matrix| matrix.0).collect::<BTreeSet<_>>()
    };
    for pass in &lowering.program.passes {
        let Some(kernel) = of_pass(pass, lowering) else {
            continue;
        };
        let (said, bound) = (pass.touched(), kernel.touched());
        assert_eq!(
            places(bound.read, &[]),
            places(said.read, &said.written),
            "{pass:?}"
        );
        assert_eq!(places(bound.written, &[]), places(said.written, &[]));
    }
    of_program(lowering)
}

/// Kernels of passes over small matrices, of a batch so large that grids are folded, too.
fn of(passes: &[Pass]) -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for batch in [1, 100_000] {
        for (cores, parts) in [(Cores::LARGE, 1), (Cores::ONE, 3)] {
            let program = Program {
                columns: vec![6; 6],
                rows: vec![Rows::BATCH; 6],
                passes: passes.to_vec(),
            };
            kernels.extend(checked(Lowering {
                program: &program,
                batch,
                cores,
                bindings: 8,
                losses: &[],
                gradients: Parts::new(parts, 1_000),
            }));
        }
    }
    kernels
}

/// Kernels of every pass in every variant, at three sizes: one for each tile.
fn kernels() -> Vec<Kernel> {
    let [x, y, slope] = [MatrixId(0), MatrixId(1), MatrixId(2)];
    let mut kernels = Vec::new();
    for (batch, inputs, outputs) in [(1, 3, 2), (128, 784, 400), (8192, 784, 400)] {
        let losses = [x, y, x, y].map(|matrix| Term {
            matrix,
            coefficient: Coefficient::One,
        });
        let terms = if batch == 128 { 4 } else { 2 };
        let mut add = |columns: &[usize], pass: Pass| {
            let program = program(columns);
            for (cores, bindings, parts) in [(Cores::LARGE, 8, 1), (Cores::ONE, 64, 3)] {
                let mut program = program.clone();
                // Gradients of several layers share a dispatch.
                program.passes = vec![pass; 4];
                kernels.extend(checked(Lowering {
                    program: &program,
                    batch,
                    cores,
                    bindings,
                    losses: &losses[..if parts > 1 { terms } else { 0 }],
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
            for likelihood in LIKELIHOODS {
                for d_output in [None, Some(slope)] {
                    let nll = Pass::DenseNll {
                        layer,
                        input: x,
                        images: y,
                        likelihood,
                        recon: MatrixId(3),
                        d_output,
                    };
                    add(&columns, nll);
                }
            }
            let parameters = Pass::DenseBackwardParameters {
                layer,
                input: x,
                d_output: y,
            };
            add(&columns, parameters);
            let follow = Activation::ALL.into_iter().filter(|&of| Slope::follows(of));
            let slopes = follow.map(|activation| Some(Slope::Of(activation, x)));
            for slope in slopes.chain([None, Some(Slope::Kept(x))]) {
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
        for (estimate, learned_prior) in [
            (KlEstimate::Analytic, false),
            (KlEstimate::Sampled, false),
            (KlEstimate::Sampled, true),
        ] {
            let forward = Pass::SampleKlForward {
                posterior: x,
                z: y,
                kl: slope,
                estimate,
                learned_prior,
            };
            add(&latent, forward);
        }
        let paths = [
            KlPath::Analytic,
            KlPath::Sampled,
            KlPath::DoublyReparameterized,
        ];
        for path in paths {
            // Only the path of DReG always has factors.
            for factors in [None, Some(y)] {
                let is_dreg = path == KlPath::DoublyReparameterized;
                let backward = Pass::SampleKlBackward {
                    posterior: x,
                    z: y,
                    d_z: slope,
                    d_posterior: MatrixId(3),
                    through: KlGradient {
                        path,
                        weight: Weight {
                            coefficient: Coefficient::BetaLessAnneal,
                            factors: factors.or(is_dreg.then_some(y)),
                        },
                        learned_prior: factors.is_some(),
                    },
                };
                add(&latent, backward);
            }
        }
    }
    kernels.extend(of(&of_images()));
    kernels.extend(of(&of_priors()));
    kernels.extend([true, false].map(|is_first| accumulate(is_first, 1_000, Parts::new(2, 1_000))));
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
                kernels.extend(update(whole, 1_000, Place::Gradients, Parts::new(2, 1_000)));
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
        // What WebGPU promises: as many workgroups in a dimension, as many buffers in a kernel.
        let most = kernel.workgroups.into_iter().max().unwrap_or_default() as usize;
        assert!(most <= MAX_WORKGROUPS, "{}: {most} workgroups", kernel.stem);
        let bindings = kernel.bindings.len();
        assert!(
            bindings <= 8 || kernel.stem == "dense_backward_parameters",
            "{}",
            kernel.stem
        );
    }
}

#[test]
fn the_libraries_do_not_hide_a_mistake() {
    let renamed = |count| {
        kernels()[0]
            .source
            .replacen("fn size_k(", "fn size_of_k(", count)
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
