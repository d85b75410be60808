//! Passes over images with channels last: convolutions, normalisation, upsampling, and what moves numbers.

use vae_kernels::program::{
    Convolution, Finish, Geometry, GroupNorm, Layer, MatrixId, Pass, Repeat, Slope,
};
use vae_spec::{Activation, GROUP_NORM_EPS};

use super::{Case, activate, factor, kept, slope_of};

/// The pass in plain f64 loops; with `wrong`, a plausible mistake in it.
pub(super) fn plain(
    pass: &Pass,
    batch: usize,
    parameters: &[f64],
    matrices: &mut [Vec<f64>],
    gradients: &mut [f64],
    wrong: bool,
) {
    match *pass {
        Pass::Transpose {
            input,
            output,
            rows,
        } => {
            let columns = matrices[input.0].len() / batch / rows;
            for at in 0..matrices[input.0].len() {
                let (image, row, column) =
                    (at / (rows * columns), at / columns % rows, at % columns);
                let transposed = image * rows * columns + column * rows + row;
                let to = if wrong { at } else { transposed };
                matrices[output.0][to] = matrices[input.0][at];
            }
        }
        Pass::LogOfCounts { input, output } => {
            for at in 0..matrices[input.0].len() {
                let x = matrices[input.0][at];
                matrices[output.0][at] = if wrong { x } else { (1.0 + x).ln() };
            }
        }
        Pass::Label {
            input,
            labels,
            output,
        } => {
            let (columns, width) = (
                matrices[input.0].len() / batch,
                matrices[output.0].len() / batch,
            );
            for row in 0..batch {
                for column in 0..columns {
                    matrices[output.0][row * width + column] =
                        matrices[input.0][row * columns + column];
                }
                let class = matrices[labels.0][row] as usize + usize::from(wrong);
                matrices[output.0][row * width + columns + class % (width - columns)] = 1.0;
            }
        }
        Pass::Convolve {
            convolution,
            image,
            map,
            finish,
        } => {
            let mut sums = vec![0.0; matrices[map.0].len()];
            taps(&convolution, batch, wrong, |[pixel, place], [weight, _]| {
                sums[place] += matrices[image.0][pixel] * parameters[weight];
            });
            finished(
                &finish,
                parameters,
                convolution.map_channels,
                map,
                sums,
                matrices,
            );
        }
        Pass::ConvolveTransposed {
            convolution,
            map,
            image,
            finish,
        } => {
            let mut sums = vec![0.0; matrices[image.0].len()];
            taps(&convolution, batch, wrong, |[pixel, place], [weight, _]| {
                sums[pixel] += matrices[map.0][place] * parameters[weight];
            });
            finished(
                &finish,
                parameters,
                convolution.image_channels,
                image,
                sums,
                matrices,
            );
        }
        Pass::ConvolveBackwardWeight {
            convolution,
            image,
            map,
        } => taps(&convolution, batch, wrong, |[pixel, place], [_, weight]| {
            gradients[weight] += matrices[image.0][pixel] * matrices[map.0][place];
        }),
        Pass::Sums {
            values,
            columns,
            offset,
        } => {
            let first = usize::from(wrong) * columns;
            for (at, value) in matrices[values.0].iter().enumerate().skip(first) {
                gradients[offset + at % columns] += value;
            }
        }
        Pass::Activate {
            input,
            output,
            activation,
            slope,
        } => {
            for at in 0..matrices[input.0].len() {
                let x = matrices[input.0][at];
                matrices[output.0][at] = if wrong {
                    x
                } else {
                    activate(Some(activation), x)
                };
                if let Some(slope) = slope {
                    matrices[slope.0][at] = slope_of(Some(activation), x);
                }
            }
        }
        Pass::Add {
            one,
            other,
            times,
            output,
        } => {
            for at in 0..matrices[one.0].len() {
                let times = factor(times, matrices, at);
                let other = matrices[other.0][at];
                matrices[output.0][at] = if wrong {
                    matrices[one.0][at] * times + 0.5 * other
                } else {
                    (matrices[one.0][at] + other) * times
                };
            }
        }
        Pass::RepeatForward {
            repeat,
            input,
            output,
        } => squares(&repeat, batch, wrong, |small, large| {
            matrices[output.0][large] = matrices[input.0][small];
        }),
        Pass::RepeatBackward {
            repeat,
            d_output,
            slope,
            d_input,
        } => {
            squares(&repeat, batch, wrong, |small, large| {
                matrices[d_input.0][small] += matrices[d_output.0][large];
            });
            if let Some(slope) = slope {
                for at in 0..matrices[d_input.0].len() {
                    matrices[d_input.0][at] *= factor(Some(slope), matrices, at);
                }
            }
        }
        Pass::GroupNormForward {
            norm,
            input,
            statistics,
            output,
            activation,
            slope,
        } => {
            for (row, group, places) in groups(&norm, matrices[input.0].len() / batch, batch) {
                let mean_of = |f: &dyn Fn(f64) -> f64| {
                    let values = places.iter().map(|&at| f(matrices[input.0][at]));
                    values.sum::<f64>() / places.len() as f64
                };
                let mean = mean_of(&|x| x);
                let variance = mean_of(&|x| (x - mean).powi(2));
                let eps = if wrong { 0.3 } else { GROUP_NORM_EPS };
                let inverse = 1.0 / (variance + eps).sqrt();
                matrices[statistics.0][row * 2 * norm.groups + group] = mean;
                matrices[statistics.0][row * 2 * norm.groups + norm.groups + group] = inverse;
                for &at in &places {
                    let channel = at % norm.channels;
                    let y =
                        (matrices[input.0][at] - mean) * inverse * parameters[norm.scale + channel]
                            + parameters[norm.scale + norm.channels + channel];
                    matrices[output.0][at] = activate(activation, y);
                    if let Some(slope) = slope {
                        matrices[slope.0][at] = slope_of(activation, y);
                    }
                }
            }
        }
        Pass::GroupNormBackward {
            norm,
            d_output,
            input,
            statistics,
            d_input,
            d_parameters,
        } => {
            for (row, group, places) in groups(&norm, matrices[input.0].len() / batch, batch) {
                let first = row * 2 * norm.groups + group;
                let (mean, inverse) = (
                    matrices[statistics.0][first],
                    matrices[statistics.0][first + norm.groups],
                );
                let of = |at: usize| {
                    let unit = (matrices[input.0][at] - mean) * inverse;
                    let d = matrices[d_output.0][at];
                    (at, unit, d, d * parameters[norm.scale + at % norm.channels])
                };
                let all: Vec<_> = places.iter().map(|&at| of(at)).collect();
                let terms = places.len() as f64;
                let mean_h = all.iter().map(|(.., h)| h).sum::<f64>() / terms;
                let slant = all.iter().map(|(_, unit, _, h)| h * unit).sum::<f64>() / terms;
                let slant = if wrong { 0.0 } else { slant };
                for (at, unit, d, h) in all {
                    matrices[d_input.0][at] = inverse * (h - mean_h - unit * slant);
                    let first = row * 2 * norm.channels + at % norm.channels;
                    matrices[d_parameters.0][first] += d * unit;
                    matrices[d_parameters.0][first + norm.channels] += d;
                }
            }
        }
        ref other => unreachable!("{other:?}"),
    }
}

/// Calls `visit` with the index of the pixel and of the place, then of the weight and of its gradient, for each product of a
/// convolution; a mistake turns the kernel around, or forgets a place.
fn taps(
    convolution: &Convolution,
    batch: usize,
    wrong: bool,
    mut visit: impl FnMut([usize; 2], [usize; 2]),
) {
    let Geometry {
        kernel,
        stride,
        padding,
        image,
        map,
    } = convolution.geometry;
    for row in 0..batch {
        // A kernel of one tap cannot be turned around.
        let first = usize::from(wrong && kernel == 1);
        for place in first..map[0] * map[1] {
            for tap in 0..kernel * kernel {
                let pixel = |side: usize, place: usize, tap: usize| {
                    let pixel = (place * stride + tap).checked_sub(padding)?;
                    (pixel < image[side]).then_some(pixel)
                };
                let y = pixel(0, place / map[1], tap / kernel);
                let x = pixel(1, place % map[1], tap % kernel);
                let (Some(y), Some(x)) = (y, x) else { continue };
                for c in 0..convolution.image_channels {
                    for o in 0..convolution.map_channels {
                        let turned = kernel * kernel - 1 - tap;
                        let tap = if wrong { turned } else { tap };
                        let weight =
                            (tap * convolution.image_channels + c) * convolution.map_channels + o;
                        visit(
                            [
                                row * convolution.image()
                                    + (y * image[1] + x) * convolution.image_channels
                                    + c,
                                row * convolution.map() + place * convolution.map_channels + o,
                            ],
                            [convolution.weight + weight; 2],
                        );
                    }
                }
            }
        }
    }
}

fn finished(
    finish: &Finish,
    parameters: &[f64],
    channels: usize,
    output: MatrixId,
    sums: Vec<f64>,
    matrices: &mut [Vec<f64>],
) {
    for (at, sum) in sums.into_iter().enumerate() {
        let bias = finish
            .bias
            .map_or(0.0, |bias| parameters[bias + at % channels]);
        let add = finish.add.map_or(0.0, |add| matrices[add.0][at]);
        let x = sum + bias + add;
        let times = factor(finish.times, matrices, at);
        matrices[output.0][at] = activate(finish.activation, x) * times;
        if let Some(slope) = finish.slope {
            matrices[slope.0][at] = slope_of(finish.activation, x);
        }
    }
}

/// Calls `visit` with the index of each pixel of the large image and of that which it is a copy of.
fn squares(repeat: &Repeat, batch: usize, wrong: bool, mut visit: impl FnMut(usize, usize)) {
    let Repeat {
        small,
        large,
        channels,
        factor,
    } = *repeat;
    for at in 0..batch * large[0] * large[1] * channels {
        let (channel, pixel) = (at % channels, at / channels);
        let (x, y, row) = (
            pixel % large[1],
            pixel / large[1] % large[0],
            pixel / large[1] / large[0],
        );
        let x = if wrong { x % small[1] } else { x / factor };
        visit(
            ((row * small[0] + y / factor) * small[1] + x) * channels + channel,
            at,
        );
    }
}

/// The row, the group and the indices of every group.
fn groups(norm: &GroupNorm, columns: usize, batch: usize) -> Vec<(usize, usize, Vec<usize>)> {
    let of_group = norm.channels / norm.groups;
    let pairs = (0..batch).flat_map(|row| (0..norm.groups).map(move |group| (row, group)));
    pairs
        .map(|(row, group)| {
            let places = (row * columns..(row + 1) * columns)
                .filter(|at| at % norm.channels / of_group == group);
            (row, group, places.collect())
        })
        .collect()
}

/// Kernel and stride, height and width of the image, channels of image and map, and batch.
type Sizes = ([usize; 2], [usize; 2], [usize; 2], usize);

/// Convolutions of odd sizes.
const CONVOLUTIONS: [Sizes; 14] = [
    ([1, 1], [1, 1], [1, 1], 2),
    ([3, 1], [1, 17], [1, 3], 3),
    ([3, 2], [33, 5], [3, 1], 2),
    ([3, 2], [7, 6], [4, 8], 5),
    ([5, 1], [6, 7], [3, 5], 2),
    ([5, 3], [8, 10], [2, 6], 3),
    ([4, 2], [8, 8], [3, 4], 2),
    ([2, 2], [6, 4], [4, 4], 7),
    ([2, 3], [7, 8], [1, 2], 2),
    ([1, 2], [5, 5], [3, 3], 2),
    ([3, 1], [9, 9], [8, 1], 4),
    ([3, 3], [10, 9], [4, 16], 3),
    ([3, 2], [28, 28], [1, 32], 2),
    ([3, 1], [12, 12], [16, 4], 9),
];

/// Every pass of this file, at odd sizes.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, ([kernel, stride], image, channels, batch)) in CONVOLUTIONS.into_iter().enumerate()
    {
        let padding = (kernel - 1) / 2;
        let [image_channels, map_channels] = channels;
        let map = image.map(|side| (side + 2 * padding - kernel) / stride + 1);
        let convolution = Convolution {
            // Weights of whole vec4s begin at one.
            weight: if map_channels % 4 == 0 { 8 } else { 3 },
            geometry: Geometry {
                kernel,
                stride,
                padding,
                image,
                map,
            },
            image_channels,
            map_channels,
        };
        let end = (convolution.weight + convolution.weights()).next_multiple_of(4);
        let (image, map) = (convolution.image(), convolution.map());
        let activation = Activation::ALL[index % Activation::ALL.len()];
        // Forward with everything but a factor, then backward with it.
        for is_forward in [true, false] {
            for to_image in [true, false] {
                let [from, to] = if to_image { [map, image] } else { [image, map] };
                let pass = |i: &[MatrixId], o: &[MatrixId]| {
                    let finish = match is_forward {
                        true => Finish {
                            bias: Some(end),
                            add: (index % 2 == 0).then_some(i[1]),
                            activation: Some(activation),
                            slope: Some(o[1]),
                            times: None,
                        },
                        false => Finish {
                            times: Some(kept(index, i[1])),
                            ..Finish::default()
                        },
                    };
                    match to_image {
                        true => Pass::ConvolveTransposed {
                            convolution,
                            map: i[0],
                            image: o[0],
                            finish,
                        },
                        false => Pass::Convolve {
                            convolution,
                            image: i[0],
                            map: o[0],
                            finish,
                        },
                    }
                };
                let writes = [to, to];
                let writes = &writes[..1 + usize::from(is_forward)];
                let length = end + image_channels.max(map_channels);
                cases.push(Case::of_arena(batch, length, &[from, to], writes, pass));
            }
        }
        let weight = |i: &[MatrixId], _: &[MatrixId]| Pass::ConvolveBackwardWeight {
            convolution,
            image: i[0],
            map: i[1],
        };
        cases.push(Case::of_arena(batch, end, &[image, map], &[], weight));
    }
    for (batch, pixels, channels, groups) in [
        (2, 1, 2, 1),
        (3, 35, 6, 2),
        (5, 49, 8, 8),
        (2, 300, 3, 3),
        (1, 16, 64, 4),
    ] {
        let norm = GroupNorm {
            scale: 5,
            channels,
            groups,
        };
        let (columns, length) = (pixels * channels, 5 + 2 * channels);
        for activation in [None, Some(Activation::Gelu)] {
            let forward = |i: &[MatrixId], o: &[MatrixId]| Pass::GroupNormForward {
                norm,
                input: i[0],
                statistics: o[0],
                output: o[1],
                activation,
                slope: activation.map(|_| o[2]),
            };
            let writes = [2 * groups, columns, columns];
            let writes = &writes[..2 + usize::from(activation.is_some())];
            cases.push(Case::of_arena(batch, length, &[columns], writes, forward));
        }
        let backward = |i: &[MatrixId], o: &[MatrixId]| Pass::GroupNormBackward {
            norm,
            d_output: i[0],
            input: i[1],
            statistics: i[2],
            d_input: o[0],
            d_parameters: o[1],
        };
        let writes = [columns, 2 * channels];
        cases.push(Case::of_arena(
            batch,
            length,
            &[columns, columns, 2 * groups],
            &writes,
            backward,
        ));
        let sums = |i: &[MatrixId], _: &[MatrixId]| Pass::Sums {
            values: i[0],
            columns: channels,
            offset: 5,
        };
        cases.push(Case::of_arena(batch, length, &[columns], &[], sums));
        let activation = Activation::ALL[groups % Activation::ALL.len()];
        let activate = |i: &[MatrixId], o: &[MatrixId]| Pass::Activate {
            input: i[0],
            output: o[0],
            activation,
            slope: Some(o[1]),
        };
        cases.push(Case::of_arena(
            batch,
            1,
            &[columns],
            &[columns; 2],
            activate,
        ));
        let add = |i: &[MatrixId], o: &[MatrixId]| Pass::Add {
            one: i[0],
            other: i[1],
            times: (groups % 2 == 0).then(|| kept(groups, i[2])),
            output: o[0],
        };
        cases.push(Case::of_arena(batch, 1, &[columns; 3], &[columns], add));
        let transpose = |i: &[MatrixId], o: &[MatrixId]| Pass::Transpose {
            input: i[0],
            output: o[0],
            rows: channels,
        };
        // One pixel would stay where it is.
        let two = [(pixels + 1) * channels];
        cases.push(Case::of_arena(batch, 1, &two, &two, transpose));
        let log = |i: &[MatrixId], o: &[MatrixId]| Pass::LogOfCounts {
            input: i[0],
            output: o[0],
        };
        cases.push(Case::of_arena(batch, 1, &[columns], &[columns], log).counting());
        let label = |i: &[MatrixId], o: &[MatrixId]| Pass::Label {
            input: i[0],
            labels: i[1],
            output: o[0],
        };
        cases.push(Case::of_arena(batch, 1, &[columns, 1], &[columns + 9], label).counting());
    }
    for (batch, small, large, channels, factor) in [
        (2, [1, 2], [2, 3], 1, 2),
        (3, [4, 3], [7, 6], 4, 2),
        (2, [3, 5], [9, 13], 3, 3),
        (5, [2, 9], [4, 17], 2, 2),
    ] {
        let repeat = Repeat {
            small,
            large,
            channels,
            factor,
        };
        let columns = |size: [usize; 2]| size[0] * size[1] * channels;
        let forward = |i: &[MatrixId], o: &[MatrixId]| Pass::RepeatForward {
            repeat,
            input: i[0],
            output: o[0],
        };
        let (small, large) = (columns(small), columns(large));
        cases.push(Case::of_arena(batch, 1, &[small], &[large], forward));
        let backward = |i: &[MatrixId], o: &[MatrixId]| Pass::RepeatBackward {
            repeat,
            d_output: i[0],
            slope: (factor != 3).then(|| kept(batch, i[1])),
            d_input: o[0],
        };
        cases.push(Case::of_arena(
            batch,
            1,
            &[large, small],
            &[small],
            backward,
        ));
    }
    // A label's columns have no gradient.
    let layer = Layer {
        offset: 4,
        inputs: 21,
        outputs: 9,
        blocks: 2,
    };
    let backward = |i: &[MatrixId], o: &[MatrixId]| Pass::DenseBackwardInput {
        layer,
        d_output: i[0],
        slope: Some(Slope::Kept(i[1])),
        d_input: o[0],
    };
    cases.push(Case::new(5, layer, &[18, 17], &[17], backward));
    cases
}

/// Number of terms of the longest sum.
pub(super) fn terms(pass: &Pass, batch: usize, columns: &[usize]) -> usize {
    match pass {
        Pass::Convolve { convolution, .. } => convolution.patch(),
        Pass::ConvolveTransposed { convolution, .. } => {
            convolution.geometry.taps() * convolution.map_channels
        }
        Pass::ConvolveBackwardWeight { convolution, .. } => batch * convolution.geometry.places(),
        Pass::Sums { values, .. } => batch * columns[values.0],
        Pass::GroupNormForward { input: x, .. } | Pass::GroupNormBackward { input: x, .. } => {
            columns[x.0]
        }
        Pass::RepeatBackward { repeat, .. } => repeat.factor * repeat.factor,
        _ => 1,
    }
}
