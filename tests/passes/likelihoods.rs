//! The likelihoods as passes.

use vae_kernels::program::{LearnedSpread, MatrixId, NLL_COLUMNS, Pass, Program, Rows};
use vae_spec::{Likelihood, Spread};

use super::Case;

/// The pass in plain f64 loops; with `wrong`, a plausible mistake in it.
pub(super) fn plain(
    pass: &Pass,
    batch: usize,
    program: &Program,
    parameters: &[f64],
    matrices: &mut [Vec<f64>],
    wrong: bool,
) {
    let Pass::Nll {
        output,
        images,
        likelihood,
        spread,
        recon,
        d_output,
    } = *pass
    else {
        unreachable!("{pass:?}")
    };
    let width = program.columns[images.0];
    let rows = program.rows[recon.0].of(batch);
    let draws = rows / program.rows[images.0].of(batch);
    let parts = width.div_ceil(NLL_COLUMNS);
    for at in 0..rows * width {
        let (row, column) = (at / width, at % width);
        let image = row / draws;
        let x = matrices[images.0][image * width + column];
        let y = matrices[output.0][at];
        let parameter = spread.map_or(0.0, |spread| {
            parameters[spread.offset + column % spread.length]
        });
        let of = |y: f64, parameter: f64| {
            let above = parameter.min(Likelihood::MAX_LOG_SPREAD) - Likelihood::MIN_LOG_SPREAD;
            let log_spread =
                above.max(0.0) + (-above.abs()).exp().ln_1p() + Likelihood::MIN_LOG_SPREAD;
            nll(likelihood, y, x, log_spread)
        };
        // Slopes of kinks, at the middle of a Laplace and at the largest mean of a count, are not asked for.
        let h = 1e-5;
        let slope = (of(y + h, parameter) - of(y - h, parameter)) / (2.0 * h);
        let mean = if wrong { 1.0 } else { rows as f64 };
        let sign = if wrong { -1.0 } else { 1.0 };
        matrices[recon.0][row * parts + column / NLL_COLUMNS] += sign * of(y, parameter);
        let Some(d_output) = d_output else { continue };
        matrices[d_output.0][at] = slope / mean;
        if let Some(spread) = spread {
            let slope = (of(y, parameter + h) - of(y, parameter - h)) / (2.0 * h) / mean;
            if spread.length == 1 {
                matrices[spread.d_spread.0][row * parts + column / NLL_COLUMNS] += slope;
            } else {
                matrices[spread.d_spread.0][at] = slope;
            }
        }
    }
}

/// The negative log-likelihood of `x` in plain formulas.
pub(super) fn nll(likelihood: Likelihood, y: f64, x: f64, log_spread: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let log_spread = match likelihood.spread() {
        Some(Spread::Fixed(spread)) => f64::from(spread).ln(),
        _ => log_spread,
    };
    let spread = log_spread.exp();
    match likelihood {
        Likelihood::Bernoulli => y.max(0.0) - y * x + (-y.abs()).exp().ln_1p(),
        Likelihood::ContinuousBernoulli => (y.exp_m1() / y).ln() - y * x,
        Likelihood::Gaussian(_) => {
            0.5 * ((x - y) / spread).powi(2) + log_spread + 0.5 * std::f64::consts::TAU.ln()
        }
        Likelihood::Laplace(_) => (x - y).abs() / spread + log_spread + 2f64.ln(),
        Likelihood::DiscretizedLogistic(_) => {
            // On the side where the tail is small, so that no digits cancel.
            let side = if x > y { -1.0 } else { 1.0 };
            let half = Likelihood::HALF_BIN;
            let first = if x < half {
                f64::NEG_INFINITY
            } else {
                x - half
            };
            let last = if x > 1.0 - half {
                f64::INFINITY
            } else {
                x + half
            };
            let [first, last] = [first, last].map(|edge| sigmoid(side * (edge - y) / spread));
            -(side * (last - first)).ln()
        }
        Likelihood::Poisson => {
            let log_mean = y.min(Likelihood::MAX_LOG_MEAN);
            log_mean.exp() - x * log_mean + libm::lgamma(x + 1.0)
        }
        Likelihood::NegativeBinomial(_) => {
            let mean = y.min(Likelihood::MAX_LOG_MEAN).exp();
            libm::lgamma(spread) - libm::lgamma(x + spread) + libm::lgamma(x + 1.0)
                - spread * (spread / (spread + mean)).ln()
                - x * (mean / (spread + mean)).ln()
        }
    }
}

/// Every likelihood with every kind of spread, at odd widths.
pub(super) fn cases() -> Vec<Case> {
    let all = |with: fn(Spread) -> Likelihood| {
        [Spread::Fixed(0.7), Spread::Learned, Spread::PerDimension].map(with)
    };
    let mut likelihoods = vec![
        Likelihood::Bernoulli,
        Likelihood::ContinuousBernoulli,
        Likelihood::Poisson,
    ];
    for with in [
        Likelihood::Gaussian,
        Likelihood::Laplace,
        Likelihood::DiscretizedLogistic,
        Likelihood::NegativeBinomial,
    ] {
        likelihoods.extend(all(with));
    }
    let mut cases = Vec::new();
    for likelihood in likelihoods {
        for (batch, width) in [(1, 1_usize), (3, 31), (2, 33), (5, 300)] {
            let length = match likelihood.spread() {
                Some(Spread::Learned) => Some(1),
                Some(Spread::PerDimension) => Some(width),
                _ => None,
            };
            let parts = width.div_ceil(NLL_COLUMNS);
            let of_spread = if length == Some(1) { parts } else { width };
            for (has_gradient, draws) in [(true, 1), (true, 3), (false, 1), (false, 3)] {
                let pass = |i: &[MatrixId], o: &[MatrixId]| Pass::Nll {
                    output: i[0],
                    images: i[1],
                    likelihood,
                    spread: length.map(|length| LearnedSpread {
                        offset: 3,
                        length,
                        d_spread: o[o.len() - 1],
                    }),
                    recon: o[0],
                    d_output: has_gradient.then(|| o[1]),
                };
                let rows = Rows::draws(draws);
                let writes = [parts, width, of_spread].map(|columns| (rows, columns));
                let count = 1 + usize::from(has_gradient);
                let count = count + usize::from(has_gradient && length.is_some());
                let reads = [(rows, width), (Rows::BATCH, width)];
                let case = Case::drawn(batch, &reads, &writes[..count], pass);
                cases.push(case.with_parameters(3 + width).with_images(likelihood));
            }
        }
    }
    cases
}
