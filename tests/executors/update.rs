//! Every update rule with every clip, weight decay and average: the executors' results against the formulas of PyTorch and
//! Keras in f64, applied to the executors' own gradients.

use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Arena, Executor};
use vae_kernels::gpu::GpuExecutor;
use vae_kernels::program::{Rule, Update};
use vae_spec::Clip;

use super::{Gathering, start, step, training};
use crate::common::{distance, gpu};

const LR: f32 = 1e-2;
const STEPS: i32 = 20;
/// As large as small gradients, so that its place in a formula matters, and so that where a gradient and its decay cancel,
/// their rounding error is not amplified to a whole step.
const EPS: f32 = 1e-3;
const BETA1: f32 = 0.9;
/// So small that a mean of squares decreases again within a few steps.
const BETA2: f32 = 0.5;

/// Pixels that give 235 and 21,011 parameters: not a multiple of the vector, workgroup or task size; the latter exceeds one
/// of each.
const PIXELS: [usize; 2] = [33, 3_001];

/// Adam's constants at update `t`, counted from 1; `decay` is AdamW's.
fn adam(t: i32, decay: f32, is_amsgrad: bool) -> Rule {
    let correction = |beta: f32| 1.0 - f64::from(beta).powi(t);
    Rule::Adam {
        step_size: (f64::from(LR) / correction(BETA1)) as f32,
        root_correction: correction(BETA2).sqrt() as f32,
        beta1: BETA1,
        beta2: BETA2,
        eps: EPS,
        keep: 1.0 - LR * decay,
        is_amsgrad,
    }
}

/// The updates under test, at update `t`, counted from 1.
fn updates(t: i32) -> Vec<Update> {
    let rmsprop = Rule::Rmsprop {
        lr: LR,
        rho: 0.9,
        eps: EPS * EPS,
    };
    let adagrad = Rule::Adagrad { lr: LR, eps: EPS };
    let sgd = Rule::Sgd {
        lr: LR,
        momentum: 0.9,
    };
    let ema = Some(0.9_f32.min((1 + t) as f32 / (10 + t) as f32));
    let variants = |rule| {
        let plain = Update::new(rule);
        [
            plain,
            Update { ema, ..plain },
            Update {
                clip: Some(Clip::Value(0.05)),
                weight_decay: 0.1,
                ..plain
            },
            Update {
                clip: Some(Clip::Norm(0.5)),
                weight_decay: 0.1,
                ema,
                ..plain
            },
        ]
    };
    let rules = [
        adam(t, 0.0, false),
        adam(t, 0.0, true),
        rmsprop,
        adagrad,
        sgd,
    ];
    let adamw = Update::new(adam(t, 0.3, false));
    rules
        .into_iter()
        .flat_map(variants)
        .chain([adamw])
        .collect()
}

/// Plausible mistakes in an implementation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    AdamForAmsgrad,
    EpsUnderAdagradsRoot,
    NoDecay,
    DecayBeforeClip,
    NormForValue,
    AverageOfTheOldWeights,
}

impl Mistake {
    /// The mistakes that change the result of `update`.
    fn of(update: &Update) -> Vec<Self> {
        let is_amsgrad = matches!(
            update.rule,
            Rule::Adam {
                is_amsgrad: true,
                ..
            }
        );
        let is_adagrad = matches!(update.rule, Rule::Adagrad { .. });
        let decays = update.weight_decay > 0.0;
        let mistakes = [
            (Self::AdamForAmsgrad, is_amsgrad),
            (Self::EpsUnderAdagradsRoot, is_adagrad),
            (Self::NoDecay, decays),
            (Self::DecayBeforeClip, decays && update.clip.is_some()),
            (
                Self::NormForValue,
                matches!(update.clip, Some(Clip::Value(_))),
            ),
            (Self::AverageOfTheOldWeights, update.ema.is_some()),
        ];
        let mistakes = mistakes.into_iter().filter(|(_, is_possible)| *is_possible);
        mistakes.map(|(mistake, _)| mistake).collect()
    }
}

/// Parameters, then every arena of the optimizer state, in f64.
type State = Vec<Vec<f64>>;

/// The gradient that the rule sees.
fn seen(update: &Update, w: &[f64], gradients: &[f32], mistake: Option<Mistake>) -> Vec<f64> {
    let mut g: Vec<f64> = gradients.iter().map(|&g| g.into()).collect();
    let decay = |g: &mut [f64]| {
        for (g, w) in g.iter_mut().zip(w) {
            *g += f64::from(update.weight_decay) * w;
        }
    };
    if mistake == Some(Mistake::DecayBeforeClip) {
        decay(&mut g);
    }
    let norm = |g: &[f64]| g.iter().map(|g| g * g).sum::<f64>().sqrt();
    match update.clip {
        Some(Clip::Value(largest)) if mistake != Some(Mistake::NormForValue) => {
            let largest = f64::from(largest);
            g.iter_mut().for_each(|g| *g = g.max(-largest).min(largest));
        }
        Some(Clip::Norm(largest) | Clip::Value(largest)) => {
            let scale = (f64::from(largest) / (norm(&g) + 1e-6)).min(1.0);
            g.iter_mut().for_each(|g| *g *= scale);
        }
        None => {}
    }
    if !matches!(mistake, Some(Mistake::DecayBeforeClip | Mistake::NoDecay)) {
        decay(&mut g);
    }
    g
}

/// The `t`-th update, by the formulas of the sources.
fn advance(
    update: &Update,
    t: i32,
    state: &mut State,
    gradients: &[f32],
    mistake: Option<Mistake>,
) {
    let g = seen(update, &state[0], gradients, mistake);
    let average = update.rule.moments() + 1;
    for (i, g) in g.into_iter().enumerate() {
        let old = state[0][i];
        let lr = f64::from(LR);
        let new = match update.rule {
            Rule::Rmsprop { rho, eps, .. } => {
                let rho = f64::from(rho);
                state[1][i] = rho * state[1][i] + (1.0 - rho) * g * g;
                old - lr * g / (state[1][i] + f64::from(eps)).sqrt()
            }
            Rule::Adam {
                keep,
                eps,
                is_amsgrad,
                ..
            } => {
                let [beta1, beta2] = [BETA1, BETA2].map(f64::from);
                state[1][i] = beta1 * state[1][i] + (1.0 - beta1) * g;
                state[2][i] = beta2 * state[2][i] + (1.0 - beta2) * g * g;
                let mut square = state[2][i];
                if is_amsgrad {
                    state[3][i] = state[3][i].max(square);
                    if mistake != Some(Mistake::AdamForAmsgrad) {
                        square = state[3][i];
                    }
                }
                let mean = state[1][i] / (1.0 - beta1.powi(t));
                let root = square.sqrt() / (1.0 - beta2.powi(t)).sqrt();
                f64::from(keep) * old - lr * mean / (root + f64::from(eps))
            }
            Rule::Adagrad { eps, .. } => {
                let eps = f64::from(eps);
                state[1][i] += g * g;
                let root = match mistake {
                    Some(Mistake::EpsUnderAdagradsRoot) => (state[1][i] + eps).sqrt(),
                    _ => state[1][i].sqrt() + eps,
                };
                old - lr * g / root
            }
            Rule::Sgd { momentum, .. } => {
                state[1][i] = f64::from(momentum) * state[1][i] + g;
                old - lr * state[1][i]
            }
        };
        state[0][i] = new;
        if let Some(decay) = update.ema.map(f64::from) {
            let seen = match mistake {
                Some(Mistake::AverageOfTheOldWeights) => old,
                _ => new,
            };
            state[average][i] = decay * state[average][i] + (1.0 - decay) * seen;
        }
    }
}

/// The largest error of `found` against the formulas, in tolerances.
///
/// A gradient clipped by norm has a relative error of 1e-6, because the norm is a sum of 21,011 squares in f32. After
/// clipping it is below 0.05 where its decay can cancel it, so that a quotient by at least `EPS` has an error of 5e-8 / 1e-3 =
/// 5e-5 and twenty steps 1e-3 lr; rounding the parameters, which are below 2, adds 20 2^-24 = 1.2e-6, or 1.2e-4 lr. Moments
/// accumulate the same errors: those of SGD, ten gradients, 5e-7, the others less, plus their own rounding errors, a relative
/// few 2^-24 per step.
fn worst(found: &[Vec<f32>], expected: &State) -> f32 {
    assert_eq!(found.len(), expected.len());
    let arenas = found
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(arena, (found, expected))| {
            let expected: Vec<f32> = expected.iter().map(|&x| x as f32).collect();
            let tolerance = |index: usize| match arena {
                0 => 2e-3 * LR,
                _ => 1e-6 + 2e-5 * expected[index].abs(),
            };
            distance(found, &expected, tolerance)
        });
    arenas.fold(0.0, f32::max)
}

/// Trains with each update on executors that `make` builds from parameters and moments, and compares the results.
fn compare(make: impl Fn(Vec<f32>, Vec<Vec<f32>>) -> Box<dyn Executor>) {
    for pixels in PIXELS {
        let gathering = Gathering::bytes(pixels, false);
        let (program, length) = training(gathering);
        let (images, row_bytes) = gathering.images();
        for (index, first) in updates(1).iter().enumerate() {
            // Unclipped SGD steps are as long as the gradients, hundreds with many pixels: training would diverge.
            let is_wild = matches!(first.rule, Rule::Sgd { .. }) && first.clip.is_none();
            if is_wild && pixels != PIXELS[0] {
                continue;
            }
            let mut moments = vec![vec![0.0; length]; first.rule.moments()];
            moments.extend(first.ema.map(|_| start(length)));
            assert_eq!(moments.len(), first.moments());
            let initial = [start(length)].into_iter().chain(moments.clone());
            let initial: State = initial
                .map(|arena| arena.into_iter().map(f64::from).collect())
                .collect();
            let mistakes = Mistake::of(first);
            let mut states = vec![initial; 1 + mistakes.len()];
            let formulas = || [None].into_iter().chain(mistakes.iter().copied().map(Some));

            let mut executor = make(start(length), moments);
            executor
                .set_images(images.clone(), Vec::new(), row_bytes)
                .expect("a working device");
            for t in 1..=STEPS {
                let update = updates(t)[index];
                let rows = (0..7)
                    .map(|row| (row * t as u32 + row * row) % 40)
                    .collect();
                let step = step(&program, t as u64, rows, update);
                executor.train(step).expect("a working device");
                let gradients = executor.arena(Arena::Gradients).expect("a working device");
                for (state, mistake) in states.iter_mut().zip(formulas()) {
                    advance(&update, t, state, &gradients, mistake);
                }
            }
            let arenas = (0..first.moments()).map(Arena::Moment);
            let found = [Arena::Parameters].into_iter().chain(arenas);
            let found: Vec<_> = found
                .map(|arena| executor.arena(arena).expect("a working device"))
                .collect();
            for (state, mistake) in states.iter().zip(formulas()) {
                let worst = worst(&found, state);
                let is_right = match mistake {
                    None => worst <= 1.0,
                    Some(_) => worst > 5.0,
                };
                assert!(
                    is_right,
                    "{first:?}, {length} parameters, {mistake:?}: {worst} tolerances"
                );
            }
        }
    }
}

#[test]
fn every_update_on_the_cpu_is_that_of_its_source_and_not_a_neighbour_of_it() {
    compare(|parameters, moments| Box::new(Cpu::new(parameters, moments)));
}

#[test]
fn every_update_on_the_gpu_is_that_of_its_source_and_not_a_neighbour_of_it() {
    let Some(gpu) = gpu() else { return };
    compare(|parameters, moments| {
        let executor = GpuExecutor::new(gpu, &parameters, &moments);
        Box::new(executor.expect("a working device"))
    });
}
