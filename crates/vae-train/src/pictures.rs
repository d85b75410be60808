//! Pictures out of a model: grids of images from the prior, of reconstructions, of walks through the latent space.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::imageops::{FilterType, resize};
use image::{Delay, DynamicImage, Frame, ImageFormat, Rgb, RgbImage};
use vae_data::{Images, Shape};
use vae_rng::{Generator, Stream};
use vae_spec::EngineError;

use crate::mixture::normal_quantile;
use crate::{Inference, TrainError};

/// Images side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// `[rows * columns, channels * height * width]` in `[0, 1]`, 0 is black.
    pub images: Vec<f32>,
    /// Images in a row.
    pub columns: usize,
    /// Of an image.
    pub shape: Shape,
    /// Pixels between images.
    pub gap: usize,
}

/// The shorter side of a small image in a picture, pixels: each pixel is drawn so many times as large as fits.
const SHOWN: usize = 56;

impl Grid {
    /// The grid as an image, grey if its images are; missing images in the last row stay black.
    #[must_use]
    pub fn draw(&self) -> DynamicImage {
        let Shape {
            channels,
            height,
            width,
        } = self.shape;
        let pitch = [height + self.gap, width + self.gap];
        let length = self.shape.length();
        let rows = (self.images.len() / length).div_ceil(self.columns);
        let extent = |count: usize, pitch: usize| (count * pitch - self.gap) as u32;
        let mut picture = RgbImage::new(extent(self.columns, pitch[1]), extent(rows, pitch[0]));
        for (index, image) in self.images.chunks_exact(length).enumerate() {
            let (top, left) = (
                index / self.columns * pitch[0],
                index % self.columns * pitch[1],
            );
            for pixel in 0..height * width {
                let (x, y) = (left + pixel % width, top + pixel / width);
                // One channel is grey; of more than three the first three are shown.
                let value = |channel: usize| {
                    let plane = if channels < 3 { 0 } else { channel };
                    byte(image[plane * height * width + pixel])
                };
                let colour = Rgb([value(0), value(1), value(2)]);
                picture.put_pixel(x as u32, y as u32, colour);
            }
        }
        let scale = (SHOWN / height.min(width)).max(1) as u32;
        let (wide, high) = (picture.width() * scale, picture.height() * scale);
        let picture = DynamicImage::ImageRgb8(resize(&picture, wide, high, FilterType::Nearest));
        if channels < 3 {
            DynamicImage::ImageLuma8(picture.into_luma8())
        } else {
            picture
        }
    }

    /// The grid as a PNG file.
    ///
    /// # Errors
    /// If it is too large to encode.
    pub fn png(&self) -> Result<Vec<u8>, TrainError> {
        let mut png = Cursor::new(Vec::new());
        let written = self.draw().write_to(&mut png, ImageFormat::Png);
        written.map_err(|error| TrainError::Picture(error.to_string()))?;
        Ok(png.into_inner())
    }

    /// Each column of the grid, shown one after the other and back again for ever, as a GIF file.
    ///
    /// # Errors
    /// If it is too large to encode.
    pub fn gif(&self) -> Result<Vec<u8>, TrainError> {
        const MILLISECONDS: u32 = 80;
        let there = 0..self.columns;
        let back = (1..self.columns.saturating_sub(1)).rev();
        let length = self.shape.length();
        let frame = |column: usize| {
            let rows = self.images.chunks_exact(self.columns * length);
            let column = Self {
                images: rows
                    .flat_map(|row| row[column * length..][..length].to_vec())
                    .collect(),
                columns: 1,
                ..self.clone()
            };
            let delay = Delay::from_numer_denom_ms(MILLISECONDS, 1);
            Frame::from_parts(column.draw().into_rgba8(), 0, 0, delay)
        };
        let mut gif = Vec::new();
        let mut encoder = GifEncoder::new(&mut gif);
        let written = encoder
            .set_repeat(Repeat::Infinite)
            .and_then(|()| encoder.encode_frames(there.chain(back).map(frame)));
        written.map_err(|error| TrainError::Picture(error.to_string()))?;
        drop(encoder);
        Ok(gif)
    }

    /// Writes `<place>.png` of each image into the folder `path`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_each(&self, path: &Path) -> Result<(), TrainError> {
        let unwritable = |path: &Path, cause| TrainError::File {
            action: "written",
            path: path.to_owned(),
            cause,
        };
        fs::create_dir_all(path).map_err(|cause| unwritable(path, cause))?;
        for (place, image) in self.images.chunks_exact(self.shape.length()).enumerate() {
            let alone = Self {
                images: image.to_vec(),
                columns: 1,
                ..self.clone()
            };
            let Shape { height, width, .. } = self.shape;
            // A file for further use has the pixels of the model, not of a picture to look at.
            let small = alone
                .draw()
                .resize_exact(width as u32, height as u32, FilterType::Nearest);
            let file = path.join(format!("{place:06}.png"));
            let saved = small.save_with_format(&file, ImageFormat::Png);
            saved.map_err(|error| unwritable(&file, std::io::Error::other(error)))?;
        }
        Ok(())
    }
}

fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// `images`, `[count, pixels]` in units of the model, as a grid of `columns`.
#[must_use]
pub fn grid(inference: &Inference<'_>, mut images: Vec<f32>, columns: usize) -> Grid {
    inference.sight().to_pixels(&mut images);
    Grid {
        images,
        columns,
        shape: inference.shape(),
        gap: 2,
    }
}

/// `count` images decoded from draws of the prior.
///
/// # Errors
/// If the device fails.
pub fn samples(
    inference: &mut Inference<'_>,
    seed: u64,
    count: usize,
) -> Result<Grid, EngineError> {
    let generator = Generator::new(seed, Stream::Prior);
    let z = inference.prior()?.sample(generator, count, 1.0, None);
    let images = inference.decode(&z)?;
    Ok(grid(inference, images, square_columns(count)))
}

/// The number of columns that makes a grid of `count` images about square.
#[must_use]
pub fn square_columns(count: usize) -> usize {
    ((count as f64).sqrt().ceil() as usize).max(1)
}

/// Images and, under each, what becomes of it: each of `kinds`, `[count, pixels]`, is a line, in blocks of at most ten
/// columns.
#[must_use]
pub fn stacked(inference: &Inference<'_>, kinds: &[&[f32]]) -> Grid {
    const COLUMNS: usize = 10;
    let length = inference.shape().length();
    let count = kinds[0].len() / length;
    let columns = count.clamp(1, COLUMNS);
    let mut images = Vec::new();
    for first in (0..count).step_by(columns) {
        let shown = columns.min(count - first);
        for kind in kinds {
            images.extend_from_slice(&kind[first * length..][..shown * length]);
            // A short last row is filled up with black, so that what comes under it starts a row of its own.
            images.resize(images.len() + (columns - shown) * length, f32::NEG_INFINITY);
        }
    }
    grid(inference, images, columns)
}

/// `images` and, under each, what the model makes of its posterior mean.
///
/// # Errors
/// If the device fails.
pub fn reconstructions(inference: &mut Inference<'_>, images: &Images) -> Result<Grid, TrainError> {
    let reconstructed = inference.reconstruct(images)?;
    let places: Vec<u32> = (0..images.count() as u32).collect();
    Ok(stacked(
        inference,
        &[&images.gather(&places), &reconstructed],
    ))
}

/// What is decoded on a grid of quantiles of the standard normal, 0.05 to 0.95: one latent dimension grows to the right, one upwards;
/// all others are 0.
///
/// # Errors
/// If the device fails.
pub fn manifold(
    inference: &mut Inference<'_>,
    [right, up]: [usize; 2],
    side: usize,
) -> Result<Grid, EngineError> {
    let mut z = vec![0.0; side * side * inference.latent()];
    let axis = quantiles(side);
    for (row, &high) in axis.iter().rev().enumerate() {
        for (column, &far) in axis.iter().enumerate() {
            let place = (row * side + column) * inference.latent();
            z[place + right] = far;
            z[place + up] = high;
        }
    }
    let images = inference.decode(&z)?;
    Ok(Grid {
        gap: 0,
        ..grid(inference, images, side)
    })
}

/// `count` quantiles of the standard normal, from 0.05 to 0.95.
fn quantiles(count: usize) -> Vec<f32> {
    let step = 0.9 / (count.max(2) - 1) as f64;
    let probabilities = (0..count).map(|i| 0.05 + step * i as f64);
    probabilities.map(|p| normal_quantile(p) as f32).collect()
}

/// One row for each of `dimensions` of the latent space: `base`, whose coordinate there goes over the quantiles of the
/// standard normal.
///
/// # Errors
/// If the device fails.
pub fn traversal(
    inference: &mut Inference<'_>,
    base: &[f32],
    dimensions: &[usize],
    steps: usize,
) -> Result<Grid, EngineError> {
    let axis = quantiles(steps);
    let point = |dimension: usize, value: f32| {
        let mut z = base.to_vec();
        z[dimension] = value;
        z
    };
    let points = dimensions
        .iter()
        .flat_map(|&dimension| axis.iter().flat_map(move |&value| point(dimension, value)));
    let z: Vec<f32> = points.collect();
    let images = inference.decode(&z)?;
    Ok(grid(inference, images, steps))
}

/// The way from one latent vector to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Straight.
    Linear,
    /// Along a great circle, with a norm that goes evenly from the one's to the other's: between draws of a normal in many
    /// dimensions the straight way leads through points that are unlike any draw (White 2016).
    Spherical,
}

impl Walk {
    /// `steps` points from `from` to `to`, both included: `[steps, latent]`.
    #[must_use]
    pub fn points(self, from: &[f32], to: &[f32], steps: usize) -> Vec<f32> {
        let norm = |z: &[f32]| z.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let norms = [norm(from), norm(to)];
        let dot: f64 = from
            .iter()
            .zip(to)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum();
        let angle = (dot / (norms[0] * norms[1])).clamp(-1.0, 1.0).acos();
        // Parallel vectors have no great circle of their own, and opposite ones have many.
        let is_straight =
            self == Self::Linear || !(1e-4..std::f64::consts::PI - 1e-4).contains(&angle);
        let weights = |t: f64| {
            if is_straight {
                return [1.0 - t, t];
            }
            let length = (1.0 - t) * norms[0] + t * norms[1];
            let share = |t: f64, norm: f64| (t * angle).sin() / angle.sin() * length / norm;
            [share(1.0 - t, norms[0]), share(t, norms[1])]
        };
        let steps = (0..steps).map(|step| step as f64 / (steps.max(2) - 1) as f64);
        let point = |t: f64| {
            let [a, b] = weights(t);
            let pairs = from.iter().zip(to);
            pairs.map(move |(&x, &y)| (a * f64::from(x) + b * f64::from(y)) as f32)
        };
        steps.flat_map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spherical_walk_keeps_its_distance_from_the_middle_where_a_straight_one_does_not() {
        let (from, to) = ([1.0, 0.0], [0.0, 3.0]);
        let straight = Walk::Linear.points(&from, &to, 3);
        assert_eq!(straight, [1.0, 0.0, 0.5, 1.5, 0.0, 3.0]);
        let round = Walk::Spherical.points(&from, &to, 3);
        let root = 2f32.sqrt();
        for (found, expected) in round.iter().zip([1.0, 0.0, root, root, 0.0, 3.0]) {
            assert!((found - expected).abs() < 1e-6, "{round:?}");
        }
        let same = Walk::Spherical.points(&from, &from, 2);
        assert_eq!(same, [1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_grid_puts_each_image_in_its_place() {
        let grid = Grid {
            images: vec![0.0, 1.0, 0.5, 0.2, 1.0, 0.0],
            columns: 2,
            shape: Shape::grey(1, 2),
            gap: 1,
        };
        let picture = grid.draw().into_luma8();
        let scale = SHOWN as u32;
        assert_eq!((picture.width(), picture.height()), (5 * scale, 3 * scale));
        let pixel = |x, y| picture.get_pixel(scale * x, scale * y).0[0];
        assert_eq!(
            [
                pixel(0, 0),
                pixel(1, 0),
                pixel(2, 0),
                pixel(3, 0),
                pixel(4, 0)
            ],
            [0, 255, 0, 128, 51]
        );
        assert_eq!([pixel(0, 2), pixel(1, 2), pixel(3, 2)], [255, 0, 0]);
    }

    #[test]
    fn planes_become_colours_and_columns_become_frames() {
        let shape = Shape {
            channels: 3,
            height: 1,
            width: 1,
        };
        let grid = Grid {
            images: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            columns: 3,
            shape,
            gap: 0,
        };
        let picture = grid.draw().into_rgb8();
        let scale = SHOWN as u32;
        let colours = [0, 1, 2].map(|x| picture.get_pixel(scale * x, 0).0);
        assert_eq!(colours, [[255, 0, 0], [0, 255, 0], [0, 0, 255]]);

        let gif = grid.gif().expect("small");
        let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(gif)).expect("a GIF");
        let frames = image::AnimationDecoder::into_frames(decoder)
            .collect_frames()
            .expect("frames");
        // Red, green, blue, green.
        assert_eq!(frames.len(), 4);
        assert_eq!(frames[2].buffer().get_pixel(0, 0).0[..3], [0, 0, 255]);
    }
}
