//! Random words and normals for whole tasks, drawn side by side in wide vectors: the numbers of `vae_rng`'s single blocks.

use vae_rng::{Generator, LANES, Noise, normals_of_lanes};

use super::vectorized::vectorized;

/// Numbers of as many blocks as are drawn side by side.
pub(super) const DRAWN: usize = 4 * LANES;

/// Fills `eps` with the normals of `noise`, `[rows, 4 * quads]`, and possibly some behind them.
pub(super) fn normals(noise: Noise, rows: usize, quads: usize, eps: &mut Vec<f32>) {
    eps.resize((4 * rows * quads).next_multiple_of(DRAWN), 0.0);
    let (mut row, mut quad) = (noise.first_row, 0);
    let quads = quads as u32;
    vectorized(
        #[inline(always)]
        || {
            for eps in eps.as_chunks_mut::<DRAWN>().0 {
                let [mut of_rows, mut of_quads] = [[0; LANES]; 2];
                for (of_row, of_quad) in of_rows.iter_mut().zip(&mut of_quads) {
                    (*of_row, *of_quad) = (row, quad);
                    quad += 1;
                    if quad == quads {
                        (row, quad) = (row.wrapping_add(1), 0);
                    }
                }
                let words = noise.generator.lanes(noise.step, of_rows, of_quads);
                *eps = in_order(&normals_of_lanes(&words));
            }
        },
    );
}

/// The words of [`LANES`] blocks of `row` at `step`, from the one of `quad` on, in order.
#[inline(always)]
pub(super) fn words(generator: &Generator, step: u64, row: u32, quad: u32) -> [u32; DRAWN] {
    let quads = std::array::from_fn(|i| quad + i as u32);
    in_order(&generator.lanes(step, [row; LANES], quads))
}

/// The four numbers of the first block, then those of the next.
#[inline(always)]
fn in_order<T: Copy + Default>(lanes: &[[T; LANES]; 4]) -> [T; DRAWN] {
    let mut numbers = [T::default(); DRAWN];
    for (i, numbers) in numbers.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *numbers = [lanes[0][i], lanes[1][i], lanes[2][i], lanes[3][i]];
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use vae_rng::Stream;

    #[test]
    fn normals_of_a_task_are_those_of_its_rows_one_by_one() {
        for (rows, columns) in [(1, 1), (13, 20), (7, 33), (2, 1030)] {
            let noise = Noise {
                generator: Generator::new(3, Stream::Noise),
                step: 1 << 33 | 5,
                first_row: u32::MAX - 2,
            };
            let quads = usize::div_ceil(columns, 4);
            let mut eps = vec![9.0; 3];
            normals(noise, rows, quads, &mut eps);
            for (row, eps) in eps.chunks_exact(4 * quads).take(rows).enumerate() {
                let first_row = noise.first_row.wrapping_add(row as u32);
                let expected = Noise { first_row, ..noise }.normals(1, 4 * quads);
                assert_eq!(eps, expected, "row {row} of {rows} x {columns}");
            }
        }
    }

    #[test]
    fn words_are_those_of_the_blocks_in_order() {
        let generator = Generator::new(3, Stream::Binarization);
        let found = words(&generator, 9, 4, 32);
        let blocks = (32..).take(LANES).map(|quad| generator.block(9, 4, quad));
        assert_eq!(found.to_vec(), blocks.flatten().collect::<Vec<_>>());
        assert_ne!(found, words(&generator, 9, 4, 33));
    }
}
