//! `fold` and `unfold` against each other.

use vae_rng::{Generator, Stream};

use super::patches::{fold, unfold};
use crate::program::Geometry;

/// Values in -1..1.
fn values(seed: u64, length: usize) -> Vec<f64> {
    let uniforms = Generator::new(seed, Stream::Init).uniforms(0, 0, 1, length);
    let values = uniforms.into_iter().map(|u| 2.0 * f64::from(u) - 1.0);
    values.collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn fold_is_the_adjoint_of_unfold() {
    for channels in [1, 3] {
        for image in [[28, 28], [5, 7], [9, 4]] {
            for (kernel, padding) in [(1, 0), (1, 2), (2, 1), (3, 0), (3, 1), (4, 2), (5, 2)] {
                for stride in 1..=3 {
                    let side = |side: usize| (side + 2 * padding - kernel) / stride + 1;
                    let geometry = Geometry {
                        kernel,
                        stride,
                        padding,
                        image,
                        map: image.map(side),
                    };
                    let x = values(1, channels * geometry.pixels());
                    let y = values(2, channels * kernel * kernel * geometry.window());
                    let mut phases = vec![0.0; geometry.phases()];
                    let mut patches = vec![0.0; y.len()];
                    unfold(&x, geometry, &mut phases, &mut patches);
                    let mut folded = vec![0.0; x.len()];
                    fold(&y, geometry, &mut phases, &mut folded);
                    let (forward, backward) = (dot(&patches, &y), dot(&x, &folded));
                    assert!(forward != 0.0, "{geometry:?}");
                    // Two sums of so many products below 1: each addition rounds a sum below their number to 2^-53 of it.
                    let terms = y.len() as f64;
                    let tolerance = 2.0 * terms * terms * 2f64.powi(-53);
                    assert!(
                        (forward - backward).abs() <= tolerance,
                        "{geometry:?}: {forward} and {backward}"
                    );
                }
            }
        }
    }
}
