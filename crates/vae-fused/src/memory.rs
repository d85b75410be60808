//! What training takes of a device's memory, from the programs that would run.

use vae_spec::network::Network;
use vae_spec::{ModelConfig, Objective, OptimizerConfig};

use crate::layout::Layout;
use crate::piece;
use crate::plan::Model;

/// Bytes on the device beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights, gradients and the optimizer's state. A GPU may split the gradients and take up to 15 times their bytes more.
    pub weights: usize,
    /// Matrices of a training step.
    pub step: usize,
    /// Rows of the batch that they are for: those that are computed at once.
    pub rows: usize,
    /// Matrices of a step beside those of its rows.
    fixed: usize,
    /// Matrices of an evaluation.
    pub evaluation: usize,
}

impl Memory {
    /// Of training `model` in batches of `rows`, computed in pieces of `micro_batch` if they are large, and of evaluations of so many
    /// rows at once; with `corrupts`, the encoder sees other images than those to be reconstructed.
    #[must_use]
    pub fn of(
        model: &ModelConfig,
        objective: &Objective,
        optimizer: &OptimizerConfig,
        corrupts: bool,
        [rows, micro_batch]: [usize; 2],
        evaluated: usize,
    ) -> Self {
        let network = Network::new(model);
        let layout = Layout::new(&network, model.image);
        let plan = Model {
            config: model,
            network: &network,
            layout: &layout,
        }
        .loss(objective, corrupts);
        let piece = piece(&plan, rows, micro_batch);
        // The gradients' sums are an arena of their own if there are several pieces.
        let arenas = 2 + optimizer.moment_names().len() + usize::from(piece < rows);
        Self {
            weights: arenas * model.parameter_count() * size_of::<f32>(),
            step: plan.bytes(piece),
            rows: piece,
            fixed: plan.bytes(0),
            evaluation: plan.forward.bytes(evaluated, &plan.term_matrices()),
        }
    }

    /// All of it.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.weights + self.step + self.evaluation
    }

    /// The largest number of rows that can be computed at once in so many bytes; 0 if there is none.
    #[must_use]
    pub const fn rows_in(&self, bytes: usize) -> usize {
        let left = bytes.saturating_sub(self.weights + self.evaluation + self.fixed);
        left / (self.step - self.fixed).div_ceil(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use vae_spec::Optimizer;

    use super::*;

    fn memory(rows: usize) -> Memory {
        let model = ModelConfig::dense(784, &[400], 20);
        let adam = OptimizerConfig::new(Optimizer::Adam);
        Memory::of(&model, &Objective::ELBO, &adam, false, [rows; 2], 1_000)
    }

    #[test]
    fn it_is_what_the_matrices_and_arenas_take() {
        let found = memory(128);
        // Weights, gradients and two moments of 652,824 parameters.
        assert_eq!(found.weights, 4 * 4 * 652_824);
        // Images, two hidden layers, posterior, z, kl, 25 parts of recon and the output's gradient; gradients of z, posterior and
        // both hidden layers.
        let columns = 784 + 2 * 400 + 40 + 20 + 1 + 25 + 784 + 20 + 40 + 2 * 400;
        // Layers' gradients may be computed last, so little is free before the end.
        let all = 128 * columns * 4;
        assert!(
            found.step <= all && found.step * 100 > all * 98,
            "{found:?}"
        );
        assert!(found.evaluation < 1_000 * columns * 4);
        assert_eq!(found.total(), found.weights + found.step + found.evaluation);
    }

    #[test]
    fn an_average_of_the_weights_is_one_arena_more() {
        let model = ModelConfig::dense(784, &[400], 20);
        let adam = OptimizerConfig {
            ema: Some(0.9),
            ..OptimizerConfig::new(Optimizer::Adam)
        };
        let found = Memory::of(&model, &Objective::ELBO, &adam, false, [128; 2], 1_000);
        assert_eq!(found.weights, 5 * 4 * 652_824);
    }

    #[test]
    fn as_many_rows_as_it_says_fit_and_no_more() {
        let found = memory(128);
        let bytes = 40_000_000;
        let rows = found.rows_in(bytes);
        assert!(memory(rows).total() <= bytes && memory(rows + 1).total() > bytes);
        assert_eq!(found.rows_in(found.total()), 128);
        assert_eq!(found.rows_in(1_000), 0);
    }
}
