//! Densities against SciPy and their integral; draws against their moments and the standard prior.

use vae_rng::{Generator, Stream};

use super::{Mixture, normal_quantile};

fn generator() -> Generator {
    Generator::new(3, Stream::Prior)
}

/// Reference values written by `goldens/mixture.py`.
fn golden(name: &str) -> Vec<Vec<f64>> {
    let lines = include_str!("../../../../assets/goldens/mixture.txt").lines();
    let lines = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    lines
        .map(|line| {
            line.split(' ')
                .map(|x| x.parse().expect("a number"))
                .collect()
        })
        .collect()
}

fn of_golden() -> Mixture {
    let [weights, means, covariances] =
        ["weights", "means", "covariances"].map(|name| golden(name).remove(0));
    Mixture::full(&weights, &means, &covariances, 3).expect("positive definite")
}

/// The largest error of a log-density against SciPy, relative where its value is above 1.
fn distance(mixture: &Mixture) -> f64 {
    let points = golden("point");
    assert_eq!(points.len(), 6);
    let distances = points.iter().map(|line| {
        let (expected, point) = line.split_last().expect("a density");
        let point: Vec<f32> = point.iter().map(|&x| x as f32).collect();
        assert_eq!(point.len(), 3);
        let found = mixture.log_density(&point);
        assert!(found.is_finite());
        (found - expected).abs() / expected.abs().max(1.0)
    });
    distances.fold(0.0, f64::max)
}

/// About a hundred f64 operations of 1.1e-16 each, on covariances with a condition number of at most 20.
const TOLERANCE: f64 = 1e-12;

#[test]
fn log_densities_are_those_of_scipy() {
    let distance = distance(&of_golden());
    assert!(distance < TOLERANCE, "{distance}");
}

#[test]
fn a_neighbouring_formula_is_told_apart() {
    let [means, covariances] = ["means", "covariances"].map(|name| golden(name).remove(0));
    let equal = Mixture::full(&[1.0; 3], &means, &covariances, 3).expect("positive definite");
    assert!(distance(&equal) > 1e9 * TOLERANCE);
    let mut variances = covariances;
    for (place, covariance) in variances.iter_mut().enumerate() {
        if place % 9 % 4 != 0 {
            *covariance = 0.0;
        }
    }
    let uncorrelated = Mixture::full(&golden("weights")[0], &means, &variances, 3);
    assert!(distance(&uncorrelated.expect("positive definite")) > 1e9 * TOLERANCE);
}

#[test]
fn independent_dimensions_are_the_same_either_way() {
    let means = [0.5, -1.0, 2.0, 0.25];
    let log_vars = [0.0f32, -1.5, 0.75, 2.0];
    // Logits that are not normalized: their softmax is 1/4 and 3/4.
    let diagonal = Mixture::diagonal(&[1.0, 1.0 + 3f32.ln()], &means, &log_vars, 2);
    let [a, b, c, d] = log_vars.map(|x| f64::from(x).exp());
    let covariances = [a, 0.0, 0.0, b, c, 0.0, 0.0, d];
    let full = Mixture::full(&[0.25, 0.75], &means.map(f64::from), &covariances, 2);
    let full = full.expect("positive definite");
    for ((_, diagonal), (_, full)) in diagonal.components().zip(full.components()) {
        assert_eq!(diagonal.mean(), full.mean());
        for (diagonal, full) in diagonal.covariance().iter().zip(full.covariance()) {
            assert!((diagonal - full).abs() < 1e-14 * full.abs().max(1.0));
        }
    }
    for z in [[0.0, 0.0], [3.0, -4.0]] {
        let difference = diagonal.log_density(&z) - full.log_density(&z);
        // ln 3 is rounded to f32.
        assert!(difference.abs() < 1e-7, "{difference}");
    }
}

#[test]
fn the_density_integrates_to_one() {
    let covariances = [1.0, 0.5, 0.5, 0.75, 0.25, -0.1, -0.1, 0.5];
    let mixture = Mixture::full(&[2.0, 1.0], &[-1.0, 0.5, 1.5, -1.0], &covariances, 2);
    let mixture = mixture.expect("positive definite");
    // Cells of 1/8, at most a quarter of the smallest standard deviation, for which the trapezoidal rule is exact to f64 (its
    // error is exp(-2 pi^2 deviation^2 / step^2)), out to 9: eight standard deviations.
    let step = 0.125f32;
    let axis = || (-80i16..=80).map(|i| f32::from(i) * step);
    let densities = axis().flat_map(|x| axis().map(move |y| [x, y]));
    let sum: f64 = densities.map(|z| mixture.log_density(&z).exp()).sum();
    let integral = sum * f64::from(step * step);
    assert!((integral - 1.0).abs() < 1e-9, "{integral}");
}

#[test]
fn draws_of_the_standard_normal_are_the_plain_normals_of_the_generator() {
    let normals = generator().normals(0, 0, 50, 7);
    let standard = Mixture::standard(7);
    assert_eq!(standard.sample(generator(), 0..50, 1.0, None), normals);
    let cold: Vec<f32> = normals
        .iter()
        .map(|&z| (f64::from(z) * 0.7) as f32)
        .collect();
    assert_eq!(standard.sample(generator(), 0..50, 0.7, None), cold);
}

#[test]
fn a_component_scales_and_shifts_the_normals_of_the_standard_prior() {
    let mixture = Mixture::diagonal(&[0.0], &[1.0, -2.0], &[4f32.ln(), 0.0], 2);
    let normals = generator().normals(0, 0, 10, 2);
    let draws = mixture.sample(generator(), 0..10, 1.0, None);
    for (draw, eps) in draws.chunks(2).zip(normals.chunks(2)) {
        // ln 4 and the draw are rounded to f32.
        assert!((draw[0] - (1.0 + 2.0 * eps[0])).abs() < 1e-5);
        assert!((draw[1] - (eps[1] - 2.0)).abs() < 1e-5);
    }
}

#[test]
fn truncated_draws_stay_within_and_fill_their_range() {
    let z = Mixture::standard(4).sample(generator(), 0..1000, 0.5, Some(1.0));
    let largest = z.iter().fold(0f32, |largest, z| largest.max(z.abs()));
    assert!((0.49..=0.5).contains(&largest), "{largest}");
    // The variance of a standard normal truncated at 1 is 0.2912, here times 0.25; the bound is five standard deviations.
    let variance = z.iter().map(|z| z * z).sum::<f32>() / z.len() as f32;
    assert!((variance - 0.0728).abs() < 0.005, "{variance}");
}

#[test]
fn a_range_of_places_is_a_part_of_all_draws() {
    let mixture = of_golden();
    for truncation in [None, Some(1.5)] {
        let draw = |places| mixture.sample(generator(), places, 0.8, truncation);
        let whole = draw(0..20);
        let parts = [draw(0..7), draw(7..8), draw(8..20)].concat();
        assert_eq!(parts, whole);
        // With the noise of the first places it is another sample.
        assert_ne!([draw(0..7), draw(0..1), draw(0..12)].concat(), whole);
    }
}

#[test]
fn draws_have_the_moments_of_the_mixture() {
    let mixture = of_golden();
    let count = 20_000;
    let z = mixture.sample(generator(), 0..count, 1.0, None);
    let mut compared = 0;
    for a in 0..3 {
        let mean: f64 = mixture
            .components()
            .map(|(w, normal)| w * normal.mean()[a])
            .sum();
        assert_is_mean(z.chunks(3).map(|z| f64::from(z[a])), mean);
        for b in 0..3 {
            // E[z_a z_b] = sum_k w_k (S_k + m_k m_k^T).
            let product = mixture.components().map(|(w, normal)| {
                let mean = normal.mean();
                w * (normal.covariance()[3 * a + b] + mean[a] * mean[b])
            });
            let products = z.chunks(3).map(|z| f64::from(z[a]) * f64::from(z[b]));
            assert_is_mean(products, product.sum());
            compared += 1;
        }
    }
    assert_eq!(compared, 9);
}

/// Asserts that the mean of `values` is within five standard errors of `expected`.
fn assert_is_mean(values: impl ExactSizeIterator<Item = f64> + Clone, expected: f64) {
    let count = values.len() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let tolerance = 5.0 * (variance / count).sqrt();
    assert!(
        (mean - expected).abs() < tolerance,
        "{mean}, not {expected} +- {tolerance}"
    );
}

#[test]
fn a_temperature_of_zero_gives_the_means_as_often_as_their_weights_say() {
    let means = [-1.0, 0.0, 2.0];
    let mixture = Mixture::diagonal(
        &[0.2f32.ln(), 0.5f32.ln(), 0.3f32.ln()],
        &means,
        &[0.0; 3],
        1,
    );
    let z = mixture.sample(generator(), 0..10_000, 0.0, None);
    for (mean, weight) in means.into_iter().zip([0.2, 0.5, 0.3]) {
        let share = z.iter().filter(|&&z| z == mean).count() as f64 / 10_000.0;
        // Five standard deviations of a binomial frequency, at most 0.005 each.
        assert!(
            (share - weight).abs() < 0.025,
            "{mean}: {share}, not {weight}"
        );
    }
}

#[test]
fn a_covariance_that_is_none_is_refused() {
    for covariance in [[1.0, 2.0, 2.0, 1.0], [0.0; 4], [f64::NAN; 4]] {
        let refused =
            Mixture::full(&[1.0], &[0.0; 2], &covariance, 2).expect_err("not a covariance");
        assert!(refused.contains("component 1"), "{refused}");
    }
}

#[test]
fn quantiles_are_those_of_the_tables() {
    for (p, z) in [
        (0.05, -1.644_853_627),
        (0.5, 0.0),
        (0.95, 1.644_853_627),
        (0.975, 1.959_963_985),
    ] {
        assert!(
            (normal_quantile(p) - z).abs() < 1e-8,
            "{p}: {}",
            normal_quantile(p)
        );
    }
}
