//! The loss from `vae_spec`'s documentation in plain f64 loops, without tensors or autodiff: the root of all reference values.

use vae_spec::{Activation, Likelihood, ModelConfig, NamedTensor, Spread};

/// The correct formula, or mistakes of a wrong implementation.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Formula {
    Right,
    /// `+ log_var` instead of `- log_var`.
    FlippedKlSign,
    /// A factor of 1 instead of 0.5 in the KL term.
    DoubledKl,
    /// Mean over the pixels instead of their sum.
    MeanOverPixels,
}

/// `recon + beta * kl`, mean over the batch, of `images` `[batch, pixels]` with noise `eps` `[batch, latent]`.
pub(crate) fn loss(
    config: &ModelConfig,
    weights: &[NamedTensor],
    images: &[f32],
    eps: &[f32],
    beta: f64,
    formula: Formula,
) -> f64 {
    let batch = images.len() / config.pixels();
    let mut total = 0.0;
    for row in 0..batch {
        let x: Vec<f64> = images[row * config.pixels()..][..config.pixels()]
            .iter()
            .map(|&x| x.into())
            .collect();
        let eps = &eps[row * config.latent..][..config.latent];

        let [mu, log_var] = posterior(config, weights, &x);
        let z = (0..config.latent)
            .map(|j| mu[j] + (0.5 * log_var[j]).exp() * f64::from(eps[j]))
            .collect();
        let sign = if formula == Formula::FlippedKlSign {
            1.0
        } else {
            -1.0
        };
        let half = if formula == Formula::DoubledKl {
            1.0
        } else {
            0.5
        };
        let term = |j: usize| mu[j] * mu[j] + log_var[j].exp() + sign * log_var[j] - 1.0;
        let kl = half * (0..config.latent).map(term).sum::<f64>();

        let mut recon = nll(config, weights, z, &x);
        if formula == Formula::MeanOverPixels {
            recon /= config.pixels() as f64;
        }
        total += recon + beta * kl;
    }
    total / batch as f64
}

/// Mean and clamped log-variance of the posterior of one image.
pub(crate) fn posterior(config: &ModelConfig, weights: &[NamedTensor], x: &[f64]) -> [Vec<f64>; 2] {
    let features = hidden(weights, "encoder", config, x.to_vec());
    let log_var = dense(weights, "log_var", &features);
    [
        dense(weights, "mu", &features),
        log_var.iter().map(|v| v.clamp(-30.0, 20.0)).collect(),
    ]
}

/// The negative log-likelihood of one image given `z`, nats.
pub(crate) fn nll(config: &ModelConfig, weights: &[NamedTensor], z: Vec<f64>, x: &[f64]) -> f64 {
    let output = dense(weights, "output", &hidden(weights, "decoder", config, z));
    let of_pixel = |(y, x): (&f64, &f64)| match config.likelihood {
        Likelihood::Bernoulli => y.max(0.0) - y * x + (-y.abs()).exp().ln_1p(),
        Likelihood::Gaussian(Spread::Fixed(sigma)) => {
            let sigma = f64::from(sigma);
            0.5 * ((x - y) / sigma).powi(2) + sigma.ln() + 0.5 * std::f64::consts::TAU.ln()
        }
        // The others are tested against SciPy in vae-model.
        _ => f64::NAN,
    };
    output.iter().zip(x).map(of_pixel).sum()
}

fn hidden(weights: &[NamedTensor], side: &str, config: &ModelConfig, input: Vec<f64>) -> Vec<f64> {
    (0..config.hidden.len()).fold(input, |x, index| {
        dense(weights, &format!("{side}.{index}"), &x)
            .iter()
            .map(|&v| activate(config.activation, v))
            .collect()
    })
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Gelu => gelu(x),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
    }
}

/// `x Phi(x)`, with `Phi(x) = 1/2 + phi(x) (x + x^3 / 3 + x^5 / 15 + ..)`: the sum has no cancellation, and beyond 9 its
/// limits are exact in f64.
pub(crate) fn gelu(x: f64) -> f64 {
    if x.abs() > 9.0 {
        return x.max(0.0);
    }
    let mut term = x;
    let mut sum = x;
    for odd in (3..400).step_by(2) {
        term *= x * x / f64::from(odd);
        sum += term;
    }
    x * (0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt())
}

fn dense(weights: &[NamedTensor], layer: &str, input: &[f64]) -> Vec<f64> {
    let values = |name: String| {
        &weights
            .iter()
            .find(|tensor| tensor.name == name)
            .expect("a layer")
            .values
    };
    let (weight, bias) = (
        values(format!("{layer}.weight")),
        values(format!("{layer}.bias")),
    );
    let outputs = bias.len();
    let product = |o: usize| {
        input
            .iter()
            .enumerate()
            .map(|(i, x)| x * f64::from(weight[i * outputs + o]))
            .sum::<f64>()
    };
    (0..outputs)
        .map(|o| f64::from(bias[o]) + product(o))
        .collect()
}
