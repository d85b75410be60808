//! The CPU twin of `shaders/step/corrupt.wgsl`: [`Corruption::apply`] on every row.

use rayon::prelude::*;
use vae_rng::Generator;
use vae_spec::Corruption;

/// Corrupts `images`, `[rows, columns]`, which are the rows `first_row ..` of `step`.
pub fn corrupt(
    images: &mut [f32],
    columns: usize,
    corruption: Corruption,
    generator: Generator,
    step: u64,
    first_row: u32,
) {
    let rows = images.par_chunks_exact_mut(columns).enumerate();
    rows.for_each(|(row, image)| {
        corruption.apply(generator, step, first_row + row as u32, image);
    });
}
