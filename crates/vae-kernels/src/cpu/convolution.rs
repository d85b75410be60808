//! Convolutions of slices (im2col): for each image one matrix product with its patches, the images in parallel. Results do not
//! depend on the number of threads.
//!
//! With stride 1 a convolution is also a transposed one, with the kernel rotated by 180 degrees and its two sides swapped
//! (`Sizes::swapped`); of the two forms the one is taken that unfolds the side of fewer numbers.

mod patches;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

pub use super::matmul::Real;
use super::matmul::{Matrix, matmul};
use patches::{fold, unfold};

use crate::program::Geometry;

/// Images whose gradients one task sums: a constant, for the sums to be the same on any number of threads.
const IMAGES: usize = 8;
/// Partial sums of a row, kept apart so that additions do not wait for each other.
const LANES: usize = 16;

/// Batch size, channels and geometry of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Number of images, and of maps.
    pub batch: usize,
    /// Channels of each image.
    pub image_channels: usize,
    /// Channels of each map.
    pub map_channels: usize,
    /// Geometry of the kernel.
    pub geometry: Geometry,
}

impl Sizes {
    /// Number of elements of one image.
    const fn image(&self) -> usize {
        self.image_channels * self.geometry.pixels()
    }

    /// Number of elements of one map.
    const fn map(&self) -> usize {
        self.map_channels * self.geometry.places()
    }

    /// Number of elements that the kernel covers at one position.
    const fn patch(&self) -> usize {
        self.image_channels * self.geometry.kernel * self.geometry.kernel
    }

    /// The same convolution with image and map swapped, if that is possible and unfolds less.
    fn swapped(&self) -> Option<Self> {
        let Geometry {
            kernel,
            stride,
            padding,
            image,
            map,
        } = self.geometry;
        let less = self.map_channels * self.geometry.pixels()
            < self.image_channels * self.geometry.places();
        (stride == 1 && padding < kernel && less).then(|| Self {
            image_channels: self.map_channels,
            map_channels: self.image_channels,
            geometry: Geometry {
                padding: kernel - 1 - padding,
                image: map,
                map: image,
                ..self.geometry
            },
            ..*self
        })
    }

    /// The weight of the swapped convolution: `[in, out, kernel, kernel]` with the kernel rotated by 180 degrees.
    fn turned<T: Real>(&self, weight: &[T]) -> Vec<T> {
        let taps = self.geometry.kernel * self.geometry.kernel;
        let mut turned = Vec::with_capacity(weight.len());
        for channel in 0..self.image_channels {
            for kernels in weight.chunks(self.patch()) {
                turned.extend(kernels[channel * taps..][..taps].iter().rev());
            }
        }
        turned
    }
}

/// Buffers of one task.
struct Scratch<T> {
    /// Phases of one channel.
    phases: Vec<T>,
    /// Patches, `[in * kernel * kernel, window]`.
    patches: Vec<T>,
    /// A map in windows, `[out, window]`: zero between its rows.
    map: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new(sizes: Sizes) -> Self {
        let zeros = |length| vec![T::default(); length];
        let (geometry, window) = (sizes.geometry, sizes.geometry.window());
        Self {
            phases: zeros(geometry.phases()),
            patches: zeros(sizes.patch() * window),
            map: zeros(sizes.map_channels * window),
        }
    }

    /// Copies a map's rows to their places in windows.
    fn spread(&mut self, map: &[T], geometry: Geometry) {
        let maps = map.chunks(geometry.places());
        for (map, window) in maps.zip(self.map.chunks_mut(geometry.window())) {
            let rows = map.chunks(geometry.map[1]);
            for (row, window) in rows.zip(window.chunks_mut(geometry.pitch())) {
                window[..row.len()].copy_from_slice(row);
            }
        }
    }

    /// The adjoint of [`Self::spread`]; adds the bias.
    fn gather(&self, map: &mut [T], bias: Option<&[T]>, geometry: Geometry) {
        let maps = map.chunks_mut(geometry.places());
        for (channel, (map, window)) in maps.zip(self.map.chunks(geometry.window())).enumerate() {
            let bias = bias.map_or_else(T::default, |bias| bias[channel]);
            let rows = map.chunks_mut(geometry.map[1]);
            for (row, window) in rows.zip(window.chunks(geometry.pitch())) {
                for (pixel, sum) in row.iter_mut().zip(window) {
                    *pixel = *sum + bias;
                }
            }
        }
    }
}

/// Convolves `images`, `[batch, in, height, width]`, to maps; `weight` is `[out, in, kernel, kernel]`, `bias` `[out]`.
#[must_use]
pub fn convolve<T: Real>(images: &[T], weight: &[T], bias: Option<&[T]>, sizes: Sizes) -> Vec<T> {
    if let Some(swapped) = sizes.swapped() {
        return convolve_transposed(images, &sizes.turned(weight), bias, swapped);
    }
    let (geometry, window) = (sizes.geometry, sizes.geometry.window());
    let weight = Matrix::new(weight, sizes.map_channels, sizes.patch());
    let mut maps = vec![T::default(); sizes.batch * sizes.map()];
    maps.par_chunks_mut(sizes.map())
        .zip(images.par_chunks(sizes.image()))
        .for_each_init(
            || Scratch::new(sizes),
            |scratch, (map, image)| {
                unfold(image, geometry, &mut scratch.phases, &mut scratch.patches);
                let patches = Matrix::new(&scratch.patches, sizes.patch(), window);
                matmul(weight, patches, &mut scratch.map, window, false);
                scratch.gather(map, bias, geometry);
            },
        );
    maps
}

/// Convolves `maps`, `[batch, out, height, width]`, transposed, to images: the adjoint of [`convolve`]; `bias` is `[in]`.
#[must_use]
pub fn convolve_transposed<T: Real>(
    maps: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    sizes: Sizes,
) -> Vec<T> {
    if let Some(swapped) = sizes.swapped() {
        return convolve(maps, &sizes.turned(weight), bias, swapped);
    }
    let (geometry, window) = (sizes.geometry, sizes.geometry.window());
    let weight = Matrix::new(weight, sizes.map_channels, sizes.patch()).transposed();
    let mut images = vec![T::default(); sizes.batch * sizes.image()];
    images
        .par_chunks_mut(sizes.image())
        .zip(maps.par_chunks(sizes.map()))
        .for_each_init(
            || Scratch::new(sizes),
            |scratch, (image, map)| {
                scratch.spread(map, geometry);
                let map = Matrix::new(&scratch.map, sizes.map_channels, window);
                matmul(weight, map, &mut scratch.patches, window, false);
                if let Some(bias) = bias {
                    for (image, bias) in image.chunks_mut(geometry.pixels()).zip(bias) {
                        image.fill(*bias);
                    }
                }
                fold(&scratch.patches, geometry, &mut scratch.phases, image);
            },
        );
    images
}

/// The gradient of the weight, from the values of one side and the gradient of the other.
#[must_use]
pub fn weight_gradient<T: Real>(images: &[T], maps: &[T], sizes: Sizes) -> Vec<T> {
    if let Some(swapped) = sizes.swapped() {
        return swapped.turned(&weight_gradient(maps, images, swapped));
    }
    let (geometry, window) = (sizes.geometry, sizes.geometry.window());
    let sums = images
        .par_chunks(IMAGES * sizes.image())
        .zip(maps.par_chunks(IMAGES * sizes.map()))
        .map(|(images, maps)| {
            let mut scratch = Scratch::new(sizes);
            let mut sum = vec![T::default(); sizes.map_channels * sizes.patch()];
            let images = images.chunks(sizes.image());
            for (image, map) in images.zip(maps.chunks(sizes.map())) {
                unfold(image, geometry, &mut scratch.phases, &mut scratch.patches);
                scratch.spread(map, geometry);
                let map = Matrix::new(&scratch.map, sizes.map_channels, window);
                let patches = Matrix::new(&scratch.patches, sizes.patch(), window).transposed();
                matmul(map, patches, &mut sum, sizes.patch(), true);
            }
            sum
        });
    in_order(sums.collect(), sizes.map_channels * sizes.patch())
}

/// Sums over the batch and the `pixels` of each of the `channels`: the gradient of a bias.
#[must_use]
pub fn channel_sums<T: Real>(values: &[T], channels: usize, pixels: usize) -> Vec<T> {
    let sums = values.par_chunks(IMAGES * channels * pixels).map(|images| {
        let mut sums = vec![T::default(); channels];
        for image in images.chunks(channels * pixels) {
            for (sum, channel) in sums.iter_mut().zip(image.chunks(pixels)) {
                *sum += row_sum(channel);
            }
        }
        sums
    });
    in_order(sums.collect(), channels)
}

fn row_sum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::default(); LANES];
    for values in values.chunks(LANES) {
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane += *value;
        }
    }
    lanes.into_iter().fold(T::default(), |sum, lane| sum + lane)
}

fn in_order<T: Real>(parts: Vec<Vec<T>>, length: usize) -> Vec<T> {
    let mut sum = vec![T::default(); length];
    for part in parts {
        for (sum, part) in sum.iter_mut().zip(part) {
            *sum += part;
        }
    }
    sum
}
