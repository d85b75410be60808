//! Image grids, as PNG and GIF files.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::imageops::{FilterType, resize};
use image::{Delay, DynamicImage, Frame, ImageFormat, Rgb, RgbImage};
use vae_data::Shape;

use crate::PictureError;

/// A grid of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Pixels `[rows * columns, channels * height * width]` in `[0, 1]`, 0 is black.
    pub images: Vec<f32>,
    /// Number of images per row.
    pub columns: usize,
    /// Shape of each image.
    pub shape: Shape,
    /// Gap between images in pixels.
    pub gap: usize,
}

/// Target size of the shorter side of small images, in pixels: they are enlarged by the largest integer factor that fits.
const SHOWN: usize = 56;

impl Grid {
    /// Draws the grid, in grayscale if its images are; missing images in the last row stay black.
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
                // Of fewer than three channels the first is drawn in grayscale, of more the first three as RGB.
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

    /// Encodes the grid as PNG.
    ///
    /// # Errors
    /// If it is too large to encode.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let mut png = Cursor::new(Vec::new());
        let written = self.draw().write_to(&mut png, ImageFormat::Png);
        written.map_err(|error| PictureError::Encoding(error.to_string()))?;
        Ok(png.into_inner())
    }

    /// Encodes the columns of the grid as the frames of a GIF that loops forwards and backwards.
    ///
    /// # Errors
    /// If it is too large to encode.
    pub fn gif(&self) -> Result<Vec<u8>, PictureError> {
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
        written.map_err(|error| PictureError::Encoding(error.to_string()))?;
        drop(encoder);
        Ok(gif)
    }

    /// Writes each image to `<place>.png` in the folder `path`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_each(&self, path: &Path) -> Result<(), PictureError> {
        let unwritable = |path: &Path, cause| PictureError::File {
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
            // Files for further use have the original resolution, not the enlarged one.
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

pub(crate) fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// The number of columns for a roughly square grid of `count` images.
#[must_use]
pub fn square_columns(count: usize) -> usize {
    ((count as f64).sqrt().ceil() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // The frames are red, green, blue, green.
        assert_eq!(frames.len(), 4);
        assert_eq!(frames[2].buffer().get_pixel(0, 0).0[..3], [0, 0, 255]);
    }
}
