//! Passes between the rows of a batch and those of their draws.

use vae_kernels::program::{
    Coefficient, KlGradient, KlPath, MatrixId, Pass, Program, Rows, Weight,
};
use vae_spec::KlEstimate;

use super::{ANNEAL, BETA, Case, run};

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
        Pass::ImportanceSum { recon, kl, sums } => {
            let parts = program.columns[recon.0];
            let sign = if wrong { -1.0 } else { 1.0 };
            for draw in 0..matrices[kl.0].len() {
                let recon = &matrices[recon.0][draw * parts..][..parts];
                let log = -recon.iter().sum::<f64>() - sign * matrices[kl.0][draw];
                let at = 2 * (draw / DRAWS);
                let (largest, sum) = (matrices[sums.0][at], matrices[sums.0][at + 1]);
                let both = largest.max(log);
                matrices[sums.0][at] = both;
                matrices[sums.0][at + 1] = sum * (largest - both).exp() + (log - both).exp();
            }
        }
        Pass::SampleKlForward {
            posterior,
            z,
            kl,
            estimate,
            learned_prior,
        } => {
            let draws = program.rows[z.0].each;
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
                        * match (estimate, learned_prior) {
                            (KlEstimate::Analytic, _) => mu * mu + v.exp() - v - 1.0,
                            (KlEstimate::Sampled, false) => drawn * drawn - v - eps * eps,
                            (KlEstimate::Sampled, true) => {
                                -std::f64::consts::TAU.ln() - v - eps * eps
                            }
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
            let draws = program.rows[z.0].each;
            let latent = program.columns[z.0];
            let sign = if wrong { -1.0 } else { 1.0 };
            for at in 0..batch * draws * latent {
                let row = at / latent;
                let at_mu = row * 2 * latent + at % latent;
                let mu = matrices[posterior.0][at_mu];
                let v = matrices[posterior.0][at_mu + latent];
                let (z, d_z) = (matrices[z.0][at], matrices[d_z.0][at]);
                let KlGradient {
                    path,
                    weight,
                    learned_prior,
                } = through;
                let factor = weight.factors.map_or(1.0, |factors| {
                    let groups = program.columns[factors.0];
                    matrices[factors.0][row * groups + at % latent / (latent / groups)]
                });
                let coefficient = match weight.coefficient {
                    Coefficient::Anneal => f64::from(ANNEAL),
                    _ => beta,
                };
                let w = coefficient / (batch * draws) as f64 * factor;
                let of_prior = if learned_prior { 0.0 } else { z };
                let (g, twice) = match path {
                    KlPath::Analytic => (d_z + w * mu, d_z * (z - mu) + w * (v.exp() - sign)),
                    KlPath::Sampled => {
                        let g = d_z + w * of_prior;
                        (g, g * (z - mu) - sign * w)
                    }
                    KlPath::DoublyReparameterized => {
                        let f = beta * factor / draws as f64 + 1.0 - beta;
                        let score = sign * (z - mu) / v.exp();
                        let g = f * (d_z + w * (of_prior - score));
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
    let several = Rows::draws(DRAWS);
    for (batch, columns) in [(2, 1), (7, 33), (40, 3)] {
        let repeat = |i: &[MatrixId], o: &[MatrixId]| Pass::RepeatRows {
            input: i[0],
            output: o[0],
        };
        let sum = |i: &[MatrixId], o: &[MatrixId]| Pass::SumRows {
            input: i[0],
            output: o[0],
        };
        let scale = |i: &[MatrixId], _: &[MatrixId]| Pass::ScaleRows {
            values: i[0],
            weights: i[1],
        };
        let once = [(Rows::BATCH, columns)];
        cases.push(Case::drawn(batch, &once, &[(several, columns)], repeat));
        cases.push(Case::drawn(batch, &[(several, columns)], &once, sum));
        let case = Case::drawn(batch, &[(several, columns), (several, 1)], &[], scale);
        cases.push(case.changing(0));
        cases.push(importance(batch, columns));
        let sum = |i: &[MatrixId], _: &[MatrixId]| Pass::ImportanceSum {
            recon: i[0],
            kl: i[1],
            sums: i[2],
        };
        let reads = [(several, columns), (several, 1), (Rows::BATCH, 2)];
        cases.push(Case::drawn(batch, &reads, &[], sum).changing(2));
        for rows in [Rows::BATCH, several] {
            for (estimate, learned_prior) in [
                (KlEstimate::Analytic, false),
                (KlEstimate::Sampled, false),
                (KlEstimate::Sampled, true),
            ] {
                let forward = |i: &[MatrixId], o: &[MatrixId]| Pass::SampleKlForward {
                    posterior: i[0],
                    z: o[0],
                    kl: o[1],
                    estimate,
                    learned_prior,
                };
                let writes = [(rows, columns), (rows, 1)];
                cases.push(Case::drawn(batch, &[(rows, 2 * columns)], &writes, forward));
            }
            for (path, coefficient, groups, learned_prior) in [
                (KlPath::Analytic, Coefficient::Beta, None, false),
                (KlPath::Analytic, Coefficient::Beta, Some(columns), false),
                (KlPath::Sampled, Coefficient::Anneal, None, false),
                (KlPath::Sampled, Coefficient::Beta, Some(1), false),
                (KlPath::Sampled, Coefficient::Beta, Some(1), true),
                (
                    KlPath::DoublyReparameterized,
                    Coefficient::Beta,
                    Some(1),
                    false,
                ),
                (
                    KlPath::DoublyReparameterized,
                    Coefficient::Beta,
                    Some(1),
                    true,
                ),
            ] {
                let backward = |i: &[MatrixId], o: &[MatrixId]| Pass::SampleKlBackward {
                    posterior: i[0],
                    z: i[1],
                    d_z: i[2],
                    d_posterior: o[0],
                    through: KlGradient {
                        path,
                        weight: Weight {
                            coefficient,
                            factors: groups.map(|_| i[3]),
                        },
                        learned_prior,
                    },
                };
                let reads = [2 * columns, columns, columns, groups.unwrap_or(1)];
                let reads = reads.map(|columns| (rows, columns));
                let writes = [(rows, 2 * columns)];
                cases.push(Case::drawn(batch, &reads, &writes, backward));
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
    let several = Rows::draws(DRAWS);
    let reads = [(several, columns), (several, 1)];
    Case::drawn(batch, &reads, &[(several, 1), (Rows::BATCH, 1)], pass)
}
