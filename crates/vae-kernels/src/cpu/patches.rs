//! What the kernel sees of images with channels last at each of its places (`unfold`, im2col), and the adjoint (`fold`, col2im):
//! for a row of the map, `[places of the row, kernel * kernel * channels]`.

use std::ops::Range;

use crate::program::{Convolution, Geometry};

/// One tap-row of the kernel at one place: which numbers of the patch are pixels of the image, and where these begin.
struct Stretch {
    /// Numbers of the patch under this row of the kernel.
    all: Range<usize>,
    /// Those of them that are pixels; the others are padding.
    inside: Range<usize>,
    /// First of the pixels in the image.
    pixel: usize,
}

impl Convolution {
    /// Calls `visit` for each place of map row `y` and each row of the kernel there; the patches lie one after the other.
    fn stretches(&self, y: usize, mut visit: impl FnMut(Stretch)) {
        let Geometry {
            kernel,
            stride,
            padding,
            image: [height, width],
            map: [_, places],
        } = self.geometry;
        let channels = self.image_channels;
        for x in 0..places {
            let left = x * stride;
            // Columns of the kernel that lie on the image.
            let first = padding.saturating_sub(left).min(kernel);
            let end = (width + padding).saturating_sub(left).clamp(first, kernel);
            for i in 0..kernel {
                let start = x * self.patch() + i * kernel * channels;
                let row = (y * stride + i).checked_sub(padding);
                let row = row.filter(|&row| row < height && first < end);
                let (columns, pixel) = match row {
                    Some(row) => (
                        first..end,
                        (row * width + left + first - padding) * channels,
                    ),
                    None => (0..0, 0),
                };
                visit(Stretch {
                    all: start..start + kernel * channels,
                    inside: start + columns.start * channels..start + columns.end * channels,
                    pixel,
                });
            }
        }
    }

    /// The patches of row `y` of the map.
    pub(super) fn unfold(&self, image: &[f32], y: usize, patches: &mut [f32]) {
        self.stretches(y, |Stretch { all, inside, pixel }| {
            let pixels = &image[pixel..pixel + inside.len()];
            patches[all.start..inside.start].fill(0.0);
            patches[inside.clone()].copy_from_slice(pixels);
            patches[inside.end..all.end].fill(0.0);
        });
    }

    /// Adds the patches of row `y` of the map to the pixels that they come from.
    pub(super) fn fold(&self, patches: &[f32], y: usize, image: &mut [f32]) {
        self.stretches(y, |Stretch { inside, pixel, .. }| {
            let pixels = &mut image[pixel..pixel + inside.len()];
            for (pixel, patch) in pixels.iter_mut().zip(&patches[inside]) {
                *pixel += patch;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vae_rng::{Generator, Stream};

    #[test]
    fn unfold_finds_the_pixels_under_the_taps_and_fold_is_its_adjoint() {
        let values = |seed, length| Generator::new(seed, Stream::Init).normals(0, 0, 1, length);
        for channels in [1, 3] {
            for image in [[5, 7], [1, 4], [9, 1]] {
                for (kernel, padding) in [(1, 0), (2, 1), (3, 1), (5, 2), (3, 0)] {
                    for stride in 1..=3 {
                        let side = |side: usize| {
                            (side + 2 * padding)
                                .checked_sub(kernel)
                                .map(|free| free / stride + 1)
                        };
                        let (Some(rows), Some(columns)) = (side(image[0]), side(image[1])) else {
                            continue;
                        };
                        let convolution = Convolution {
                            weight: 0,
                            geometry: Geometry {
                                kernel,
                                stride,
                                padding,
                                image,
                                map: [rows, columns],
                            },
                            image_channels: channels,
                            map_channels: 1,
                        };
                        let pixels = values(1, convolution.image());
                        for y in 0..rows {
                            let mut patches = vec![9.0; columns * convolution.patch()];
                            convolution.unfold(&pixels, y, &mut patches);
                            for (at, &found) in patches.iter().enumerate() {
                                let (x, q) = (at / convolution.patch(), at % convolution.patch());
                                let (tap, channel) = (q / channels, q % channels);
                                let row = (y * stride + tap / kernel).checked_sub(padding);
                                let column = (x * stride + tap % kernel).checked_sub(padding);
                                let expected = match (row, column) {
                                    (Some(row), Some(column))
                                        if row < image[0] && column < image[1] =>
                                    {
                                        pixels[(row * image[1] + column) * channels + channel]
                                    }
                                    _ => 0.0,
                                };
                                assert_eq!(found, expected, "{convolution:?} {y} {at}");
                            }
                            let other = values(2, patches.len());
                            let mut folded = vec![0.0; pixels.len()];
                            convolution.fold(&other, y, &mut folded);
                            let dot = |a: &[f32], b: &[f32]| -> f64 {
                                let products = a.iter().zip(b);
                                products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                            };
                            // Each pixel is a sum of at most 25 numbers below 5, rounded to f32.
                            let error = dot(&patches, &other) - dot(&pixels, &folded);
                            assert!(error.abs() < 1e-3, "{convolution:?} {y}: {error}");
                        }
                    }
                }
            }
        }
    }
}
