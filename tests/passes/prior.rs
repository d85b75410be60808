//! Passes that compare latents with a prior, or with each other.

use std::f64::consts::TAU;

use vae_kernels::program::{
    Coefficient, Gate, MatrixId, Normals, Pass, PriorPass, Program, Rows, Weight,
};
use vae_spec::MmdKernel;

use super::{ANNEAL, BETA, CAPACITY, Case, run};

/// Everything that a pass reads and writes, in f64.
pub(super) struct Arenas<'a> {
    pub(super) parameters: &'a [f64],
    pub(super) gradients: &'a mut [f64],
    pub(super) matrices: &'a mut [Vec<f64>],
}

/// Normals by value.
struct Components {
    mu: Vec<f64>,
    log_var: Vec<f64>,
    log_weights: Vec<f64>,
    latent: usize,
}

impl Components {
    fn new(normals: Normals, batch: usize, latent: usize, arenas: &Arenas<'_>) -> Self {
        let halves = |values: &[f64], log_weight: &dyn Fn(usize) -> f64| {
            let rows = values.chunks(2 * latent);
            let half = |first: usize| {
                rows.clone()
                    .flat_map(move |row| row[first..first + latent].to_vec())
                    .collect()
            };
            let count = values.len() / (2 * latent);
            Self {
                mu: half(0),
                log_var: half(latent),
                log_weights: vec![log_weight(count); count],
                latent,
            }
        };
        match normals {
            Normals::Posteriors(matrix) => halves(&arenas.matrices[matrix.0], &|_| 0.0),
            Normals::Behind(matrix) => {
                let behind = &arenas.matrices[matrix.0][batch * 2 * latent..];
                halves(behind, &|count| -(count as f64).ln())
            }
            Normals::Parameters {
                offset,
                count,
                log_weights,
                ..
            } => {
                let of = |first: usize| arenas.parameters[first..][..count * latent].to_vec();
                Self {
                    mu: of(offset),
                    log_var: of(offset + count * latent),
                    log_weights: arenas.matrices[log_weights.0].clone(),
                    latent,
                }
            }
        }
    }

    fn log_density(&self, z: &[f64], normal: usize, j: usize, wrong: bool) -> f64 {
        let at = normal * self.latent + j;
        let v = self.log_var[at];
        let counted = if wrong { 0.0 } else { v };
        -0.5 * ((z[j] - self.mu[at]).powi(2) / v.exp() + counted + TAU.ln())
    }

    /// Of all latents, or of one alone.
    fn log_sum(&self, z: &[f64], only: Option<usize>, wrong: bool) -> f64 {
        let logs = (0..self.log_weights.len()).map(|normal| {
            let latents = only.map_or(0..self.latent, |j| j..j + 1);
            let densities = latents.map(|j| self.log_density(z, normal, j, wrong));
            self.log_weights[normal] + densities.sum::<f64>()
        });
        let logs: Vec<f64> = logs.collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest
            + logs
                .iter()
                .map(|log| (log - largest).exp())
                .sum::<f64>()
                .ln()
    }
}

/// The pass in plain f64 loops; with `wrong`, a plausible mistake in it.
pub(super) fn plain(
    pass: &PriorPass,
    batch: usize,
    program: &Program,
    arenas: &mut Arenas<'_>,
    wrong: bool,
) {
    let columns = |matrix: MatrixId| program.columns[matrix.0];
    let rows_of = |matrix: MatrixId| program.rows[matrix.0].of(batch);
    match *pass {
        PriorPass::KlParts { posterior, parts } => {
            let (latent, groups) = (columns(posterior) / 2, columns(parts));
            let half = if wrong { 1.0 } else { 0.5 };
            for row in 0..rows_of(parts) {
                for j in 0..latent {
                    let of_row = &arenas.matrices[posterior.0][row * 2 * latent..];
                    let (mu, v) = (of_row[j], of_row[latent + j]);
                    let kl = half * (mu * mu + v.exp() - v - 1.0);
                    arenas.matrices[parts.0][row * groups + j / (latent / groups)] += kl;
                }
            }
        }
        PriorPass::Gate {
            gate,
            kl,
            factors,
            cost,
        } => {
            let (groups, rows) = (columns(kl), rows_of(kl));
            let values = arenas.matrices[kl.0].clone();
            for (at, &each) in values.iter().enumerate() {
                let of_group = values.iter().skip(at % groups).step_by(groups);
                let mean = of_group.sum::<f64>() / rows as f64;
                let (factor, value) = match (gate, wrong) {
                    (Gate::AtLeast(nats), false) | (Gate::MeanAtLeast(nats), true) => (
                        f64::from(u8::from(each > nats.into())),
                        each.max(nats.into()),
                    ),
                    (Gate::MeanAtLeast(nats), false) | (Gate::AtLeast(nats), true) => (
                        f64::from(u8::from(mean > nats.into())),
                        mean.max(nats.into()),
                    ),
                    (Gate::Capacity, _) => {
                        let beyond = mean - f64::from(CAPACITY);
                        let size = if wrong { beyond } else { beyond.abs() };
                        (if wrong { 1.0 } else { beyond.signum() }, size)
                    }
                };
                arenas.matrices[factors.0][at] = factor;
                arenas.matrices[cost.0][at] = value;
            }
        }
        PriorPass::LogSoftmax { logits, output } => {
            let logits = &arenas.parameters[logits..][..rows_of(output)];
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            let whole = if wrong { 0.0 } else { sum.ln() };
            arenas.matrices[output.0] = logits.iter().map(|logit| logit - whole).collect();
        }
        PriorPass::PairsForward {
            z,
            normals,
            sums,
            kl,
        } => {
            let latent = columns(z);
            let components = Components::new(normals, batch, latent, arenas);
            let width = columns(sums);
            for row in 0..rows_of(z) {
                let z = arenas.matrices[z.0][row * latent..][..latent].to_vec();
                for column in 0..width {
                    let only = column.checked_sub(1);
                    arenas.matrices[sums.0][row * width + column] =
                        components.log_sum(&z, only, wrong);
                }
                if let Some(kl) = kl {
                    arenas.matrices[kl.0][row] -= arenas.matrices[sums.0][row * width];
                }
            }
        }
        PriorPass::PairsBackwardRows {
            z,
            normals,
            sums,
            weight,
            d_z,
        } => {
            let latent = columns(z);
            let components = Components::new(normals, batch, latent, arenas);
            for_pairs(
                program,
                batch,
                [z, sums],
                weight,
                &components,
                arenas,
                |arenas, pair| {
                    let Pair {
                        row,
                        at,
                        j,
                        distance,
                        share,
                        ..
                    } = pair;
                    let sign = if wrong { 1.0 } else { -1.0 };
                    arenas.matrices[d_z.0][row * latent + j] +=
                        sign * share * distance / components.log_var[at].exp();
                },
            );
        }
        PriorPass::PairsBackwardNormals {
            z,
            normals,
            sums,
            weight,
            d_normals,
        } => {
            let latent = columns(z);
            let components = Components::new(normals, batch, latent, arenas);
            let one = if wrong { 0.0 } else { 1.0 };
            for_pairs(
                program,
                batch,
                [z, sums],
                weight,
                &components,
                arenas,
                |arenas, pair| {
                    let Pair {
                        at,
                        j,
                        distance,
                        share,
                        joint,
                        factor,
                        ..
                    } = pair;
                    let v = components.log_var[at].exp();
                    let d_mu = share * distance / v;
                    let d_log_var = 0.5 * share * (distance * distance / v - one);
                    if let Normals::Parameters {
                        offset,
                        count,
                        logits,
                        ..
                    } = normals
                    {
                        arenas.gradients[offset + at] += d_mu;
                        arenas.gradients[offset + count * latent + at] += d_log_var;
                        if j == 0 {
                            let normal = at / latent;
                            let weight = components.log_weights[normal].exp();
                            arenas.gradients[logits + normal] += joint - factor * weight;
                        }
                    } else if let Some(d_normals) = d_normals {
                        let first = match normals {
                            Normals::Behind(_) => batch,
                            _ => 0,
                        };
                        let place = (first + at / latent) * 2 * latent + j;
                        arenas.matrices[d_normals.0][place] += d_mu;
                        arenas.matrices[d_normals.0][place + latent] += d_log_var;
                    }
                },
            );
        }
        PriorPass::Correlation {
            posterior,
            z,
            sums,
            information,
            correlation,
        } => {
            let latent = columns(z);
            let count = if wrong { 1.0 } else { run().data_count as f64 };
            let normaliser = (batch as f64 * count).ln();
            for row in 0..batch {
                let of_row = &arenas.matrices[posterior.0][row * 2 * latent..][..2 * latent];
                let z = &arenas.matrices[z.0][row * latent..][..latent];
                let conditional = (0..latent).map(|j| {
                    let (mu, v) = (of_row[j], of_row[latent + j]);
                    -0.5 * ((z[j] - mu).powi(2) / v.exp() + v + TAU.ln())
                });
                let conditional = conditional.sum::<f64>();
                let sums = &arenas.matrices[sums.0][row * (1 + latent)..][..=latent];
                let marginal = sums[0] - normaliser;
                let product = sums[1..].iter().sum::<f64>() - latent as f64 * normaliser;
                arenas.matrices[information.0][row] = conditional - marginal;
                arenas.matrices[correlation.0][row] = marginal - product;
            }
        }
        PriorPass::PriorDraws { y } => {
            let (generator, step) = run().prior;
            let step = if wrong { step + 1 } else { step };
            let first_row = run().noise.first_row * program.rows[y.0].each as u32;
            let normals = generator.normals(step, first_row, rows_of(y), columns(y));
            arenas.matrices[y.0] = normals.into_iter().map(f64::from).collect();
        }
        PriorPass::DiscrepancyForward {
            z,
            y,
            kernel,
            parts,
        } => {
            let (rows, latent) = (rows_of(z), columns(z));
            let (within, between) = shares(rows);
            let between = if wrong { 0.5 * between } else { between };
            let of = |a: &[f64], b: &[f64], i: usize, k: usize| {
                kernel_of(
                    kernel,
                    latent,
                    &a[i * latent..][..latent],
                    &b[k * latent..][..latent],
                )
            };
            for i in 0..rows {
                let (z, y) = (&arenas.matrices[z.0], &arenas.matrices[y.0]);
                let mut part = 0.0;
                for k in 0..rows {
                    if k != i {
                        part += within * (of(z, z, i, k) + of(y, y, i, k));
                    }
                    part -= between * of(z, y, i, k);
                }
                arenas.matrices[parts.0][i] = rows as f64 * part;
            }
        }
        PriorPass::DiscrepancyBackward {
            z,
            y,
            kernel,
            weight,
            d_z,
        } => {
            let (rows, latent) = (rows_of(z), columns(z));
            let y = arenas.matrices[y.0].clone();
            let z = arenas.matrices[z.0].clone();
            let (within, between) = shares(rows);
            // A pair within counts twice, unless forgotten.
            let within = if wrong { within } else { 2.0 * within };
            let loss = |at: &[f64], i: usize| {
                let others = (0..rows).map(|k| {
                    let of = |b: &[f64]| kernel_of(kernel, latent, at, &b[k * latent..][..latent]);
                    let same = if k == i { 0.0 } else { within * of(&z) };
                    same - between * of(&y)
                });
                f64::from(weight) * others.sum::<f64>()
            };
            for i in 0..rows {
                for j in 0..latent {
                    let moved = |by: f64| {
                        let mut at = z[i * latent..][..latent].to_vec();
                        at[j] += by;
                        loss(&at, i)
                    };
                    arenas.matrices[d_z.0][i * latent + j] += (moved(1e-5) - moved(-1e-5)) / 2e-5;
                }
            }
        }
        PriorPass::PseudoInputs {
            images,
            seen,
            offset,
            range: [low, high],
        } => {
            let count = arenas.matrices[seen.0].len() - arenas.matrices[images.0].len();
            let inputs = arenas.parameters[offset..][..count].iter();
            let inputs = inputs.map(|&x| {
                if wrong {
                    x
                } else {
                    x.clamp(low.into(), high.into())
                }
            });
            let images = arenas.matrices[images.0].iter().copied();
            arenas.matrices[seen.0] = images.chain(inputs).collect();
        }
        PriorPass::PseudoInputsBackward {
            d_seen,
            offset,
            range: [low, high],
            are_counts,
        } => {
            for (at, d) in arenas.matrices[d_seen.0].iter().enumerate() {
                let x = arenas.parameters[offset + at];
                let is_inside = (f64::from(low)..=f64::from(high)).contains(&x) || wrong;
                let slope = if are_counts { 1.0 / (1.0 + x) } else { 1.0 };
                arenas.gradients[offset + at] = if is_inside { slope * d } else { 0.0 };
            }
        }
        PriorPass::LastRows { input, output } => {
            let input = &arenas.matrices[input.0];
            let length = arenas.matrices[output.0].len();
            let first = if wrong { 0 } else { input.len() - length };
            arenas.matrices[output.0] = input[first..][..length].to_vec();
        }
    }
}

/// A latent of a row beside that of a normal.
struct Pair {
    row: usize,
    /// Place in the normals.
    at: usize,
    j: usize,
    distance: f64,
    /// What the loss holds of the logarithm of this latent's density.
    share: f64,
    /// The same of the normal's whole density.
    joint: f64,
    /// The same of the row's first sum.
    factor: f64,
}

fn for_pairs(
    program: &Program,
    batch: usize,
    [z, sums]: [MatrixId; 2],
    weight: Weight,
    components: &Components,
    arenas: &mut Arenas<'_>,
    mut each: impl FnMut(&mut Arenas<'_>, Pair),
) {
    let (latent, width) = (components.latent, program.columns[sums.0]);
    let rows = program.rows[z.0].of(batch);
    let has_singles = width > 1;
    let coefficient = f64::from(match weight.coefficient {
        Coefficient::BetaLessAnneal => BETA - ANNEAL,
        _ => BETA,
    });
    for row in 0..rows {
        let z = arenas.matrices[z.0][row * latent..][..latent].to_vec();
        let sums = arenas.matrices[sums.0][row * width..][..width].to_vec();
        let factor = weight
            .factors
            .map_or(1.0, |factors| arenas.matrices[factors.0][row]);
        let sign = if has_singles { 1.0 } else { -1.0 };
        let factor = sign * coefficient * factor / rows as f64;
        for normal in 0..components.log_weights.len() {
            let log = |j| components.log_density(&z, normal, j, false);
            let log_weight = components.log_weights[normal];
            let all = log_weight + (0..latent).map(log).sum::<f64>();
            let joint = factor * (all - sums[0]).exp();
            for (j, z) in z.iter().enumerate() {
                let single = if has_singles {
                    factor * (log_weight + log(j) - sums[1 + j]).exp()
                } else {
                    0.0
                };
                let at = normal * latent + j;
                let pair = Pair {
                    row,
                    at,
                    j,
                    distance: z - components.mu[at],
                    share: joint - single,
                    joint,
                    factor,
                };
                each(arenas, pair);
            }
        }
    }
}

fn shares(rows: usize) -> (f64, f64) {
    let rows = rows as f64;
    (1.0 / (rows * (rows - 1.0).max(1.0)), 2.0 / (rows * rows))
}

fn kernel_of(kernel: MmdKernel, latent: usize, a: &[f64], b: &[f64]) -> f64 {
    let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    let width = 2.0 * latent as f64;
    match kernel {
        MmdKernel::Rbf => (-squared / width).exp(),
        MmdKernel::Imq => {
            let scales = MmdKernel::IMQ_SCALES.map(|scale| scale * width);
            scales.map(|scale| scale / (scale + squared)).iter().sum()
        }
    }
}

/// Every pass of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = pairs();
    let once = Rows::BATCH;
    for (batch, latent) in [(1, 1), (7, 3), (300, 12)] {
        for rows in [once, Rows::draws(2)] {
            for groups in [1, latent] {
                let parts = |i: &[MatrixId], o: &[MatrixId]| {
                    Pass::Prior(PriorPass::KlParts {
                        posterior: i[0],
                        parts: o[0],
                    })
                };
                let writes = [(rows, groups)];
                cases.push(Case::drawn(batch, &[(rows, 2 * latent)], &writes, parts));
                // At about half of the means, and of the numbers.
                for gate in [Gate::AtLeast(0.02), Gate::MeanAtLeast(0.02), Gate::Capacity] {
                    let gate = |i: &[MatrixId], o: &[MatrixId]| {
                        Pass::Prior(PriorPass::Gate {
                            gate,
                            kl: i[0],
                            factors: o[0],
                            cost: o[1],
                        })
                    };
                    let writes = [(rows, groups); 2];
                    cases.push(Case::drawn(batch, &[(rows, groups)], &writes, gate));
                }
            }
            let draws =
                |_: &[MatrixId], o: &[MatrixId]| Pass::Prior(PriorPass::PriorDraws { y: o[0] });
            cases.push(Case::drawn(batch, &[], &[(rows, latent)], draws));
            for kernel in [MmdKernel::Imq, MmdKernel::Rbf] {
                let forward = |i: &[MatrixId], o: &[MatrixId]| {
                    Pass::Prior(PriorPass::DiscrepancyForward {
                        z: i[0],
                        y: i[1],
                        kernel,
                        parts: o[0],
                    })
                };
                let reads = [(rows, latent); 3];
                cases.push(Case::drawn(batch, &reads[..2], &[(rows, 1)], forward));
                let backward = |i: &[MatrixId], _: &[MatrixId]| {
                    Pass::Prior(PriorPass::DiscrepancyBackward {
                        z: i[0],
                        y: i[1],
                        kernel,
                        weight: 30.0,
                        d_z: i[2],
                    })
                };
                cases.push(Case::drawn(batch, &reads, &[], backward).changing(2));
            }
        }
        let behind = Rows { each: 1, more: 4 };
        let range = [-0.5, 0.8];
        let pseudo_inputs = |i: &[MatrixId], o: &[MatrixId]| {
            Pass::Prior(PriorPass::PseudoInputs {
                images: i[0],
                seen: o[0],
                offset: 3,
                range,
            })
        };
        let reads = [(once, latent)];
        let case = Case::drawn(batch, &reads, &[(behind, latent)], pseudo_inputs);
        cases.push(case.with_parameters(3 + 4 * latent));
        for are_counts in [false, true] {
            let backward = |i: &[MatrixId], _: &[MatrixId]| {
                Pass::Prior(PriorPass::PseudoInputsBackward {
                    d_seen: i[0],
                    offset: 3,
                    range,
                    are_counts,
                })
            };
            let case = Case::drawn(batch, &[(Rows::fixed(4), latent)], &[], backward);
            cases.push(case.with_parameters(3 + 4 * latent));
        }
        let last = |i: &[MatrixId], o: &[MatrixId]| {
            Pass::Prior(PriorPass::LastRows {
                input: i[0],
                output: o[0],
            })
        };
        let writes = [(Rows::fixed(4), latent)];
        cases.push(Case::drawn(batch, &[(behind, latent)], &writes, last));
    }
    for count in [1, 3, 300] {
        let softmax = |_: &[MatrixId], o: &[MatrixId]| {
            Pass::Prior(PriorPass::LogSoftmax {
                logits: 2,
                output: o[0],
            })
        };
        let case = Case::drawn(2, &[], &[(Rows::fixed(count), 1)], softmax);
        cases.push(case.with_parameters(2 + count));
    }
    cases
}

/// The passes over all pairs of rows and normals.
fn pairs() -> Vec<Case> {
    const SOME: Coefficient = Coefficient::BetaLessAnneal;
    let mut cases = Vec::new();
    for (batch, latent, count) in [(1, 1, 1), (7, 3, 5), (30, 70, 3), (70, 2, 130)] {
        for draws in [1, 2] {
            let rows = Rows::draws(draws);
            let of_mixture = |log_weights| Normals::Parameters {
                offset: count,
                logits: 0,
                count,
                log_weights,
            };
            let behind = Rows {
                each: 1,
                more: count,
            };
            // Rows of the normals and of their weights.
            type Of<'a> = &'a dyn Fn(&[MatrixId]) -> Normals;
            let kinds: [(Rows, usize, Of<'_>); 3] = [
                (Rows::BATCH, 1 + latent, &|i| Normals::Posteriors(i[1])),
                (behind, 1, &|i| Normals::Behind(i[1])),
                (Rows::fixed(count), 1, &|i| of_mixture(i[2])),
            ];
            for (of_normals, columns, normals) in kinds {
                let is_prior = columns == 1;
                let weight = |i: &[MatrixId]| match is_prior {
                    true => Weight {
                        coefficient: Coefficient::Beta,
                        factors: Some(i[4]),
                    },
                    false => Weight::all(SOME),
                };
                let read = [
                    (rows, latent),
                    (of_normals, 2 * latent),
                    (Rows::fixed(count), 1),
                ];
                let parameters = count + 2 * count * latent;
                let forward = |i: &[MatrixId], o: &[MatrixId]| {
                    Pass::Prior(PriorPass::PairsForward {
                        z: i[0],
                        normals: normals(i),
                        sums: o[0],
                        kl: is_prior.then(|| i[3]),
                    })
                };
                let reads: Vec<_> = read.into_iter().chain([(rows, 1)]).collect();
                let case = Case::drawn(batch, &reads, &[(rows, columns)], forward);
                let case = case.changing(3).with_parameters(parameters);
                let sums = case.plain(false)[0].clone();
                cases.push(case);
                let backward_rows = |i: &[MatrixId], _: &[MatrixId]| {
                    Pass::Prior(PriorPass::PairsBackwardRows {
                        z: i[0],
                        normals: normals(i),
                        sums: i[3],
                        weight: weight(i),
                        d_z: i[5],
                    })
                };
                let reads: Vec<_> = read
                    .into_iter()
                    .chain([(rows, columns), (rows, 1), (rows, latent)])
                    .collect();
                let case = Case::drawn(batch, &reads, &[], backward_rows);
                let case = case.changing(5).with_parameters(parameters);
                cases.push(case.with_input(3, sums.clone()));
                let is_parameter = of_normals.each == 0;
                let backward_normals = |i: &[MatrixId], _: &[MatrixId]| {
                    Pass::Prior(PriorPass::PairsBackwardNormals {
                        z: i[0],
                        normals: normals(i),
                        sums: i[3],
                        weight: weight(i),
                        d_normals: (!is_parameter).then(|| i[5]),
                    })
                };
                let reads: Vec<_> = read
                    .into_iter()
                    .chain([(rows, columns), (rows, 1), (of_normals, 2 * latent)])
                    .collect();
                let case = Case::drawn(batch, &reads, &[], backward_normals);
                let mut case = case.with_parameters(parameters).with_input(3, sums);
                // What is behind the batch is written, not added to.
                if of_normals == behind {
                    case.inputs[5].1[batch * 2 * latent..].fill(0.0);
                }
                cases.push(if is_parameter { case } else { case.changing(5) });
            }
        }
    }
    cases
}

/// Number of terms of the longest sum.
pub(super) fn terms(pass: &PriorPass, case: &Case) -> usize {
    let program = &case.program;
    let rows = |matrix: MatrixId| program.rows[matrix.0].of(case.batch);
    match *pass {
        PriorPass::PairsForward { z, .. } | PriorPass::PairsBackwardRows { z, .. } => {
            program.columns[z.0]
        }
        PriorPass::PairsBackwardNormals { z, .. }
        | PriorPass::DiscrepancyBackward { z, .. }
        | PriorPass::Gate { kl: z, .. }
        | PriorPass::DiscrepancyForward { z, .. } => rows(z),
        PriorPass::KlParts { posterior, .. } | PriorPass::Correlation { posterior, .. } => {
            program.columns[posterior.0]
        }
        _ => 1,
    }
}
