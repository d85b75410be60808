//! Latent use of posteriors with known mutual information, divergence and active units.

use vae_rng::{Generator, Stream};

use super::LatentUse;

fn noise() -> Generator {
    Generator::new(5, Stream::EvaluationNoise)
}

fn information(mu: &[f32], log_var: &[f32], latent: usize) -> f64 {
    LatentUse::of(mu, log_var, latent, noise()).mutual_information
}

#[test]
fn a_posterior_that_ignores_the_image_carries_no_information() {
    let (mu, log_var) = ([0.3, -1.0].repeat(500), [-0.5, 0.2].repeat(500));
    let found = information(&mu, &log_var, 2);
    // All densities are equal: only the sum of 500 of them is rounded.
    assert!(found.abs() < 1e-12, "{found}");
}

#[test]
fn narrow_posteriors_far_apart_tell_which_image_it_was() {
    // 100 posteriors of standard deviation 1e-2, 1 apart: a neighbour's density is exp(-5000) times the own.
    let mu: Vec<f32> = (0..100).map(|i| i as f32).collect();
    let found = information(&mu, &[1e-4f32.ln(); 100], 1);
    assert!((found - 100f64.ln()).abs() < 1e-3, "{found}");
    // More samples than are used: the bound is that of those used.
    let mu: Vec<f32> = (0..5000).map(|i| i as f32).collect();
    let found = information(&mu, &[1e-4f32.ln(); 5000], 1);
    assert!((found - 2000f64.ln()).abs() < 1e-3, "{found}");
}

#[test]
fn the_information_of_a_normal_channel_is_that_of_shannon() {
    // Means of variance 3 and noise of variance 1: I = ln(1 + 3) / 2 per dimension.
    let prior = Generator::new(9, Stream::Prior);
    let root = 3f32.sqrt();
    let normals = prior.normals(0, 0, 2000, 2);
    let mu: Vec<f32> = normals.into_iter().map(|z| root * z).collect();
    let found = LatentUse::of(&mu, &[0.0; 4000], 2, noise());
    let expected = 4f64.ln();
    // Each dimension contributes ln(4) / 2 + (u^2 - eps^2) / 2, where u = z / 2 is a standard normal with correlation 1/2 to
    // eps: a variance of (2 + 2 - 4 / 4) / 4 = 0.75. The mean of 2000 terms of two dimensions has a standard deviation of
    // 0.027; the tolerance is four of them. As each posterior is among the 2000 that its draw is compared with, the estimate is
    // about e^I / 2000 = 0.002 too low.
    let tolerance = 0.11;
    assert!(
        (found.mutual_information - expected).abs() < tolerance,
        "{found:?}"
    );
    // The KL divergence from the prior, often confused with it, also includes that of the aggregate posterior.
    let divergence: f64 = found.kl_per_dimension.iter().sum();
    assert!(divergence > expected + 10.0 * tolerance, "{found:?}");
}

#[test]
fn the_divergence_of_each_dimension_is_the_closed_form() {
    let found = LatentUse::of(&[1.0, 0.0, 3.0, 0.0], &[0.0, 1.0, 0.0, 1.0], 2, noise());
    // (1 + 9) / 2 / 2 samples, and (e - 2) / 2.
    let expected = [2.5, 0.5 * (1f64.exp() - 2.0)];
    assert_eq!(found.kl_per_dimension.len(), 2);
    for (found, expected) in found.kl_per_dimension.iter().zip(expected) {
        // A few operations in f64.
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }
    // With a flipped sign of log_var, the second dimension would be this.
    assert!((found.kl_per_dimension[1] - 0.5 * 1f64.exp()).abs() > 0.1);
}

#[test]
fn a_mean_that_hardly_varies_is_dead_and_one_that_varies_is_active() {
    // Standard deviations of 0.05, 0.2 and 0 around arbitrary means; the threshold is 0.1.
    let mu = [0.05, 5.2, 2.0, -0.05, 4.8, 2.0].repeat(10);
    let found = LatentUse::of(&mu, &[0.0; 60], 3, noise());
    assert_eq!(found.active_units, 1);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let prior = Generator::new(9, Stream::Prior);
    let (mu, log_var) = (prior.normals(0, 0, 700, 3), prior.normals(1, 0, 700, 3));
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().expect("threads");
        pool.install(|| LatentUse::of(&mu, &log_var, 3, noise()))
    };
    assert_eq!(on(1), on(3));
}

fn with_active(active_units: usize) -> LatentUse {
    LatentUse {
        kl_per_dimension: vec![0.0; 20],
        active_units,
        mutual_information: 0.0,
    }
}

#[test]
fn dead_units_are_spoken_of_once_and_again_when_there_are_more() {
    assert_eq!(with_active(20).warning(None), None);
    assert_eq!(
        with_active(3).warning(None).as_deref(),
        Some(
            "3 of 20 latent units are active (variance of mu above 0.01); the others carry nothing. \
             What usually helps: a KL warm-up (--kl-schedule linear:10 or cyclical), --free-bits 0.1, \
             a smaller --beta, or fewer dimensions (--latent)"
        )
    );
    assert_eq!(with_active(3).warning(Some(&with_active(3))), None);
    assert_eq!(with_active(4).warning(Some(&with_active(3))), None);
    assert!(with_active(2).warning(Some(&with_active(3))).is_some());
    let one_dead = with_active(19).warning(Some(&with_active(20)));
    assert!(one_dead.is_some_and(|text| text.contains("the other carries nothing")));
    let one_active = with_active(1).warning(None);
    assert!(one_active.is_some_and(|text| text.starts_with("1 of 20 latent units is active")));
}

#[test]
fn a_model_without_an_active_unit_has_collapsed() {
    let text = with_active(0)
        .warning(Some(&with_active(1)))
        .expect("a warning");
    assert!(text.starts_with("posterior collapse: none of the 20 latent units is active"));
    assert!(text.contains("--free-bits"));
}
