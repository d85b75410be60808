//! Passes between the rows of a batch and those of their draws.

use vae_kernels::program::{KlGradient, MatrixId, Pass, Program};
use vae_spec::KlEstimate;

use super::{BETA, Case, run};

/// Draws of each row in the cases below.
const DRAWS: usize = 5;

/// The pass in plain f64 loops; with `wrong`, a plausible mistake in it.
pub(super) fn plain(
    pass: &Pass,
    batch: usize,
    program: &Program,
    matrices: &mut [Vec<f64>],
    wrong: bool,
) {
    let beta = f64::from(BETA);
    match *pass {
        Pass::RepeatRows { input, output } => {
            let columns = program.columns[input.0];
            for at in 0..matrices[output.0].len() {
                let row = at / columns;
                let row = if wrong { row % batch } else { row / DRAWS };
                matrices[output.0][at] = matrices[input.0][row * columns + at % columns];
            }
        }
        Pass::SumRows { input, output } => {
            let columns = program.columns[input.0];
            let first = usize::from(wrong);
            for at in 0..matrices[output.0].len() {
                let (row, column) = (at / columns, at % columns);
                let draws = first..DRAWS;
                let of = |draw| matrices[input.0][(row * DRAWS + draw) * columns + column];
                matrices[output.0][at] = draws.map(of).sum();
            }
        }
        Pass::ScaleRows { values, weights } => {
            let columns = program.columns[values.0];
            for at in 0..matrices[values.0].len() {
                let weight = matrices[weights.0][at / columns];
                matrices[values.0][at] *= if wrong { weight * weight } else { weight };
            }
        }
        Pass::Importance {
            recon,
            kl,
            weights,
            bound,
        } => {
            let parts = program.columns[recon.0];
            for row in 0..batch {
                let log_weight = |draw: usize| {
                    let draw = row * DRAWS + draw;
                    let recon = matrices[recon.0][draw * parts..][..parts]
                        .iter()
                        .sum::<f64>();
                    let beta = if wrong { 1.0 } else { beta };
                    -recon - beta * matrices[kl.0][draw]
                };
                let all: Vec<f64> = (0..DRAWS).map(log_weight).collect();
                let mean = all.iter().map(|log| log.exp()).sum::<f64>() / DRAWS as f64;
                for (draw, log) in all.iter().enumerate() {
                    matrices[weights.0][row * DRAWS + draw] = log.exp() / mean;
                }
                matrices[bound.0][row] = -mean.ln();
            }
        }
        Pass::SampleKlForward {
            posterior,
            z,
            kl,
            estimate,
        } => {
            let draws = program.rows[z.0];
            let latent = program.columns[z.0];
            let noise = run().noise;
            let first_row = noise.first_row * draws as u32;
            let eps = noise
                .generator
                .normals(noise.step, first_row, batch * draws, latent);
            for row in 0..batch * draws {
                for j in 0..latent {
                    let mu = matrices[posterior.0][row * 2 * latent + j];
                    let v = matrices[posterior.0][row * 2 * latent + latent + j].clamp(-30.0, 20.0);
                    let at = row * latent + j;
                    let eps = f64::from(eps[at]);
                    let drawn = mu + (0.5 * v).exp() * eps;
                    matrices[z.0][at] = drawn;
                    let half = if wrong { 1.0 } else { 0.5 };
                    matrices[kl.0][row] += half
                        * match estimate {
                            KlEstimate::Analytic => mu * mu + v.exp() - v - 1.0,
                            KlEstimate::Sampled => drawn * drawn - v - eps * eps,
                        };
                }
            }
        }
        Pass::SampleKlBackward {
            posterior,
            z,
            d_z,
            d_posterior,
            through,
        } => {
            let draws = program.rows[z.0];
            let latent = program.columns[z.0];
            let sign = if wrong { -1.0 } else { 1.0 };
            for at in 0..batch * draws * latent {
                let row = at / latent;
                let at_mu = row * 2 * latent + at % latent;
                let mu = matrices[posterior.0][at_mu];
                let v = matrices[posterior.0][at_mu + latent];
                let (z, d_z) = (matrices[z.0][at], matrices[d_z.0][at]);
                let weight = through
                    .weights()
                    .map_or(1.0, |weights| matrices[weights.0][row]);
                let w = beta / (batch * draws) as f64 * weight;
                let (g, twice) = match through {
                    KlGradient::Analytic => (d_z + w * mu, d_z * (z - mu) + w * (v.exp() - sign)),
                    KlGradient::Sampled | KlGradient::Weighted(_) => {
                        let g = d_z + w * z;
                        (g, g * (z - mu) - sign * w)
                    }
                    KlGradient::DoublyReparameterized(_) => {
                        let factor = beta * weight / draws as f64 + 1.0 - beta;
                        let score = sign * (z - mu) / v.exp();
                        let g = factor * (d_z + w * (z - score));
                        (g, g * (z - mu))
                    }
                };
                matrices[d_posterior.0][at_mu] = g;
                matrices[d_posterior.0][at_mu + latent] = 0.5 * twice;
            }
        }
        ref other => unreachable!("{other:?}"),
    }
}

/// Every pass of this file, with one draw where that is allowed, and with several.
pub(super) fn cases() -> Vec<Case> {
    // More rows than one dimension of workgroups holds.
    let mut cases = vec![importance((1 << 16) + 4, 1)];
    for (batch, columns) in [(2, 1), (7, 33), (40, 3)] {
        let repeat = |i: &[MatrixId], o: &[MatrixId]| Pass::RepeatRows {
            input: i[0],
            output: o[0],
        };
        cases.push(Case::drawn(
            batch,
            &[(1, columns)],
            &[(DRAWS, columns)],
            repeat,
        ));
        let sum = |i: &[MatrixId], o: &[MatrixId]| Pass::SumRows {
            input: i[0],
            output: o[0],
        };
        cases.push(Case::drawn(
            batch,
            &[(DRAWS, columns)],
            &[(1, columns)],
            sum,
        ));
        let scale = |i: &[MatrixId], _: &[MatrixId]| Pass::ScaleRows {
            values: i[0],
            weights: i[1],
        };
        let case = Case::drawn(batch, &[(DRAWS, columns), (DRAWS, 1)], &[], scale);
        cases.push(case.changing(0));
        cases.push(importance(batch, columns));
        for draws in [1, DRAWS] {
            for estimate in [KlEstimate::Analytic, KlEstimate::Sampled] {
                let forward = |i: &[MatrixId], o: &[MatrixId]| Pass::SampleKlForward {
                    posterior: i[0],
                    z: o[0],
                    kl: o[1],
                    estimate,
                };
                let writes = [(draws, columns), (draws, 1)];
                cases.push(Case::drawn(
                    batch,
                    &[(draws, 2 * columns)],
                    &writes,
                    forward,
                ));
            }
            for which in 0..4 {
                let backward = |i: &[MatrixId], o: &[MatrixId]| Pass::SampleKlBackward {
                    posterior: i[0],
                    z: i[1],
                    d_z: i[2],
                    d_posterior: o[0],
                    through: match which {
                        0 => KlGradient::Analytic,
                        1 => KlGradient::Sampled,
                        2 => KlGradient::Weighted(i[3]),
                        _ => KlGradient::DoublyReparameterized(i[3]),
                    },
                };
                let reads = [2 * columns, columns, columns, 1].map(|columns| (draws, columns));
                cases.push(Case::drawn(
                    batch,
                    &reads,
                    &[(draws, 2 * columns)],
                    backward,
                ));
            }
        }
    }
    cases
}

fn importance(batch: usize, columns: usize) -> Case {
    let pass = |i: &[MatrixId], o: &[MatrixId]| Pass::Importance {
        recon: i[0],
        kl: i[1],
        weights: o[0],
        bound: o[1],
    };
    let reads = [(DRAWS, columns), (DRAWS, 1)];
    Case::drawn(batch, &reads, &[(DRAWS, 1), (1, 1)], pass)
}
