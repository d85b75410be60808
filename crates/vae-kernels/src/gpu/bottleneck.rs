//! Fuses the passes around the latents, three forward and three backward, into one dispatch each: where a batch has so few rows
//! that launches cost more than reading the weights again for each of them.

use super::kernel::{Access, Choice, Kernel, Lowering, MAX_WORKGROUPS, Place, function};
use super::source;
use crate::program::{KlGradient, Layer, MatrixId, Pass, Rows};
use vae_spec::KlEstimate;

/// Bytes of weights that all rows together may read: 3 us of an H100's L2 cache, less than two launches.
const WEIGHTS: usize = 1 << 24;
/// Largest number of latents: each has some threads of a workgroup.
const MOST_LATENTS: usize = 128;
/// Largest number of columns of a row in workgroup memory.
const MOST_COLUMNS: usize = 4_096;

/// The fused kernel of the first three of `passes`; `None` if they do not fit the pattern, or apart is faster.
pub(super) fn kernel(passes: &[&Pass], lowering: Lowering<'_>) -> Option<Kernel> {
    let &[first, second, third, ..] = passes else {
        return None;
    };
    forward([first, second, third], lowering).or_else(|| backward([first, second, third], lowering))
}

fn forward(passes: [&Pass; 3], lowering: Lowering<'_>) -> Option<Kernel> {
    use Access::{Read, Write};
    use Place::{Matrix, Parameters};

    let [
        &Pass::DenseForward {
            layer: heads,
            input,
            output: posterior,
            activation: None,
            slope: None,
        },
        &Pass::SampleKlForward {
            posterior: drawn_from,
            z,
            kl,
            estimate: KlEstimate::Analytic,
            learned_prior: _,
        },
        &Pass::DenseForward {
            layer: decoder,
            input: read,
            output,
            activation,
            slope,
        },
    ] = passes
    else {
        return None;
    };
    if drawn_from != posterior
        || read != z
        || !has_one_kind_of_rows(&[posterior, z], lowering)
        || !is_better(heads, decoder, lowering.batch)
    {
        return None;
    }
    let mut bindings = vec![
        (Read, Parameters),
        (Read, Matrix(input)),
        (Write, Matrix(posterior)),
        (Write, Matrix(z)),
        (Write, Matrix(kl)),
        (Write, Matrix(output)),
    ];
    bindings.extend(slope.map(|slope| (Write, Matrix(slope))));
    let choice = choice(&source::BOTTLENECK_FORWARD, heads, decoder)
        .with("activation", function(activation).into())
        .flag("slope", slope.is_some());
    finish(choice, "bottleneck_forward", bindings, lowering)
}

fn backward(passes: [&Pass; 3], lowering: Lowering<'_>) -> Option<Kernel> {
    use Access::{Read, Write};
    use Place::{Matrix, Parameters};

    let [
        &Pass::DenseBackwardInput {
            layer: decoder,
            d_output,
            slope: None,
            d_input: d_z,
        },
        &Pass::SampleKlBackward {
            posterior,
            z,
            d_z: read,
            d_posterior,
            through: KlGradient::ANALYTIC,
        },
        &Pass::DenseBackwardInput {
            layer: heads,
            d_output: d_heads,
            slope,
            d_input,
        },
    ] = passes
    else {
        return None;
    };
    if read != d_z
        || d_heads != d_posterior
        || !has_one_kind_of_rows(&[posterior, z], lowering)
        || !is_better(heads, decoder, lowering.batch)
    {
        return None;
    }
    let mut bindings = vec![
        (Read, Parameters),
        (Read, Matrix(d_output)),
        (Read, Matrix(posterior)),
        (Read, Matrix(z)),
        (Write, Matrix(d_z)),
        (Write, Matrix(d_posterior)),
        (Write, Matrix(d_input)),
    ];
    bindings.extend(slope.map(|slope| (Read, Matrix(slope.matrix()))));
    let choice = choice(&source::BOTTLENECK_BACKWARD, heads, decoder)
        .slope_of(slope)
        .flag("slope", slope.is_some())
        .flag("plain", slope.is_none());
    finish(choice, "bottleneck_backward", bindings, lowering)
}

/// Whether matrices have a row for each row of the batch.
fn has_one_kind_of_rows(matrices: &[MatrixId], lowering: Lowering<'_>) -> bool {
    let rows = &lowering.program.rows;
    matrices.iter().all(|matrix| rows[matrix.0] == Rows::BATCH)
}

fn is_better(heads: Layer, decoder: Layer, batch: usize) -> bool {
    let weights = (heads.inputs + 1) * heads.width() + (decoder.inputs + 1) * decoder.width();
    let has_shape = heads.blocks == 2 && heads.outputs == decoder.inputs && decoder.blocks == 1;
    has_shape
        && decoder.inputs <= MOST_LATENTS
        && heads.inputs.max(decoder.outputs) <= MOST_COLUMNS
        && batch <= MAX_WORKGROUPS
        && batch * weights * size_of::<f32>() <= WEIGHTS
}

fn choice(source: &'static source::Source, heads: Layer, decoder: Layer) -> Choice {
    let sizes = [heads.outputs, heads.offset, decoder.outputs, decoder.offset];
    Choice::plain(source)
        .width(sizes.iter().all(|size| size.is_multiple_of(4)))
        .with("inputs", heads.inputs.to_string())
        .with("latent", heads.outputs.to_string())
        .with("outputs", decoder.outputs.to_string())
        .with("heads", heads.offset.to_string())
        .with("decoder", decoder.offset.to_string())
}

/// One workgroup for each row; `None` if the kernel binds more than the GPU allows.
fn finish(
    choice: Choice,
    stem: &'static str,
    bindings: Vec<(Access, Place)>,
    lowering: Lowering<'_>,
) -> Option<Kernel> {
    let Lowering { batch, .. } = lowering;
    (bindings.len() <= lowering.bindings)
        .then(|| choice.kernel(stem, [batch, 0, 0, 0], bindings, [batch, 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::cost::Cores;
    use crate::gpu::gradients::Parts;
    use crate::gpu::kernel::of_program;
    use crate::gpu::valid;
    use crate::program::{Program, Slope};
    use vae_spec::Activation;

    /// Both groups of three passes, around `latent` latents.
    fn program(latent: usize, slope: Option<MatrixId>) -> Program {
        let layer = |offset, inputs, outputs, blocks| Layer {
            offset,
            inputs,
            outputs,
            blocks,
        };
        let heads = layer(0, 400, latent, 2);
        let decoder = layer(heads.block(1).end, latent, 400, 1);
        let [x, posterior, z, kl, y] = [0, 1, 2, 3, 4].map(MatrixId);
        let passes = vec![
            Pass::DenseForward {
                layer: heads,
                input: x,
                output: posterior,
                activation: None,
                slope: None,
            },
            Pass::SampleKlForward {
                posterior,
                z,
                kl,
                estimate: KlEstimate::Analytic,
                learned_prior: false,
            },
            Pass::DenseForward {
                layer: decoder,
                input: z,
                output: y,
                activation: Some(Activation::Relu),
                slope,
            },
            Pass::DenseBackwardInput {
                layer: decoder,
                d_output: y,
                slope: None,
                d_input: z,
            },
            Pass::SampleKlBackward {
                posterior,
                z,
                d_z: z,
                d_posterior: posterior,
                through: KlGradient::ANALYTIC,
            },
            Pass::DenseBackwardInput {
                layer: heads,
                d_output: posterior,
                slope: slope.map(Slope::Kept),
                d_input: x,
            },
        ];
        Program {
            columns: vec![400, 2 * latent, latent, 1, 400, 400],
            rows: vec![Rows::BATCH; 6],
            passes,
        }
    }

    fn kernels(program: &Program, batch: usize) -> Vec<Kernel> {
        of_program(Lowering {
            program,
            batch,
            cores: Cores::LARGE,
            bindings: 8,
            losses: &[],
            gradients: Parts::new(1, 1_000),
        })
    }

    #[test]
    fn few_rows_share_dispatches_around_the_latents_and_every_variant_is_valid() {
        for latent in [1, 2, 20] {
            for slope in [None, Some(MatrixId(5))] {
                let kernels = kernels(&program(latent, slope), 100);
                let stems: Vec<_> = kernels.iter().map(|kernel| kernel.stem).collect();
                assert_eq!(stems, ["bottleneck_forward", "bottleneck_backward"]);
                for kernel in kernels {
                    assert!(!kernel.source.contains("{{") && !kernel.source.contains("//?"));
                    if let Err(error) = valid(&kernel.source) {
                        panic!("{}: {error}", kernel.stem);
                    }
                }
            }
        }
    }

    #[test]
    fn many_rows_or_passes_that_do_not_belong_together_do_not() {
        assert_eq!(kernels(&program(20, None), 1024).len(), 6);
        let mut other = program(20, None);
        other.passes[1] = Pass::SampleKlForward {
            posterior: MatrixId(4),
            z: MatrixId(2),
            kl: MatrixId(3),
            estimate: KlEstimate::Analytic,
            learned_prior: false,
        };
        assert_eq!(kernels(&other, 100).len(), 4);
    }
}
