//! Gradients of every objective with every prior and likelihood against differences of its loss.

use super::{Case, tiny};
use vae_spec::{
    Activation, Convolutions, KlEstimate, Likelihood, MmdKernel, ModelConfig, Objective,
    ObjectiveKind, Prior, Spread, Upsampling,
};

/// Step of the differences, at which their rounding, `eps loss / STEP`, and their truncation of the Taylor series, `STEP^4 / 30`
/// times the fifth derivative, are about equal.
const STEP: f64 = 1e-3;

const MIXTURE: Prior = Prior::Mixture { components: 3 };
const VAMP: Prior = Prior::Vamp { inputs: 2 };

/// How much a loss may jump where its likelihood switches to a series: the first omitted term at that place, for the continuous
/// Bernoulli `B_10 0.5^10 / (10 10!)`, for counts `2 (x + theta) 0.125^11 / 11`, with `x + theta` of 12. burn's sigmoid jumps by
/// some roundings of an f32 on every backend.
fn jump(config: &ModelConfig) -> f64 {
    match config.likelihood {
        _ if config.activation == Activation::Sigmoid => 4.0 / f64::from(1 << 24),
        Likelihood::ContinuousBernoulli => 2.1e-12,
        likelihood if likelihood.is_count() => 2.2e-10,
        _ => 0.0,
    }
}

/// The derivative of `f` at 0 by four differences, and its error bound if `f` jumps by as much as `jump`.
fn slope(f: impl Fn(f64) -> f64, jump: f64) -> (f64, f64) {
    let near = |by: f64| f(by) - f(-by);
    let [first, second, fourth] = [1.0, 2.0, 4.0].map(|steps| near(steps * STEP));
    let slope = (8.0 * first - second) / (12.0 * STEP);
    // With twice the step the truncation error is 16 times as large: the two differ by 15 times that of this one.
    let coarse = (8.0 * second - fourth) / (24.0 * STEP);
    let left = (coarse - slope).abs() / 4.0;
    // A loss is a sum of some tens of terms of its size, each rounded.
    let rounded = 64.0 * f64::EPSILON * (1.0 + f(0.0).abs()) / STEP;
    (slope, left + rounded + jump / STEP)
}

/// Over the parameters whose names pass `is_checked`, the largest distance of `gradients` from the differences of the loss of
/// `case`, in units of their tolerances.
fn distance(case: &Case, gradients: &[Vec<f64>], is_checked: impl Fn(&str) -> bool) -> f64 {
    let (mut largest, mut count) = (0f64, 0);
    for (index, spec) in case.config.parameters().iter().enumerate() {
        if !is_checked(&spec.name) {
            continue;
        }
        for (place, &gradient) in gradients[index].iter().enumerate() {
            let moved = |by: f64| case.with(|case| case.parameters[index][place] += by).loss();
            let (slope, tolerance) = slope(moved, jump(&case.config));
            // A test that tolerates much tests nothing.
            let most = 1e-6 * (1.0 + slope.abs()) + 2.0 * jump(&case.config) / STEP;
            assert!(
                tolerance < most,
                "{:?} {}: {tolerance}",
                case.config.activation,
                spec.name
            );
            let found = (gradient - slope).abs() / tolerance;
            assert!(found.is_finite(), "{}: {gradient} {slope}", spec.name);
            largest = largest.max(found);
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
    largest
}

pub(super) fn check(case: &Case) {
    let distance = distance(case, &case.gradients(), |_| true);
    assert!(
        distance < 1.0,
        "{:?} {:?}: {distance}",
        case.objective,
        case.config
    );
}

pub(super) fn with(kind: ObjectiveKind, samples: usize, kl: KlEstimate) -> Objective {
    Objective {
        kind,
        samples,
        kl,
        free_bits: None,
    }
}

/// Objectives that work with any prior.
fn for_any_prior() -> [Objective; 7] {
    use KlEstimate::Sampled;
    use ObjectiveKind::{Capacity, Elbo, Iwae, Mmd};
    let mmd = |kernel| Mmd {
        weight: 2.5,
        kernel,
    };
    [
        with(Elbo, 1, Sampled),
        with(Elbo, 3, Sampled),
        with(Capacity, 1, Sampled),
        with(mmd(MmdKernel::Imq), 1, Sampled),
        with(mmd(MmdKernel::Rbf), 2, Sampled),
        with(Iwae, 1, Sampled),
        with(Iwae, 4, Sampled),
    ]
}

/// Objectives that need the standard normal prior.
fn for_the_normal() -> [Objective; 5] {
    use KlEstimate::{Analytic, Sampled};
    use ObjectiveKind::{BetaTc, Capacity, Elbo, Mmd};
    let mmd = Mmd {
        weight: 2.5,
        kernel: MmdKernel::Imq,
    };
    [
        with(Elbo, 1, Analytic),
        with(Elbo, 3, Analytic),
        with(Capacity, 1, Analytic),
        with(mmd, 1, Analytic),
        with(BetaTc, 1, Sampled),
    ]
}

fn likelihoods() -> [Likelihood; 10] {
    [
        Likelihood::Bernoulli,
        Likelihood::ContinuousBernoulli,
        Likelihood::Gaussian(Spread::Fixed(0.5)),
        Likelihood::Gaussian(Spread::Learned),
        Likelihood::Gaussian(Spread::PerDimension),
        Likelihood::Laplace(Spread::Learned),
        Likelihood::DiscretizedLogistic(Spread::PerDimension),
        Likelihood::Poisson,
        Likelihood::NegativeBinomial(Spread::Learned),
        Likelihood::NegativeBinomial(Spread::PerDimension),
    ]
}

fn of(likelihood: Likelihood, prior: Prior) -> ModelConfig {
    ModelConfig {
        likelihood,
        prior,
        ..tiny()
    }
}

#[test]
fn gradients_of_every_objective_are_differences_of_its_loss() {
    for prior in [Prior::Normal, MIXTURE, VAMP] {
        let config = of(Likelihood::Bernoulli, prior);
        for objective in for_any_prior() {
            check(&Case::new(&config, objective));
        }
    }
    for objective in for_the_normal() {
        check(&Case::new(
            &of(Likelihood::Bernoulli, Prior::Normal),
            objective,
        ));
    }
}

#[test]
fn gradients_of_every_likelihood_are_differences_of_its_loss() {
    use KlEstimate::{Analytic, Sampled};
    for likelihood in likelihoods() {
        for (prior, objective) in [
            (Prior::Normal, with(ObjectiveKind::Elbo, 1, Analytic)),
            (Prior::Normal, with(ObjectiveKind::BetaTc, 1, Sampled)),
            (MIXTURE, with(ObjectiveKind::Iwae, 4, Sampled)),
            (VAMP, with(ObjectiveKind::Elbo, 3, Sampled)),
        ] {
            check(&Case::new(&of(likelihood, prior), objective));
        }
    }
}

#[test]
fn gradients_through_every_activation_are_differences_of_the_loss() {
    for activation in [
        Activation::Relu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Gelu,
        Activation::LeakyRelu,
        Activation::Softplus,
    ] {
        let config = ModelConfig {
            activation,
            ..tiny()
        };
        let case = Case::new(&config, Objective::ELBO);
        // No pre-activation of a hidden layer is so near 0 that a difference crosses the kink of a ReLU.
        check(&case.with(|case| case.parameters[1] = vec![0.7, -0.2, 0.4]));
    }
}

#[test]
fn gradients_through_convolutions_norms_and_residual_blocks_are_differences_of_the_loss() {
    for (kernel, upsampling) in [
        (3, Upsampling::Transposed),
        (2, Upsampling::Transposed),
        (3, Upsampling::Nearest),
    ] {
        let config = ModelConfig {
            image: [1, 3, 4],
            convolutions: Some(Convolutions {
                channels: vec![2],
                kernel,
                stride: 2,
                upsampling,
                groups: Some(1),
                residual_blocks: 1,
            }),
            ..tiny()
        };
        check(&Case::new(&config, Objective::ELBO));
    }
}

#[test]
fn the_decoders_gradient_of_dreg_is_that_of_the_bound() {
    for prior in [Prior::Normal, MIXTURE, VAMP] {
        for likelihood in [
            Likelihood::Bernoulli,
            Likelihood::Gaussian(Spread::PerDimension),
            Likelihood::NegativeBinomial(Spread::Learned),
        ] {
            for samples in [1, 4] {
                let kind = ObjectiveKind::Dreg;
                let case = Case::new(
                    &of(likelihood, prior),
                    with(kind, samples, KlEstimate::Sampled),
                );
                let iwae = case.with(|case| case.objective.kind = ObjectiveKind::Iwae);
                let close = (case.loss() - iwae.loss()).abs() / iwae.loss().abs();
                assert!(close < 1e-14, "{close}");
                // Draws of the encoder reach the loss as constants: its own gradient is made elsewhere.
                let is_decoders = |name: &str| {
                    ["decoder", "output", "likelihood", "prior"]
                        .iter()
                        .any(|side| name.starts_with(side))
                };
                let distance = distance(&iwae, &case.gradients(), is_decoders);
                assert!(
                    distance < 1.0,
                    "{likelihood:?} {prior:?} {samples}: {distance}"
                );
            }
        }
    }
}

#[test]
fn gradients_of_a_neighbour_are_told_apart() {
    let case = Case::new(&tiny(), Objective::ELBO);
    let apart = |other: Case| distance(&case, &other.gradients(), |_| true);
    assert!(apart(case.clone()) < 1.0);
    let wrong = [
        apart(case.with(|case| case.weighting.beta *= -1.0)),
        apart(case.with(|case| case.weighting.beta *= 1.001)),
        apart(case.with(|case| case.objective.kl = KlEstimate::Sampled)),
        apart(case.with(|case| case.objective.kind = ObjectiveKind::BetaTc)),
        apart(case.with(|case| case.noise.eps[0] *= 1.001)),
    ];
    assert!(wrong.iter().all(|&d| d > 1000.0), "{wrong:?}");
}
