//! Gradients on both sides of a capacity, of free bits and of the clamp of variances.

use super::gradients::{check, with};
use super::{Case, tiny};
use vae_spec::{FreeBits, FreeBitsPer, KlEstimate, Objective, ObjectiveKind};

#[test]
fn a_capacity_pulls_from_both_sides() {
    for kl in [KlEstimate::Analytic, KlEstimate::Sampled] {
        for capacity in [0.01, 40.0] {
            let case = Case::new(&tiny(), with(ObjectiveKind::Capacity, 1, kl));
            check(&case.with(|case| case.weighting.capacity = capacity));
        }
    }
}

#[test]
fn gradients_above_and_below_free_bits_are_differences_of_the_loss() {
    for per in [
        FreeBitsPer::Dimension,
        FreeBitsPer::Group(2),
        FreeBitsPer::Total,
    ] {
        for after_batch_mean in [false, true] {
            for nats in [0.05, 0.3, 1.0] {
                let free_bits = Some(FreeBits {
                    nats,
                    per,
                    after_batch_mean,
                });
                check(&Case::new(
                    &tiny(),
                    Objective {
                        free_bits,
                        ..Objective::ELBO
                    },
                ));
            }
        }
    }
}

#[test]
fn a_variance_beyond_the_clamp_counts_as_the_clamp_without_a_gradient() {
    for (bias, side) in [(-50.0, "below"), (50.0, "above")] {
        let case = Case::new(&tiny(), Objective::ELBO);
        let place = |name: &str| {
            let parameters = case.config.parameters();
            parameters.iter().position(|spec| spec.name == name)
        };
        let (weight, bias_place) = (
            place("log_var.weight").expect("a layer"),
            place("log_var.bias").expect("a layer"),
        );
        let far = case.with(|case| case.parameters[bias_place].fill(bias));
        let gradients = far.gradients();
        for place in [weight, bias_place] {
            assert!(gradients[place].iter().all(|&g| g == 0.0), "{side}");
        }
        let farther = far.with(|case| case.parameters[bias_place].fill(2.0 * bias));
        assert_eq!(far.loss(), farther.loss());
    }
}
