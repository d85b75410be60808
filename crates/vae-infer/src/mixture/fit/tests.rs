//! Fits to data with known density.

use vae_rng::{Generator, Stream};

use super::{Mixture, RIDGE, mean_variance};

fn generator(seed: u64) -> Generator {
    Generator::new(seed, Stream::Init)
}

const MEANS: [f64; 6] = [0.0, 0.0, 4.0, 1.0, -2.0, 4.0];

/// Three correlated normals in two dimensions that overlap a little.
fn known() -> Mixture {
    let covariances = [0.5, 0.2, 0.2, 0.4, 1.0, -0.6, -0.6, 0.8, 0.3, 0.0, 0.0, 0.6];
    Mixture::full(&[0.3, 0.4, 0.3], &MEANS, &covariances, 2).expect("positive definite")
}

fn data(rows: u32) -> Vec<f32> {
    known().sample(Generator::new(11, Stream::Prior), 0..rows, 1.0, None)
}

fn mean_log_density(mixture: &Mixture, z: &[f32]) -> f64 {
    let rows = z.chunks(2).map(|z| mixture.log_density(z));
    rows.sum::<f64>() / (z.len() / 2) as f64
}

#[test]
fn a_known_mixture_is_found_again() {
    let z = data(3000);
    for seed in 0..5 {
        let found = Mixture::fit(&z, 2, 3, generator(seed)).expect("enough rows");
        for ((expected, known), expected_weight) in MEANS
            .chunks(2)
            .zip(known().components())
            .zip([0.3, 0.4, 0.3])
        {
            let distance = |mean: &[f64]| (mean[0] - expected[0]).hypot(mean[1] - expected[1]);
            let nearest = found
                .components()
                .min_by(|a, b| distance(a.1.mean()).total_cmp(&distance(b.1.mean())));
            let (weight, nearest) = nearest.expect("three components");
            // The mean of 900 rows of variance 1 has a standard deviation of 0.033, a weight 0.009: bounds of three and five.
            assert!(
                distance(nearest.mean()) < 0.1,
                "seed {seed}: {:?}",
                nearest.mean()
            );
            assert!(
                (weight - expected_weight).abs() < 0.045,
                "seed {seed}: {weight}"
            );
            // The estimate of a variance of 1 has a standard deviation of sqrt(2 / 900) = 0.047: a bound of five.
            for (found, known) in nearest.covariance().iter().zip(known.1.covariance()) {
                assert!(
                    (found - known).abs() < 0.24,
                    "seed {seed}: {found}, not {known}"
                );
            }
        }
        // More likely than the truth, as a maximum is, up to the stopping threshold.
        assert!(mean_log_density(&found, &z) > mean_log_density(&known(), &z) - 1e-3);
    }
}

/// The smallest increase of the mean log-likelihood in an iteration, nats, plus the most that the ridge may cost, when
/// `change` is applied to the mixture after every iteration from the twentieth on.
fn least_rise(change: impl Fn(Mixture) -> Mixture) -> f64 {
    let z = data(2500);
    let ridge = RIDGE * mean_variance(&z, 2);
    let mut mixture = Mixture::start(&z, 2, 4, ridge, generator(1));
    let mut before = f64::NEG_INFINITY;
    let mut least = f64::INFINITY;
    for iteration in 0..40 {
        let (log_likelihood, next) = mixture.iterate(&z, ridge);
        // Adding the ridge r to a variance v lowers the expected log-likelihood by (ln(1 + r/v) + 1/(1 + r/v) - 1) / 2 <
        // (r/v)^2 / 4 per dimension; no variance here is below 0.05.
        let cost = 2.0 * (ridge / 0.05).powi(2) / 4.0;
        least = least.min(log_likelihood - before + 1e-9 * log_likelihood.abs() + cost);
        let next = if iteration < 20 { next } else { change(next) };
        (before, mixture) = (log_likelihood, next);
        for (_, normal) in mixture.components() {
            let [a, b, _, d] = normal.covariance()[..] else {
                panic!("two dimensions")
            };
            let smallest = 0.5 * (a + d - (a - d).hypot(2.0 * b));
            assert!(smallest > 0.05, "{smallest}");
        }
    }
    assert!(before.is_finite());
    least
}

#[test]
fn no_iteration_lowers_the_likelihood() {
    let least = least_rise(|next| next);
    assert!(least >= 0.0, "{least}");
}

#[test]
fn a_wrong_iteration_is_told_apart() {
    // Covariances 1.5 times as large as the moments say.
    let wrong = |next: Mixture| {
        let weights: Vec<f64> = next.components().map(|(weight, _)| weight).collect();
        let means: Vec<f64> = next
            .components()
            .flat_map(|(_, x)| x.mean().to_vec())
            .collect();
        let covariances = next.components().flat_map(|(_, x)| x.covariance());
        let covariances: Vec<f64> = covariances.map(|x| 1.5 * x).collect();
        Mixture::full(&weights, &means, &covariances, 2).expect("positive definite")
    };
    let least = least_rise(wrong);
    assert!(least < -1e-5, "{least}");
}

#[test]
fn one_component_has_the_mean_and_the_covariance_of_the_rows() {
    // Far from the origin, where moments about it would lose seven digits, and with a number of rows that no group size
    // divides.
    let z: Vec<f32> = data(2001).iter().map(|z| z + 4096.0).collect();
    let fit = Mixture::fit(&z, 2, 1, generator(1)).expect("enough rows");
    let (weight, normal) = fit.components().next().expect("one component");
    // Unlike means and covariances, weights are stored as logarithms.
    assert!((weight - 1.0).abs() < 1e-12);
    let column = |i: usize| z.chunks(2).map(move |z| f64::from(z[i]));
    let mean = [0, 1].map(|i| column(i).sum::<f64>() / 2001.0);
    let ridge = RIDGE * mean_variance(&z, 2);
    for a in 0..2 {
        // 2001 sums of up to 8 million, each with a relative rounding error of 1.1e-16, divided by 2001.
        assert!((normal.mean()[a] - mean[a]).abs() < 1e-9);
        for b in 0..2 {
            let products = column(a)
                .zip(column(b))
                .map(|(x, y)| (x - mean[a]) * (y - mean[b]));
            let ridge = if a == b { ridge } else { 0.0 };
            let expected = products.sum::<f64>() / 2001.0 + ridge;
            let found = normal.covariance()[2 * a + b];
            // Products of numbers of about 10, with the mean known to 1e-9.
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let z = data(5000);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().expect("threads");
        pool.install(|| Mixture::fit(&z, 2, 4, generator(2)))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn rows_in_a_plane_and_repeated_rows_still_give_a_density() {
    // The third dimension is constant.
    let flat: Vec<f32> = data(300)
        .chunks(2)
        .flat_map(|z| [z[0], z[1], 5.0])
        .collect();
    let fit = Mixture::fit(&flat, 3, 3, generator(1)).expect("enough rows");
    assert!(fit.log_density(&flat[..3]).is_finite());
    // Two different rows for four components.
    let two = [0.0, 0.0, 1.0, 2.0].repeat(20);
    let fit = Mixture::fit(&two, 2, 4, generator(1)).expect("enough rows");
    assert!(fit.log_density(&[0.0, 0.0]).is_finite());
    let total: f64 = fit.components().map(|(weight, _)| weight).sum();
    assert!((total - 1.0).abs() < 1e-12, "{total}");
}

#[test]
fn data_that_no_mixture_fits_are_refused_with_the_reason() {
    let refused = |z: &[f32], latent, components| {
        Mixture::fit(z, latent, components, generator(1)).expect_err("refused")
    };
    assert!(refused(&data(8), 2, 3).contains("at least 9 latent vectors"));
    assert!(refused(&data(8), 2, 0).contains("at least one component"));
    assert!(refused(&data(8), 0, 1).contains("at least one number"));
    assert!(refused(&data(8)[1..], 2, 1).contains("15 numbers in rows of 2"));
    let mut z = data(20);
    z[5] = f32::NAN;
    assert!(refused(&z, 2, 1).contains("found NaN in row 3"));
    assert!(refused(&[0.1; 40], 2, 1).contains("the same in every row"));
}
