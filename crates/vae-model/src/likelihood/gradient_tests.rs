//! Gradients of the likelihoods over tensors against differences of the f64 functions, and their sums over a batch.

use super::tests::{
    Double, NAMES, SINGLE, Single, evaluate, golden, host_terms, magnitudes, named, single,
};
use vae_spec::{Likelihood, Spread};

/// Step of the differences, in units of the distribution's scale. The truncation of the Taylor series is its square over 6 times
/// the third derivative, which is at most 8 times the first's terms (of a square by the log of its root).
const STEP: f64 = 1e-4;
const TRUNCATED: f64 = 8.0 / 6.0 * STEP * STEP;

/// Over all lines of a golden, the largest distances of the gradients of the tensors of this name: in f64 from the differences of
/// the host function of `reference`, and in f32 from those in f64; in units of their tolerances.
fn gradient_distances(name: &str, reference: &str) -> [f64; 2] {
    let likelihood = named(reference, Spread::Learned);
    let (mut from_host, mut from_double) = (0f64, 0f64);
    for line in golden(name) {
        let [output, x, spread, _] = line[..] else {
            panic!("{name}: {line:?}")
        };
        // Kinks have no derivative.
        let is_clamped = likelihood.is_count() && output == Likelihood::MAX_LOG_MEAN;
        if is_clamped || (name == "laplace" && output == x) {
            continue;
        }
        let unit = if likelihood.is_count() { 1.0 } else { spread };
        let slope = |f: &dyn Fn(f64) -> f64| (f(STEP) - f(-STEP)) / (2.0 * STEP);
        let by_output = slope(&|by| likelihood.nll_of(output + by * unit, x, spread)) / unit;
        let by_log = slope(&|by| likelihood.nll_of(output, x, spread * by.exp()));
        let double = single::<Double>(name, output, x, spread);
        let single = single::<Single>(name, output, x, spread);
        let magnitudes = magnitudes(name, output, x, spread);
        let rounded = 4.0 * f64::EPSILON * host_terms(name, output, x, spread) / STEP;
        for (index, slope, unit) in [(1, by_output, unit), (2, by_log, 1.0)] {
            let tolerance = TRUNCATED * magnitudes[index] + rounded / unit;
            from_host = from_host.max((double[index] - slope).abs() / tolerance);
            let tolerance = SINGLE * magnitudes[index] + f64::MIN_POSITIVE;
            from_double = from_double.max((single[index] - double[index]).abs() / tolerance);
        }
    }
    [from_host, from_double]
}

#[test]
fn gradients_are_the_differences_of_the_host_functions() {
    for name in NAMES {
        let distances = gradient_distances(name, name);
        assert!(distances.iter().all(|&d| d < 1.0), "{name}: {distances:?}");
    }
}

#[test]
fn gradients_of_a_neighbour_are_told_apart() {
    for (name, neighbour) in [
        ("continuous-bernoulli", "bernoulli"),
        ("laplace", "gaussian"),
        ("negative-binomial", "poisson"),
    ] {
        let [from_host, _] = gradient_distances(name, neighbour);
        assert!(from_host > 100.0, "{name}: {from_host}");
    }
}

#[test]
fn a_batch_sums_over_pixels_and_a_spread_for_all_gathers_the_gradients_of_each() {
    let (output, x) = (
        [0.1, 0.4, 0.9, -0.3, 0.5, 0.2],
        [0.0, 1.0, 1.0, 1.0, 0.0, 1.0],
    );
    let spreads = [0.5, 2.0, 0.1];
    let close = |found: f64, expected: f64| {
        let error = (found - expected).abs() / (1.0 + expected.abs());
        assert!(error < 1e-12, "{found} {expected}");
    };
    for name in NAMES {
        let of_all = named(name, Spread::PerDimension);
        let [nll, by_output, by_log] = evaluate::<Double>(of_all, [2, 3], &output, &x, &spreads);
        assert_eq!([nll.len(), by_output.len()], [2, 6]);
        let of_each: Vec<[f64; 3]> = (0..6)
            .map(|i| single::<Double>(name, output[i], x[i], spreads[i % 3]))
            .collect();
        for row in 0..2 {
            close(
                nll[row],
                of_each[3 * row..][..3].iter().map(|each| each[0]).sum(),
            );
        }
        for (found, each) in by_output.iter().zip(&of_each) {
            close(*found, each[1]);
        }
        if of_all.spread().is_none() {
            assert!(by_log.is_empty());
            continue;
        }
        for column in 0..3 {
            close(by_log[column], of_each[column][2] + of_each[column + 3][2]);
        }
        let of_one = named(name, Spread::Learned);
        let [_, _, by_one] = evaluate::<Double>(of_one, [2, 3], &output, &x, &[2.0]);
        let [_, _, by_same] = evaluate::<Double>(of_all, [2, 3], &output, &x, &[2.0; 3]);
        assert_eq!([by_one.len(), by_same.len()], [1, 3]);
        close(by_one[0], by_same.iter().sum());
    }
}

#[test]
fn a_log_mean_beyond_the_largest_counts_as_it_without_a_gradient() {
    for name in ["poisson", "negative-binomial"] {
        let [at, ..] = single::<Single>(name, Likelihood::MAX_LOG_MEAN, 3.0, 2.0);
        let [beyond, by_output, _] = single::<Single>(name, 25.0, 3.0, 2.0);
        assert_eq!([beyond, by_output], [at, 0.0]);
        assert_eq!(
            named(name, Spread::Learned).nll_of(25.0, 3.0, 2.0),
            named(name, Spread::Learned).nll_of(20.0, 3.0, 2.0)
        );
    }
}

#[test]
fn values_and_gradients_are_finite_wherever_a_network_may_wander() {
    let logs = [-20.0, -5.0, 0.0, 5.0, 20.0];
    let outputs = [-1e4, -89.0, -1.0, -1e-20, 0.0, 1e-20, 0.5, 20.0, 89.0, 1e4];
    for name in NAMES {
        let is_count = named(name, Spread::Learned).is_count();
        let xs: &[f64] = if is_count {
            &[0.0, 1.0, 4.0, 1e6]
        } else {
            &[0.0, 0.6, 1.0]
        };
        for (&log, &output) in logs
            .iter()
            .flat_map(|log| outputs.iter().map(move |o| (log, o)))
        {
            for &x in xs {
                let found = single::<Single>(name, output, x, f64::exp(log));
                assert!(
                    found.iter().all(|v| v.is_finite()),
                    "{name} {output} {x} {log}: {found:?}"
                );
            }
        }
    }
}
