//! Passes as kernels: which text, bound to what, over how many workgroups. Plain data; [`super::GpuExecutor`] launches it.

use vae_spec::{Activation, Clip, Corruption, Element, Likelihood, Spread};

use super::bottleneck;
use super::cost::Cores;
use super::gradients::{self, Parts};
use super::source::{self, Source};
use super::tile::{Product, Stores, Tile};
use crate::program::{Layer, MatrixId, NLL_COLUMNS, Pass, Program, Rule, Update};
use crate::sample_kl::lanes_per_row;

/// WebGPU's limit in each dimension.
pub(super) const MAX_WORKGROUPS: usize = 65_535;
/// Threads of a workgroup that goes through a list.
const LINEAR_WORKGROUP: usize = 256;
/// Workgroups that sum the squares of the gradients: half as many as a large GPU has cores, and no more than those of the
/// update can add up at once.
pub(super) const SQUARE_SUMS: usize = 64;
/// Workgroups that sum the losses, and pairs of (recon, kl) that a step leaves for the processor to add up.
pub(super) const LOSS_PARTS: usize = 32;

/// What a binding shows to a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Matrix(MatrixId),
    Parameters,
    Gradients,
    Moments,
    Images,
    Rows,
    Losses,
    SquareSums,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// One dispatch.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) stem: &'static str,
    pub(super) source: String,
    /// Binding 0, a uniform.
    pub(super) sizes: [u32; 4],
    /// Bindings 1 and on.
    pub(super) bindings: Vec<(Access, Place)>,
    /// Whether group 1 is bound.
    pub(super) takes_step: bool,
    pub(super) workgroups: [u32; 3],
}

/// What a kernel is made from, beside its bindings.
pub(super) struct Choice {
    source: &'static Source,
    pub(super) values: Vec<(&'static str, String)>,
    flags: Vec<&'static str>,
}

impl Choice {
    pub(super) fn plain(source: &'static Source) -> Self {
        Self {
            source,
            values: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// A product of a layer, in tiles; `wide` where the rows of all that it binds are whole vec4s.
    fn product(source: &'static Source, layer: Layer, tile: Tile, is_wide: bool) -> Self {
        let layer = [
            ("blocks", layer.blocks),
            ("inputs", layer.inputs),
            ("outputs", layer.outputs),
            ("offset", layer.offset),
        ];
        let layer = layer.map(|(name, value)| (name, value.to_string()));
        Self {
            values: tile.values(1).into_iter().chain(layer).collect(),
            ..Self::plain(source).width(is_wide)
        }
    }

    /// Whether the rows of all that it binds are whole vec4s.
    pub(super) fn width(self, is_wide: bool) -> Self {
        self.flag("wide", is_wide).flag("narrow", !is_wide)
    }

    /// With a slope, or without one.
    fn slope(self, is_wide: bool, has_slope: bool) -> Self {
        self.flag("wide_slope", is_wide && has_slope)
            .flag("wide_plain", is_wide && !has_slope)
            .flag("narrow_slope", !is_wide && has_slope)
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.values.push((name, value));
        self
    }

    pub(super) fn flag(self, flag: &'static str, is_set: bool) -> Self {
        if is_set { self.flags(&[flag]) } else { self }
    }

    pub(super) fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend(flags);
        self
    }

    pub(super) fn kernel(
        self,
        stem: &'static str,
        sizes: [usize; 4],
        bindings: Vec<(Access, Place)>,
        [x, y]: [usize; 2],
    ) -> Kernel {
        self.kernel_in_parts(stem, sizes, bindings, [x, y, 1])
    }

    pub(super) fn kernel_in_parts(
        self,
        stem: &'static str,
        sizes: [usize; 4],
        bindings: Vec<(Access, Place)>,
        workgroups: [usize; 3],
    ) -> Kernel {
        Kernel {
            stem,
            source: self.source.complete(&self.values, &self.flags),
            sizes: sizes.map(|size| size as u32),
            bindings,
            takes_step: self.source.takes_step(),
            workgroups: workgroups.map(|count| count as u32),
        }
    }
}

/// What the kernels of a program hang on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowering<'a> {
    pub(super) program: &'a Program,
    pub(super) batch: usize,
    pub(super) cores: Cores,
    /// Storage buffers that a kernel may bind.
    pub(super) bindings: usize,
    /// `recon` and `kl`, if their sums are to be left in the step's slot.
    pub(super) losses: Option<[MatrixId; 2]>,
    pub(super) gradients: Parts,
}

/// The kernels of a program: those of its passes in order, some of which share one; but gradients of parameters, which nothing
/// in the program reads, come last.
pub(super) fn of_program(lowering: Lowering<'_>) -> Vec<Kernel> {
    let is_last = |pass: &&Pass| matches!(pass, Pass::DenseBackwardParameters { .. });
    let passes = lowering.program.passes.iter();
    let passes: Vec<&Pass> = passes.filter(|pass| !is_last(pass)).collect();
    let mut rest = &passes[..];
    let mut kernels = Vec::new();
    while let Some(first) = rest.first() {
        let (kernel, taken) = match bottleneck::kernel(rest, lowering) {
            Some(kernel) => (Some(kernel), 3),
            None => (of_pass(first, lowering), 1),
        };
        kernels.extend(kernel);
        rest = &rest[taken..];
    }
    kernels.extend(gradients::kernels(lowering));
    kernels
}

/// The kernel of a pass; none for gradients of parameters.
fn of_pass(pass: &Pass, lowering: Lowering<'_>) -> Option<Kernel> {
    use Access::{Read, Write};
    use Place::{Images, Matrix, Parameters, Rows};

    let Lowering {
        program,
        batch,
        cores,
        ..
    } = lowering;
    let columns = |buffer: MatrixId| program.columns[buffer.0];
    let tile = |m, n, k, stores| {
        let product = Product {
            results: &[[m, n]],
            k,
            parts: 1,
            is_along_k: true,
        };
        Tile::choose(product, stores, cores).0
    };
    let is_wide = |sizes: &[usize]| sizes.iter().all(|size| size % 4 == 0);
    let stem = pass.stem();
    Some(match *pass {
        Pass::DenseBackwardParameters { .. } => return None,
        Pass::Gather {
            images,
            element,
            binarize,
        } => {
            let quads = batch * columns(images).div_ceil(4);
            let bindings = vec![(Read, Images), (Read, Rows), (Write, Matrix(images))];
            let [bytes, floats] = [Element::U8, Element::F32].map(|which| element == which);
            let is_wide = columns(images).is_multiple_of(4) && bytes && !binarize;
            Choice::plain(&source::GATHER)
                .width(is_wide)
                .flag("bytes", bytes && !is_wide)
                .flag("floats", floats)
                .flag("binarize", binarize)
                .flag("binarize_bytes", binarize && bytes)
                .flag("binarize_floats", binarize && floats)
                .kernel(
                    stem,
                    [batch, columns(images), 0, 0],
                    bindings,
                    linear(quads),
                )
        }
        Pass::Corrupt {
            images,
            corrupted,
            corruption,
        } => {
            let quads = batch * columns(images).div_ceil(4);
            let (function, amount, [height, width]) = match corruption {
                Corruption::Gaussian { sigma, clamp: true } => ("gaussian_clamped", sigma, [0, 0]),
                Corruption::Gaussian { sigma, .. } => ("gaussian", sigma, [0, 0]),
                Corruption::SaltPepper { probability } => ("salt_pepper", probability, [0, 0]),
                Corruption::Mask {
                    side,
                    height,
                    width,
                } => ("mask", side as f32, [height as usize, width as usize]),
            };
            let is_mask = function == "mask";
            let bindings = vec![(Read, Matrix(images)), (Write, Matrix(corrupted))];
            Choice::plain(&source::CORRUPT)
                .with("corruption", function.into())
                .with("amount", format!("{amount:e}"))
                // A mask's place is the same for all columns of a row.
                .with("block", if is_mask { "0u" } else { "quad" }.into())
                .kernel(
                    stem,
                    [batch, columns(images), height, width],
                    bindings,
                    linear(quads),
                )
        }
        Pass::DenseForward {
            layer,
            input,
            output,
            activation,
            slope,
        } => {
            let tile = tile(batch, layer.width(), layer.inputs, Stores::Plain);
            let is_wide = is_wide(&[layer.outputs, layer.offset]);
            let mut bindings = vec![
                (Read, Parameters),
                (Read, Matrix(input)),
                (Write, Matrix(output)),
            ];
            bindings.extend(slope.map(|slope| (Write, Matrix(slope))));
            let grid = tile.grid(batch, layer.width());
            Choice::product(&source::DENSE_FORWARD, layer, tile, is_wide)
                .with("activation", function(activation).into())
                .slope(is_wide, slope.is_some())
                .kernel(stem, [batch, 0, 0, 0], bindings, grid)
        }
        Pass::SampleKlForward { posterior, z, kl } => {
            let latent = columns(z);
            let lanes = lanes_per_row(latent as u32) as usize;
            let bindings = vec![
                (Read, Matrix(posterior)),
                (Write, Matrix(z)),
                (Write, Matrix(kl)),
            ];
            Choice::plain(&source::SAMPLE_KL_FORWARD)
                .with("lanes", lanes.to_string())
                .kernel(stem, [batch, latent, 0, 0], bindings, linear(batch * lanes))
        }
        Pass::DenseNll {
            layer,
            input,
            images,
            likelihood,
            recon,
            d_output,
        } => {
            // A tile holds whole numbers of recon.
            let tile = tile(batch, layer.width(), layer.inputs, Stores::Nll);
            let is_wide = is_wide(&[layer.outputs, layer.offset]);
            let (likelihood, sigma) = match likelihood {
                Likelihood::Bernoulli => ("bernoulli", 1.0),
                Likelihood::Gaussian(Spread::Fixed(sigma)) => ("gaussian", sigma),
                other => unreachable!("no pass for {other:?}"),
            };
            let constant = sigma.ln() + 0.5 * std::f32::consts::TAU.ln();
            let bindings = vec![
                (Read, Parameters),
                (Read, Matrix(input)),
                (Read, Matrix(images)),
                (Write, Matrix(recon)),
                (Write, Matrix(d_output)),
            ];
            let grid = tile.grid(batch, layer.width());
            Choice::product(&source::DENSE_NLL, layer, tile, is_wide)
                .flags(&["finish"])
                .with("likelihood", likelihood.into())
                .with("sigma", format!("{sigma:e}"))
                .with("normal_constant", format!("{constant:e}"))
                .with("nll_columns", NLL_COLUMNS.to_string())
                .kernel(stem, [batch, 0, 0, 0], bindings, grid)
        }
        Pass::DenseBackwardInput {
            layer,
            d_output,
            slope,
            d_input,
        } => {
            let tile = tile(batch, layer.inputs, layer.width(), Stores::Plain);
            let is_wide = is_wide(&[layer.inputs]);
            let mut bindings = vec![
                (Read, Parameters),
                (Read, Matrix(d_output)),
                (Write, Matrix(d_input)),
            ];
            bindings.extend(slope.map(|slope| (Read, Matrix(slope))));
            let grid = tile.grid(batch, layer.inputs);
            Choice::product(&source::DENSE_BACKWARD_INPUT, layer, tile, is_wide)
                .slope(is_wide, slope.is_some())
                .kernel(stem, [batch, 0, 0, 0], bindings, grid)
        }
        Pass::SampleKlBackward {
            posterior,
            z,
            d_z,
            d_posterior,
        } => {
            let latent = columns(z);
            let bindings = vec![
                (Read, Matrix(posterior)),
                (Read, Matrix(z)),
                (Read, Matrix(d_z)),
                (Write, Matrix(d_posterior)),
            ];
            Choice::plain(&source::SAMPLE_KL_BACKWARD).kernel(
                stem,
                [batch, latent, 0, 0],
                bindings,
                linear(batch * latent),
            )
        }
    })
}

/// The optimizer over an arena of `length`, whose gradients come in `parts`.
pub(super) fn update(update: Update, length: usize, parts: Parts) -> Vec<Kernel> {
    let average = update.rule.moments() * length;
    let sizes = [length, average, parts.count, parts.stride];
    let square_sums = || {
        let bindings = vec![
            (Access::Read, Place::Gradients),
            (Access::Write, Place::SquareSums),
        ];
        let workgroups = [SQUARE_SUMS, 1];
        Choice::plain(&source::SQUARE_SUMS).kernel("square_sums", sizes, bindings, workgroups)
    };
    let choices = update_choices(&update);
    let clips = choices.contains(&"clip_norm");
    let mut bindings = vec![
        (Access::Read, Place::Gradients),
        (Access::Write, Place::Parameters),
        (Access::Write, Place::Moments),
    ];
    bindings.extend(clips.then_some((Access::Read, Place::SquareSums)));
    let step = Choice::plain(&source::UPDATE)
        .with("rule", choices[0].into())
        .with("square_sums", SQUARE_SUMS.to_string())
        .flags(&choices[1..])
        .kernel("update", sizes, bindings, linear(length));
    clips.then(square_sums).into_iter().chain([step]).collect()
}

/// What the text of an update hangs on: its rule's function, then its flags.
pub(super) fn update_choices(update: &Update) -> Vec<&'static str> {
    let (rule, is_amsgrad) = match update.rule {
        Rule::Rmsprop { .. } => ("rmsprop", false),
        Rule::Adam { is_amsgrad, .. } => ("adam", is_amsgrad),
        Rule::Adagrad { .. } => ("adagrad", false),
        Rule::Sgd { .. } => ("sgd", false),
    };
    let clip = update.clip.map(|clip| match clip {
        Clip::Norm(_) => "clip_norm",
        Clip::Value(_) => "clip_value",
    });
    let flags = [
        is_amsgrad.then_some("amsgrad"),
        clip,
        (update.weight_decay != 0.0).then_some("weight_decay"),
        update.ema.map(|_| "ema"),
    ];
    [rule]
        .into_iter()
        .chain(flags.into_iter().flatten())
        .collect()
}

/// Workgroups for one thread per element, folded into two dimensions where one does not hold them.
fn linear(elements: usize) -> [usize; 2] {
    let workgroups = elements.div_ceil(LINEAR_WORKGROUP);
    let x = workgroups.clamp(1, MAX_WORKGROUPS);
    [x, workgroups.div_ceil(x).max(1)]
}

/// Its name in `shaders/step/activation.wgsl`.
pub(super) const fn function(activation: Option<Activation>) -> &'static str {
    let Some(activation) = activation else {
        return "identity";
    };
    match activation {
        Activation::Relu => "relu",
        Activation::Tanh => "hyperbolic_tangent",
        Activation::Sigmoid => "sigmoid",
        Activation::Gelu => "gelu",
        Activation::LeakyRelu => "leaky_relu",
        Activation::Softplus => "softplus",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::valid;

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
}
