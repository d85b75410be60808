//! The kernel of the likelihood, and the choices in its text.

use vae_spec::{Likelihood, Spread};

use super::{Access, Choice, Kernel, Lowering, Place, linear};
use crate::gpu::source;
use crate::program::{LearnedSpread, MatrixId, NLL_COLUMNS};

impl Choice {
    /// The function in `shaders/step/likelihood.wgsl`, and a fixed spread.
    pub(super) fn likelihood(self, likelihood: Likelihood) -> Self {
        let function = match likelihood {
            Likelihood::Bernoulli => "bernoulli",
            Likelihood::ContinuousBernoulli => "continuous_bernoulli",
            Likelihood::Gaussian(_) => "gaussian",
            Likelihood::Laplace(_) => "laplace",
            Likelihood::DiscretizedLogistic(_) => "discretized_logistic",
            Likelihood::Poisson => "poisson",
            Likelihood::NegativeBinomial(_) => "negative_binomial",
        };
        let spread = match likelihood.spread() {
            Some(Spread::Fixed(spread)) => spread,
            _ => 1.0,
        };
        self.with("likelihood", function.into())
            .with("spread", format!("f32({spread:e})"))
            .with("log_spread", format!("f32({:e})", spread.ln()))
            .with("nll_columns", NLL_COLUMNS.to_string())
    }
}

/// The kernel of [`crate::program::Pass::Nll`] on the matrices of the output, the images, `recon` and the output's gradient.
pub(super) fn nll(
    [output, images, recon, d_output]: [MatrixId; 4],
    likelihood: Likelihood,
    spread: Option<LearnedSpread>,
    draws: usize,
    lowering: Lowering<'_>,
) -> Kernel {
    use Access::{Read, Write};

    let Lowering { program, batch, .. } = lowering;
    let columns = program.columns[images.0];
    let quads = batch * columns.div_ceil(NLL_COLUMNS) * (NLL_COLUMNS / 4);
    let mut bindings = vec![
        (Read, Place::Matrix(output)),
        (Read, Place::Matrix(images)),
        (Write, Place::Matrix(recon)),
        (Write, Place::Matrix(d_output)),
    ];
    let mut choice = Choice::plain(&source::NLL).likelihood(likelihood);
    if let Some(spread) = spread {
        bindings.push((Read, Place::Parameters));
        bindings.push((Write, Place::Matrix(spread.d_spread)));
        choice = choice
            .flags(&["learned"])
            .flag("one_spread", spread.length == 1)
            .flag("per_dimension", spread.length > 1);
    }
    let (offset, parameters) = spread.map_or((0, 1), |spread| (spread.offset, spread.length));
    choice
        .with("offset", offset.to_string())
        .with("parameters", parameters.to_string())
        .with(
            "min_log_spread",
            format!("f32({:e})", Likelihood::MIN_LOG_SPREAD),
        )
        .with(
            "max_log_spread",
            format!("f32({:e})", Likelihood::MAX_LOG_SPREAD),
        )
        .kernel("nll", [batch, columns, draws, 0], bindings, linear(quads))
}
