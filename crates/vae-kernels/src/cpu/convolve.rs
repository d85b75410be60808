//! Convolutions of images with channels last: products with the patches of some rows of the map at a time, while these are in a
//! core's cache.

use rayon::prelude::*;

use super::elementwise::{self, Factor};
use super::matmul::{Matrix, matmul};
use super::workspace::Values;
use crate::program::{Convolution, Finish};

/// Numbers of the patches of a product: with the weight and the result they stay in a core's second-level cache.
const PATCHES: usize = 1 << 16;
/// Parts of the batch whose gradients are summed apart: a constant, for the sums to be the same on any number of threads.
const PARTS: usize = 8;

/// [`Finish`] with what it reads.
pub(super) struct Finisher<'a> {
    finish: Finish,
    bias: Vec<f32>,
    add: Option<&'a [f32]>,
    times: Option<Factor<'a>>,
}

impl<'a> Finisher<'a> {
    pub(super) fn new(
        finish: Finish,
        parameters: &[f32],
        channels: usize,
        matrices: &'a [Values],
    ) -> Self {
        let bias = match finish.bias {
            Some(bias) => elementwise::tiled(&parameters[bias..][..channels]),
            None => elementwise::tiled(&vec![0.0; channels]),
        };
        Self {
            finish,
            bias,
            add: finish.add.map(|add| &matrices[add.0][..]),
            times: finish.times.map(|times| Factor::new(times, matrices)),
        }
    }

    /// Finishes whole pixels, which begin at `start` of the matrix.
    fn apply(&self, start: usize, values: &mut [f32], slope: Option<&mut [f32]>) {
        if let Some(add) = self.add {
            elementwise::add(values, &add[start..]);
        }
        if self.finish.bias.is_some() || self.finish.activation.is_some() || slope.is_some() {
            elementwise::activate(values, &self.bias, self.finish.activation, slope);
        }
        if let Some(times) = self.times {
            times.apply(start, values);
        }
    }
}

/// Rows of the map whose patches a product takes together.
fn rows_at_once(convolution: &Convolution) -> usize {
    let row = convolution.geometry.map[1] * convolution.patch();
    (PATCHES / row).max(1)
}

/// See [`crate::program::Pass::Convolve`].
pub(super) fn convolve(
    convolution: &Convolution,
    weight: &[f32],
    images: &[f32],
    maps: &mut [f32],
    slopes: Option<&mut [f32]>,
    finisher: &Finisher<'_>,
) {
    let (rows, patch) = (rows_at_once(convolution), convolution.patch());
    let [height, width] = convolution.geometry.map;
    let row = width * convolution.map_channels;
    let length = rows * row;
    let slopes = elementwise::pieces(slopes, length, maps.len().div_ceil(length));
    let weight = Matrix::new(weight, patch, convolution.map_channels);
    let tasks = maps.par_chunks_mut(length).zip(slopes).enumerate();
    tasks.for_each_init(Vec::new, |patches, (task, (map, slope))| {
        let count = map.len() / row;
        unfold_rows(
            convolution,
            images,
            task * rows..task * rows + count,
            height,
            patches,
        );
        let patches = Matrix::new(patches, count * width, patch);
        matmul(patches, weight, map, convolution.map_channels, false);
        finisher.apply(task * length, map, slope);
    });
}

/// The patches of `rows` of the maps, counted over all images.
fn unfold_rows(
    convolution: &Convolution,
    images: &[f32],
    rows: std::ops::Range<usize>,
    height: usize,
    patches: &mut Vec<f32>,
) {
    let length = convolution.geometry.map[1] * convolution.patch();
    patches.resize(rows.len() * length, 0.0);
    for (row, patches) in rows.zip(patches.chunks_mut(length)) {
        let image = &images[row / height * convolution.image()..][..convolution.image()];
        convolution.unfold(image, row % height, patches);
    }
}

/// See [`crate::program::Pass::ConvolveTransposed`].
pub(super) fn convolve_transposed(
    convolution: &Convolution,
    weight: &[f32],
    maps: &[f32],
    images: &mut [f32],
    slopes: Option<&mut [f32]>,
    finisher: &Finisher<'_>,
) {
    let (rows, patch) = (rows_at_once(convolution), convolution.patch());
    let [height, width] = convolution.geometry.map;
    let row = width * convolution.map_channels;
    // As many images as a product takes together, or one in several products.
    let at_once = (rows / height).max(1);
    let length = at_once * convolution.image();
    let slopes = elementwise::pieces(slopes, length, images.len().div_ceil(length));
    let weight = Matrix::new(weight, patch, convolution.map_channels).transposed();
    let tasks = images
        .par_chunks_mut(length)
        .zip(maps.par_chunks(at_once * convolution.map()))
        .zip(slopes)
        .enumerate();
    tasks.for_each_init(
        Vec::new,
        |patches: &mut Vec<f32>, (task, ((images, maps), slope))| {
            images.fill(0.0);
            for (product, maps) in maps.chunks(rows * row).enumerate() {
                let count = maps.len() / row;
                patches.resize(count * width * patch, 0.0);
                let maps = Matrix::new(maps, count * width, convolution.map_channels);
                matmul(maps, weight, patches, patch, false);
                let first = product * rows;
                for (row, patches) in (first..first + count).zip(patches.chunks(width * patch)) {
                    let image =
                        &mut images[row / height * convolution.image()..][..convolution.image()];
                    convolution.fold(patches, row % height, image);
                }
            }
            finisher.apply(task * length, images, slope);
        },
    );
}

/// See [`crate::program::Pass::ConvolveBackwardWeight`].
pub(super) fn backward_weight(
    convolution: &Convolution,
    images: &[f32],
    maps: &[f32],
    gradient: &mut [f32],
) {
    let [height, width] = convolution.geometry.map;
    let row = width * convolution.map_channels;
    let (rows, patch) = (rows_at_once(convolution), convolution.patch());
    let products = (maps.len() / row).div_ceil(rows);
    let of_part = products.div_ceil(PARTS) * rows;
    let parts = maps
        .par_chunks(of_part * row)
        .enumerate()
        .map(|(part, maps)| {
            let mut sums = vec![0.0; gradient.len()];
            let mut patches = Vec::new();
            for (product, maps) in maps.chunks(rows * row).enumerate() {
                let (first, count) = (part * of_part + product * rows, maps.len() / row);
                unfold_rows(
                    convolution,
                    images,
                    first..first + count,
                    height,
                    &mut patches,
                );
                let patches = Matrix::new(&patches, count * width, patch).transposed();
                let maps = Matrix::new(maps, count * width, convolution.map_channels);
                matmul(
                    patches,
                    maps,
                    &mut sums,
                    convolution.map_channels,
                    product > 0,
                );
            }
            sums
        });
    let parts: Vec<_> = parts.collect();
    gradient.copy_from_slice(&parts[0]);
    for part in &parts[1..] {
        elementwise::add(gradient, part);
    }
}
