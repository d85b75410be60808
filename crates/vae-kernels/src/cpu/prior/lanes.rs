//! Numbers of many partners side by side, padded to whole vectors, for loops that the compiler vectorises.

use super::super::special::{exp, ln};

/// Numbers in a vector: two of the widest registers' fill.
pub(super) const LANES: usize = 16;

/// The next multiple of [`LANES`].
pub(super) const fn padded(count: usize) -> usize {
    count.next_multiple_of(LANES)
}

/// The sum of `f` over whole vectors of several arrays, in an order that depends on their length alone.
#[inline(always)]
pub(super) fn sum<const N: usize>(arrays: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let chunks = arrays.map(|values| values.as_chunks::<LANES>().0);
    for index in 0..chunks[0].len() {
        let vectors = chunks.map(|chunks| &chunks[index]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += f(vectors.map(|vector| vector[lane]));
        }
    }
    sums.iter().sum()
}

/// `log sum exp` of whole vectors.
#[inline(always)]
pub(super) fn log_sum_exp(logs: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    for chunk in logs.as_chunks::<LANES>().0 {
        for (largest, &log) in largest.iter_mut().zip(chunk) {
            *largest = if log > *largest { log } else { *largest };
        }
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    largest + ln(sum([logs], |[log]| exp(log - largest)))
}

/// The transpose of `[rows, columns]`, its rows padded with `pad`.
pub(super) fn transposed(values: &[f32], columns: usize, pad: f32) -> Vec<f32> {
    let rows = values.len() / columns;
    let length = padded(rows);
    let mut transposed = vec![pad; columns * length];
    for (row, values) in values.chunks_exact(columns).enumerate() {
        for (column, &value) in values.iter().enumerate() {
            transposed[column * length + row] = value;
        }
    }
    transposed
}
