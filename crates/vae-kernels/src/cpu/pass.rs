//! One pass on the CPU: takes the matrices that it writes out of their places, and hands them to the pass's function.

use rayon::prelude::*;

use super::convolve::Finisher;
use super::elementwise::Factor;
use super::likelihood::{Pixels, Spreading, Targets};
use super::workspace::{Values, Workspace};
use super::{
    Cpu, convolve, corrupt, dense, elementwise, gather, group_norm, importance, rearrange,
    sample_kl,
};
use crate::executor::{Piece, Run};
use crate::program::{MatrixId, NLL_COLUMNS, Pass, Program};
use vae_rng::Noise;
use vae_spec::KlEstimate;

impl Cpu {
    /// Runs one pass of `program` on a piece of a batch; `rows` are for [`Pass::Gather`].
    pub(super) fn pass(
        &mut self,
        pass: &Pass,
        run: &Run,
        program: &Program,
        piece: Piece,
        rows: &[u32],
    ) {
        let of_pass = program.rows_of(pass);
        let (batch, draws) = (of_pass.of(piece.rows), of_pass.each);
        let scale = 1.0 / (piece.batch * draws) as f32;
        let first_row = piece.first as u32;
        let Self {
            parameters,
            gradients,
            workspace: Workspace { matrices, .. },
            ..
        } = self;
        match *pass {
            Pass::Gather {
                images,
                element,
                binarize,
            } => {
                let columns = matrices[images.0].len() / batch;
                let binarization = binarize.then_some((run.binarization, run.noise.step));
                let images = &mut matrices[images.0];
                let from = gather::Rows {
                    bytes: &self.images,
                    element,
                    rows,
                    first_row,
                };
                gather::gather_into(images, columns, from, binarization);
            }
            Pass::GatherLabels { labels } => {
                let classes = matrices[labels.0].iter_mut().zip(rows);
                classes.for_each(|(class, &row)| *class = self.labels[row as usize] as f32);
            }
            Pass::Corrupt {
                images,
                corrupted,
                corruption,
            } => writing(matrices, [corrupted], |matrices, [out]| {
                out.copy_from_slice(&matrices[images.0]);
                let (columns, step) = (out.len() / batch, run.noise.step);
                corrupt::corrupt(out, columns, corruption, run.corruption, step, first_row);
            }),
            Pass::Transpose {
                input,
                output,
                rows,
            } => writing(matrices, [output], |matrices, [out]| {
                let columns = out.len() / batch;
                rearrange::transpose(&matrices[input.0], out, columns, rows);
            }),
            Pass::LogOfCounts { input, output } => {
                writing(matrices, [output], |matrices, [out]| {
                    rearrange::log_of_counts(&matrices[input.0], out);
                });
            }
            Pass::Label {
                input,
                labels,
                output,
            } => writing(matrices, [output], |matrices, [out]| {
                rearrange::label(&matrices[input.0], &matrices[labels.0], out);
            }),
            Pass::DenseForward {
                layer,
                input,
                output,
                activation,
                slope,
            } => with_optional(matrices, output, slope, |matrices, out, slope| {
                dense::forward(
                    parameters,
                    layer,
                    &matrices[input.0],
                    out,
                    activation,
                    slope,
                );
            }),
            Pass::DenseBackwardParameters {
                layer,
                input,
                d_output,
            } => {
                let (x, d_out) = (&matrices[input.0], &matrices[d_output.0]);
                dense::backward_parameters(gradients, layer, x, d_out);
            }
            Pass::DenseBackwardInput {
                layer,
                d_output,
                slope,
                d_input,
            } => writing(matrices, [d_input], |matrices, [out]| {
                let slope = slope.map(|slope| Factor::new(slope, matrices));
                let (columns, d_out) = (out.len() / batch, &matrices[d_output.0]);
                dense::backward_input(parameters, layer, columns, d_out, slope, out);
            }),
            Pass::Convolve {
                convolution,
                image,
                map,
                finish,
            } => with_optional(matrices, map, finish.slope, |matrices, out, slope| {
                let finisher =
                    Finisher::new(finish, parameters, convolution.map_channels, matrices);
                let weight = &parameters[convolution.weight..][..convolution.weights()];
                let image = &matrices[image.0];
                convolve::convolve(&convolution, weight, image, out, slope, &finisher);
            }),
            Pass::ConvolveTransposed {
                convolution,
                map,
                image,
                finish,
            } => with_optional(matrices, image, finish.slope, |matrices, out, slope| {
                let finisher =
                    Finisher::new(finish, parameters, convolution.image_channels, matrices);
                let weight = &parameters[convolution.weight..][..convolution.weights()];
                let map = &matrices[map.0];
                convolve::convolve_transposed(&convolution, weight, map, out, slope, &finisher);
            }),
            Pass::ConvolveBackwardWeight {
                convolution,
                image,
                map,
            } => {
                let gradient = &mut gradients[convolution.weight..][..convolution.weights()];
                let (image, map) = (&matrices[image.0], &matrices[map.0]);
                convolve::backward_weight(&convolution, image, map, gradient);
            }
            Pass::Sums {
                values,
                columns,
                offset,
            } => {
                let sums = elementwise::sums(&matrices[values.0], columns);
                gradients[offset..][..columns].copy_from_slice(&sums);
            }
            Pass::Activate {
                input,
                output,
                activation,
                slope,
            } => with_optional(matrices, output, slope, |matrices, out, slope| {
                rearrange::activate(&matrices[input.0], out, activation, slope);
            }),
            Pass::Add {
                one,
                other,
                times,
                output,
            } => writing(matrices, [output], |matrices, [out]| {
                let times = times.map(|times| Factor::new(times, matrices));
                rearrange::add(&matrices[one.0], &matrices[other.0], times, out);
            }),
            Pass::RepeatForward {
                repeat,
                input,
                output,
            } => writing(matrices, [output], |matrices, [out]| {
                rearrange::repeat_forward(&repeat, &matrices[input.0], out);
            }),
            Pass::RepeatBackward {
                repeat,
                d_output,
                slope,
                d_input,
            } => writing(matrices, [d_input], |matrices, [out]| {
                let slope = slope.map(|slope| Factor::new(slope, matrices));
                rearrange::repeat_backward(&repeat, &matrices[d_output.0], slope, out);
            }),
            Pass::GroupNormForward {
                norm,
                input,
                statistics,
                output,
                activation,
                slope,
            } => with_optional(matrices, output, slope, |matrices, output, slope| {
                let mut taken = std::mem::take(&mut matrices[statistics.0]);
                let written = group_norm::Written {
                    statistics: &mut taken,
                    output,
                    slope,
                };
                group_norm::forward(&norm, parameters, &matrices[input.0], activation, written);
                matrices[statistics.0] = taken;
            }),
            Pass::GroupNormBackward {
                norm,
                d_output,
                input,
                statistics,
                d_input,
                d_parameters,
            } => writing(
                matrices,
                [d_input, d_parameters],
                |matrices, [out, sums]| {
                    let inputs = [d_output, input, statistics].map(|id| &matrices[id.0][..]);
                    group_norm::backward(&norm, parameters, inputs, out, sums);
                },
            ),
            Pass::SampleKlForward {
                posterior,
                z,
                kl,
                estimate,
                learned_prior,
            } => writing(matrices, [z, kl], |matrices, [z, kl]| {
                let noise = Noise {
                    first_row: (run.noise.first_row + first_row) * draws as u32,
                    ..run.noise
                };
                let term = match (estimate, learned_prior) {
                    (KlEstimate::Analytic, _) => sample_kl::Term::Analytic,
                    (KlEstimate::Sampled, false) => sample_kl::Term::Sampled,
                    (KlEstimate::Sampled, true) => sample_kl::Term::LogPosterior,
                };
                sample_kl::forward(&matrices[posterior.0], noise, term, z, kl);
            }),
            Pass::SampleKlBackward {
                posterior,
                z,
                d_z,
                d_posterior,
                through,
            } => writing(matrices, [d_posterior], |matrices, [out]| {
                let inputs = [posterior, z, d_z].map(|id| &matrices[id.0][..]);
                let factors = through.weight.factors;
                let loss = sample_kl::Loss {
                    d_kl: through.weight.coefficient.of(run.weighting)
                        / (piece.batch * draws) as f32,
                    beta: run.weighting.beta,
                    draws: draws as f32,
                    through,
                    factors: factors.map(|factors| &matrices[factors.0][..]),
                };
                sample_kl::backward(inputs, program.columns[z.0], &loss, out);
            }),
            Pass::RepeatRows { input, output } => {
                writing(matrices, [output], |matrices, [output]| {
                    rearrange::repeat_rows(&matrices[input.0], output, batch, draws);
                });
            }
            Pass::SumRows { input, output } => {
                let (columns, draws) = (program.columns[output.0], program.rows[input.0].each);
                writing(matrices, [output], |matrices, [output]| {
                    rearrange::sum_rows(&matrices[input.0], output, columns, draws);
                });
            }
            Pass::Importance {
                recon,
                kl,
                weights,
                bound,
            } => writing(matrices, [weights, bound], |matrices, [weights, bound]| {
                let terms = [recon, kl].map(|id| &matrices[id.0][..]);
                importance::importance(terms, run.weighting.beta, weights, bound);
            }),
            Pass::ImportanceSum { recon, kl, sums } => {
                writing(matrices, [sums], |matrices, [sums]| {
                    let terms = [recon, kl].map(|id| &matrices[id.0][..]);
                    importance::sum(terms, sums);
                });
            }
            Pass::ScaleRows { values, weights } => {
                writing(matrices, [values], |matrices, [values]| {
                    rearrange::scale_rows(values, &matrices[weights.0]);
                });
            }
            Pass::DenseNll {
                layer,
                input,
                images,
                likelihood,
                recon,
                d_output,
            } => {
                let pixels = Pixels::new(likelihood, &[], layer.width(), scale);
                let draws = batch / program.rows[images.0].of(piece.rows);
                with_optional(matrices, recon, d_output, |matrices, recon, d_output| {
                    let targets = Targets::new(&matrices[images.0], layer.width(), draws);
                    let input = &matrices[input.0];
                    dense::nll(parameters, layer, input, targets, &pixels, recon, d_output);
                });
            }
            Pass::Nll {
                output,
                images,
                likelihood,
                spread,
                recon,
                d_output,
            } => {
                let columns = program.columns[images.0];
                let draws = batch / program.rows[images.0].of(piece.rows);
                let learned = spread.map(|spread| &parameters[spread.offset..][..spread.length]);
                let learned = learned.unwrap_or_default();
                let pixels = Pixels::new(likelihood, learned, columns, scale);
                let of_spread = spread.filter(|_| d_output.is_some());
                let mut d_spread =
                    of_spread.map(|spread| std::mem::take(&mut matrices[spread.d_spread.0]));
                with_optional(matrices, recon, d_output, |matrices, recon, d_output| {
                    let targets = Targets::new(&matrices[images.0], columns, draws);
                    let outputs = matrices[output.0].par_chunks_exact(columns);
                    let parts = columns.div_ceil(NLL_COLUMNS);
                    let of_row = if learned.len() == 1 { parts } else { columns };
                    let d_spreads = elementwise::pieces(d_spread.as_deref_mut(), of_row, batch);
                    let d_outputs = elementwise::pieces(d_output, columns, batch);
                    let rows = outputs.zip(d_outputs);
                    let rows = rows.zip(recon.par_chunks_exact_mut(parts)).zip(d_spreads);
                    let bias = vec![0.0; columns];
                    let scratch = || vec![0.0; columns];
                    rows.enumerate().for_each_init(
                        scratch,
                        |scratch, (row, (((output, d_output), recon), d_spread))| {
                            let y = d_output.unwrap_or(scratch);
                            y.copy_from_slice(output);
                            let spreading = match d_spread {
                                None => Spreading::Fixed,
                                Some(values) if learned.len() == 1 => Spreading::Learned(values),
                                Some(values) => Spreading::PerDimension(values),
                            };
                            pixels.nll(y, &bias, targets.from(row), recon, spreading);
                        },
                    );
                });
                if let (Some(spread), Some(d_spread)) = (of_spread, d_spread) {
                    matrices[spread.d_spread.0] = d_spread;
                }
            }
            Pass::Prior(ref pass) => self.prior_pass(pass, run, program, piece),
        }
    }
}

/// Takes the matrices `out` out, lets `work` write them, and puts them back.
pub(super) fn writing<const N: usize>(
    matrices: &mut [Values],
    out: [MatrixId; N],
    work: impl FnOnce(&mut [Values], [&mut Values; N]),
) {
    let mut taken = out.map(|id| std::mem::take(&mut matrices[id.0]));
    work(matrices, taken.each_mut());
    for (id, values) in out.into_iter().zip(taken) {
        matrices[id.0] = values;
    }
}

/// The same for a matrix and another that may be wanted: the slope of the activation that makes the first, or a gradient.
fn with_optional(
    matrices: &mut [Values],
    out: MatrixId,
    slope: Option<MatrixId>,
    work: impl FnOnce(&mut [Values], &mut [f32], Option<&mut [f32]>),
) {
    let Some(slope) = slope else {
        return writing(matrices, [out], |matrices, [out]| work(matrices, out, None));
    };
    writing(matrices, [out, slope], |matrices, [out, slope]| {
        work(matrices, out, Some(slope));
    });
}
