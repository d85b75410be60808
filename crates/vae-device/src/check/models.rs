//! Small models that together need every pass.

use vae_spec::{
    Activation, Convolutions, KlEstimate, Likelihood, ModelConfig, Objective, ObjectiveKind,
    Spread, Upsampling,
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

/// Dense models with labels, with several draws, and of counts; convolutions with and without normalisation.
pub(super) fn cases() -> Vec<Case> {
    let dense = |activation| ModelConfig {
        activation,
        ..ModelConfig::dense(70, &[33, 20], 5)
    };
    let convolutional = |convolutions: Convolutions, likelihood| ModelConfig {
        image: [3, 8, 12],
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
