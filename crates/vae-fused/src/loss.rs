//! The program of the loss: from images to its terms, and on to every gradient.

use vae_kernels::executor::{Term, TrainingProgram};
use vae_kernels::program::{
    Coefficient, Gate, KlGradient, KlPath, MatrixId, Normals, Pass, PriorPass, Program, Rows,
    Weight,
};
use vae_spec::{
    Batch, FreeBitsPer, KlEstimate, Losses, Objective, ObjectiveKind, Prior, TrainingImages,
};

use crate::plan::{Model, Reconstruction};
use crate::tape::{Tape, Wanted};

/// Program from images to the loss, and on to every gradient.
#[derive(Debug)]
pub(super) struct LossPlan {
    pub(super) program: Program,
    /// The passes before the backward ones: all that evaluation needs.
    pub(super) forward: Program,
    /// Channels first.
    pub(super) images: MatrixId,
    /// Input of the encoder; `images` unless they are corrupted.
    pub(super) seen: MatrixId,
    pub(super) labels: Option<MatrixId>,
    /// `recon`, `kl`, then those of the objective.
    pub(super) terms: Vec<Term>,
    /// The matrices that the forward passes fill, by the names of their layers.
    pub(super) names: Vec<(String, MatrixId)>,
    objective: Objective,
}

/// How the terms of an objective come about and how its gradients begin.
struct Divergence {
    terms: Vec<Term>,
    through: KlGradient,
}

/// Latents beside what they are compared with.
#[derive(Clone, Copy)]
pub(super) struct Compared {
    normals: Normals,
    sums: MatrixId,
}

impl Compared {
    pub(super) fn forward(
        tape: &mut Tape<'_>,
        z: MatrixId,
        normals: Normals,
        kl: Option<MatrixId>,
    ) -> Self {
        let latent = tape.program.columns[z.0];
        let sums = tape.matrix(if kl.is_some() { 1 } else { 1 + latent });
        tape.push(Pass::Prior(PriorPass::PairsForward {
            z,
            normals,
            sums,
            kl,
        }));
        Self { normals, sums }
    }

    fn backward_rows(self, tape: &mut Tape<'_>, z: MatrixId, weight: Weight, d_z: MatrixId) {
        let Self { normals, sums } = self;
        tape.push(Pass::Prior(PriorPass::PairsBackwardRows {
            z,
            normals,
            sums,
            weight,
            d_z,
        }));
    }

    fn backward_normals(
        self,
        tape: &mut Tape<'_>,
        z: MatrixId,
        weight: Weight,
        d_posterior: MatrixId,
    ) {
        let Self { normals, sums } = self;
        let is_parameter = matches!(normals, Normals::Parameters { .. });
        tape.push(Pass::Prior(PriorPass::PairsBackwardNormals {
            z,
            normals,
            sums,
            weight,
            d_normals: (!is_parameter).then_some(d_posterior),
        }));
    }
}

const fn term(matrix: MatrixId, coefficient: Coefficient) -> Term {
    Term {
        matrix,
        coefficient,
    }
}

impl Model<'_> {
    /// With `corrupts`, the encoder sees other images than those to be reconstructed.
    pub(super) fn loss(&self, objective: &Objective, corrupts: bool) -> LossPlan {
        let (pixels, latent) = (self.config.pixels(), self.config.latent);
        let mut tape = self.tape(true);
        let images = tape.matrix(pixels);
        let seen = if corrupts {
            tape.matrix(pixels)
        } else {
            images
        };
        tape.name("images", seen);
        let arranged = self.arranged(&mut tape, images);
        let mut arranged_seen = match corrupts {
            true => self.arranged(&mut tape, seen),
            false => arranged,
        };
        let of_encoder = self.encoded_rows();
        tape.rows = of_encoder;
        if of_encoder.more > 0 {
            arranged_seen = self.with_pseudo_inputs(&mut tape, arranged_seen);
        }
        let (posterior, encoder) = self.encoder(&mut tape, arranged_seen);

        tape.rows = Rows::draws(objective.samples);
        let drawn_from = tape.repeated(posterior);
        let [z, kl] = [latent, 1].map(|columns| tape.matrix(columns));
        let normals = self.prior(&mut tape, posterior);
        let is_weighted = matches!(objective.kind, ObjectiveKind::Iwae | ObjectiveKind::Dreg);
        let estimate = match is_weighted {
            true => KlEstimate::Sampled,
            false => objective.kl,
        };
        tape.push(Pass::SampleKlForward {
            posterior: drawn_from,
            z,
            kl,
            estimate,
            learned_prior: normals.is_some(),
        });
        tape.name("kl", kl);
        tape.name("z", z);
        let z_value = tape.value(z);
        let (reconstruction, decoder) = self.reconstruction(&mut tape, z_value, arranged);
        let Reconstruction {
            recon,
            d_output,
            spread,
        } = reconstruction;
        tape.name("recon", recon);

        let prior = normals.map(|normals| Compared::forward(&mut tape, z, normals, Some(kl)));
        let batch = (objective.kind == ObjectiveKind::BetaTc)
            .then(|| Compared::forward(&mut tape, z, Normals::Posteriors(posterior), None));
        let sample = matches!(objective.kind, ObjectiveKind::Mmd { .. }).then(|| {
            let y = tape.matrix(latent);
            tape.push(Pass::Prior(PriorPass::PriorDraws { y }));
            y
        });
        let values = Values {
            posterior: drawn_from,
            z,
            kl,
            recon,
            sums: batch.map(|batch| batch.sums),
            sample,
        };
        let Divergence { terms, mut through } = values.divergence(&mut tape, objective, estimate);
        through.learned_prior = prior.is_some();
        let forward = without_gradients(&tape.program);

        if let (true, Some(weights)) = (is_weighted, through.weight.factors) {
            let scaled = [d_output, spread.map(|spread| spread.d_spread)];
            for values in scaled.into_iter().flatten() {
                tape.push(Pass::ScaleRows { values, weights });
            }
        }
        if let Some(spread) = spread {
            tape.push(Pass::Sums {
                values: spread.d_spread,
                columns: spread.length,
                offset: spread.offset,
            });
        }
        let d_z = d_output.and_then(|d_output| tape.backward(&decoder, d_output, Wanted::All));
        if let Some(d_z) = d_z {
            let correlation = Weight::all(Coefficient::BetaLessAnneal);
            if let Some(prior) = prior {
                prior.backward_rows(&mut tape, z, through.weight, d_z);
            }
            if let Some(batch) = batch {
                batch.backward_rows(&mut tape, z, correlation, d_z);
            }
            if let (ObjectiveKind::Mmd { weight, kernel }, Some(y)) = (objective.kind, sample) {
                tape.push(Pass::Prior(PriorPass::DiscrepancyBackward {
                    z,
                    y,
                    kernel,
                    weight,
                    d_z,
                }));
            }
            let of_draws = std::mem::replace(&mut tape.rows, of_encoder);
            let d_posterior = tape.matrix(2 * latent);
            let has_draws = of_draws.each > 1;
            let d_drawn = match has_draws {
                true => tape.program.matrix_of(of_draws, 2 * latent),
                false => d_posterior,
            };
            tape.push(Pass::SampleKlBackward {
                posterior: drawn_from,
                z,
                d_z,
                d_posterior: d_drawn,
                through,
            });
            if has_draws {
                tape.push(Pass::SumRows {
                    input: d_drawn,
                    output: d_posterior,
                });
            }
            if let Some(prior) = prior {
                prior.backward_normals(&mut tape, z, through.weight, d_posterior);
            }
            if let Some(batch) = batch {
                batch.backward_normals(&mut tape, z, correlation, d_posterior);
            }
            let wanted = match of_encoder.more {
                0 => Wanted::Nothing,
                pseudo_inputs => Wanted::Last(pseudo_inputs),
            };
            if let Some(d_seen) = tape.backward(&encoder, d_posterior, wanted) {
                self.gradient_of_pseudo_inputs(&mut tape, d_seen);
            }
        }
        LossPlan {
            forward,
            images,
            seen,
            terms,
            labels: tape.labels,
            names: tape.names,
            program: tape.program,
            objective: *objective,
        }
    }

    /// Rows of the encoder's matrices: the pseudo-inputs of a VampPrior lie behind the batch.
    pub(super) const fn encoded_rows(&self) -> Rows {
        let more = match self.config.prior {
            Prior::Vamp { inputs } => inputs,
            Prior::Normal | Prior::Mixture { .. } => 0,
        };
        Rows { each: 1, more }
    }

    /// Offset of the learned prior's parameter of this index.
    fn of_prior(&self, index: usize) -> usize {
        let first = self.network.prior;
        first.map_or(0, |first| self.layout.offset(first + index))
    }

    /// The components of a learned prior.
    pub(super) fn prior(&self, tape: &mut Tape<'_>, posterior: MatrixId) -> Option<Normals> {
        match self.config.prior {
            Prior::Normal => None,
            Prior::Vamp { .. } => Some(Normals::Behind(posterior)),
            Prior::Mixture { components } => {
                let [logits, offset] = [0, 1].map(|index| self.of_prior(index));
                let log_weights = tape.program.matrix_of(Rows::fixed(components), 1);
                tape.push(Pass::Prior(PriorPass::LogSoftmax {
                    logits,
                    output: log_weights,
                }));
                Some(Normals::Parameters {
                    offset,
                    logits,
                    count: components,
                    log_weights,
                })
            }
        }
    }

    pub(super) fn with_pseudo_inputs(&self, tape: &mut Tape<'_>, images: MatrixId) -> MatrixId {
        let seen = tape.matrix(self.config.pixels());
        tape.push(Pass::Prior(PriorPass::PseudoInputs {
            images,
            seen,
            offset: self.of_prior(0),
            range: self.config.likelihood.range(),
        }));
        seen
    }

    fn gradient_of_pseudo_inputs(&self, tape: &mut Tape<'_>, d_seen: MatrixId) {
        tape.push(Pass::Prior(PriorPass::PseudoInputsBackward {
            d_seen,
            offset: self.of_prior(0),
            range: self.config.likelihood.range(),
            are_counts: self.config.likelihood.is_count(),
        }));
    }
}

/// What the terms of an objective are made of, a row for each draw.
struct Values {
    posterior: MatrixId,
    z: MatrixId,
    kl: MatrixId,
    recon: MatrixId,
    /// Log-densities under the batch's posteriors.
    sums: Option<MatrixId>,
    /// A sample of the prior.
    sample: Option<MatrixId>,
}

impl Values {
    fn divergence(
        &self,
        tape: &mut Tape<'_>,
        objective: &Objective,
        estimate: KlEstimate,
    ) -> Divergence {
        use Coefficient::{Anneal, Beta, BetaLessAnneal, Fixed, One, Zero};

        let &Self {
            posterior,
            z,
            kl,
            recon,
            ..
        } = self;
        let of_elbo = |more: &[Term], kl_coefficient| {
            let elbo = [term(recon, One), term(kl, kl_coefficient)];
            elbo.into_iter().chain(more.iter().copied()).collect()
        };
        let path = match estimate {
            KlEstimate::Analytic => KlPath::Analytic,
            KlEstimate::Sampled => KlPath::Sampled,
        };
        let plain = KlGradient::of(path, Weight::all(Beta));
        let with_factors = |path, factors| {
            let factors = Some(factors);
            let coefficient = Beta;
            KlGradient::of(
                path,
                Weight {
                    coefficient,
                    factors,
                },
            )
        };
        match objective.kind {
            ObjectiveKind::Elbo => match objective.free_bits {
                None => Divergence {
                    terms: of_elbo(&[], Beta),
                    through: plain,
                },
                Some(free_bits) => {
                    let latent = tape.program.columns[z.0];
                    let parts = tape.matrix(match free_bits.per {
                        FreeBitsPer::Dimension => latent,
                        FreeBitsPer::Group(size) => latent / size,
                        FreeBitsPer::Total => 1,
                    });
                    tape.push(Pass::Prior(PriorPass::KlParts { posterior, parts }));
                    let gate = match free_bits.after_batch_mean {
                        true => Gate::MeanAtLeast(free_bits.nats),
                        false => Gate::AtLeast(free_bits.nats),
                    };
                    let (factors, cost) = gated(tape, gate, parts);
                    Divergence {
                        terms: of_elbo(&[term(cost, Beta)], Zero),
                        through: with_factors(path, factors),
                    }
                }
            },
            ObjectiveKind::Capacity => {
                let (factors, cost) = gated(tape, Gate::Capacity, kl);
                Divergence {
                    terms: of_elbo(&[term(cost, Beta)], Zero),
                    through: with_factors(path, factors),
                }
            }
            ObjectiveKind::BetaTc => {
                let [information, correlation] = [(); 2].map(|()| tape.matrix(1));
                if let Some(sums) = self.sums {
                    tape.push(Pass::Prior(PriorPass::Correlation {
                        posterior,
                        z,
                        sums,
                        information,
                        correlation,
                    }));
                }
                // All three parts of `kl` with one factor, and what the total correlation has beyond it.
                let more = [term(information, Zero), term(correlation, BetaLessAnneal)];
                Divergence {
                    terms: of_elbo(&more, Anneal),
                    through: KlGradient::of(path, Weight::all(Anneal)),
                }
            }
            ObjectiveKind::Mmd { weight, kernel } => {
                let parts = tape.matrix(1);
                if let Some(y) = self.sample {
                    tape.push(Pass::Prior(PriorPass::DiscrepancyForward {
                        z,
                        y,
                        kernel,
                        parts,
                    }));
                }
                Divergence {
                    terms: of_elbo(&[term(parts, Fixed(weight))], Beta),
                    through: plain,
                }
            }
            ObjectiveKind::Iwae | ObjectiveKind::Dreg => {
                let weights = tape.matrix(1);
                let bound = tape.program.matrix(1);
                tape.push(Pass::Importance {
                    recon,
                    kl,
                    weights,
                    bound,
                });
                let path = match objective.kind {
                    ObjectiveKind::Dreg => KlPath::DoublyReparameterized,
                    _ => path,
                };
                let terms = [(recon, Zero), (kl, Zero), (bound, One)];
                Divergence {
                    terms: terms.map(|(matrix, factor)| term(matrix, factor)).into(),
                    through: with_factors(path, weights),
                }
            }
        }
    }
}

/// The same passes for evaluation.
fn without_gradients(program: &Program) -> Program {
    let mut program = program.clone();
    for pass in &mut program.passes {
        if let Pass::DenseNll { d_output, .. } | Pass::Nll { d_output, .. } = pass {
            *d_output = None;
        }
    }
    program
}

/// The factors and the cost of a gate.
fn gated(tape: &mut Tape<'_>, gate: Gate, kl: MatrixId) -> (MatrixId, MatrixId) {
    let groups = tape.program.columns[kl.0];
    let [factors, cost] = [(); 2].map(|()| tape.matrix(groups));
    tape.push(Pass::Prior(PriorPass::Gate {
        gate,
        kl,
        factors,
        cost,
    }));
    (factors, cost)
}

impl LossPlan {
    /// The plan for uncorrupted or for corrupted images, as `batch` is.
    pub(super) const fn of<'a>([plain, denoising]: [&'a Self; 2], batch: &Batch<'_>) -> &'a Self {
        match batch.corrupted {
            Some(_) => denoising,
            None => plain,
        }
    }

    /// The matrices that `batch` fills, with their values; `labels` are its labels as numbers.
    pub(super) fn inputs<'a>(
        &self,
        batch: &Batch<'a>,
        labels: &'a [f32],
    ) -> Vec<(MatrixId, &'a [f32])> {
        let corrupted = batch.corrupted.map(|corrupted| (self.seen, corrupted));
        [(self.images, batch.images)]
            .into_iter()
            .chain(corrupted)
            .chain(self.labels.map(|matrix| (matrix, labels)))
            .collect()
    }

    /// Whether the loss of a batch is more than the mean of its rows' losses.
    pub(super) const fn couples_rows(&self) -> bool {
        let of_mean = match self.objective.free_bits {
            Some(free_bits) => free_bits.after_batch_mean,
            None => false,
        };
        of_mean
            || matches!(
                self.objective.kind,
                ObjectiveKind::Capacity | ObjectiveKind::BetaTc | ObjectiveKind::Mmd { .. }
            )
    }

    /// The terms by name, from their means.
    pub(super) fn losses(&self, loss: f64, terms: &[f64]) -> Losses {
        let (recon, kl) = (terms[0], terms[1]);
        let losses = Losses {
            loss,
            recon,
            kl,
            ..Losses::default()
        };
        match self.objective.kind {
            ObjectiveKind::BetaTc => Losses {
                index_code_mi: Some(terms[2]),
                total_correlation: Some(terms[3]),
                dimension_wise_kl: Some(kl - terms[2] - terms[3]),
                ..losses
            },
            ObjectiveKind::Mmd { .. } => Losses {
                mmd: Some(terms[2]),
                ..losses
            },
            _ => losses,
        }
    }

    /// The program of a training step, which gathers its images from the dataset.
    pub(super) fn training(&self, from: &TrainingImages) -> TrainingProgram {
        let mut program = self.program.clone();
        let images = self.images;
        let gather = Pass::Gather {
            images,
            element: from.element,
            binarize: from.binarize,
        };
        let labels = self.labels.map(|labels| Pass::GatherLabels { labels });
        let corrupt = from.corruption.map(|corruption| Pass::Corrupt {
            images,
            corrupted: self.seen,
            corruption,
        });
        let first = [gather].into_iter().chain(labels).chain(corrupt);
        program.passes.splice(0..0, first);
        TrainingProgram {
            program,
            terms: self.terms.clone(),
        }
    }
}
