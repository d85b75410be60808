//! The loss of `vae_model`'s documentation in plain f64 loops, without tensors or autodiff: the root of the oracle chain.

use vae_model::{ModelConfig, NamedTensor};

/// What a wrong implementation might do instead.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Formula {
    Right,
    /// `+ log_var` for `- log_var`.
    FlippedKlSign,
    /// 1 for 0.5 in front of the KL term.
    DoubledKl,
    /// Mean over the pixels for their sum.
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
    let batch = images.len() / config.pixels;
    let mut total = 0.0;
    for row in 0..batch {
        let x: Vec<f64> = images[row * config.pixels..][..config.pixels]
            .iter()
            .map(|&x| x.into())
            .collect();
        let eps = &eps[row * config.latent..][..config.latent];

        let features = hidden(weights, "encoder", config.hidden.len(), x.clone());
        let mu = dense(weights, "mu", &features);
        let log_var: Vec<f64> = dense(weights, "log_var", &features)
            .iter()
            .map(|v| v.clamp(-30.0, 20.0))
            .collect();
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

        let logits = dense(
            weights,
            "logits",
            &hidden(weights, "decoder", config.hidden.len(), z),
        );
        let nll = |(l, x): (&f64, &f64)| l.max(0.0) - l * x + (-l.abs()).exp().ln_1p();
        let mut recon: f64 = logits.iter().zip(&x).map(nll).sum();
        if formula == Formula::MeanOverPixels {
            recon /= config.pixels as f64;
        }
        total += recon + beta * kl;
    }
    total / batch as f64
}

fn hidden(weights: &[NamedTensor], side: &str, layers: usize, input: Vec<f64>) -> Vec<f64> {
    (0..layers).fold(input, |x, index| {
        dense(weights, &format!("{side}.{index}"), &x)
            .iter()
            .map(|v| v.max(0.0))
            .collect()
    })
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
