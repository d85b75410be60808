//! Latents beside a prior, or beside each other.

use vae_kernels::program::{MatrixId, Normals, Pass, PriorPass, Rows, Weight};
use vae_spec::Prior;

use crate::plan::Model;
use crate::tape::Tape;

/// Latents beside what they are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Compared {
    normals: Normals,
    pub(super) sums: MatrixId,
}

impl Compared {
    pub(crate) fn forward(
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

    pub(super) fn backward_rows(
        self,
        tape: &mut Tape<'_>,
        z: MatrixId,
        weight: Weight,
        d_z: MatrixId,
    ) {
        let Self { normals, sums } = self;
        tape.push(Pass::Prior(PriorPass::PairsBackwardRows {
            z,
            normals,
            sums,
            weight,
            d_z,
        }));
    }

    pub(super) fn backward_normals(
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

impl Model<'_> {
    /// Rows of the encoder's matrices: the pseudo-inputs of a VampPrior lie behind the batch.
    pub(crate) const fn encoded_rows(&self) -> Rows {
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
    pub(crate) fn prior(&self, tape: &mut Tape<'_>, posterior: MatrixId) -> Option<Normals> {
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

    pub(crate) fn with_pseudo_inputs(&self, tape: &mut Tape<'_>, images: MatrixId) -> MatrixId {
        let seen = tape.matrix(self.config.pixels());
        tape.push(Pass::Prior(PriorPass::PseudoInputs {
            images,
            seen,
            offset: self.of_prior(0),
            range: self.config.likelihood.range(),
        }));
        seen
    }

    pub(super) fn gradient_of_pseudo_inputs(&self, tape: &mut Tape<'_>, d_seen: MatrixId) {
        tape.push(Pass::Prior(PriorPass::PseudoInputsBackward {
            d_seen,
            offset: self.of_prior(0),
            range: self.config.likelihood.range(),
            are_counts: self.config.likelihood.is_count(),
        }));
    }
}
