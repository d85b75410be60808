//! Models of every network, prior, likelihood and objective, small, and a few steps of them.

use vae_spec::{
    Activation, Batch, Convolutions, Element, Engine, EngineSetup, FreeBits, FreeBitsPer,
    KlEstimate, Likelihood, Losses, MmdKernel, ModelConfig, Objective, ObjectiveKind, Optimizer,
    OptimizerConfig, Prior, Spread, Step, TrainingImages, Upsampling, Wait, Weighting, Weights,
};

use super::{Route, distance, stripes};

pub(crate) const SEED: u64 = 6;
pub(crate) const IMAGES: usize = 12;
const CLASSES: usize = 3;
/// Steps where each of them takes long.
pub(crate) const FEW: u64 = 5;

/// Name, model and objective; sizes are small, odd and uneven, so that a swapped dimension is detected.
pub(crate) type Variant = (&'static str, ModelConfig, Objective);

fn dense() -> ModelConfig {
    ModelConfig {
        image: [1, 6, 5],
        ..ModelConfig::dense(30, &[9], 3)
    }
}

fn convolutional(upsampling: Upsampling) -> ModelConfig {
    ModelConfig {
        image: [3, 7, 6],
        convolutions: Some(Convolutions {
            channels: vec![4, 6],
            kernel: 3,
            stride: 2,
            upsampling,
            groups: Some(2),
            residual_blocks: 1,
        }),
        ..ModelConfig::dense(3 * 7 * 6, &[8], 3)
    }
}

fn objective(kind: ObjectiveKind) -> Objective {
    Objective {
        kind,
        samples: if matches!(kind, ObjectiveKind::Iwae | ObjectiveKind::Dreg) {
            4
        } else {
            1
        },
        kl: if matches!(kind, ObjectiveKind::Capacity | ObjectiveKind::Mmd { .. }) {
            KlEstimate::Analytic
        } else {
            KlEstimate::Sampled
        },
        free_bits: None,
    }
}

pub(crate) fn variants() -> Vec<Variant> {
    let like = |likelihood| ModelConfig {
        likelihood,
        ..dense()
    };
    let prior = |prior| ModelConfig { prior, ..dense() };
    let mmd = |kernel| ObjectiveKind::Mmd {
        weight: 10.0,
        kernel,
    };
    let free_bits = |per, after_batch_mean| Objective {
        free_bits: Some(FreeBits {
            nats: 0.05,
            per,
            after_batch_mean,
        }),
        ..Objective::ELBO
    };
    let conditional = |config| ModelConfig {
        classes: CLASSES,
        ..config
    };
    let sampled = objective(ObjectiveKind::Elbo);
    vec![
        (
            "transposed",
            convolutional(Upsampling::Transposed),
            Objective::ELBO,
        ),
        (
            "nearest",
            convolutional(Upsampling::Nearest),
            Objective::ELBO,
        ),
        (
            "conditional convolutions",
            conditional(convolutional(Upsampling::Transposed)),
            Objective::ELBO,
        ),
        (
            "kernels of five, residual blocks without normalisation",
            ModelConfig {
                convolutions: Some(Convolutions {
                    channels: vec![5],
                    kernel: 5,
                    stride: 3,
                    upsampling: Upsampling::Transposed,
                    groups: None,
                    residual_blocks: 2,
                }),
                image: [1, 11, 9],
                activation: Activation::Gelu,
                ..ModelConfig::dense(99, &[], 2)
            },
            Objective::ELBO,
        ),
        (
            "a spread for each number of coloured images",
            ModelConfig {
                likelihood: Likelihood::Gaussian(Spread::PerDimension),
                ..convolutional(Upsampling::Nearest)
            },
            Objective::ELBO,
        ),
        (
            "counts in images, even kernels",
            conditional(ModelConfig {
                convolutions: Some(Convolutions {
                    channels: vec![4, 8],
                    kernel: 4,
                    stride: 2,
                    upsampling: Upsampling::Transposed,
                    groups: None,
                    residual_blocks: 1,
                }),
                image: [2, 8, 6],
                likelihood: Likelihood::NegativeBinomial(Spread::Learned),
                ..ModelConfig::dense(96, &[7], 2)
            }),
            Objective::ELBO,
        ),
        ("conditional", conditional(dense()), Objective::ELBO),
        (
            "continuous Bernoulli",
            like(Likelihood::ContinuousBernoulli),
            Objective::ELBO,
        ),
        (
            "Gaussian",
            like(Likelihood::Gaussian(Spread::PerDimension)),
            Objective::ELBO,
        ),
        (
            "Laplace",
            like(Likelihood::Laplace(Spread::Learned)),
            Objective::ELBO,
        ),
        (
            "discretized logistic",
            like(Likelihood::DiscretizedLogistic(Spread::Learned)),
            Objective::ELBO,
        ),
        ("Poisson", like(Likelihood::Poisson), Objective::ELBO),
        (
            "negative binomial",
            like(Likelihood::NegativeBinomial(Spread::PerDimension)),
            Objective::ELBO,
        ),
        ("mixture", prior(Prior::Mixture { components: 3 }), sampled),
        ("VampPrior", prior(Prior::Vamp { inputs: 4 }), sampled),
        ("sampled KL", dense(), sampled),
        (
            "free bits",
            ModelConfig {
                latent: 4,
                ..dense()
            },
            free_bits(FreeBitsPer::Group(2), false),
        ),
        ("capacity", dense(), objective(ObjectiveKind::Capacity)),
        ("beta-TC", dense(), objective(ObjectiveKind::BetaTc)),
        ("IMQ", dense(), objective(mmd(MmdKernel::Imq))),
        ("RBF", dense(), objective(mmd(MmdKernel::Rbf))),
        ("IWAE", dense(), objective(ObjectiveKind::Iwae)),
        ("DReG", dense(), objective(ObjectiveKind::Dreg)),
        (
            "free bits of a batch, two draws",
            dense(),
            Objective {
                samples: 2,
                ..free_bits(FreeBitsPer::Dimension, true)
            },
        ),
        (
            "free bits of all latents",
            dense(),
            free_bits(FreeBitsPer::Total, false),
        ),
        (
            "RBF of two draws, sampled KL",
            dense(),
            Objective {
                samples: 2,
                kl: KlEstimate::Sampled,
                ..objective(mmd(MmdKernel::Rbf))
            },
        ),
        (
            "IWAE with a mixture",
            prior(Prior::Mixture { components: 5 }),
            objective(ObjectiveKind::Iwae),
        ),
        (
            "DReG with a VampPrior",
            prior(Prior::Vamp { inputs: 5 }),
            objective(ObjectiveKind::Dreg),
        ),
        (
            "VampPrior of coloured images",
            ModelConfig {
                prior: Prior::Vamp { inputs: 3 },
                convolutions: Some(Convolutions {
                    channels: vec![4],
                    kernel: 3,
                    stride: 2,
                    upsampling: Upsampling::Transposed,
                    groups: None,
                    residual_blocks: 0,
                }),
                ..convolutional(Upsampling::Transposed)
            },
            sampled,
        ),
        (
            "capacity with a VampPrior of counts",
            ModelConfig {
                prior: Prior::Vamp { inputs: 2 },
                ..like(Likelihood::Poisson)
            },
            Objective {
                kl: KlEstimate::Sampled,
                ..objective(ObjectiveKind::Capacity)
            },
        ),
    ]
}

/// Images as bytes 0 to 255, or small counts for count likelihoods.
fn bytes(model: &ModelConfig) -> Vec<u8> {
    let bytes = stripes(IMAGES, model.pixels());
    if model.likelihood.is_count() {
        let counts = bytes.iter().map(|byte| f32::from(byte / 32));
        counts.flat_map(f32::to_le_bytes).collect()
    } else {
        bytes
    }
}

/// Labels of `IMAGES` images, if the model is conditional.
pub(crate) fn labels(model: &ModelConfig) -> Vec<u32> {
    let images = 0..IMAGES as u32;
    if model.classes > 0 {
        images.map(|image| image % model.classes as u32).collect()
    } else {
        Vec::new()
    }
}

pub(crate) fn engine(route: Route, model: &ModelConfig, objective: Objective) -> Box<dyn Engine> {
    let weights = Weights::initial(model, SEED);
    let optimizer = OptimizerConfig::new(Optimizer::Adam);
    let mut engine = route.engine(&EngineSetup {
        objective,
        ..EngineSetup::new(model, &weights, optimizer, SEED)
    });
    let images = TrainingImages {
        bytes: bytes(model).into(),
        element: if model.likelihood.is_count() {
            Element::F32
        } else {
            Element::U8
        },
        labels: labels(model),
        count: IMAGES,
        ..TrainingImages::default()
    };
    engine.train_on(images).expect("a working device");
    engine
}

pub(crate) fn step(number: u64, micro_batch: usize) -> Step {
    Step {
        weighting: Weighting {
            anneal: 0.5,
            beta: 2.0,
            capacity: 1.0,
        },
        micro_batch,
        ..Step::plain(number, 1e-2)
    }
}

/// The images as floats.
pub(crate) fn floats(model: &ModelConfig) -> Vec<f32> {
    let bytes = bytes(model);
    if model.likelihood.is_count() {
        let (numbers, _) = bytes.as_chunks();
        return numbers
            .iter()
            .map(|number| f32::from_le_bytes(*number))
            .collect();
    }
    bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect()
}

/// The losses of some steps with micro-batches, then those of an evaluation.
pub(crate) fn trained(
    route: Route,
    (_, model, objective): &Variant,
    micro_batch: usize,
    steps: u64,
) -> Vec<f32> {
    let mut engine = engine(route, model, *objective);
    let rows: Vec<u32> = (0..IMAGES as u32).collect();
    for number in 0..steps {
        let rows = &rows[..if number == 3 { 7 } else { IMAGES }];
        engine
            .train_step(rows, &step(number, micro_batch))
            .expect("a working device");
    }
    let mut losses = engine.take_losses(Wait::ForAll).expect("a working device");
    let images = floats(model);
    let labels = labels(model);
    let batch = Batch {
        labels: &labels,
        ..Batch::of(&images)
    };
    let evaluated = engine.evaluate(&batch, step(0, micro_batch).weighting);
    losses.push(evaluated.expect("a working device"));
    let numbers = losses.iter().flat_map(|losses| Losses::to_array(*losses));
    numbers
        .filter(|number| !number.is_nan())
        .map(|number| number as f32)
        .collect()
}

/// The largest error in tolerances: losses are sums of at most 126 terms rounded to 2^-24, after five updates of 1e-2; with
/// more updates differences grow.
pub(crate) fn worst(found: &[f32], expected: &[f32], steps: u64) -> f32 {
    let tolerance = 1e-4 * (steps / FEW) as f32;
    distance(found, expected, |index| {
        tolerance * (expected[index].abs() + 1.0)
    })
}
