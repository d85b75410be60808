//! One pass over the whole arena of parameters, gradients and moments.

use pulp::Arch;
use rayon::prelude::*;

use crate::program::Update;

/// Elements of a task: all its arrays together fit a core's second-level cache.
const TASK: usize = 16_384;

/// Applies `update` to `parameters`; `moments` are one arena for RMSprop, two for Adam.
///
/// # Panics
/// If the number of moments or a length does not fit.
pub fn update(update: Update, parameters: &mut [f32], gradients: &[f32], moments: &mut [Vec<f32>]) {
    let arch = Arch::new();
    match (update, moments) {
        (Update::Rmsprop { lr, rho, eps }, [velocity]) => {
            let tasks = parameters
                .par_chunks_mut(TASK)
                .zip(gradients.par_chunks(TASK))
                .zip(velocity.par_chunks_mut(TASK));
            tasks.for_each(|((w, g), v)| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                            *v = rho * *v + (1.0 - rho) * g * g;
                            *w -= lr * g / (*v + eps).sqrt();
                        }
                    },
                );
            });
        }
        (
            Update::Adam {
                step_size,
                root_correction,
                beta1,
                beta2,
                eps,
            },
            [mean, square],
        ) => {
            let scale = 1.0 / root_correction;
            let tasks = parameters
                .par_chunks_mut(TASK)
                .zip(gradients.par_chunks(TASK));
            let tasks = tasks.zip(mean.par_chunks_mut(TASK).zip(square.par_chunks_mut(TASK)));
            tasks.for_each(|((w, g), (m, v))| {
                arch.dispatch(
                    #[inline(always)]
                    || {
                        for ((w, g), (m, v)) in w.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
                            *m = beta1 * *m + (1.0 - beta1) * g;
                            *v = beta2 * *v + (1.0 - beta2) * g * g;
                            *w -= step_size * *m / (v.sqrt() * scale + eps);
                        }
                    },
                );
            });
        }
        (update, moments) => panic!("{} moments do not fit {update:?}", moments.len()),
    }
}
