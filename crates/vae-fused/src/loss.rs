//! The program of the loss: from images to its terms, and on to every gradient.

mod divergence;
mod prior;

use vae_kernels::executor::{Term, TrainingProgram};
use vae_kernels::program::{
    Coefficient, MatrixId, Normals, Pass, PriorPass, Program, Rows, Weight,
};
use vae_spec::{Batch, KlEstimate, Losses, Objective, ObjectiveKind, TrainingImages};

use crate::plan::{Model, Reconstruction};
use crate::tape::Wanted;
use divergence::{Divergence, Values};
pub(super) use prior::Compared;

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

    /// The matrices of the terms, which are read behind the last pass.
    pub(super) fn term_matrices(&self) -> Vec<MatrixId> {
        self.terms.iter().map(|term| term.matrix).collect()
    }

    /// Bytes of a training step's matrices for `rows` of the batch.
    pub(super) fn bytes(&self, rows: usize) -> usize {
        self.program.bytes(rows, &self.term_matrices())
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
