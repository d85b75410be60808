//! The CPU twin of `shaders/step/square_sums.wgsl` and `shaders/step/update.wgsl`: one pass over the whole arena of
//! parameters, gradients and moments.

use pulp::Arch;
use rayon::prelude::*;

use vae_spec::Clip;

use crate::program::{Rule, Update};

/// Elements of a task: all its arrays together fit a core's second-level cache.
const TASK: usize = 16_384;
/// Partial sums that are kept apart, so that a sum of squares can be vectorised.
const LANES: usize = 16;
/// Largest number of arenas that an update keeps: AMSGrad's three and the average.
const MOMENTS: usize = 4;

/// Values below these count as zero. A pixel that is seldom bright leaves moments that shrink with every step, down to subnormal
/// numbers, which processors handle a hundred times slower; a gradient's square gets there at once. Either would move a parameter
/// by less than 1e-9 of a learning rate.
const TINY_MOMENT: f32 = 1e-33;
const TINY_GRADIENT: f32 = 1e-17;

#[inline(always)]
fn settled(value: f32, tiny: f32) -> f32 {
    if value.abs() < tiny { 0.0 } else { value }
}

/// `f32::clamp` without its panic, which would keep loops from being vectorised; NaN stays NaN.
#[inline(always)]
fn cut(value: f32, limit: f32) -> f32 {
    let value = if value > limit { limit } else { value };
    if value < -limit { -limit } else { value }
}

/// Applies `update` to `parameters`; `moments` are the arenas that it keeps.
///
/// # Panics
/// If the number of moments or a length does not fit.
pub(super) fn update(
    update: Update,
    parameters: &mut [f32],
    gradients: &[f32],
    moments: &mut [Vec<f32>],
) {
    assert_eq!(moments.len(), update.moments(), "arenas for {update:?}");
    let (scale, limit) = match update.clip {
        None => (1.0, f32::INFINITY),
        Some(Clip::Norm(largest)) => ((largest / (norm(gradients) + 1e-6)).min(1.0), f32::INFINITY),
        Some(Clip::Value(largest)) => (1.0, largest),
    };
    let parts = parameters.chunks_mut(TASK).zip(gradients.chunks(TASK));
    let mut tasks: Vec<Task<'_>> = parts
        .map(|(w, g)| Task {
            w,
            g,
            moments: Default::default(),
        })
        .collect();
    for (index, moment) in moments.iter_mut().enumerate() {
        assert_eq!(moment.len(), gradients.len(), "the length of a moment");
        for (task, part) in tasks.iter_mut().zip(moment.chunks_mut(TASK)) {
            task.moments[index] = part;
        }
    }
    let decay = update.weight_decay;
    // Each case has loops of its own, so that an update does not pay for what it does not use.
    if limit == f32::INFINITY && decay == 0.0 {
        run(tasks, &update, move |_, g| scale * g);
    } else {
        run(tasks, &update, move |w, g| {
            cut(scale * g, limit) + decay * w
        });
    }
}

/// `gradient` maps a parameter and its gradient to the gradient that the rule uses.
fn run(tasks: Vec<Task<'_>>, update: &Update, gradient: impl Fn(f32, f32) -> f32 + Copy + Sync) {
    let arch = Arch::new();
    tasks
        .into_par_iter()
        .for_each(|task| task.run(arch, update, gradient));
}

/// One task's piece of the arenas.
struct Task<'a> {
    w: &'a mut [f32],
    g: &'a [f32],
    /// The rule's moments, then the average; those not kept are empty.
    moments: [&'a mut [f32]; MOMENTS],
}

impl Task<'_> {
    // Each loop is a function of its own and borrows its constants: all in one, Adam takes 8 % longer, and with
    // copies of them 20 %.
    fn run(mut self, arch: Arch, update: &Update, gradient: impl Fn(f32, f32) -> f32 + Copy) {
        let (w, g) = (self.w.iter_mut(), self.g);
        let [first, second, third, _] = self.moments.each_mut().map(|moment| moment.iter_mut());
        let settled_gradient = move |w, g| settled(gradient(w, g), TINY_GRADIENT);
        match update.rule {
            Rule::Rmsprop { lr, rho, eps } => arch.dispatch(
                #[inline(always)]
                || {
                    for ((w, g), v) in w.zip(g).zip(first) {
                        let g = settled_gradient(*w, *g);
                        *v = settled(rho * *v + (1.0 - rho) * g * g, TINY_MOMENT);
                        *w -= lr * g / (*v + eps).sqrt();
                    }
                },
            ),
            Rule::Adam {
                step_size,
                root_correction,
                beta1,
                beta2,
                eps,
                keep,
                is_amsgrad,
            } => {
                let root_scale = 1.0 / root_correction;
                let mean =
                    move |m: f32, g: f32| settled(beta1 * m + (1.0 - beta1) * g, TINY_MOMENT);
                let square =
                    move |v: f32, g: f32| settled(beta2 * v + (1.0 - beta2) * g * g, TINY_MOMENT);
                let stepped = move |w: f32, m: f32, v: f32| {
                    keep * w - step_size * m / (v.sqrt() * root_scale + eps)
                };
                let each = w.zip(g).zip(first.zip(second));
                if is_amsgrad {
                    arch.dispatch(
                        #[inline(always)]
                        || {
                            for (((w, g), (m, v)), largest) in each.zip(third) {
                                let g = settled_gradient(*w, *g);
                                *m = mean(*m, g);
                                *v = square(*v, g);
                                *largest = largest.max(*v);
                                *w = stepped(*w, *m, *largest);
                            }
                        },
                    );
                } else {
                    arch.dispatch(
                        #[inline(always)]
                        || {
                            for ((w, g), (m, v)) in each {
                                let g = settled_gradient(*w, *g);
                                *m = mean(*m, g);
                                *v = square(*v, g);
                                *w = stepped(*w, *m, *v);
                            }
                        },
                    );
                }
            }
            Rule::Adagrad { lr, eps } => arch.dispatch(
                #[inline(always)]
                || {
                    for ((w, g), s) in w.zip(g).zip(first) {
                        let g = settled_gradient(*w, *g);
                        *s += g * g;
                        *w -= lr * g / (s.sqrt() + eps);
                    }
                },
            ),
            Rule::Sgd { lr, momentum } => arch.dispatch(
                #[inline(always)]
                || {
                    for ((w, g), m) in w.zip(g).zip(first) {
                        *m = settled(momentum * *m + gradient(*w, *g), TINY_MOMENT);
                        *w -= lr * *m;
                    }
                },
            ),
        }
        // While the parameters are still in the core's cache.
        if let Some(decay) = update.ema {
            let averages = self.moments[update.rule.moments()].iter_mut();
            let each = averages.zip(&*self.w);
            arch.dispatch(
                #[inline(always)]
                || {
                    for (average, w) in each {
                        *average = settled(decay * *average + (1.0 - decay) * *w, TINY_MOMENT);
                    }
                },
            );
        }
    }
}

/// The Euclidean norm; the tasks' sums are added in order, so that the number of threads changes nothing.
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
