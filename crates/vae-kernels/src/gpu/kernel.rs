//! Passes as kernels: which text, which bindings, how many workgroups. Plain data; [`super::GpuExecutor`] launches it.

mod choice;
pub(super) mod convolution;
mod draws;
mod images;
mod likelihood;
mod prior;
#[cfg(test)]
mod tests;

use vae_spec::{Activation, Clip, Corruption, Element, KlEstimate};

use super::bottleneck;
use super::cost::Cores;
use super::gradients::{self, Parts};
use super::source;
use super::tile::{Product, Stores, Tile};
use crate::executor::Term;
use crate::program::{KlGradient, KlPath, MatrixId, Pass, Program, Rule, Update};
use crate::sample_kl::lanes_per_row;

pub(super) use choice::{Access, Choice, Kernel, Place};

/// WebGPU's limit of workgroups in each dimension.
pub(in crate::gpu) const MAX_WORKGROUPS: usize = 65_535;
/// Threads of a workgroup in kernels with one thread per element.
const LINEAR_WORKGROUP: usize = 256;
/// Workgroups that sum the squares of the gradients: half as many as a large GPU has cores, and no more than those of the
/// update can add up at once.
pub(super) const SQUARE_SUMS: usize = 64;
/// Workgroups that sum the losses, and pairs of (recon, kl) that a step leaves for the CPU to add up.
pub(super) const LOSS_PARTS: usize = 32;

/// What the kernels of a program depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowering<'a> {
    pub(super) program: &'a Program,
    pub(super) batch: usize,
    pub(super) cores: Cores,
    /// Number of storage buffers that a kernel may bind.
    pub(super) bindings: usize,
    /// The terms of the loss, if their sums are to be written to the step's slot; none otherwise.
    pub(super) losses: &'a [Term],
    pub(super) gradients: Parts,
}

/// The kernels of a program: those of its passes in order, some of which share one; but gradients of parameters, which nothing in
/// the program reads, come last.
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

    let Lowering { program, cores, .. } = lowering;
    let rows = program.rows_of(pass);
    let (batch, draws) = (rows.of(lowering.batch), rows.each);
    // Those of other files count the rows themselves.
    let lowering_of_rows = Lowering { batch, ..lowering };
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
        Pass::SampleKlForward {
            posterior,
            z,
            kl,
            estimate,
            learned_prior,
        } => {
            let latent = columns(z);
            let lanes = lanes_per_row(latent as u32) as usize;
            let bindings = vec![
                (Read, Matrix(posterior)),
                (Write, Matrix(z)),
                (Write, Matrix(kl)),
            ];
            Choice::plain(&source::SAMPLE_KL_FORWARD)
                .with("lanes", lanes.to_string())
                .flag("analytic", estimate == KlEstimate::Analytic)
                .flag("sampled", estimate == KlEstimate::Sampled && !learned_prior)
                .flag(
                    "log_posterior",
                    estimate == KlEstimate::Sampled && learned_prior,
                )
                .kernel(
                    stem,
                    [batch, latent, draws, 0],
                    bindings,
                    linear(batch * lanes),
                )
        }
        Pass::DenseNll {
            layer,
            input,
            images,
            likelihood,
            recon,
            d_output,
        } => {
            // A tile covers whole elements of recon.
            let tile = tile(batch, layer.width(), layer.inputs, Stores::Nll);
            let is_wide = is_wide(&[layer.outputs, layer.offset]);
            let mut bindings = vec![
                (Read, Parameters),
                (Read, Matrix(input)),
                (Read, Matrix(images)),
                (Write, Matrix(recon)),
            ];
            bindings.extend(d_output.map(|d_output| (Write, Matrix(d_output))));
            let of_image = batch / program.rows[images.0].of(lowering.batch);
            let grid = tile.grid(batch, layer.width());
            Choice::product(&source::DENSE_NLL, layer, tile, is_wide)
                .flags(&["finish"])
                .gradient(is_wide, d_output.is_some())
                .likelihood(likelihood)
                .kernel(stem, [batch, draws, of_image, 0], bindings, grid)
        }
        Pass::DenseBackwardInput {
            layer,
            d_output,
            slope,
            d_input,
        } => {
            let columns = columns(d_input);
            let tile = tile(batch, columns, layer.width(), Stores::Plain);
            let is_wide = is_wide(&[columns]);
            let mut bindings = vec![
                (Read, Parameters),
                (Read, Matrix(d_output)),
                (Write, Matrix(d_input)),
            ];
            bindings.extend(slope.map(|slope| (Read, Matrix(slope.matrix()))));
            let grid = tile.grid(batch, columns);
            Choice::product(&source::DENSE_BACKWARD_INPUT, layer, tile, is_wide)
                .with("columns", columns.to_string())
                .slope_of(slope)
                .slope(is_wide, slope.is_some())
                .kernel(stem, [batch, 0, 0, 0], bindings, grid)
        }
        Pass::SampleKlBackward {
            posterior,
            z,
            d_z,
            d_posterior,
            through,
        } => {
            let latent = columns(z);
            let mut bindings = vec![
                (Read, Matrix(posterior)),
                (Read, Matrix(z)),
                (Read, Matrix(d_z)),
                (Write, Matrix(d_posterior)),
            ];
            let KlGradient {
                path,
                weight,
                learned_prior,
            } = through;
            bindings.extend(weight.factors.map(|factors| (Read, Matrix(factors))));
            let groups = weight.factors.map_or(1, columns);
            Choice::plain(&source::SAMPLE_KL_BACKWARD)
                .with("weight", weight.coefficient.text())
                .with("standard", if learned_prior { "0.0" } else { "1.0" }.into())
                .flag("analytic", path == KlPath::Analytic)
                .flag("sampled", path == KlPath::Sampled)
                .flag("dreg", path == KlPath::DoublyReparameterized)
                .flag("at_draw", path != KlPath::Analytic)
                .flag("weighted", weight.factors.is_some())
                .kernel(
                    stem,
                    [batch, latent, draws, groups],
                    bindings,
                    linear(batch * latent),
                )
        }
        Pass::GatherLabels { .. }
        | Pass::Transpose { .. }
        | Pass::LogOfCounts { .. }
        | Pass::Label { .. }
        | Pass::Activate { .. }
        | Pass::Add { .. }
        | Pass::RepeatForward { .. }
        | Pass::RepeatBackward { .. }
        | Pass::GroupNormForward { .. }
        | Pass::GroupNormBackward { .. }
        | Pass::Sums { .. } => images::kernel(pass, lowering_of_rows),
        Pass::RepeatRows { .. }
        | Pass::SumRows { .. }
        | Pass::ScaleRows { .. }
        | Pass::Importance { .. }
        | Pass::ImportanceSum { .. } => draws::kernel(pass, lowering),
        Pass::Convolve { .. } | Pass::ConvolveTransposed { .. } => {
            convolution::kernel(pass, lowering_of_rows)
        }
        Pass::ConvolveBackwardWeight {
            convolution,
            image,
            map,
        } => convolution::backward_weight(convolution, image, map, lowering_of_rows),
        Pass::Nll {
            output,
            images,
            likelihood,
            spread,
            recon,
            d_output,
        } => {
            let of_image = batch / program.rows[images.0].of(lowering.batch);
            let draws = [draws, of_image];
            let matrices = [output, images, recon];
            likelihood::nll(
                matrices,
                d_output,
                likelihood,
                spread,
                draws,
                lowering_of_rows,
            )
        }
        Pass::Prior(ref pass) => prior::kernel(pass, lowering),
    })
}

/// The kernel that adds up the gradients of a batch's pieces, each in `parts`.
pub(super) fn accumulate(is_first: bool, length: usize, parts: Parts) -> Kernel {
    let bindings = vec![
        (Access::Read, Place::Gradients),
        (Access::Write, Place::Accumulated),
    ];
    let sizes = [length, parts.count, parts.stride, 0];
    Choice::plain(&source::ACCUMULATE)
        .flag("first", is_first)
        .flag("next", !is_first)
        .kernel("accumulate", sizes, bindings, linear(length))
}

/// The kernels of an optimizer update over an arena of `length`, by `gradients` that come in `parts`.
pub(super) fn update(update: Update, length: usize, gradients: Place, parts: Parts) -> Vec<Kernel> {
    let average = update.rule.moments() * length;
    let sizes = [length, average, parts.count, parts.stride];
    let square_sums = || {
        let bindings = vec![
            (Access::Read, gradients),
            (Access::Write, Place::SquareSums),
        ];
        let workgroups = [SQUARE_SUMS, 1];
        Choice::plain(&source::SQUARE_SUMS).kernel("square_sums", sizes, bindings, workgroups)
    };
    let choices = update_choices(&update);
    let clips = choices.contains(&"clip_norm");
    let mut bindings = vec![
        (Access::Read, gradients),
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

/// What the text of an update depends on: its rule's function, then its flags.
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

/// Workgroups for one thread per element, folded into two dimensions where one is not enough.
fn linear(elements: usize) -> [usize; 2] {
    let workgroups = elements.div_ceil(LINEAR_WORKGROUP);
    let x = workgroups.clamp(1, MAX_WORKGROUPS);
    [x, workgroups.div_ceil(x).max(1)]
}

/// The activation's function in `shaders/step/activation.wgsl`.
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
