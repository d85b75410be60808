//! Group normalisation of images with channels last, forward and backward: one task is one row.

use rayon::prelude::*;
use vae_spec::{Activation, GROUP_NORM_EPS};

use super::elementwise;
use crate::program::GroupNorm;

/// Matrices that the forward pass writes.
pub(super) struct Written<'a> {
    pub(super) unit: &'a mut [f32],
    pub(super) inverse_deviation: &'a mut [f32],
    pub(super) output: &'a mut [f32],
    pub(super) slope: Option<&'a mut [f32]>,
}

impl GroupNorm {
    /// For each channel the sum over its group of channels.
    fn over_groups(&self, of_channels: &[f32]) -> Vec<f32> {
        let of_group = self.channels / self.groups;
        let groups = of_channels.chunks_exact(of_group);
        let sums = groups.map(|group| group.iter().sum());
        sums.flat_map(|sum: f32| std::iter::repeat_n(sum, of_group))
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
    let (channels, of_group) = (norm.channels, norm.channels / norm.groups);
    let columns = input.len() / (written.inverse_deviation.len() / norm.groups);
    let terms = (columns / norm.groups) as f32;
    let (scale, shift) = parameters[norm.scale..][..2 * channels].split_at(channels);
    let shift = elementwise::tiled(shift);
    let slopes = elementwise::pieces(written.slope, columns, input.len() / columns);
    let rows = input
        .par_chunks_exact(columns)
        .zip(written.unit.par_chunks_exact_mut(columns))
        .zip(written.inverse_deviation.par_chunks_exact_mut(norm.groups))
        .zip(written.output.par_chunks_exact_mut(columns).zip(slopes));
    rows.for_each(|(((input, unit), inverse_deviation), (output, slope))| {
        let sums = elementwise::channel_sums(input, None, channels);
        let less: Vec<f32> = norm
            .over_groups(&sums)
            .iter()
            .map(|sum| -sum / terms)
            .collect();
        elementwise::affine(input, &vec![1.0; channels], &less, unit);
        let squares = elementwise::channel_sums(unit, Some(unit), channels);
        let inverse: Vec<f32> = norm
            .over_groups(&squares)
            .iter()
            .map(|sum| (sum / terms + GROUP_NORM_EPS as f32).sqrt().recip())
            .collect();
        for (kept, inverse) in inverse_deviation.iter_mut().zip(inverse.chunks(of_group)) {
            *kept = inverse[0];
        }
        elementwise::affine(unit, &inverse, &vec![0.0; channels], output);
        unit.copy_from_slice(output);
        elementwise::affine(unit, scale, &vec![0.0; channels], output);
        elementwise::activate(output, &shift, activation, slope);
    });
}

/// See [`crate::program::Pass::GroupNormBackward`].
pub(super) fn backward(
    norm: &GroupNorm,
    parameters: &[f32],
    [d_output, unit, inverse_deviation]: [&[f32]; 3],
    d_input: &mut [f32],
    d_parameters: &mut [f32],
) {
    let (channels, of_group) = (norm.channels, norm.channels / norm.groups);
    let columns = d_output.len() / (inverse_deviation.len() / norm.groups);
    let terms = (columns / norm.groups) as f32;
    let scale = &parameters[norm.scale..][..channels];
    let rows = d_output
        .par_chunks_exact(columns)
        .zip(unit.par_chunks_exact(columns))
        .zip(inverse_deviation.par_chunks_exact(norm.groups))
        .zip(d_input.par_chunks_exact_mut(columns))
        .zip(d_parameters.par_chunks_exact_mut(2 * channels));
    rows.for_each(
        |((((d_output, unit), inverse_deviation), d_input), d_parameters)| {
            let (d_scale, d_shift) = d_parameters.split_at_mut(channels);
            d_scale.copy_from_slice(&elementwise::channel_sums(d_output, Some(unit), channels));
            d_shift.copy_from_slice(&elementwise::channel_sums(d_output, None, channels));
            let inverse = |channel: usize| inverse_deviation[channel / of_group];
            // Of `h unit` or `h`, times minus the inverse deviation.
            let less_mean = |sums: &[f32]| -> Vec<f32> {
                let weighted: Vec<f32> = sums
                    .iter()
                    .zip(scale)
                    .map(|(sum, scale)| sum * scale)
                    .collect();
                let sums = norm.over_groups(&weighted).into_iter().enumerate();
                sums.map(|(channel, sum)| -sum / terms * inverse(channel))
                    .collect()
            };
            let factors: Vec<f32> = (0..channels)
                .map(|channel| scale[channel] * inverse(channel))
                .collect();
            elementwise::affine(d_output, &factors, &less_mean(d_shift), d_input);
            elementwise::add_scaled(unit, &less_mean(d_scale), d_input);
        },
    );
}
