//! Pictures out of a model: grids of images from the prior, of reconstructions, and the manifold of a 2-latent model.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::imageops::{FilterType, resize};
use image::{GrayImage, ImageFormat, Luma};
use vae_data::Images;
use vae_model::{Engine, EngineError};
use vae_rng::{Generator, Stream};

use crate::TrainError;
use crate::trainer::EVALUATION_BATCH;

/// Images side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// `[rows * columns, height * width]` in `[0, 1]`, 0 is black.
    pub images: Vec<f32>,
    /// Images in a row.
    pub columns: usize,
    /// `[height, width]` of an image.
    pub size: [usize; 2],
    /// Pixels between images.
    pub gap: usize,
}

/// Pixels of a picture for each pixel of an image.
const SCALE: u32 = 2;

impl Grid {
    /// The grid as an image, every pixel `SCALE` times as large; missing images in the last row stay black.
    #[must_use]
    pub fn draw(&self) -> GrayImage {
        let [height, width] = self.size;
        let pitch = [height + self.gap, width + self.gap];
        let rows = (self.images.len() / (height * width)).div_ceil(self.columns);
        let extent = |count: usize, pitch: usize| (count * pitch - self.gap) as u32;
        let mut picture = GrayImage::new(extent(self.columns, pitch[1]), extent(rows, pitch[0]));
        for (index, image) in self.images.chunks_exact(height * width).enumerate() {
            let (top, left) = (
                index / self.columns * pitch[0],
                index % self.columns * pitch[1],
            );
            for (pixel, &value) in image.iter().enumerate() {
                let (x, y) = (left + pixel % width, top + pixel / width);
                picture.put_pixel(x as u32, y as u32, Luma([(value * 255.0).round() as u8]));
            }
        }
        resize(
            &picture,
            picture.width() * SCALE,
            picture.height() * SCALE,
            FilterType::Nearest,
        )
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

    /// Writes the PNG file `path`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        fs::write(path, self.png()?).map_err(|cause| TrainError::File {
            action: "written",
            path: path.to_owned(),
            cause,
        })
    }
}

/// `count` images decoded from draws of the prior.
///
/// # Errors
/// If the device fails.
pub fn samples(
    engine: &mut dyn Engine,
    size: [usize; 2],
    latent: usize,
    seed: u64,
    count: usize,
) -> Result<Grid, EngineError> {
    let z = Generator::new(seed, Stream::Prior).normals(0, 0, count, latent);
    let mut images = Vec::new();
    for batch in z.chunks(EVALUATION_BATCH * latent) {
        images.extend(engine.decode(batch)?);
    }
    Ok(Grid {
        images,
        columns: square_columns(count),
        size,
        gap: 2,
    })
}

/// The number of columns that makes a grid of `count` images about square.
fn square_columns(count: usize) -> usize {
    (count as f64).sqrt().ceil() as usize
}

/// Images and, under each, what the model makes of its posterior mean: rows of at most ten.
///
/// # Errors
/// If the device fails.
pub fn reconstructions(
    engine: &mut dyn Engine,
    images: &Images,
    indices: &[u32],
) -> Result<Grid, EngineError> {
    const COLUMNS: usize = 10;
    let columns = indices.len().clamp(1, COLUMNS);
    let mut pairs = Vec::new();
    for row in indices.chunks(columns) {
        let originals = images.gather(row);
        let mu = engine.encode(&originals)?.mu;
        let reconstructed = engine.decode(&mu)?;
        // A short last row is filled up with black, so that its reconstructions start a row of their own.
        let missing = vec![0.0; (columns - row.len()) * images.image_length()];
        for part in [originals, missing.clone(), reconstructed, missing] {
            pairs.extend(part);
        }
    }
    Ok(Grid {
        images: pairs,
        columns,
        size: [images.height, images.width],
        gap: 2,
    })
}

/// Side of the manifold grid: the article's.
const MANIFOLD_SIDE: usize = 15;

/// What a 2-latent model decodes on a grid of quantiles of the prior, 0.05 to 0.95: the first latent grows to the right,
/// the second upwards.
///
/// # Errors
/// If the device fails.
pub fn manifold(engine: &mut dyn Engine, size: [usize; 2]) -> Result<Grid, EngineError> {
    let step = 0.9 / (MANIFOLD_SIDE - 1) as f64;
    let axis: Vec<f32> = (0..MANIFOLD_SIDE)
        .map(|i| normal_quantile(0.05 + step * i as f64) as f32)
        .collect();
    let z: Vec<f32> = axis
        .iter()
        .rev()
        .flat_map(|&up| axis.iter().flat_map(move |&right| [right, up]))
        .collect();
    Ok(Grid {
        images: engine.decode(&z)?,
        columns: MANIFOLD_SIDE,
        size,
        gap: 0,
    })
}

/// The `z` below which a standard normal falls with probability `p`, by bisection.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        let below = 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2);
        if below < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, z) in [
            (0.05, -1.644_853_627),
            (0.5, 0.0),
            (0.95, 1.644_853_627),
            (0.975, 1.959_963_985),
        ] {
            assert!(
                (normal_quantile(p) - z).abs() < 1e-8,
                "{p}: {}",
                normal_quantile(p)
            );
        }
    }

    #[test]
    fn a_grid_puts_each_image_in_its_place() {
        let grid = Grid {
            images: vec![0.0, 1.0, 0.5, 0.2, 1.0, 0.0],
            columns: 2,
            size: [1, 2],
            gap: 1,
        };
        let picture = grid.draw();
        assert_eq!((picture.width(), picture.height()), (10, 6));
        let pixel = |x, y| picture.get_pixel(SCALE * x, SCALE * y).0[0];
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
}
