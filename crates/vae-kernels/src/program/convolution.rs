//! Convolutions as plain data.

use serde::Serialize;

/// Geometry of a convolution: at point `[y, x]` of the map, the kernel's corner is at `stride * [y, x] - padding` of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Geometry {
    /// Kernel size (the side of the square kernel).
    pub kernel: usize,
    /// Stride: image pixels from one position of the kernel to the next.
    pub stride: usize,
    /// Zero padding: rows and columns on each side of the image.
    pub padding: usize,
    /// Height and width of the image, which a convolution reads and a transposed one writes.
    pub image: [usize; 2],
    /// Height and width of the map, which a convolution writes and a transposed one reads.
    pub map: [usize; 2],
}

impl Geometry {
    /// Pixels of the image, per channel.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.image[0] * self.image[1]
    }

    /// Places of the map, per channel.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.map[0] * self.map[1]
    }

    /// Number of places of the kernel's square: its taps.
    #[must_use]
    pub const fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
}

/// The linear map of a convolution, from images `[height, width, image_channels]` to maps `[height, width, map_channels]`, and,
/// transposed, back. Channels come last, so that what the kernel sees of a row is one stretch of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Convolution {
    /// Offset of the weight in the arena, `[kernel, kernel, image_channels, map_channels]`.
    pub weight: usize,
    /// Geometry of the kernel.
    pub geometry: Geometry,
    /// Channels of an image.
    pub image_channels: usize,
    /// Channels of a map.
    pub map_channels: usize,
}

impl Convolution {
    /// Numbers that the kernel sees at one place.
    #[must_use]
    pub const fn patch(&self) -> usize {
        self.geometry.taps() * self.image_channels
    }

    /// Numbers of an image.
    #[must_use]
    pub const fn image(&self) -> usize {
        self.geometry.pixels() * self.image_channels
    }

    /// Numbers of a map.
    #[must_use]
    pub const fn map(&self) -> usize {
        self.geometry.places() * self.map_channels
    }

    /// Numbers of the weight.
    #[must_use]
    pub const fn weights(&self) -> usize {
        self.patch() * self.map_channels
    }
}
