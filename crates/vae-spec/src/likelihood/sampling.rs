//! Draws from the likelihoods, exact up to f64, from a source of uniforms.

use std::f64::consts::TAU;

use libm::lgamma;

use super::Likelihood;

impl Likelihood {
    /// A draw of `x` given `output`, from `rng`, which gives independent uniforms in (0, 1). Likelihoods without a spread ignore
    /// `spread`.
    pub fn sample(self, output: f64, spread: f64, rng: &mut impl FnMut() -> f64) -> f64 {
        match self {
            Self::Bernoulli => f64::from(rng() < self.mean_of(output, spread)),
            Self::ContinuousBernoulli => continuous_bernoulli(output, rng()),
            Self::Gaussian(_) => output + spread * normal(rng),
            Self::Laplace(_) => {
                let u = rng();
                let depth = spread * (2.0 * u.min(1.0 - u)).ln();
                output + if u < 0.5 { depth } else { -depth }
            }
            Self::DiscretizedLogistic(_) => {
                let u = rng();
                let x = output + spread * (u / (1.0 - u)).ln();
                (x * Self::LEVELS).round().clamp(0.0, Self::LEVELS) / Self::LEVELS
            }
            Self::Poisson => poisson(self.mean_of(output, spread), rng),
            Self::NegativeBinomial(_) => {
                let mean = self.mean_of(output, spread) * gamma(spread, rng) / spread;
                poisson(mean, rng)
            }
        }
    }
}

/// The inverse of the distribution function `(exp(l x) - 1) / (exp(l) - 1)` at `u`; a logit above 0 mirrors one below.
fn continuous_bernoulli(logit: f64, u: f64) -> f64 {
    let l = -logit.abs();
    let x = if l == 0.0 {
        u
    } else {
        (u * l.exp_m1()).ln_1p() / l
    };
    if logit > 0.0 { 1.0 - x } else { x }
}

/// A standard normal draw (Box and Muller 1958).
fn normal(rng: &mut impl FnMut() -> f64) -> f64 {
    (-2.0 * rng().ln()).sqrt() * (TAU * rng()).cos()
}

/// A gamma draw of this shape and scale 1 (Marsaglia and Tsang 2000).
fn gamma(shape: f64, rng: &mut impl FnMut() -> f64) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, rng) * rng().powf(shape.recip());
    }
    let d = shape - 1.0 / 3.0;
    loop {
        let x = normal(rng);
        let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
        if v > 0.0 && rng().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A Poisson draw: for a small mean by Knuth's product of uniforms, else by PTRS (Hormann 1993).
fn poisson(mean: f64, rng: &mut impl FnMut() -> f64) -> f64 {
    if mean < 30.0 {
        let (mut product, mut count) = (rng(), 0.0);
        while product > (-mean).exp() {
            product *= rng();
            count += 1.0;
        }
        return count;
    }
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let squeeze = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let (u, v) = (rng() - 0.5, rng());
        let from_edge = 0.5 - u.abs();
        let count = ((2.0 * a / from_edge + b) * u + mean + 0.43).floor();
        if from_edge >= 0.07 && v <= squeeze {
            return count;
        }
        if count < 0.0 || (from_edge < 0.013 && v > from_edge) {
            continue;
        }
        let height = (v * inverse_alpha / (a / (from_edge * from_edge) + b)).ln();
        if height <= count * mean.ln() - mean - lgamma(count + 1.0) {
            return count;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Likelihood, Spread};

    /// SplitMix64 (Steele, Lea and Flood 2014), to uniforms in (0, 1).
    fn uniforms(mut state: u64) -> impl FnMut() -> f64 {
        move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }
    }

    /// Distances of the mean and the variance of 200,000 draws from `moments`, in standard errors.
    fn errors(likelihood: Likelihood, output: f64, spread: f64, moments: [f64; 2]) -> [f64; 2] {
        let mut rng = uniforms(7);
        let draws: Vec<f64> = (0..200_000)
            .map(|_| likelihood.sample(output, spread, &mut rng))
            .collect();
        let average = |values: &mut dyn Iterator<Item = f64>| {
            let sum: f64 = values.sum();
            sum / draws.len() as f64
        };
        let [mean, variance] = moments;
        let found = average(&mut draws.iter().copied());
        let power = |k| average(&mut draws.iter().map(|x| (x - mean).powi(k)));
        let root_count = (draws.len() as f64).sqrt();
        let of_variance = (power(4) - power(2).powi(2)).sqrt();
        [
            (found - mean).abs() / (variance.sqrt() / root_count),
            (power(2) - variance).abs() / (of_variance / root_count),
        ]
    }

    /// Mean and variance of the likelihood with this output and spread.
    fn closed_form(likelihood: Likelihood, output: f64, spread: f64) -> [f64; 2] {
        let mean = likelihood.mean_of(output, spread);
        let variance = match likelihood {
            Likelihood::Bernoulli => mean * (1.0 - mean),
            Likelihood::ContinuousBernoulli if output == 0.0 => 1.0 / 12.0,
            Likelihood::ContinuousBernoulli => {
                output.powi(-2) - 0.25 * (output / 2.0).sinh().powi(-2)
            }
            Likelihood::Gaussian(_) => spread * spread,
            Likelihood::Laplace(_) => 2.0 * spread * spread,
            Likelihood::DiscretizedLogistic(_) => {
                let mass = |k: i32| {
                    let x = f64::from(k) / 255.0;
                    (x, (-likelihood.nll_of(output, x, spread)).exp())
                };
                let moment = |power| -> f64 {
                    (0..256)
                        .map(mass)
                        .map(|(x, mass)| mass * f64::powi(x, power))
                        .sum()
                };
                return [moment(1), moment(2) - moment(1).powi(2)];
            }
            Likelihood::Poisson => mean,
            Likelihood::NegativeBinomial(_) => mean + mean * mean / spread,
        };
        [mean, variance]
    }

    #[test]
    fn draws_have_the_mean_and_the_variance_of_the_closed_forms() {
        let learned = Spread::Learned;
        let logistic = Likelihood::DiscretizedLogistic(learned);
        let binomial = Likelihood::NegativeBinomial(learned);
        for (likelihood, output, spread) in [
            (Likelihood::Bernoulli, 0.7, 1.0),
            (Likelihood::ContinuousBernoulli, -30.0, 1.0),
            (Likelihood::ContinuousBernoulli, 0.0, 1.0),
            (Likelihood::ContinuousBernoulli, 2.5, 1.0),
            (Likelihood::Gaussian(learned), 0.3, 0.1),
            (Likelihood::Laplace(learned), -2.0, 3.0),
            (logistic, 0.4, 0.01),
            (logistic, 0.9, 0.2),
            (Likelihood::Poisson, -1.5, 1.0),
            (Likelihood::Poisson, 29f64.ln(), 1.0),
            (Likelihood::Poisson, 31f64.ln(), 1.0),
            (Likelihood::Poisson, 15.0, 1.0),
            (binomial, 1.0, 0.2),
            (binomial, 5.0, 3.0),
            (binomial, 3.0, 50.0),
        ] {
            let moments = closed_form(likelihood, output, spread);
            let errors = errors(likelihood, output, spread, moments);
            assert!(
                errors.iter().all(|&e| e < 4.0),
                "{likelihood:?} {output}: {errors:?}"
            );
        }
    }

    #[test]
    fn a_variance_without_its_dispersion_is_told_apart() {
        let poisson = closed_form(Likelihood::Poisson, 3.0, 50.0);
        let binomial = Likelihood::NegativeBinomial(Spread::Learned);
        let [_, of_variance] = errors(binomial, 3.0, 50.0, poisson);
        assert!(of_variance > 40.0, "{of_variance}");
    }
}
