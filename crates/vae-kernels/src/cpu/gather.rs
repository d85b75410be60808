//! The CPU twin of `shaders/step/gather.wgsl`.

use super::draws::{self, DRAWN};
use super::vectorized::vectorized;
use rayon::prelude::*;
use vae_rng::{Generator, LANES, is_bright};

use vae_spec::Element;

/// Smallest number of rows of a task: fewer would cost more to hand out than to read.
const TASK_ROWS: usize = 16;

/// The images at `rows` of `bytes`, `[count, columns]` elements, bytes scaled to `[0, 1]`: `[rows, columns]`. With
/// `binarization`, a generator and its step, each pixel is drawn as 0 or 1, by the place of its row in the batch, whose rows from
/// `first_row` on they are.
///
/// # Panics
/// If a row is not below the count.
#[must_use]
pub fn gather(
    bytes: &[u8],
    element: Element,
    columns: usize,
    rows: &[u32],
    first_row: u32,
    binarization: Option<(Generator, u64)>,
) -> Vec<f32> {
    let mut images = vec![0.0; rows.len() * columns];
    let rows = Rows {
        bytes,
        element,
        rows,
        first_row,
    };
    gather_into(&mut images, columns, rows, binarization);
    images
}

/// Rows of a dataset.
pub(super) struct Rows<'a> {
    /// The dataset.
    pub(super) bytes: &'a [u8],
    pub(super) element: Element,
    pub(super) rows: &'a [u32],
    /// Place of the first of them in its batch, which selects the random numbers.
    pub(super) first_row: u32,
}

pub(super) fn gather_into(
    images: &mut [f32],
    columns: usize,
    from: Rows<'_>,
    binarization: Option<(Generator, u64)>,
) {
    let Rows {
        bytes,
        element,
        rows,
        first_row,
    } = from;
    let batch = images.par_chunks_exact_mut(columns).zip(rows);
    let batch = batch.with_min_len(TASK_ROWS);
    batch.enumerate().for_each(|(row, (image, &index))| {
        let length = columns * element.size();
        let bytes = &bytes[index as usize * length..][..length];
        if element == Element::F32 {
            for (x, bytes) in image.iter_mut().zip(bytes.as_chunks().0) {
                *x = f32::from_le_bytes(*bytes);
            }
            if let Some((generator, step)) = binarization {
                generator.binarize_floats(step, first_row + row as u32, image);
            }
        } else if let Some((generator, step)) = binarization {
            binarize(image, bytes, &generator, step, first_row + row as u32);
        } else {
            vectorized(
                #[inline(always)]
                || {
                    for (x, byte) in image.iter_mut().zip(bytes) {
                        *x = f32::from(*byte) / 255.0;
                    }
                },
            );
        }
    });
}

/// As `Generator::binarize`, of many pixels at a time.
fn binarize(image: &mut [f32], bytes: &[u8], generator: &Generator, step: u64, row: u32) {
    vectorized(
        #[inline(always)]
        || {
            let pixels = image.chunks_mut(DRAWN).zip(bytes.chunks(DRAWN));
            for (quad, (image, bytes)) in (0..).step_by(LANES).zip(pixels) {
                let words = draws::words(generator, step, row, quad);
                for (x, (byte, word)) in image.iter_mut().zip(bytes.iter().zip(words)) {
                    *x = if is_bright(word, *byte) { 1.0 } else { 0.0 };
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use vae_rng::Stream;

    #[test]
    fn binarized_pixels_are_those_that_the_generator_draws() {
        let generator = Generator::new(5, Stream::Binarization);
        for columns in [1, 63, 64, 65, 784] {
            let bytes: Vec<u8> = (0..3 * columns).map(|i| (7 * i % 256) as u8).collect();
            let found = gather(
                &bytes,
                Element::U8,
                columns,
                &[2, 0],
                0,
                Some((generator, 1 << 35)),
            );
            let expected = |row: u32, index: usize| {
                let bytes = &bytes[index * columns..][..columns];
                let drawn: Vec<f32> = generator
                    .binarize(1 << 35, row, bytes)
                    .map(|pixel| f32::from(pixel) / 255.0)
                    .collect();
                drawn
            };
            assert_eq!(found, [expected(0, 2), expected(1, 0)].concat());
            assert!(columns == 1 || found != [expected(1, 2), expected(0, 0)].concat());
        }
    }
}
