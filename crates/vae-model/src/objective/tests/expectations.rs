//! Properties of objectives in expectation: means over many draws, within their standard errors.

use super::{Case, Double, Known, Plain, normals, read, tensor, tiny};
use vae_spec::{
    KlEstimate, Likelihood, ModelConfig, Objective, ObjectiveKind, Prior, Spread, Weighting,
};

/// Standard errors that a mean of many draws may be off by: exceeded by 1 in 16,000 means.
const ERRORS: f64 = 4.0;
/// The seed of the first draw.
const FIRST: u64 = 1000;

/// Mean and standard error of each column.
fn means(rows: &[Vec<f64>]) -> Vec<[f64; 2]> {
    let count = rows.len() as f64;
    let mean_and_error = |column: usize| {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / count;
        let squares = rows.iter().map(|row| (row[column] - mean).powi(2));
        let variance = squares.sum::<f64>() / (count - 1.0);
        [mean, (variance / count).sqrt()]
    };
    (0..rows[0].len()).map(mean_and_error).collect()
}

/// The largest difference of two lists of means, in units of their standard errors.
fn largest_difference(one: &[[f64; 2]], other: &[[f64; 2]]) -> f64 {
    assert_eq!(one.len(), other.len());
    let both = one.iter().zip(other);
    both.map(|([a, a_error], [b, b_error])| {
        let error = a_error.hypot(*b_error);
        // Numbers that no noise reaches are the same but for rounding.
        if error < 1e-14 {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
            return 0.0;
        }
        (a - b).abs() / error
    })
    .fold(0.0, f64::max)
}

fn of(kind: ObjectiveKind, samples: usize) -> Objective {
    Objective {
        kind,
        samples,
        kl: KlEstimate::Sampled,
        free_bits: None,
    }
}

/// The same case with other noise.
fn redrawn(case: &Case, seed: u64) -> Case {
    let count = case.noise.eps.len();
    case.with(|case| {
        case.noise = Known {
            eps: normals(seed, count),
            prior: normals(seed + 1_000_000, count),
        };
    })
}

/// The same image many times, so that a loss is the mean over as many draws.
fn copies(case: &Case, count: usize) -> Case {
    let pixels = case.config.pixels();
    case.with(|case| {
        for images in [&mut case.images, &mut case.seen] {
            *images = images[..pixels].repeat(count);
        }
        let eps = count * case.objective.samples * case.config.latent;
        case.noise.eps = vec![0.0; eps];
    })
}

/// Mean and standard error of the loss of `case`, whose images are copies of one, over `repeats` draws of all.
fn mean_loss(case: &Case, repeats: u64) -> [f64; 2] {
    let losses = (FIRST..FIRST + repeats).map(|seed| vec![redrawn(case, seed).loss()]);
    means(&losses.collect::<Vec<_>>())[0]
}

#[test]
fn the_bound_rises_with_the_number_of_draws() {
    let bound = |samples| {
        let case = Case::new(&tiny(), of(ObjectiveKind::Iwae, samples));
        let case = copies(&case, 200).with(|case| case.weighting = Weighting::PLAIN);
        let [loss, error] = mean_loss(&case, 100);
        [-loss, error]
    };
    let bounds = [1, 2, 5, 20].map(bound);
    for pair in bounds.windows(2) {
        let rise = (pair[1][0] - pair[0][0]) / pair[0][1].hypot(pair[1][1]);
        assert!(rise > ERRORS, "{bounds:?}");
    }
}

/// Standard deviation of the pixels around the linear decoder's mean.
const SIGMA: f32 = 0.5;

/// A linear decoder of one latent with normal pixels, and an encoder somewhat off its true posterior.
fn linear_normal(samples: usize) -> Case {
    let config = ModelConfig {
        likelihood: Likelihood::Gaussian(Spread::Fixed(SIGMA)),
        ..ModelConfig::dense(3, &[], 1)
    };
    Case::new(&config, of(ObjectiveKind::Iwae, samples)).with(|case| {
        case.weighting = Weighting::PLAIN;
        // mu, log_var and output, weights and biases.
        case.parameters = vec![
            vec![0.5, -0.2, 0.3],
            vec![0.1],
            vec![0.0; 3],
            vec![-0.5],
            vec![0.8, -0.4, 0.6],
            vec![0.1, 0.2, -0.3],
        ];
    })
}

/// `log N(x; b, w w^T + sigma^2 I)` by the matrix determinant lemma and the Sherman-Morrison formula.
fn log_likelihood(case: &Case) -> f64 {
    let (w, b, variance) = (
        &case.parameters[4],
        &case.parameters[5],
        f64::from(SIGMA).powi(2),
    );
    let off: Vec<f64> = case.images.iter().zip(b).map(|(x, b)| x - b).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (ww, wx, xx) = (dot(w, w), dot(w, &off), dot(&off, &off));
    let log_determinant = 3.0 * variance.ln() + (ww / variance).ln_1p();
    let distance = (xx - wx * wx / (variance + ww)) / variance;
    -0.5 * (3.0 * std::f64::consts::TAU.ln() + log_determinant + distance)
}

#[test]
fn the_bound_stays_below_the_likelihood_of_a_linear_normal_model_and_reaches_it() {
    let expected = log_likelihood(&copies(&linear_normal(1), 1));
    let bound = |samples, count| {
        let [loss, error] = mean_loss(&copies(&linear_normal(samples), count), 50);
        [-loss, error]
    };
    for samples in [1, 5, 20] {
        let [bound, error] = bound(samples, 200);
        let below = (expected - bound) / error;
        assert!(below > ERRORS, "{samples}: {bound} +- {error}, {expected}");
    }
    let [bound, error] = bound(5000, 1);
    // What is left of the gap, the variance of the weights over twice their number, is below 1e-4.
    let off = (expected - bound).abs();
    assert!(
        off < ERRORS * error + 1e-4,
        "{bound} +- {error}, {expected}"
    );
    assert!(error < 0.01, "{error}");
}

#[test]
fn the_true_posterior_closes_the_gap_for_every_draw() {
    let case = copies(&linear_normal(1), 1).with(|case| {
        let (w, b) = (case.parameters[4].clone(), case.parameters[5].clone());
        let variance = f64::from(SIGMA).powi(2);
        let precision = w.iter().map(|w| w * w).sum::<f64>() / variance + 1.0;
        let slope = w.iter().map(|w| w / variance / precision);
        case.parameters[0] = slope.collect();
        let both = case.parameters[0].iter().zip(b);
        case.parameters[1] = vec![-both.map(|(slope, b)| slope * b).sum::<f64>()];
        case.parameters[3] = vec![-precision.ln()];
    });
    for seed in 0..10 {
        let off = redrawn(&case, seed).loss() + log_likelihood(&case);
        assert!(off.abs() < 1e-13, "{off}");
    }
}

#[test]
fn the_sampled_divergence_is_the_closed_one_in_expectation() {
    let divergence = |case: &Case| read(case.terms::<Plain>(&case.vae()).kl)[0];
    let case = copies(&Case::new(&tiny(), of(ObjectiveKind::Elbo, 1)), 500);
    let sampled = (FIRST..FIRST + 100).map(|seed| vec![divergence(&redrawn(&case, seed))]);
    let [mean, error] = means(&sampled.collect::<Vec<_>>())[0];
    let closed = divergence(&case.with(|case| case.objective.kl = KlEstimate::Analytic));
    assert!(
        (mean - closed).abs() < ERRORS * error,
        "{mean} +- {error}, {closed}"
    );
    assert!(error < 0.05 * closed, "{error} {closed}");
    // The reverse divergence is told apart.
    let vae = case.vae::<Plain>();
    let seen = tensor(&case.seen[..4], [1, 4]);
    let (mu, log_var) = vae.encode(seen, None, &mut |_, _| {});
    let both = read(mu).into_iter().zip(read(log_var));
    let reverse: f64 = both
        .map(|(m, l)| 0.5 * ((1.0 + m * m) * (-l).exp() + l - 1.0))
        .sum();
    assert!((mean - reverse).abs() > ERRORS * error, "{mean} {reverse}");
}

/// Gradients of the encoder's parameters, concatenated, computed as an engine does.
fn encoder_gradients(case: &Case) -> Vec<f64> {
    let vae = case.vae::<Double>();
    let terms = case.terms(&vae);
    let gradients = terms.loss.backward();
    let more = terms.doubly_reparameterized.map(|dreg| {
        let gradient = dreg.leaf.grad(&gradients).expect("a leaf");
        let gradient = burn::tensor::Tensor::from_inner(gradient * dreg.factor.inner());
        (dreg.z * gradient).sum().backward()
    });
    let specs = case.config.parameters();
    let is_encoders = |name: &str| {
        ["encoder", "mu", "log_var"]
            .iter()
            .any(|part| name.starts_with(part))
    };
    let encoders = vae.parameters().iter().zip(&specs);
    encoders
        .filter(|(_, spec)| is_encoders(&spec.name))
        .flat_map(|(parameter, spec)| {
            let mut sum = vec![0.0; spec.length()];
            for gradients in [Some(&gradients), more.as_ref()].into_iter().flatten() {
                let gradient = parameter.grad(gradients).map(read).unwrap_or_default();
                for (sum, gradient) in sum.iter_mut().zip(gradient) {
                    *sum += gradient;
                }
            }
            sum
        })
        .collect()
}

/// Means and standard errors of the encoder's gradients over 200 draws of 40 copies of an image.
fn mean_gradients(prior: Prior, kind: ObjectiveKind, samples: usize, beta: f32) -> Vec<[f64; 2]> {
    let config = ModelConfig { prior, ..tiny() };
    let case = copies(&Case::new(&config, of(kind, samples)), 40);
    let case = case.with(|case| case.weighting.beta = beta);
    // The two kinds see different noise.
    let first = if kind == ObjectiveKind::Dreg {
        FIRST
    } else {
        2 * FIRST
    };
    let gradients = (first..first + 200).map(|seed| encoder_gradients(&redrawn(&case, seed)));
    means(&gradients.collect::<Vec<_>>())
}

#[test]
fn the_encoders_gradient_of_dreg_is_that_of_the_bound_in_expectation() {
    let mixture = Prior::Mixture { components: 3 };
    let vamp = Prior::Vamp { inputs: 2 };
    for (prior, samples, beta) in [
        (Prior::Normal, 1, 1.0),
        (Prior::Normal, 4, 1.0),
        (Prior::Normal, 4, 0.5),
        (mixture, 4, 1.0),
        (vamp, 4, 1.0),
        (vamp, 4, 0.5),
    ] {
        let dreg = mean_gradients(prior, ObjectiveKind::Dreg, samples, beta);
        let iwae = mean_gradients(prior, ObjectiveKind::Iwae, samples, beta);
        let found = largest_difference(&dreg, &iwae);
        assert!(found < ERRORS, "{prior:?} {samples} {beta}: {found}");
        assert!(dreg.len() > 20 && dreg.iter().any(|[mean, error]| mean.abs() > 10.0 * error));
    }
    // Another beta is told apart.
    let dreg = mean_gradients(Prior::Normal, ObjectiveKind::Dreg, 4, 1.0);
    let iwae = mean_gradients(Prior::Normal, ObjectiveKind::Iwae, 4, 0.5);
    let found = largest_difference(&dreg, &iwae);
    assert!(found > 2.0 * ERRORS, "{found}");
}

#[test]
fn the_encoders_gradient_of_dreg_varies_less() {
    let [dreg, iwae] = [ObjectiveKind::Dreg, ObjectiveKind::Iwae].map(|kind| {
        let gradients = mean_gradients(Prior::Normal, kind, 64, 1.0);
        gradients
            .iter()
            .map(|[_, error]| error * error)
            .sum::<f64>()
    });
    // The ratio of two variances of 200 draws is within a factor of 1.5 of its own expectation.
    assert!(1.5 * dreg < iwae, "{dreg} {iwae}");
}
