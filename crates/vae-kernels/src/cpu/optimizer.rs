//! The CPU twin of `shaders/step/square_sums.wgsl` and `shaders/step/update.wgsl`: one pass over the whole arena of
//! parameters, gradients and moments.

use pulp::Arch;
use rayon::prelude::*;

use crate::program::{Rule, Update};

/// Elements of a task: all its arrays together fit a core's second-level cache.
const TASK: usize = 16_384;
/// Values that a running sum keeps apart, so that it can be vectorised.
const LANES: usize = 16;

/// Below these a number is taken for zero. A pixel that is seldom bright leaves moments that shrink with every step, down
/// to subnormal numbers, which processors handle a hundred times slower; a gradient's square gets there at once. Either
/// would move a parameter by less than 1e-9 of a learning rate.
const TINY_MOMENT: f32 = 1e-33;
const TINY_GRADIENT: f32 = 1e-17;

#[inline(always)]
fn settled(value: f32, tiny: f32) -> f32 {
    if value.abs() < tiny { 0.0 } else { value }
}

/// Applies `update` to `parameters`; `moments` are as many arenas as its rule has.
///
/// # Panics
/// If the number of moments or a length does not fit.
pub(super) fn update(
    update: Update,
    parameters: &mut [f32],
    gradients: &[f32],
    moments: &mut [Vec<f32>],
) {
    let scale = update
        .clip_norm
        .map_or(1.0, |largest| (largest / (norm(gradients) + 1e-6)).min(1.0));
    let arch = Arch::new();
    let tasks = parameters
        .par_chunks_mut(TASK)
        .zip(gradients.par_chunks(TASK));
    match (update.rule, moments) {
        (Rule::Rmsprop { lr, rho, eps }, [velocity]) => {
            let tasks = tasks.zip(velocity.par_chunks_mut(TASK));
            tasks.for_each(|((w, g), v)| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                            let g = settled(scale * g, TINY_GRADIENT);
                            *v = settled(rho * *v + (1.0 - rho) * g * g, TINY_MOMENT);
                            *w -= lr * g / (*v + eps).sqrt();
                        }
                    },
                );
            });
        }
        (
            Rule::Adam {
                step_size,
                root_correction,
                beta1,
                beta2,
                eps,
                keep,
            },
            [mean, square],
        ) => {
            let root_scale = 1.0 / root_correction;
            let tasks = tasks.zip(mean.par_chunks_mut(TASK).zip(square.par_chunks_mut(TASK)));
            tasks.for_each(|((w, g), (m, v))| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for ((w, g), (m, v)) in w.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
                            let g = settled(scale * g, TINY_GRADIENT);
                            *m = settled(beta1 * *m + (1.0 - beta1) * g, TINY_MOMENT);
                            *v = settled(beta2 * *v + (1.0 - beta2) * g * g, TINY_MOMENT);
                            *w = keep * *w - step_size * *m / (v.sqrt() * root_scale + eps);
                        }
                    },
                );
            });
        }
        (Rule::Sgd { lr, momentum }, [buffer]) => {
            let tasks = tasks.zip(buffer.par_chunks_mut(TASK));
            tasks.for_each(|((w, g), m)| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for ((w, g), m) in w.iter_mut().zip(g).zip(m) {
                            *m = settled(momentum * *m + scale * g, TINY_MOMENT);
                            *w -= lr * *m;
                        }
                    },
                );
            });
        }
        (rule, moments) => panic!("{} moments do not fit {rule:?}", moments.len()),
    }
}

/// The Euclidean norm: sums of tasks, one after the other, so that the number of threads changes nothing.
fn norm(values: &[f32]) -> f32 {
    let arch = Arch::new();
    let sums: Vec<f32> = values
        .par_chunks(TASK)
        .map(|values| {
            arch.dispatch(
                #[inline(always)]
                || {
                    let mut sums = [0.0; LANES];
                    for values in values.chunks(LANES) {
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum += value * value;
                        }
                    }
                    sums.iter().sum::<f32>()
                },
            )
        })
        .collect();
    sums.iter().sum::<f32>().sqrt()
}
