//! `unfold` (im2col), what the kernel sees of one image at each of its positions, and `fold` (col2im), its adjoint.
//!
//! An image is first split into its phases: the pixels whose row and column, counted from the corner of the padding, leave the
//! same remainders modulo the stride. Within a phase, what a tap of the kernel sees is one window, equally long for every tap and
//! contiguous: rows of a map, [`Geometry::pitch`] apart, with unused neighbours between them.

use std::ops::Range;

use super::Real;
use crate::program::Geometry;

impl Geometry {
    /// Distance from one row of a window, or of a phase, to the next.
    pub(super) const fn pitch(&self) -> usize {
        self.map[1] + self.reach()
    }

    /// Length of a window.
    pub(super) const fn window(&self) -> usize {
        (self.map[0] - 1) * self.pitch() + self.map[1]
    }

    /// Length of all phases of one channel.
    pub(super) const fn phases(&self) -> usize {
        let remainders = self.remainders();
        remainders * remainders * self.phase()
    }

    /// Distance from the kernel's first tap to its last, in pixels of a phase.
    const fn reach(&self) -> usize {
        (self.kernel - 1) / self.stride
    }

    /// Pixels of a phase.
    const fn phase(&self) -> usize {
        (self.map[0] + self.reach()) * self.pitch()
    }

    /// Number of remainders, along each side, that some tap of the kernel looks at.
    const fn remainders(&self) -> usize {
        if self.kernel < self.stride {
            self.kernel
        } else {
            self.stride
        }
    }

    /// The windows of one channel's taps in its phases, in the order of the kernel.
    fn windows(&self) -> Vec<Range<usize>> {
        let window = |tap| {
            let (row, column) = (tap / self.kernel, tap % self.kernel);
            let phase = row % self.stride * self.remainders() + column % self.stride;
            let within = row / self.stride * self.pitch() + column / self.stride;
            let first = phase * self.phase() + within;
            first..first + self.window()
        };
        (0..self.kernel * self.kernel).map(window).collect()
    }

    /// Range along `side` (0 for the height) in which a phase holds pixels of the image and not of its padding.
    fn inside(&self, side: usize, remainder: usize) -> Range<usize> {
        let first = self.padding.saturating_sub(remainder).div_ceil(self.stride);
        let end = (self.image[side] + self.padding)
            .saturating_sub(remainder)
            .div_ceil(self.stride)
            .min(self.map[side] + self.reach());
        first.min(end)..end
    }

    /// Calls `visit` for each row of each phase, with its first pixel in one channel of an image, and the range in the phases
    /// that this pixel and every `stride`th one after it go to.
    fn rows(&self, mut visit: impl FnMut(usize, Range<usize>)) {
        let (remainders, phase, pitch) = (self.remainders(), self.phase(), self.pitch());
        for row in 0..remainders {
            let down = self.inside(0, row);
            for column in 0..remainders {
                let across = self.inside(1, column);
                if across.is_empty() {
                    continue;
                }
                let left = across.start * self.stride + column - self.padding;
                for y in down.clone() {
                    let top = y * self.stride + row - self.padding;
                    let first = (row * remainders + column) * phase + y * pitch;
                    visit(
                        top * self.image[1] + left,
                        first + across.start..first + across.end,
                    );
                }
            }
        }
    }
}

/// Unfolds one `image`, `[channels, height, width]`, to its `patches`, `[channels, kernel, kernel, window]`, by way of `phases`
/// of one channel, which are zero in the padding and stay so.
pub(super) fn unfold<T: Real>(
    image: &[T],
    geometry: Geometry,
    phases: &mut [T],
    patches: &mut [T],
) {
    let (windows, window) = (geometry.windows(), geometry.window());
    let taps = windows.len() * window;
    for (image, patches) in image
        .chunks(geometry.pixels())
        .zip(patches.chunks_mut(taps))
    {
        geometry.rows(|pixel, places| take(&image[pixel..], geometry.stride, &mut phases[places]));
        for (patch, place) in patches.chunks_mut(window).zip(&windows) {
            patch.copy_from_slice(&phases[place.clone()]);
        }
    }
}

/// Adds `patches` to the pixels of one `image` that they come from; shapes as in [`unfold`].
pub(super) fn fold<T: Real>(patches: &[T], geometry: Geometry, phases: &mut [T], image: &mut [T]) {
    let (windows, window) = (geometry.windows(), geometry.window());
    let taps = windows.len() * window;
    for (image, patches) in image
        .chunks_mut(geometry.pixels())
        .zip(patches.chunks(taps))
    {
        phases.fill(T::default());
        for (patch, place) in patches.chunks(window).zip(&windows) {
            for (phase, patch) in phases[place.clone()].iter_mut().zip(patch) {
                *phase += *patch;
            }
        }
        geometry.rows(|pixel, places| give(&phases[places], geometry.stride, &mut image[pixel..]));
    }
}

/// Copies every `stride`th pixel. The strides of most networks have loops of their own, for the compiler to vectorise.
fn take<T: Real>(pixels: &[T], stride: usize, phase: &mut [T]) {
    match stride {
        1 => phase.copy_from_slice(&pixels[..phase.len()]),
        2 => {
            let last = phase.len() - 1;
            for (phase, pixels) in phase[..last].iter_mut().zip(pixels.chunks_exact(2)) {
                *phase = pixels[0];
            }
            phase[last] = pixels[2 * last];
        }
        _ => {
            for (phase, pixel) in phase.iter_mut().zip(pixels.iter().step_by(stride)) {
                *phase = *pixel;
            }
        }
    }
}

/// The adjoint of [`take`]: adds to every `stride`th pixel.
fn give<T: Real>(phase: &[T], stride: usize, pixels: &mut [T]) {
    match stride {
        1 => {
            for (phase, pixel) in phase.iter().zip(pixels) {
                *pixel += *phase;
            }
        }
        2 => {
            let last = phase.len() - 1;
            for (phase, pixels) in phase[..last].iter().zip(pixels.chunks_exact_mut(2)) {
                pixels[0] += *phase;
            }
            pixels[2 * last] += phase[last];
        }
        _ => {
            for (phase, pixel) in phase.iter().zip(pixels.iter_mut().step_by(stride)) {
                *pixel += *phase;
            }
        }
    }
}
