//! The CPU twin of `shaders/step/gather.wgsl`.

use super::vectorized::vectorized;
use rayon::prelude::*;
use vae_rng::Generator;

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
            let pixels = generator.binarize(step, first_row + row as u32, bytes);
            for (x, pixel) in image.iter_mut().zip(pixels) {
                *x = f32::from(pixel) / 255.0;
            }
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
