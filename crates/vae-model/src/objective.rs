//! The training objectives over burn tensors. Formulas, reductions and sources: docs/models.md.

#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, backend::Backend};

use vae_spec::{FreeBits, FreeBitsPer, KlEstimate, MmdKernel, Objective, ObjectiveKind, Weighting};

use crate::Vae;
use crate::prior::{Normals, log_sum_exp, repeat_rows, standard_log_densities};

/// The batch that a loss is computed on.
#[derive(Clone, Debug)]
pub struct Inputs<B: Backend> {
    /// What the likelihood reconstructs, `[batch, pixels]`.
    pub images: Tensor<B, 2>,
    /// Input of the encoder, `[batch, pixels]`: the same images, or corrupted ones.
    pub seen: Tensor<B, 2>,
    /// One-hot labels, `[batch, classes]`, if the model sees labels.
    pub labels: Option<Tensor<B, 2>>,
}

/// Source of the noise.
pub trait Draws<B: Backend> {
    /// Draws of `z` from posteriors, `[rows, latent]`, and their KL divergences from the standard normal, `[rows]`, nats.
    fn posterior(&self, mu: Tensor<B, 2>, log_var: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 1>);

    /// Standard normal draws of the shape of `z`, `[rows, latent]`.
    fn prior(&self, z: &Tensor<B, 2>) -> Tensor<B, 2>;
}

/// A loss and its terms, means over the batch, `[1]` each, nats.
#[derive(Clone, Debug)]
pub struct Terms<B: Backend> {
    /// The minimised loss.
    pub loss: Tensor<B, 1>,
    /// Negative log-likelihood of the images.
    pub recon: Tensor<B, 1>,
    /// KL divergence of the posteriors from the prior.
    pub kl: Tensor<B, 1>,
    /// The terms named by [`ObjectiveKind::extra_terms`].
    pub extra: Vec<Tensor<B, 1>>,
    /// The part of the encoder's gradient that the gradient of `loss` does not hold.
    pub doubly_reparameterized: Option<DoublyReparameterized<B>>,
}

/// The encoder's gradient of [`ObjectiveKind::Dreg`]: that of `sum z * factor * d loss / d leaf`.
#[derive(Clone, Debug)]
pub struct DoublyReparameterized<B: Backend> {
    /// Reparameterised draws of the encoder, `[rows, latent]`.
    pub z: Tensor<B, 2>,
    /// The same values as a leaf, from which the loss was computed.
    pub leaf: Tensor<B, 2>,
    /// Factor of each row's gradient, `[rows, 1]`.
    pub factor: Tensor<B, 2>,
}

/// The loss of `inputs` under `objective`; `data_count` is the number of training images.
pub fn objective<B: Backend>(
    vae: &Vae<B>,
    objective: &Objective,
    weighting: Weighting,
    inputs: Inputs<B>,
    data_count: usize,
    draws: &impl Draws<B>,
) -> Terms<B> {
    let Objective {
        kind,
        samples,
        kl: estimate,
        free_bits,
    } = *objective;
    let Inputs {
        images,
        seen,
        labels,
    } = inputs;
    let beta = weighting.beta;
    let (mu, log_var) = vae.encode(seen, labels.as_ref(), &mut |_, _| {});
    let single = Normals::new(mu.clone(), log_var.clone());
    let (z, divergences) = draws.posterior(repeat_rows(mu, samples), repeat_rows(log_var, samples));
    let labels = labels.map(|labels| repeat_rows(labels, samples));
    let nll = |z: Tensor<B, 2>| {
        let output = vae.decode(z, labels.as_ref(), &mut |_, _| {});
        vae.nll(output, repeat_rows(images.clone(), samples))
    };
    if let ObjectiveKind::Iwae | ObjectiveKind::Dreg = kind {
        return importance_weighted(vae, kind, beta, samples, single.repeat(samples), z, nll);
    }

    let recon = nll(z.clone()).mean();
    let sampled = |z: Tensor<B, 2>| {
        let log_q = single.clone().repeat(samples).log_densities(z.clone());
        let log_q: Tensor<B, 1> = log_q.sum_dim(1).squeeze_dim(1);
        (log_q - vae.log_prior(z)).mean()
    };
    let kl = match estimate {
        KlEstimate::Analytic => divergences.mean(),
        KlEstimate::Sampled => sampled(z.clone()),
    };
    let mut terms = Terms {
        loss: recon.clone() + kl.clone() * beta,
        recon: recon.clone(),
        kl: kl.clone(),
        extra: Vec::new(),
        doubly_reparameterized: None,
    };
    match kind {
        ObjectiveKind::Elbo => {
            if let Some(free_bits) = free_bits {
                terms.loss = recon + at_least(&single, free_bits) * beta;
            }
        }
        ObjectiveKind::Capacity => {
            terms.loss = recon + (kl - weighting.capacity).abs() * beta;
        }
        ObjectiveKind::BetaTc => {
            let [information, correlation, dimensions] = decomposition(&single, z, data_count);
            terms.kl = information.clone() + correlation.clone() + dimensions.clone();
            terms.loss = recon
                + (information.clone() + dimensions.clone()) * weighting.anneal
                + correlation.clone() * beta;
            terms.extra = vec![information, correlation, dimensions];
        }
        ObjectiveKind::Mmd { weight, kernel } => {
            let prior = draws.prior(&z);
            let mmd = discrepancy(z, prior, kernel);
            terms.loss = terms.loss + mmd.clone() * weight;
            terms.extra = vec![mmd];
        }
        ObjectiveKind::Iwae | ObjectiveKind::Dreg => {}
    }
    terms
}

/// `-log mean_k w_k` (Burda et al. 2016), `w = p(x | z) (p(z) / q(z | x))^beta`; with [`ObjectiveKind::Dreg`] a loss of the same
/// decoder gradient, and what the encoder's gradient is made from (Tucker et al. 2019).
fn importance_weighted<B: Backend>(
    vae: &Vae<B>,
    kind: ObjectiveKind,
    beta: f32,
    samples: usize,
    posterior: Normals<B>,
    z: Tensor<B, 2>,
    nll: impl Fn(Tensor<B, 2>) -> Tensor<B, 1>,
) -> Terms<B> {
    let is_dreg = kind == ObjectiveKind::Dreg;
    let (leaf, posterior) = if is_dreg {
        (z.clone().detach().require_grad(), posterior.detach())
    } else {
        (z.clone(), posterior)
    };
    let recon = nll(leaf.clone());
    let log_q: Tensor<B, 1> = posterior
        .log_densities(leaf.clone())
        .sum_dim(1)
        .squeeze_dim(1);
    let divergence = log_q - vae.log_prior(leaf.clone());
    let rows = recon.dims()[0];
    let log_weights =
        -(recon.clone() + divergence.clone() * beta).reshape([rows / samples, samples]);
    let whole = log_sum_exp(log_weights.clone(), 1);
    let bound = whole.clone().mean() - (samples as f64).ln();
    let mut terms = Terms {
        loss: -bound.clone(),
        recon: recon.mean(),
        kl: divergence.mean(),
        extra: Vec::new(),
        doubly_reparameterized: None,
    };
    if is_dreg {
        let shares = (log_weights.clone() - whole).exp().detach();
        let surrogate = -(log_weights * shares.clone()).sum_dim(1).mean();
        // The value of the bound with the gradient of the surrogate.
        terms.loss = surrogate.clone() - surrogate.detach() - bound.detach();
        terms.doubly_reparameterized = Some(DoublyReparameterized {
            z,
            leaf,
            // At beta = 1 the square of the weight's share, of which `d loss / d leaf` holds one factor. Below, the part
            // 1 - beta of log q that the bound lacks has no score to replace.
            factor: (shares * beta + (1.0 - beta)).reshape([rows, 1]),
        });
    }
    terms
}

/// The KL divergence with free bits: groups count as no less than `free_bits` says (Kingma et al. 2016).
fn at_least<B: Backend>(posterior: &Normals<B>, free_bits: FreeBits) -> Tensor<B, 1> {
    let Normals { mu, log_var } = posterior.clone();
    let kl = (mu.square() + log_var.clone().exp() - log_var - 1.0) * 0.5;
    let [batch, latent] = kl.dims();
    let size = match free_bits.per {
        FreeBitsPer::Dimension => 1,
        FreeBitsPer::Group(size) => size,
        FreeBitsPer::Total => latent,
    };
    let groups = kl
        .reshape([batch, latent / size, size])
        .sum_dim(2)
        .squeeze_dim::<2>(2);
    let groups = if free_bits.after_batch_mean {
        groups.mean_dim(0)
    } else {
        groups
    };
    groups.clamp_min(free_bits.nats).sum_dim(1).mean()
}

/// Index-code mutual information, total correlation and dimension-wise KL, whose sum is the sampled KL, by
/// minibatch-weighted sampling (Chen et al. 2018, their appendix C.1).
fn decomposition<B: Backend>(
    posterior: &Normals<B>,
    z: Tensor<B, 2>,
    data_count: usize,
) -> [Tensor<B, 1>; 3] {
    let log_conditional = posterior.log_densities(z.clone()).sum_dim(1).mean();
    let log_prior = standard_log_densities(z.clone()).sum_dim(1).mean();
    let all = posterior.all_log_densities(z);
    let normaliser = (all.dims()[0] as f64 * data_count as f64).ln();
    let latent = all.dims()[2] as f64;
    let log_marginal = log_sum_exp(all.clone().sum_dim(2), 1).mean() - normaliser;
    let log_product = log_sum_exp(all, 1).sum_dim(2).mean() - normaliser * latent;
    [
        log_conditional - log_marginal.clone(),
        log_marginal - log_product.clone(),
        log_product - log_prior,
    ]
}

/// The squared maximum mean discrepancy of two samples of the same size, unbiased (Gretton et al. 2012, equation 3).
fn discrepancy<B: Backend>(
    z: Tensor<B, 2>,
    prior: Tensor<B, 2>,
    kernel: MmdKernel,
) -> Tensor<B, 1> {
    let [rows, latent] = z.dims();
    let width = 2.0 * latent as f64;
    // burn rounds the gradient of a division by a number to f32 on every backend, so this multiplies by reciprocals.
    let values = |a: &Tensor<B, 2>, b: &Tensor<B, 2>| {
        let distance = a.clone().unsqueeze_dim::<3>(1) - b.clone().unsqueeze_dim::<3>(0);
        let squared = distance.square().sum_dim(2).squeeze_dim::<2>(2);
        match kernel {
            MmdKernel::Imq => MmdKernel::IMQ_SCALES
                .map(|scale| (squared.clone() + scale * width).recip() * (scale * width))
                .into_iter()
                .reduce(Tensor::add)
                .unwrap_or_else(|| squared.zeros_like()),
            MmdKernel::Rbf => (squared * -width.recip()).exp(),
        }
    };
    let largest = match kernel {
        MmdKernel::Imq => MmdKernel::IMQ_SCALES.len() as f64,
        MmdKernel::Rbf => 1.0,
    };
    let pairs = rows as f64 * (rows as f64 - 1.0).max(1.0);
    let share = pairs.recip();
    // A row's distance from itself is 0, where every kernel has its largest value.
    let within = |a: &Tensor<B, 2>| (values(a, a).sum() - largest * rows as f64) * share;
    within(&z) + within(&prior) - values(&z, &prior).mean() * 2.0
}
