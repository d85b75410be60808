//! The negative log-likelihoods of `vae_spec::Likelihood` with their gradients, in vectorised loops: the formulas of
//! `shaders/step/likelihood.wgsl`, and over tensors of vae-model.

mod formulas;

use super::vectorized::vectorized;
use vae_spec::{Likelihood, Spread};

use super::special::{exp, ln_1p_unit, sigmoid_from};
use crate::program::NLL_COLUMNS;
use formulas::{
    OF_SPREAD, continuous_bernoulli, discretized_logistic, gaussian, laplace, log_spread,
    negative_binomial, of_spread, poisson,
};

/// Elements whose formulas are evaluated before they are summed.
const BLOCK: usize = 4 * NLL_COLUMNS;

/// A likelihood with what a loop over pixels needs of its spread.
#[derive(Clone, Debug)]
pub(super) struct Pixels {
    likelihood: Likelihood,
    /// What the formula takes of each column's spread; empty for likelihoods without one.
    of_spread: [Vec<f32>; OF_SPREAD],
    /// The derivative of its log with respect to the parameter; empty unless it is learned.
    slope: Vec<f32>,
    /// Factor of every gradient.
    scale: f32,
}

/// The images that rows of outputs are compared with, some rows with each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Targets<'a> {
    images: &'a [f32],
    columns: usize,
    /// Rows of outputs for each image.
    draws: usize,
    /// Index of the first row.
    first: usize,
}

impl<'a> Targets<'a> {
    pub(super) const fn new(images: &'a [f32], columns: usize, draws: usize) -> Self {
        Self {
            images,
            columns,
            draws,
            first: 0,
        }
    }

    /// Those of the rows from `first` on.
    pub(super) const fn from(self, first: usize) -> Self {
        Self { first, ..self }
    }

    fn row(&self, row: usize) -> &'a [f32] {
        let image = (self.first + row) / self.draws;
        &self.images[image * self.columns..][..self.columns]
    }
}

/// Where the gradients of a learned spread go.
pub(super) enum Spreading<'a> {
    /// Nowhere: there is none.
    Fixed,
    /// The sum of each [`NLL_COLUMNS`] columns.
    Learned(&'a mut [f32]),
    /// Each column's.
    PerDimension(&'a mut [f32]),
}

impl Pixels {
    /// For rows of `columns` pixels; `learned` are the parameters of a learned spread, or empty.
    pub(super) fn new(likelihood: Likelihood, learned: &[f32], columns: usize, scale: f32) -> Self {
        let spreads = match likelihood.spread() {
            None => Vec::new(),
            Some(Spread::Fixed(spread)) => vec![[spread.ln(), 0.0]],
            Some(Spread::Learned | Spread::PerDimension) => {
                learned.iter().copied().map(log_spread).collect()
            }
        };
        // One spread, or one for each column.
        let columns = if spreads.is_empty() { 0 } else { columns };
        let of_each = spreads.iter().map(|[log, _]| of_spread(likelihood, *log));
        let of_each: Vec<_> = of_each.collect();
        let each_column = |number: usize| of_each.iter().map(move |of| of[number]).cycle();
        let slopes = spreads.iter().map(|[_, slope]| *slope).cycle();
        Self {
            likelihood,
            of_spread: std::array::from_fn(|number| each_column(number).take(columns).collect()),
            slope: slopes
                .take(if learned.is_empty() { 0 } else { columns })
                .collect(),
            scale,
        }
    }

    /// `output`, with `bias` added, becomes the gradient; `recon` the sums of [`NLL_COLUMNS`] columns each.
    pub(super) fn nll(
        &self,
        output: &mut [f32],
        bias: &[f32],
        targets: Targets<'_>,
        recon: &mut [f32],
        mut spreading: Spreading<'_>,
    ) {
        let columns = bias.len();
        let parts = columns.div_ceil(NLL_COLUMNS);
        let rows = output
            .chunks_exact_mut(columns)
            .zip(recon.chunks_exact_mut(parts));
        for (row, (y, recon)) in rows.enumerate() {
            let x = targets.row(row);
            let spreading = match &mut spreading {
                Spreading::Fixed => Spreading::Fixed,
                Spreading::Learned(sums) => Spreading::Learned(&mut sums[row * parts..][..parts]),
                Spreading::PerDimension(values) => {
                    Spreading::PerDimension(&mut values[row * columns..][..columns])
                }
            };
            let pixels = [bias, x];
            let mut out = [y, recon];
            // As closures: a function that is handed on is called for each pixel.
            macro_rules! each {
                ($formula:expr) => {
                    self.each(
                        out,
                        pixels,
                        spreading,
                        #[inline(always)]
                        |output, x, of_spread| $formula(output, x, of_spread),
                    )
                };
            }
            match self.likelihood {
                Likelihood::Bernoulli | Likelihood::Gaussian(Spread::Fixed(_)) => vectorized(
                    #[inline(always)]
                    || self.simple(&mut out, pixels),
                ),
                Likelihood::ContinuousBernoulli => each!(continuous_bernoulli),
                Likelihood::Gaussian(_) => each!(gaussian),
                Likelihood::Laplace(_) => each!(laplace),
                Likelihood::DiscretizedLogistic(_) => each!(discretized_logistic),
                Likelihood::Poisson => each!(poisson),
                Likelihood::NegativeBinomial(_) => each!(negative_binomial),
            }
        }
    }

    /// One row of a likelihood with loops of its own.
    #[inline(always)]
    fn simple(&self, [y, recon]: &mut [&mut [f32]; 2], [bias, x]: [&[f32]; 2]) {
        match self.likelihood {
            Likelihood::Gaussian(Spread::Fixed(sigma)) => {
                gaussian_nll(y, bias, x, recon, self.scale, sigma);
            }
            _ => bernoulli_nll(y, bias, x, recon, self.scale),
        }
    }

    /// One row of a likelihood whose `formula` gives, from a pixel's output, value and the numbers of [`of_spread`], the negative
    /// log-likelihood and its derivatives with respect to the output and to the log spread.
    fn each(
        &self,
        [y, recon]: [&mut [f32]; 2],
        [bias, x]: [&[f32]; 2],
        mut spreading: Spreading<'_>,
        formula: impl Fn(f32, f32, [f32; OF_SPREAD]) -> [f32; 3],
    ) {
        let blocks = y
            .chunks_mut(BLOCK)
            .zip(x.chunks(BLOCK))
            .zip(bias.chunks(BLOCK));
        let sums = recon.chunks_mut(BLOCK / NLL_COLUMNS);
        for (block, (((y, x), bias), recon)) in blocks.zip(sums).enumerate() {
            let (start, length) = (block * BLOCK, y.len());
            let mut pixels = Block::default();
            for (output, (y, bias)) in pixels.output.iter_mut().zip(y.iter().zip(bias)) {
                *output = y + bias;
            }
            pixels.x[..length].copy_from_slice(x);
            for (numbers, of_columns) in pixels.of_spread.iter_mut().zip(&self.of_spread) {
                copy(of_columns, start, numbers);
            }
            vectorized(
                #[inline(always)]
                || pixels.evaluate(&formula),
            );
            for (y, d_output) in y.iter_mut().zip(&pixels.output) {
                *y = d_output * self.scale;
            }
            // Beyond the last column are pixels that nobody asked for.
            pixels.nll[length..].fill(0.0);
            sum_parts(&pixels.nll, recon);
            if self.slope.is_empty() {
                continue;
            }
            pixels.d_spread[length..].fill(0.0);
            for (d_spread, slope) in pixels.d_spread.iter_mut().zip(&self.slope[start..]) {
                *d_spread *= slope * self.scale;
            }
            match &mut spreading {
                Spreading::Fixed => {}
                Spreading::Learned(sums) => {
                    let first = block * (BLOCK / NLL_COLUMNS);
                    sum_parts(&pixels.d_spread, &mut sums[first..first + recon.len()]);
                }
                Spreading::PerDimension(values) => {
                    values[start..start + length].copy_from_slice(&pixels.d_spread[..length]);
                }
            }
        }
    }
}

/// Pixels whose formula is evaluated in one loop over arrays of fixed length, in place: another shape of loop is not vectorised.
struct Block {
    /// The decoder's output, then its derivative.
    output: [f32; BLOCK],
    x: [f32; BLOCK],
    of_spread: [[f32; BLOCK]; OF_SPREAD],
    /// The derivative with respect to the log of the spread.
    d_spread: [f32; BLOCK],
    nll: [f32; BLOCK],
}

impl Default for Block {
    fn default() -> Self {
        let [output, x, d_spread, nll] = [[0.0; BLOCK]; 4];
        Self {
            output,
            x,
            of_spread: [[0.0; BLOCK]; OF_SPREAD],
            d_spread,
            nll,
        }
    }
}

impl Block {
    #[inline(always)]
    fn evaluate(&mut self, formula: &impl Fn(f32, f32, [f32; OF_SPREAD]) -> [f32; 3]) {
        let Self {
            output,
            x,
            of_spread: [one, two, three],
            d_spread,
            nll,
        } = self;
        let inputs = output.iter_mut().zip(x.iter());
        let spreads = one.iter().zip(two.iter()).zip(three.iter());
        let outputs = nll.iter_mut().zip(d_spread);
        for (((output, x), ((one, two), three)), (nll, d_spread)) in
            inputs.zip(spreads).zip(outputs)
        {
            [*nll, *output, *d_spread] = formula(*output, *x, [*one, *two, *three]);
        }
    }
}

/// Copies what `values` has from `start` on, if anything.
#[inline(always)]
fn copy(values: &[f32], start: usize, block: &mut [f32; BLOCK]) {
    let values = values.get(start..).unwrap_or_default();
    let length = values.len().min(BLOCK);
    block[..length].copy_from_slice(&values[..length]);
}

/// One row of [`nll`]. Loops of one formula each: together, or with a float sum in them, they are too much for the vectoriser.
#[inline(always)]
fn bernoulli_nll(y: &mut [f32], bias: &[f32], x: &[f32], recon: &mut [f32], scale: f32) {
    let blocks = y.chunks_mut(BLOCK).zip(bias.chunks(BLOCK));
    let images = x.chunks(BLOCK).zip(recon.chunks_mut(BLOCK / NLL_COLUMNS));
    for ((y, bias), (x, recon)) in blocks.zip(images) {
        let mut e = [0.0; BLOCK];
        for ((e, y), bias) in e.iter_mut().zip(&mut *y).zip(bias) {
            *y += bias;
            *e = exp(-y.abs());
        }
        let mut nll = [0.0; BLOCK];
        for ((l, x), (e, nll)) in y.iter().zip(x).zip(e.iter().zip(&mut nll)) {
            *nll = l.max(0.0) - l * x + ln_1p_unit(*e);
        }
        for ((l, x), e) in y.iter_mut().zip(x).zip(&e) {
            *l = (sigmoid_from(*l, *e) - x) * scale;
        }
        sum_parts(&nll, recon);
    }
}

/// One row of [`nll`].
#[inline(always)]
fn gaussian_nll(y: &mut [f32], bias: &[f32], x: &[f32], recon: &mut [f32], scale: f32, sigma: f32) {
    let constant = sigma.ln() + 0.5 * std::f32::consts::TAU.ln();
    let blocks = y.chunks_mut(BLOCK).zip(bias.chunks(BLOCK));
    let images = x.chunks(BLOCK).zip(recon.chunks_mut(BLOCK / NLL_COLUMNS));
    for ((y, bias), (x, recon)) in blocks.zip(images) {
        let mut nll = [0.0; BLOCK];
        for ((m, bias), (x, nll)) in y.iter_mut().zip(bias).zip(x.iter().zip(&mut nll)) {
            let distance = (*m + bias - x) / sigma;
            *nll = 0.5 * distance * distance + constant;
            *m = distance * (scale / sigma);
        }
        sum_parts(&nll, recon);
    }
}

/// The sum of each [`NLL_COLUMNS`] values, in lanes.
#[inline(always)]
fn sum_parts(values: &[f32; BLOCK], sums: &mut [f32]) {
    for (values, sum) in values.as_chunks::<NLL_COLUMNS>().0.iter().zip(sums) {
        let (left, right) = values.split_at(NLL_COLUMNS / 2);
        let mut lanes = [0.0; NLL_COLUMNS / 2];
        for (lane, (left, right)) in lanes.iter_mut().zip(left.iter().zip(right)) {
            *lane = left + right;
        }
        *sum = lanes.iter().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The negative log-likelihood of one pixel and its gradient.
    fn nll_of_pixel(l: f32, x: f32) -> (f32, f32) {
        let (mut output, mut recon) = ([l], [0.0]);
        bernoulli_nll(&mut output, &[0.0], &[x], &mut recon, 1.0);
        (recon[0], output[0])
    }

    #[test]
    fn the_likelihood_of_a_pixel_and_its_gradient_are_the_plain_formulas() {
        for step in -4000..=4000 {
            let l = step as f32 / 40.0;
            for x in [0.0, 0.25, 1.0] {
                let (nll, gradient) = nll_of_pixel(l, x);
                let (l, x) = (f64::from(l), f64::from(x));
                let exact = l.max(0.0) - l * x + (-l.abs()).exp().ln_1p();
                // Three roundings of the largest term, |l|, and the logarithm's 2^-22.
                let tolerance = (3.0 * l.abs() + 4.0) * 2f64.powi(-24);
                assert!(
                    (f64::from(nll) - exact).abs() <= tolerance,
                    "nll at {l}, {x}: {nll} against {exact}"
                );
                let exact = 1.0 / (1.0 + (-l).exp()) - x;
                assert!(
                    (f64::from(gradient) - exact).abs() <= 4.0 * 2f64.powi(-24),
                    "gradient at {l}, {x}"
                );
                let wrong = l.max(0.0) + l * x + (-l.abs()).exp().ln_1p();
                assert!(
                    l * x == 0.0 || (f64::from(nll) - wrong).abs() > tolerance,
                    "the wrong sign passes at {l}"
                );
            }
        }
    }
}
