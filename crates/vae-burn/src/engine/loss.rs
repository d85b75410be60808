//! The loss of a batch with its noise, and its gradients.

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use vae_model::{DoublyReparameterized, Draws, Terms, objective};
use vae_rng::{Generator, Noise};
use vae_spec::{Batch, Step};

use super::{BurnEngine, Inner};
use crate::convolution::Convolve;
use crate::sample_kl::{SampleKl, normals, sample_kl};

/// The noise of one batch.
pub(super) struct Drawn {
    pub(super) noise: Noise,
    pub(super) prior: Noise,
}

impl<B: SampleKl> Draws<B> for Drawn {
    fn posterior(&self, mu: Tensor<B, 2>, log_var: Tensor<B, 2>) -> (Tensor<B, 2>, Tensor<B, 1>) {
        sample_kl(mu, log_var, self.noise)
    }

    fn prior(&self, z: &Tensor<B, 2>) -> Tensor<B, 2> {
        let [rows, latent] = z.dims();
        normals(self.prior, [rows, latent], &z.device())
    }
}

impl<B: AutodiffBackend<InnerBackend: SampleKl + Convolve> + SampleKl + Convolve> BurnEngine<B> {
    /// The noise of the rows from index `first_row` on.
    pub(super) const fn drawn(&self, generator: Generator, step: u64, first_row: u32) -> Drawn {
        let first_row = first_row * self.objective.samples as u32;
        let noise = Noise {
            generator,
            step,
            first_row,
        };
        Drawn {
            noise,
            prior: Noise {
                generator: self.generators.prior_noise,
                ..noise
            },
        }
    }

    /// The objective's terms of `batch`, `[terms]`, and the gradient of its loss with respect to each parameter, flattened.
    pub(super) fn backward(&self, batch: &Batch<'_>, step: &Step) -> (Inner<B>, Vec<Inner<B>>) {
        let drawn = self.drawn(self.generators.noise, step.number, batch.first_row);
        let inputs = self.inputs(batch);
        let count = self.images.count;
        let terms = objective(
            &self.vae,
            &self.objective,
            step.weighting,
            inputs,
            count,
            &drawn,
        );
        let losses = all(&terms).inner();
        let gradients = terms.loss.backward();
        let more = terms.doubly_reparameterized.map(|dreg| {
            let DoublyReparameterized { z, leaf, factor } = dreg;
            let gradient = leaf
                .grad(&gradients)
                .unwrap_or_else(|| leaf.inner().zeros_like());
            let gradient = Tensor::from_inner(gradient * factor.inner());
            (z * gradient).sum().backward()
        });
        let parameters = self.vae.parameters().iter().map(|parameter| {
            let found = parameter.grad(&gradients);
            let more = more.as_ref().and_then(|more| parameter.grad(more));
            match (found, more) {
                (Some(found), Some(more)) => found + more,
                (Some(found), None) | (None, Some(found)) => found,
                // The loss does not depend on this parameter.
                (None, None) => parameter.clone().inner().zeros_like(),
            }
        });
        (losses, parameters.collect())
    }
}

/// The loss, `recon`, `kl` and the extra terms of an objective: `[terms]`.
pub(super) fn all<B: Backend>(terms: &Terms<B>) -> Tensor<B, 1> {
    let Terms {
        loss, recon, kl, ..
    } = terms.clone();
    let extra = terms.extra.iter().cloned();
    Tensor::cat([loss, recon, kl].into_iter().chain(extra).collect(), 0)
}
