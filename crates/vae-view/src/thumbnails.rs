//! Samples as small pictures: single ones as bytes, many side by side as one PNG file.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::{self, resize};
use image::{DynamicImage, ImageBuffer, Luma, Pixel, Rgb};
use vae_data::Shape;

use crate::PictureError;
use crate::grid::byte;

/// Longest side of a thumbnail in pixels.
const LONGEST: usize = 64;

/// Thumbnails of samples of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thumbnails {
    of: Shape,
    /// Shape of a thumbnail: one channel or three, both sides at most 64 pixels.
    pub shape: Shape,
}

impl Thumbnails {
    /// Those of samples of shape `of`, which keep their proportions.
    #[must_use]
    pub fn of(of: Shape) -> Self {
        let longest = of.height.max(of.width).max(1);
        let side = |side: usize| match longest > LONGEST {
            true => (side * LONGEST / longest).max(1),
            false => side,
        };
        let shape = Shape {
            // Of fewer than three channels the first is shown in grayscale, of more the first three as RGB.
            channels: if of.channels < 3 { 1 } else { 3 },
            height: side(of.height),
            width: side(of.width),
        };
        Self { of, shape }
    }

    /// Thumbnails of `images`, `[count, channels, height, width]` with 0 for black and 1 for white, as bytes with channels last.
    #[must_use]
    pub fn bytes(&self, images: &[f32]) -> Vec<u8> {
        let (plane, channels) = (self.of.height * self.of.width, self.shape.channels);
        let samples = images.chunks_exact(self.of.length().max(1));
        let small = samples.flat_map(|image| {
            let pixels = (0..plane).flat_map(|pixel| {
                (0..channels).map(move |channel| byte(image[channel * plane + pixel]))
            });
            self.small(pixels.collect())
        });
        small.collect()
    }

    fn small(&self, pixels: Vec<u8>) -> Vec<u8> {
        fn resized<P: Pixel<Subpixel = u8> + 'static>(
            pixels: Vec<u8>,
            [from, to]: [Shape; 2],
        ) -> Vec<u8> {
            let image =
                ImageBuffer::<P, _>::from_raw(from.width as u32, from.height as u32, pixels);
            let (width, height) = (to.width as u32, to.height as u32);
            let small =
                image.map(|image| resize(&image, width, height, imageops::FilterType::Triangle));
            small.map(ImageBuffer::into_raw).unwrap_or_default()
        }
        let sizes = [self.of, self.shape];
        match self.shape.channels {
            _ if [self.of.height, self.of.width] == [self.shape.height, self.shape.width] => pixels,
            1 => resized::<Luma<u8>>(pixels, sizes),
            _ => resized::<Rgb<u8>>(pixels, sizes),
        }
    }

    /// Thumbnails as [`Self::bytes`] gives them, `columns` in a row, as a PNG file.
    ///
    /// # Errors
    /// If it is too large to encode.
    pub fn atlas(&self, bytes: &[u8], columns: usize) -> Result<Vec<u8>, PictureError> {
        let Shape { height, width, .. } = self.shape;
        let line = width * self.shape.channels;
        let count = bytes.len() / (line * height).max(1);
        let rows = count.div_ceil(columns);
        let mut picture = vec![0; rows * height * columns * line];
        for (index, lines) in bytes.chunks_exact(line).enumerate() {
            let (thumbnail, y) = (index / height, index % height);
            let (row, column) = (thumbnail / columns, thumbnail % columns);
            let place = ((row * height + y) * columns + column) * line;
            picture[place..][..line].copy_from_slice(lines);
        }
        let size = ((columns * width) as u32, (rows * height) as u32);
        let picture = match self.shape.channels {
            1 => ImageBuffer::from_raw(size.0, size.1, picture).map(DynamicImage::ImageLuma8),
            _ => ImageBuffer::from_raw(size.0, size.1, picture).map(DynamicImage::ImageRgb8),
        };
        let failed = |what: String| PictureError::Encoding(what);
        let picture = picture.ok_or_else(|| failed("its size overflows".into()))?;
        let mut png = Cursor::new(Vec::new());
        let encoder =
            PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive);
        let written = picture.write_with_encoder(encoder);
        written.map_err(|error| failed(error.to_string()))?;
        Ok(png.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atlas_has_each_thumbnail_in_its_place() {
        let colours = Shape {
            channels: 3,
            height: 1,
            width: 2,
        };
        let thumbnails = Thumbnails::of(colours);
        assert_eq!(thumbnails.shape, colours);
        // Red then green, and twice blue.
        let images = [1., 0., 0., 1., 0., 0., 0., 0., 0., 0., 1., 1.];
        let bytes = thumbnails.bytes(&images);
        assert_eq!(bytes[..6], [255, 0, 0, 0, 255, 0]);
        let png = thumbnails.atlas(&bytes, 1).expect("small");
        let picture = image::load_from_memory(&png)
            .expect("a picture")
            .into_rgb8();
        assert_eq!(picture.dimensions(), (2, 2));
        assert_eq!(picture.get_pixel(1, 0).0, [0, 255, 0]);
        assert_eq!(picture.get_pixel(1, 1).0, [0, 0, 255]);
    }

    #[test]
    fn large_images_become_small_and_keep_their_proportions() {
        let thumbnails = Thumbnails::of(Shape::grey(128, 256));
        assert_eq!(thumbnails.shape, Shape::grey(32, 64));
        let bytes = thumbnails.bytes(&vec![0.5; 128 * 256]);
        assert_eq!(bytes, vec![128; 32 * 64]);
    }
}
