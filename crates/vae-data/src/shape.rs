//! The shape of one sample.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Shape `[channels, height, width]` of an image; a table row has one channel and height 1.
///
/// In files it is a list: `[height, width]`, or `[channels, height, width]` if there is more than one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct Shape {
    /// Number of channels: 1 for grayscale, 3 for RGB.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels, or the number of columns of a table.
    pub width: usize,
}

impl Shape {
    /// The shape of a grayscale image.
    #[must_use]
    pub const fn grey(height: usize, width: usize) -> Self {
        Self {
            channels: 1,
            height,
            width,
        }
    }

    /// Number of values of one sample.
    #[must_use]
    pub const fn length(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether it is a table row, which cannot be drawn as an image.
    #[must_use]
    pub const fn is_table(self) -> bool {
        self.channels == 1 && self.height == 1
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            channels,
            height,
            width,
        } = self;
        match channels {
            1 if *height == 1 => write!(f, "{width} columns"),
            1 => write!(f, "{height} x {width}"),
            _ => write!(f, "{channels} x {height} x {width}"),
        }
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        let Shape {
            channels,
            height,
            width,
        } = shape;
        match channels {
            1 => vec![height, width],
            _ => vec![channels, height, width],
        }
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = String;

    fn try_from(sizes: Vec<usize>) -> Result<Self, String> {
        match sizes[..] {
            [height, width] => Ok(Self::grey(height, width)),
            [channels, height, width] => Ok(Self {
                channels,
                height,
                width,
            }),
            _ => Err(format!(
                "expected [height, width] or [channels, height, width], found {sizes:?}"
            )),
        }
    }
}
