//! Small models that together need every pass.

use vae_spec::{
    Activation, Convolutions, FreeBits, FreeBitsPer, KlEstimate, Likelihood, MmdKernel,
    ModelConfig, Objective, ObjectiveKind, Prior, Spread, Upsampling,
};

/// A model, what it minimises, and whether its encoder sees corrupted rows.
pub(super) struct Case {
    pub(super) model: ModelConfig,
    pub(super) objective: Objective,
    pub(super) corrupts: bool,
}

fn case(model: ModelConfig) -> Case {
    Case {
        model,
        objective: Objective::ELBO,
        corrupts: false,
    }
}

/// Models of every kind of layer, then of every objective and prior.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = layers();
    cases.extend(latents());
    cases
}

/// One dense model with other objectives and priors.
fn latents() -> Vec<Case> {
    let dense = || case(ModelConfig::dense(70, &[20], 5));
    let objective = |objective| Case {
        objective,
        ..dense()
    };
    let prior = |prior| Case {
        model: ModelConfig {
            prior,
            ..dense().model
        },
        objective: Objective {
            kl: KlEstimate::Sampled,
            ..Objective::ELBO
        },
        corrupts: false,
    };
    let kind = |kind, kl| {
        objective(Objective {
            kind,
            kl,
            ..Objective::ELBO
        })
    };
    let mmd = ObjectiveKind::Mmd {
        weight: 10.0,
        kernel: MmdKernel::Imq,
    };
    let free_bits = FreeBits {
        nats: 0.1,
        per: FreeBitsPer::Dimension,
        after_batch_mean: true,
    };
    vec![
        prior(Prior::Mixture { components: 3 }),
        prior(Prior::Vamp { inputs: 4 }),
        kind(ObjectiveKind::BetaTc, KlEstimate::Sampled),
        kind(mmd, KlEstimate::Analytic),
        kind(ObjectiveKind::Capacity, KlEstimate::Analytic),
        objective(Objective {
            free_bits: Some(free_bits),
            ..Objective::ELBO
        }),
    ]
}

/// Dense models with labels, with several draws, and of counts; convolutions with and without normalisation.
fn layers() -> Vec<Case> {
    let dense = |activation| ModelConfig {
        activation,
        ..ModelConfig::dense(70, &[33, 20], 5)
    };
    let convolutional = |convolutions: Convolutions, likelihood| ModelConfig {
        image: [3, 8, 12],
        // Without kinks: in groups of nearly equal numbers, which normalisation spreads, any rounding makes units cross theirs, and
        // twenty steps later weights are far apart (docs/decisions.md).
        activation: Activation::Gelu,
        convolutions: Some(convolutions),
        likelihood,
        ..ModelConfig::dense(288, &[16], 4)
    };
    let plain = Convolutions {
        channels: vec![6, 8],
        kernel: 3,
        stride: 2,
        upsampling: Upsampling::Transposed,
        groups: None,
        residual_blocks: 1,
    };
    let rich = Convolutions {
        upsampling: Upsampling::Nearest,
        groups: Some(2),
        ..plain.clone()
    };
    let draws = |kind| Objective {
        kind,
        samples: 3,
        kl: KlEstimate::Sampled,
        free_bits: None,
    };
    vec![
        Case {
            corrupts: true,
            ..case(ModelConfig {
                classes: 4,
                ..dense(Activation::Relu)
            })
        },
        Case {
            objective: draws(ObjectiveKind::Iwae),
            ..case(dense(Activation::Gelu))
        },
        Case {
            objective: draws(ObjectiveKind::Dreg),
            ..case(ModelConfig {
                likelihood: Likelihood::Laplace(Spread::PerDimension),
                ..dense(Activation::Tanh)
            })
        },
        case(ModelConfig {
            likelihood: Likelihood::NegativeBinomial(Spread::PerDimension),
            ..dense(Activation::Softplus)
        }),
        case(convolutional(plain, Likelihood::Bernoulli)),
        case(convolutional(rich, Likelihood::Gaussian(Spread::Learned))),
    ]
}
