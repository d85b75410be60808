//! The terms of each objective, and how the gradient of the posterior begins.

use vae_kernels::executor::Term;
use vae_kernels::program::{
    Coefficient, Gate, KlGradient, KlPath, MatrixId, Pass, PriorPass, Weight,
};
use vae_spec::{FreeBitsPer, KlEstimate, Objective, ObjectiveKind};

use crate::tape::Tape;

/// How the terms of an objective come about and how its gradients begin.
pub(super) struct Divergence {
    pub(super) terms: Vec<Term>,
    pub(super) through: KlGradient,
}

/// What the terms of an objective are made of, a row for each draw.
pub(super) struct Values {
    pub(super) posterior: MatrixId,
    pub(super) z: MatrixId,
    pub(super) kl: MatrixId,
    pub(super) recon: MatrixId,
    /// Log-densities under the batch's posteriors.
    pub(super) sums: Option<MatrixId>,
    /// A sample of the prior.
    pub(super) sample: Option<MatrixId>,
}

impl Values {
    pub(super) fn divergence(
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

const fn term(matrix: MatrixId, coefficient: Coefficient) -> Term {
    Term {
        matrix,
        coefficient,
    }
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
