//! Group normalisation of images with channels last, forward and backward: one task is one row.

use super::vectorized::vectorized;
use rayon::prelude::*;
use vae_spec::{Activation, GROUP_NORM_EPS};

use super::elementwise::{self, tiled};
use crate::program::GroupNorm;

/// Matrices that the forward pass writes.
pub(super) struct Written<'a> {
    pub(super) statistics: &'a mut [f32],
    pub(super) output: &'a mut [f32],
    pub(super) slope: Option<&'a mut [f32]>,
}

impl GroupNorm {
    const fn of_group(&self) -> usize {
        self.channels / self.groups
    }

    /// For each channel the mean over its group, from the sums of the channels' `pixels`.
    fn means(&self, sums: &[f32], pixels: usize) -> Vec<f32> {
        let terms = (pixels * self.of_group()) as f32;
        let groups = sums.chunks_exact(self.of_group());
        let means = groups.map(|group| group.iter().sum::<f32>() / terms);
        means
            .flat_map(|mean| std::iter::repeat_n(mean, self.of_group()))
            .collect()
    }
}

/// See [`crate::program::Pass::GroupNormForward`].
pub(super) fn forward(
    norm: &GroupNorm,
    parameters: &[f32],
    input: &[f32],
    activation: Option<Activation>,
    written: Written<'_>,
) {
    let GroupNorm {
        channels, groups, ..
    } = *norm;
    let columns = input.len() / (written.statistics.len() / (2 * groups));
    let pixels = columns / channels;
    let (scale, shift) = parameters[norm.scale..][..2 * channels].split_at(channels);
    let shift = tiled(shift);
    let slopes = elementwise::pieces(written.slope, columns, input.len() / columns);
    let rows = input
        .par_chunks_exact(columns)
        .zip(written.statistics.par_chunks_exact_mut(2 * groups))
        .zip(written.output.par_chunks_exact_mut(columns).zip(slopes));
    rows.for_each(|((input, statistics), (output, slope))| {
        let means = norm.means(&elementwise::channel_sums(input, channels), pixels);
        let variances = norm.means(&centred_products(input, None, &means), pixels);
        let inverse = |variance: f32| (variance + GROUP_NORM_EPS as f32).sqrt().recip();
        let (mean, inverse_deviation) = statistics.split_at_mut(groups);
        for (group, (mean, deviation)) in mean.iter_mut().zip(inverse_deviation).enumerate() {
            *mean = means[group * norm.of_group()];
            *deviation = inverse(variances[group * norm.of_group()]);
        }
        let inverses = variances.into_iter().map(inverse);
        let factors: Vec<f32> = inverses
            .zip(scale)
            .map(|(inverse, scale)| inverse * scale)
            .collect();
        let (means, factors) = (tiled(&means), tiled(&factors));
        vectorized(
            #[inline(always)]
            || {
                let pixels = input
                    .chunks(means.len())
                    .zip(output.chunks_mut(means.len()));
                for (x, y) in pixels {
                    for ((x, y), (mean, factor)) in x.iter().zip(y).zip(means.iter().zip(&factors))
                    {
                        *y = (x - mean) * factor;
                    }
                }
            },
        );
        elementwise::activate(output, &shift, activation, slope);
    });
}

/// See [`crate::program::Pass::GroupNormBackward`].
pub(super) fn backward(
    norm: &GroupNorm,
    parameters: &[f32],
    [d_output, input, statistics]: [&[f32]; 3],
    d_input: &mut [f32],
    d_parameters: &mut [f32],
) {
    let GroupNorm {
        channels, groups, ..
    } = *norm;
    let columns = d_output.len() / (statistics.len() / (2 * groups));
    let pixels = columns / channels;
    let scale = &parameters[norm.scale..][..channels];
    let rows = d_output
        .par_chunks_exact(columns)
        .zip(input.par_chunks_exact(columns))
        .zip(statistics.par_chunks_exact(2 * groups))
        .zip(d_input.par_chunks_exact_mut(columns))
        .zip(d_parameters.par_chunks_exact_mut(2 * channels));
    rows.for_each(
        |((((d_output, input), statistics), d_input), d_parameters)| {
            let of_channels = |of_groups: &[f32]| -> Vec<f32> {
                let channels = of_groups.iter();
                channels
                    .flat_map(|&value| std::iter::repeat_n(value, norm.of_group()))
                    .collect()
            };
            let (means, inverses) = statistics.split_at(groups);
            let (means, inverses) = (of_channels(means), of_channels(inverses));
            let (d_scale, d_shift) = d_parameters.split_at_mut(channels);
            d_scale.copy_from_slice(&centred_products(input, Some(d_output), &means));
            d_scale
                .iter_mut()
                .zip(&inverses)
                .for_each(|(sum, inverse)| *sum *= inverse);
            d_shift.copy_from_slice(&elementwise::channel_sums(d_output, channels));
            // Means over a group of h and of h unit, where h is the gradient times the scale.
            let mean_of = |sums: &[f32]| {
                let weighted: Vec<f32> = sums
                    .iter()
                    .zip(scale)
                    .map(|(sum, scale)| sum * scale)
                    .collect();
                norm.means(&weighted, pixels)
            };
            let (mean, slant) = (mean_of(d_shift), mean_of(d_scale));
            let by_channel =
                |of: &dyn Fn(usize) -> f32| tiled(&(0..channels).map(of).collect::<Vec<_>>());
            let means = tiled(&means);
            let factors = by_channel(&|channel| scale[channel] * inverses[channel]);
            let less = by_channel(&|channel| mean[channel] * inverses[channel]);
            let slants =
                by_channel(&|channel| slant[channel] * inverses[channel] * inverses[channel]);
            vectorized(
                #[inline(always)]
                || {
                    let inputs = d_output.chunks(means.len()).zip(input.chunks(means.len()));
                    for ((d, x), y) in inputs.zip(d_input.chunks_mut(means.len())) {
                        let of_channel = means.iter().zip(&slants).zip(factors.iter().zip(&less));
                        for (((d, x), y), ((mean, slant), (factor, less))) in
                            d.iter().zip(x).zip(y).zip(of_channel)
                        {
                            *y = d * factor - less - (x - mean) * slant;
                        }
                    }
                },
            );
        },
    );
}

/// For each channel the sum over the pixels of `(input - mean) other`, or of `(input - mean)^2`.
fn centred_products(input: &[f32], other: Option<&[f32]>, means: &[f32]) -> Vec<f32> {
    let channels = means.len();
    let means = tiled(means);
    let mut sums = vec![0.0; means.len()];
    vectorized(
        #[inline(always)]
        || {
            let pixels = input.chunks(means.len());
            if let Some(other) = other {
                for (x, y) in pixels.zip(other.chunks(means.len())) {
                    for ((sum, mean), (x, y)) in sums.iter_mut().zip(&means).zip(x.iter().zip(y)) {
                        *sum += (x - mean) * y;
                    }
                }
            } else {
                for x in pixels {
                    for ((sum, mean), x) in sums.iter_mut().zip(&means).zip(x) {
                        *sum += (x - mean) * (x - mean);
                    }
                }
            }
        },
    );
    elementwise::of_channels(&sums, channels)
}
