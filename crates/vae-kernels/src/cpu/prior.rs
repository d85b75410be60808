//! The passes of [`PriorPass`] on the CPU.

mod discrepancy;
mod gate;
mod lanes;
mod pairs;

use vae_rng::{Noise, normals_of_block};

use super::Cpu;
use super::pass::writing;
use super::rearrange::each_row;
use super::workspace::{Values, Workspace};
use crate::executor::{Piece, Run};
use crate::program::{Normals, PriorPass, Program, Weight};
use pairs::{Components, Pairs};

impl Cpu {
    /// Runs one pass of `program` on a piece of a batch.
    pub(super) fn prior_pass(
        &mut self,
        pass: &PriorPass,
        run: &Run,
        program: &Program,
        piece: Piece,
    ) {
        let columns = |matrix: crate::program::MatrixId| program.columns[matrix.0];
        let of_pass = program.rows[pass.runs_over().0];
        let (rows, draws) = (of_pass.of(piece.rows), of_pass.each);
        let Self {
            parameters,
            gradients,
            workspace: Workspace { matrices, .. },
            ..
        } = self;
        match *pass {
            PriorPass::KlParts { posterior, parts } => {
                let (latent, groups) = (columns(posterior) / 2, columns(parts));
                writing(matrices, [parts], |matrices, [parts]| {
                    gate::parts(&matrices[posterior.0], latent, groups, parts);
                });
            }
            PriorPass::Gate {
                gate,
                kl,
                factors,
                cost,
            } => writing(matrices, [factors, cost], |matrices, [factors, cost]| {
                let capacity = run.weighting.capacity;
                gate::gate(gate, capacity, rows, &matrices[kl.0], factors, cost);
            }),
            PriorPass::LogSoftmax { logits, output } => {
                let logits = &parameters[logits..][..rows];
                writing(matrices, [output], |_, [output]| {
                    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
                    let whole = largest + sum.ln();
                    for (output, logit) in output.iter_mut().zip(logits) {
                        *output = logit - whole;
                    }
                });
            }
            PriorPass::PairsForward {
                z,
                normals,
                sums,
                kl,
            } => {
                let components = components(normals, parameters, matrices, piece, columns(z));
                writing(matrices, [sums], |matrices, [sums]| {
                    pairs::forward(&matrices[z.0], &components, columns_of(sums, rows), sums);
                });
                if let Some(kl) = kl {
                    writing(matrices, [kl], |matrices, [kl]| {
                        let sums = matrices[sums.0].iter();
                        kl.iter_mut().zip(sums).for_each(|(kl, sum)| *kl -= sum);
                    });
                }
            }
            PriorPass::PairsBackwardRows {
                z,
                normals,
                sums,
                weight,
                d_z,
            } => {
                let components = components(normals, parameters, matrices, piece, columns(z));
                writing(matrices, [d_z], |matrices, [d_z]| {
                    let factors = weight.factors.map(|factors| &matrices[factors.0][..]);
                    let [z, sums] = [z, sums].map(|id| &matrices[id.0][..]);
                    let scale = scale(weight, run, piece, draws);
                    Pairs::new(z, sums, &components, scale, factors).backward_rows(d_z);
                });
            }
            PriorPass::PairsBackwardNormals {
                z,
                normals,
                sums,
                weight,
                d_normals,
            } => {
                let components = components(normals, parameters, matrices, piece, columns(z));
                let factors = weight.factors.map(|factors| &matrices[factors.0][..]);
                let values = [z, sums].map(|id| &matrices[id.0][..]);
                let scale = scale(weight, run, piece, draws);
                let pairs = Pairs::new(values[0], values[1], &components, scale, factors);
                let latent = columns(z);
                let blocks = pairs.backward_normals();
                match (normals, d_normals) {
                    (Normals::Parameters { offset, logits, .. }, _) => {
                        let log_vars = offset + components.count() * latent;
                        blocks.write(|normal, j, [d_mu, d_log_var]| {
                            gradients[offset + normal * latent + j] = d_mu;
                            gradients[log_vars + normal * latent + j] = d_log_var;
                        });
                        blocks.write_logits(&mut gradients[logits..][..components.count()]);
                    }
                    (_, Some(d_normals)) => {
                        let out = &mut matrices[d_normals.0];
                        let (first, adds) = match normals {
                            Normals::Behind(_) => (piece.rows, false),
                            _ => (0, true),
                        };
                        blocks.write(|normal, j, numbers| {
                            for (half, number) in numbers.into_iter().enumerate() {
                                let at = ((first + normal) * 2 + half) * latent + j;
                                out[at] = if adds { out[at] + number } else { number };
                            }
                        });
                    }
                    (_, None) => {}
                }
            }
            PriorPass::Correlation {
                posterior,
                z,
                sums,
                information,
                correlation,
            } => writing(
                matrices,
                [information, correlation],
                |matrices, [information, correlation]| {
                    let inputs = [posterior, z, sums].map(|id| &matrices[id.0][..]);
                    let normaliser = (rows as f64 * run.data_count as f64).ln() as f32;
                    let latent = columns(z);
                    pairs::correlation(inputs, latent, normaliser, information, correlation);
                },
            ),
            PriorPass::PriorDraws { y } => {
                let latent = columns(y);
                let (generator, step) = run.prior;
                let noise = Noise {
                    generator,
                    step,
                    first_row: (run.noise.first_row + piece.first as u32) * draws as u32,
                };
                each_row(&mut matrices[y.0], latent, |row, y| {
                    for (quad, y) in (0..).zip(y.chunks_mut(4)) {
                        let row = noise.first_row + row as u32;
                        let eps = normals_of_block(noise.generator.block(noise.step, row, quad));
                        y.copy_from_slice(&eps[..y.len()]);
                    }
                });
            }
            PriorPass::DiscrepancyForward {
                z,
                y,
                kernel,
                parts,
            } => writing(matrices, [parts], |matrices, [parts]| {
                let [z, y] = [z, y].map(|id| &matrices[id.0][..]);
                discrepancy::forward([z, y], kernel, parts);
            }),
            PriorPass::DiscrepancyBackward {
                z,
                y,
                kernel,
                weight,
                d_z,
            } => writing(matrices, [d_z], |matrices, [d_z]| {
                let weight = weight * (piece.rows as f32 / piece.batch as f32);
                let latent = columns(z);
                let [z, y] = [z, y].map(|id| &matrices[id.0][..]);
                discrepancy::backward([z, y], latent, kernel, weight, d_z);
            }),
            PriorPass::PseudoInputs {
                images,
                seen,
                offset,
                range: [low, high],
            } => writing(matrices, [seen], |matrices, [seen]| {
                let images = &matrices[images.0];
                let (copies, inputs) = seen.split_at_mut(images.len());
                copies.copy_from_slice(images);
                let parameters = &parameters[offset..][..inputs.len()];
                for (input, parameter) in inputs.iter_mut().zip(parameters) {
                    *input = parameter.clamp(low, high);
                }
            }),
            PriorPass::PseudoInputsBackward {
                d_seen,
                offset,
                range: [low, high],
                are_counts,
            } => {
                let d_seen = &matrices[d_seen.0];
                let parameters = &parameters[offset..][..d_seen.len()];
                let gradients = gradients[offset..][..d_seen.len()].iter_mut();
                for ((gradient, d), x) in gradients.zip(&d_seen[..]).zip(parameters) {
                    let d = if are_counts { d / (1.0 + x) } else { *d };
                    *gradient = if (low..=high).contains(x) { d } else { 0.0 };
                }
            }
            PriorPass::LastRows { input, output } => {
                writing(matrices, [output], |matrices, [output]| {
                    let input = &matrices[input.0];
                    let (_, last) = input.split_at(input.len() - output.len());
                    output.copy_from_slice(last);
                });
            }
        }
    }
}

const fn columns_of(values: &[f32], rows: usize) -> usize {
    values.len() / rows
}

/// What the loss holds of each row's sums, without the row's factor.
fn scale(weight: Weight, run: &Run, piece: Piece, draws: usize) -> f32 {
    weight.coefficient.of(run.weighting) / (piece.batch * draws) as f32
}

fn components(
    normals: Normals,
    parameters: &[f32],
    matrices: &[Values],
    piece: Piece,
    latent: usize,
) -> Components {
    let of_rows = |values: &[f32], log_weight: fn(usize) -> f32| {
        let count = values.len() / (2 * latent);
        Components::new(count, latent, |normal| {
            let (mu, log_var) = values[normal * 2 * latent..][..2 * latent].split_at(latent);
            (mu, log_var, log_weight(count))
        })
    };
    match normals {
        Normals::Posteriors(matrix) => of_rows(&matrices[matrix.0], |_| 0.0),
        Normals::Behind(matrix) => {
            let behind = &matrices[matrix.0][piece.rows * 2 * latent..];
            of_rows(behind, |count| -(count as f32).ln())
        }
        Normals::Parameters {
            offset,
            count,
            log_weights,
            ..
        } => {
            let (mus, log_vars) = parameters[offset..].split_at(count * latent);
            Components::new(count, latent, |normal| {
                let of = |values| &<[f32]>::split_at(values, normal * latent).1[..latent];
                (of(mus), of(log_vars), matrices[log_weights.0][normal])
            })
        }
    }
}
