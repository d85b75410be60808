//! The passes that compare latents with a prior, or with each other. None of them stores a number for each pair.

use vae_spec::MmdKernel;

use super::{MatrixId, Weight};

/// Diagonal normals, whose log-variances count clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normals {
    /// The batch's own posteriors, `[batch, 2 latent]`, mu | log_var. Their densities are summed.
    Posteriors(MatrixId),
    /// The rows behind those of the batch, `[batch + count, 2 latent]`, mu | log_var: those of pseudo-inputs. Their densities are
    /// averaged.
    Behind(MatrixId),
    /// Parameters: `[count, latent]` means and behind them as many log-variances. Their densities are weighted.
    Parameters {
        /// Offset of the means in the arena.
        offset: usize,
        /// Offset of the logarithms of their weights before they are normalised, `[count]`.
        logits: usize,
        /// Number of normals.
        count: usize,
        /// `[count, 1]`, whatever the batch: logarithms of the weights, by [`PriorPass::LogSoftmax`].
        log_weights: MatrixId,
    },
}

/// How a gate treats what comes in, and what it makes of it: `cost`, the term of the loss, and `gate`, its derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// `cost = max(nats, kl)`, of each row (Kingma et al. 2016).
    AtLeast(f32),
    /// The same of the mean over the rows.
    MeanAtLeast(f32),
    /// `cost = |mean - capacity|` with the step's capacity (Burgess et al. 2018).
    Capacity,
}

/// One step. Rows are those of `z`: for each row of the batch as many as it has draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PriorPass {
    /// Parts of the KL divergence in closed form: each is the sum over a group of consecutive latents.
    KlParts {
        /// `[rows, 2 latent]`: mu | log_var, not clamped.
        posterior: MatrixId,
        /// `[rows, groups]`, nats.
        parts: MatrixId,
    },
    /// A function of a term, or of its mean over the rows, in place of the term.
    Gate {
        /// What is done.
        gate: Gate,
        /// `[rows, groups]`
        kl: MatrixId,
        /// `[rows, groups]`: the derivative with respect to `kl`, times the number of rows where that is a mean.
        factors: MatrixId,
        /// `[rows, groups]`, the same in each row where that is a mean.
        cost: MatrixId,
    },
    /// `output = logits - log sum exp logits`, of parameters.
    LogSoftmax {
        /// Offset of the parameters in the arena.
        logits: usize,
        /// `[count, 1]`, whatever the batch.
        output: MatrixId,
    },
    /// The first column of `sums` becomes `log sum_c w_c N(z; c)` over the normals; if it has more columns, those behind become
    /// the same for each latent alone.
    PairsForward {
        /// `[rows, latent]`
        z: MatrixId,
        /// What is summed over.
        normals: Normals,
        /// `[rows, 1]` or `[rows, 1 + latent]`, nats.
        sums: MatrixId,
        /// `[rows, 1]`: from which the first sum is taken away, if it is the log-density of a prior.
        kl: Option<MatrixId>,
    },
    /// Gradients of what the loss holds of the sums with respect to `z`: `-weight sums`, or with sums for each latent `weight`
    /// times the first sum less all others.
    PairsBackwardRows {
        /// `[rows, latent]`
        z: MatrixId,
        /// What is summed over.
        normals: Normals,
        /// As in [`Self::PairsForward`].
        sums: MatrixId,
        /// What the loss holds of them.
        weight: Weight,
        /// `[rows, latent]`, to which they are added.
        d_z: MatrixId,
    },
    /// The same with respect to the normals and their weights.
    PairsBackwardNormals {
        /// `[rows, latent]`
        z: MatrixId,
        /// What is summed over.
        normals: Normals,
        /// As in [`Self::PairsForward`].
        sums: MatrixId,
        /// What the loss holds of them.
        weight: Weight,
        /// The gradients of [`Normals::Posteriors`], to which they are added, or of [`Normals::Behind`], whose rows behind those of
        /// the batch are written.
        d_normals: Option<MatrixId>,
    },
    /// The index-code mutual information and total correlation of each row by minibatch-weighted sampling (Chen et al. 2018), from
    /// the sums over the batch's posteriors.
    Correlation {
        /// `[batch, 2 latent]`: mu | log_var, not clamped.
        posterior: MatrixId,
        /// `[batch, latent]`
        z: MatrixId,
        /// `[batch, 1 + latent]`
        sums: MatrixId,
        /// `[batch, 1]`, nats.
        information: MatrixId,
        /// `[batch, 1]`, nats.
        correlation: MatrixId,
    },
    /// Standard normals from the generator of the prior.
    PriorDraws {
        /// `[rows, latent]`
        y: MatrixId,
    },
    /// Each row's part of the squared maximum mean discrepancy of `z` and `y`, which is the mean of the parts.
    DiscrepancyForward {
        /// `[rows, latent]`
        z: MatrixId,
        /// `[rows, latent]`
        y: MatrixId,
        /// Its kernel.
        kernel: MmdKernel,
        /// `[rows, 1]`
        parts: MatrixId,
    },
    /// The gradient of what the loss holds of it.
    DiscrepancyBackward {
        /// `[rows, latent]`
        z: MatrixId,
        /// `[rows, latent]`
        y: MatrixId,
        /// Its kernel.
        kernel: MmdKernel,
        /// What the loss holds of it.
        weight: f32,
        /// `[rows, latent]`, to which it is added.
        d_z: MatrixId,
    },
    /// The images with pseudo-inputs behind them, which are parameters and count clamped.
    PseudoInputs {
        /// `[batch, pixels]`
        images: MatrixId,
        /// `[batch + count, pixels]`
        seen: MatrixId,
        /// Offset of the pseudo-inputs in the arena, `[count, pixels]`.
        offset: usize,
        /// What they are clamped to.
        range: [f32; 2],
    },
    /// The gradients of the pseudo-inputs: 0 where they are clamped.
    PseudoInputsBackward {
        /// `[count, pixels]`, whatever the batch.
        d_seen: MatrixId,
        /// Offset of the pseudo-inputs in the arena.
        offset: usize,
        /// What they are clamped to.
        range: [f32; 2],
        /// Whether the network has seen `log(1 + x)` of them.
        are_counts: bool,
    },
    /// The last rows of a matrix.
    LastRows {
        /// `[batch + count, columns]`
        input: MatrixId,
        /// `[count, columns]`, whatever the batch.
        output: MatrixId,
    },
}

impl PriorPass {
    /// Name in tests, benchmarks and shaders.
    pub(crate) const fn stem(&self) -> &'static str {
        match self {
            Self::KlParts { .. } => "kl_parts",
            Self::Gate { .. } => "gate",
            Self::LogSoftmax { .. } => "log_softmax",
            Self::PairsForward { .. } => "pairs_forward",
            Self::PairsBackwardRows { .. } => "pairs_backward_rows",
            Self::PairsBackwardNormals { .. } => "pairs_backward_normals",
            Self::Correlation { .. } => "correlation",
            Self::PriorDraws { .. } => "prior_draws",
            Self::DiscrepancyForward { .. } => "discrepancy_forward",
            Self::DiscrepancyBackward { .. } => "discrepancy_backward",
            Self::PseudoInputs { .. } => "pseudo_inputs",
            Self::PseudoInputsBackward { .. } => "pseudo_inputs_backward",
            Self::LastRows { .. } => "last_rows",
        }
    }

    /// A matrix of as many rows as the pass runs over.
    pub(crate) const fn runs_over(&self) -> MatrixId {
        match *self {
            Self::KlParts { parts, .. } | Self::DiscrepancyForward { parts, .. } => parts,
            Self::Gate { kl, .. } => kl,
            Self::LogSoftmax { output, .. } | Self::LastRows { output, .. } => output,
            Self::PairsForward { z, .. }
            | Self::PairsBackwardRows { z, .. }
            | Self::PairsBackwardNormals { z, .. }
            | Self::Correlation { z, .. }
            | Self::DiscrepancyBackward { z, .. } => z,
            Self::PriorDraws { y } => y,
            Self::PseudoInputs { images, .. } => images,
            Self::PseudoInputsBackward { d_seen, .. } => d_seen,
        }
    }
}
