//! The kernel of the likelihood, and the choices in its text.

use vae_spec::{Likelihood, Spread};

use super::{Access, Choice, Kernel, Lowering, Place, linear};
use crate::gpu::source;
use crate::program::{LearnedSpread, MatrixId, NLL_COLUMNS};

impl Choice {
    /// Flags for whether a gradient is wanted.
    pub(super) fn gradient(self, is_wide: bool, is_wanted: bool) -> Self {
        self.flag("gradient", is_wanted)
            .flag("wide_gradient", is_wide && is_wanted)
            .flag("narrow_gradient", !is_wide && is_wanted)
    }

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

/// The kernel of [`crate::program::Pass::Nll`] on the matrices of the output, the images and `recon`; `draws` are the rows for each
/// row of the batch, and those for each image.
pub(super) fn nll(
    [output, images, recon]: [MatrixId; 3],
    d_output: Option<MatrixId>,
    likelihood: Likelihood,
    spread: Option<LearnedSpread>,
    [draws, of_image]: [usize; 2],
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
    ];
    let has_gradient = d_output.is_some();
    let mut choice = Choice::plain(&source::NLL).likelihood(likelihood);
    if spread.is_some() {
        bindings.push((Read, Place::Parameters));
        choice = choice.flags(&["learned"]);
    }
    if let Some(d_output) = d_output {
        choice = choice.with("gradient_binding", (bindings.len() + 1).to_string());
        bindings.push((Write, Place::Matrix(d_output)));
    }
    if let Some(spread) = spread.filter(|_| has_gradient) {
        choice = choice
            .flags(&["learned_gradient"])
            .flag("one_spread", spread.length == 1)
            .flag("per_dimension", spread.length > 1)
            .with("spread_binding", (bindings.len() + 1).to_string());
        bindings.push((Write, Place::Matrix(spread.d_spread)));
    }
    let choice = choice.flag("gradient", has_gradient);
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
        .kernel(
            "nll",
            [batch, columns, draws, of_image],
            bindings,
            linear(quads),
        )
}
