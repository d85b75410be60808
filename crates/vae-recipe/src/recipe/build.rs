//! Builds the configuration of the engines from a recipe.

use vae_spec::{
    Clip, Convolutions, EngineSetup, KlEstimate, MmdKernel, ModelConfig, Objective, ObjectiveKind,
    Optimizer, OptimizerConfig, Spread, Weighting, Weights,
};

use super::{FreeBitsText, ObjectiveName, Recipe, Sigma};
use crate::Span;

impl Recipe {
    /// Configuration of the network.
    #[must_use]
    pub fn model(&self) -> ModelConfig {
        let mirrored = || self.hidden.iter().rev().copied().collect();
        ModelConfig {
            image: [self.image.channels, self.image.height, self.image.width],
            classes: self.classes.len(),
            convolutions: (!self.channels.is_empty()).then(|| Convolutions {
                channels: self.channels.clone(),
                kernel: self.kernel,
                stride: self.stride,
                upsampling: self.upsampling,
                groups: self.group_norm,
                residual_blocks: self.residual_blocks,
            }),
            hidden: self.hidden.clone(),
            decoder_hidden: self.decoder_hidden.clone().unwrap_or_else(mirrored),
            latent: self.latent,
            activation: self.activation,
            likelihood: self
                .likelihood
                // A config without this setting, as imported models may have, gets the default that needs no more weights.
                .with(
                    self.sigma
                        .or(self.likelihood.default_sigma(false))
                        .map_or(Spread::Learned, Sigma::spread),
                ),
            prior: self.prior.prior(),
            init: self.init,
        }
    }

    /// The training objective.
    #[must_use]
    pub fn objective(&self) -> Objective {
        let kind = match self.objective {
            ObjectiveName::Elbo => ObjectiveKind::Elbo,
            ObjectiveName::Capacity => ObjectiveKind::Capacity,
            ObjectiveName::BetaTcvae => ObjectiveKind::BetaTc,
            ObjectiveName::InfoVae => ObjectiveKind::Mmd {
                weight: self.mmd_weight.unwrap_or(0.0) as f32,
                kernel: self.mmd_kernel.unwrap_or(MmdKernel::Imq),
            },
            ObjectiveName::Iwae => ObjectiveKind::Iwae,
            ObjectiveName::Dreg => ObjectiveKind::Dreg,
        };
        Objective {
            kind,
            samples: self.samples.unwrap_or(1),
            kl: self.kl.unwrap_or(KlEstimate::Analytic),
            free_bits: self.free_bits.map(|FreeBitsText(free_bits)| free_bits),
        }
    }

    /// Configuration of the optimizer, without the learning rate.
    #[must_use]
    pub fn optimizer_config(&self) -> OptimizerConfig {
        let of = |setting: Option<f64>| setting.unwrap_or(0.0) as f32;
        let norm = self.clip_norm.map(|norm| Clip::Norm(norm as f32));
        let value = self.clip_value.map(|value| Clip::Value(value as f32));
        OptimizerConfig {
            optimizer: self.optimizer,
            weight_decay: of(self.weight_decay),
            momentum: of(self.momentum),
            eps: of(self.eps),
            clip: norm.or(value),
            ema: self.ema.map(|decay| decay as f32),
        }
    }

    /// The setup of an engine that trains this recipe; `model` is [`Self::model`].
    #[must_use]
    pub fn setup<'a>(&self, model: &'a ModelConfig, weights: &'a Weights) -> EngineSetup<'a> {
        EngineSetup {
            model,
            weights,
            moments: &[],
            optimizer: self.optimizer_config(),
            objective: self.objective(),
            seed: self.seed,
        }
    }

    /// The setup of an engine used for inference only; `model` is [`Self::model`].
    #[must_use]
    pub fn inference_setup<'a>(
        &self,
        model: &'a ModelConfig,
        weights: &'a Weights,
    ) -> EngineSetup<'a> {
        let optimizer = OptimizerConfig::new(Optimizer::Sgd);
        EngineSetup::new(model, weights, optimizer, self.seed)
    }

    /// Effective batch size: samples per optimizer step, over all its micro-batches.
    #[must_use]
    pub const fn effective_batch_size(&self) -> usize {
        self.batch_size.saturating_mul(self.accumulate)
    }

    /// Weights of the objective's terms at `step`, counted from 0 over the whole run.
    #[must_use]
    pub fn weighting(&self, step: u64, steps_per_epoch: u64) -> Weighting {
        let anneal = self.kl_schedule.factor(step, steps_per_epoch, self.epochs);
        let capacity = self.capacity.map_or(0.0, |capacity| {
            let half = Span::Epochs(self.epochs as f64 / 2.0);
            let span = capacity.span.unwrap_or(half).steps(steps_per_epoch);
            capacity.nats * (step as f64 / span).min(1.0)
        });
        self.weighted(anneal, capacity)
    }

    /// Final weights of the objective's terms, under which epochs are compared.
    #[must_use]
    pub fn final_weighting(&self) -> Weighting {
        self.weighted(1.0, self.capacity.map_or(0.0, |capacity| capacity.nats))
    }

    const fn weighted(&self, anneal: f32, capacity: f64) -> Weighting {
        Weighting {
            anneal,
            beta: anneal * self.beta as f32,
            capacity: capacity as f32,
        }
    }
}
