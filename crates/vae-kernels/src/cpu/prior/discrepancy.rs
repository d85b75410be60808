//! The squared maximum mean discrepancy of two samples, unbiased (Gretton et al. 2012, equation 3): for each row its partners side
//! by side.

use crate::cpu::vectorized::vectorized;
use rayon::prelude::*;
use vae_spec::MmdKernel;

use super::lanes::{padded, sum, transposed};
use crate::cpu::special::exp;

/// A coordinate so far off that the kernel is 0, whose square is still a number.
const FAR: f32 = 1e18;

/// The kernel as a function of the squared distance, and its derivative.
#[inline(always)]
fn kernel(kernel: MmdKernel, width: f32, squared: f32) -> [f32; 2] {
    match kernel {
        MmdKernel::Imq => {
            let (mut value, mut slope) = (0.0, 0.0);
            for scale in MmdKernel::IMQ_SCALES {
                let scale = scale as f32 * width;
                let inverse = 1.0 / (scale + squared);
                value += scale * inverse;
                slope -= scale * inverse * inverse;
            }
            [value, slope]
        }
        MmdKernel::Rbf => {
            let value = exp(-squared / width);
            [value, -value / width]
        }
    }
}

/// Weights of the sums over pairs within a sample and between both.
fn shares(rows: usize) -> [f32; 2] {
    let rows = rows as f64;
    [1.0 / (rows * (rows - 1.0).max(1.0)), 2.0 / (rows * rows)].map(|share| share as f32)
}

/// Squared distances of a row from all rows of a transposed sample.
#[inline(always)]
fn distances(row: &[f32], others: &[f32], squared: &mut [f32]) {
    squared.fill(0.0);
    for (&x, others) in row.iter().zip(others.chunks_exact(squared.len())) {
        for (squared, other) in squared.iter_mut().zip(others) {
            let distance = x - other;
            *squared += distance * distance;
        }
    }
}

/// See [`crate::program::PriorPass::DiscrepancyForward`].
pub(super) fn forward([z, y]: [&[f32]; 2], of: MmdKernel, parts: &mut [f32]) {
    let (rows, latent) = (parts.len(), z.len() / parts.len());
    let width = 2.0 * latent as f32;
    let [within, between] = shares(rows).map(|share| share * rows as f32);
    let others = [z, y].map(|values| transposed(values, latent, FAR));
    let [at_itself, _] = kernel(of, width, 0.0);
    let tasks = parts.par_iter_mut().enumerate();
    tasks.for_each_init(
        || vec![0.0; padded(rows)],
        |squared, (row, part)| {
            vectorized(
                #[inline(always)]
                || {
                    let [z, y] = [z, y].map(|values| &values[row * latent..][..latent]);
                    let mut same = 0.0;
                    for (row, others) in [z, y].into_iter().zip(&others) {
                        same += total(of, row, others, squared);
                    }
                    *part = within * (same - 2.0 * at_itself)
                        - between * total(of, z, &others[1], squared);
                },
            );
        },
    );
}

/// The sum of the kernel over the pairs of a row and the others. No closure: the compiler would make a function of it, for any processor.
#[inline(always)]
fn total(of: MmdKernel, row: &[f32], others: &[f32], squared: &mut [f32]) -> f32 {
    let width = 2.0 * row.len() as f32;
    distances(row, others, squared);
    sum([squared], |[squared]| kernel(of, width, squared)[0])
}

/// See [`crate::program::PriorPass::DiscrepancyBackward`].
pub(super) fn backward(
    [z, y]: [&[f32]; 2],
    latent: usize,
    of: MmdKernel,
    weight: f32,
    d_z: &mut [f32],
) {
    let rows = z.len() / latent;
    let width = 2.0 * latent as f32;
    // Twice for the derivative of the square; a pair within counts for both of its rows.
    let [within, between] = shares(rows);
    let factors = [4.0 * weight * within, -2.0 * weight * between];
    let length = padded(rows);
    let others = [z, y].map(|values| transposed(values, latent, FAR));
    let tasks = d_z.par_chunks_exact_mut(latent).enumerate();
    tasks.for_each_init(
        || vec![0.0; length],
        |slopes, (row, d_z)| {
            vectorized(
                #[inline(always)]
                || {
                    let z = &z[row * latent..][..latent];
                    for (others, factor) in others.iter().zip(factors) {
                        distances(z, others, slopes);
                        for slope in &mut *slopes {
                            *slope = kernel(of, width, *slope)[1];
                        }
                        // What only fills a vector has no slope; far off it would not be 0 times the distance.
                        slopes[rows..].fill(0.0);
                        for (j, d_z) in d_z.iter_mut().enumerate() {
                            let others = &others[j * length..][..length];
                            let slope = |[slope, other]: [f32; 2]| slope * (z[j] - other);
                            *d_z += factor * sum([&*slopes, others], slope);
                        }
                    }
                },
            );
        },
    );
}
