//! Training: the same loss curve on every backend, the same bits for the same seed.

use vae_rng::{Generator, Stream};
use vae_spec::Corruption;
use vae_spec::{
    Activation, Batch, Clip, Element, Engine, EngineSetup, Likelihood, Losses, ModelConfig,
    Optimizer, OptimizerConfig, Snapshot, Spread, Step, TrainingImages, Wait, Weighting, Weights,
};

use crate::common::{Route, distance, stripes};

const BATCH: usize = 33;
const IMAGES: usize = 200;
const STEPS: u64 = 50;
const LR: f32 = 1e-2;

fn config() -> ModelConfig {
    ModelConfig::dense(50, &[17, 9], 3)
}

fn engine(
    route: Route,
    model: &ModelConfig,
    optimizer: OptimizerConfig,
    seed: u64,
) -> Box<dyn Engine> {
    let weights = Weights::initial(model, seed);
    route.engine(&EngineSetup::new(model, &weights, optimizer, seed))
}

fn optimizer(optimizer: Optimizer) -> OptimizerConfig {
    OptimizerConfig::new(optimizer)
}

fn bytes() -> Vec<u8> {
    stripes(IMAGES, config().pixels())
}

/// A batch of the training images, as engines take it for evaluation.
fn batch(step: u64) -> Vec<f32> {
    let bytes = bytes();
    let pixels = config().pixels();
    let images = rows(step).into_iter();
    images
        .flat_map(|row| bytes[row as usize * pixels..][..pixels].to_vec())
        .map(|byte| f32::from(byte) / 255.0)
        .collect()
}

/// Rows of a batch; every fifth batch is smaller, like the last one of an epoch.
fn rows(step: u64) -> Vec<u32> {
    let rows = Generator::new(0, Stream::Shuffle).permutation(step, IMAGES as u32);
    rows[..if step % 5 == 4 { BATCH - 4 } else { BATCH }].to_vec()
}

fn trained_as(
    route: Route,
    model: &ModelConfig,
    optimizer: OptimizerConfig,
    binarize: bool,
    seed: u64,
) -> (Vec<Losses>, Snapshot) {
    let mut engine = engine(route, model, optimizer, seed);
    let bytes = bytes().into();
    engine
        .train_on(TrainingImages {
            bytes,
            binarize,
            ..TrainingImages::default()
        })
        .expect("a working device");
    let mut losses = Vec::new();
    for step in 0..STEPS {
        engine
            .train_step(&rows(step), &Step::plain(step, LR))
            .expect("a working device");
        losses.extend(engine.take_losses(Wait::No).expect("a working device"));
    }
    losses.extend(engine.take_losses(Wait::ForAll).expect("a working device"));
    assert_eq!(losses.len(), STEPS as usize);
    (losses, engine.snapshot().expect("a working device"))
}

fn trained(route: Route, which: Optimizer, seed: u64) -> (Vec<Losses>, Snapshot) {
    trained_as(route, &config(), optimizer(which), false, seed)
}

fn curve(losses: &[Losses]) -> Vec<f32> {
    losses
        .iter()
        .flat_map(|step| [step.recon as f32, step.kl as f32])
        .collect()
}

/// The largest error in tolerances: losses near 35 and 0.1 to 5, each a sum of at most 50 terms rounded to 2^-24, after at
/// most 50 updates of 1e-2 whose relative error of about 1e-5 changes the loss by less than a relative 1e-4.
fn curve_distance(found: &[Losses], expected: &[Losses]) -> f32 {
    let expected = curve(expected);
    distance(&curve(found), &expected, |index| {
        1e-4 * expected[index].abs() + 1e-5
    })
}

/// Each optimizer (AMSGrad decayed and clipped: over so few steps it is Adam), clipped gradients, weight decay, a Gaussian
/// likelihood and binarized images, over both depths of output.
fn recipes() -> Vec<(ModelConfig, OptimizerConfig, bool)> {
    let plain = |which| (config(), optimizer(which), false);
    let clipped = OptimizerConfig {
        clip: Some(Clip::Norm(0.5)),
        ..optimizer(Optimizer::Adam)
    };
    let gaussian = ModelConfig {
        activation: Activation::Gelu,
        likelihood: Likelihood::Gaussian(Spread::Fixed(0.5)),
        ..config()
    };
    let sgd = OptimizerConfig {
        clip: Some(Clip::Norm(5.0)),
        ..optimizer(Optimizer::Sgd)
    };
    let decayed = OptimizerConfig {
        clip: Some(Clip::Value(0.05)),
        weight_decay: 0.1,
        ..optimizer(Optimizer::Amsgrad)
    };
    vec![
        plain(Optimizer::Rmsprop),
        plain(Optimizer::Adam),
        plain(Optimizer::Adamw),
        plain(Optimizer::Adagrad),
        (config(), decayed, false),
        (config(), sgd, false),
        (config(), clipped, false),
        (gaussian, optimizer(Optimizer::Adam), false),
        (config(), optimizer(Optimizer::Adam), true),
    ]
}

#[test]
fn fifty_steps_have_the_same_losses_on_every_route() {
    for (model, optimizer, binarize) in recipes() {
        let (expected, _) = trained_as(Route::Ndarray, &model, optimizer, binarize, 4);
        assert!(
            expected[49].loss < expected[0].loss - 1.0,
            "it did not learn: {expected:?}"
        );
        for route in Route::others() {
            let (found, _) = trained_as(route, &model, optimizer, binarize, 4);
            let worst = curve_distance(&found, &expected);
            assert!(
                worst <= 1.0,
                "{route:?}, {optimizer:?}, {:?}, binarize {binarize}: {worst} tolerances",
                model.likelihood
            );
        }
    }
}

#[test]
fn another_optimizer_seed_or_setting_is_told_apart_from_the_curve() {
    let curves: Vec<_> = recipes()
        .into_iter()
        .map(|(model, optimizer, binarize)| {
            trained_as(Route::Cpu, &model, optimizer, binarize, 4).0
        })
        .chain([trained(Route::Cpu, Optimizer::Adam, 5).0])
        .collect();
    for (index, curve) in curves.iter().enumerate() {
        for other in &curves[..index] {
            assert!(curve_distance(curve, other) > 10.0, "curve {index}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others() {
    // burn's GPU kernels do not guarantee the order of their sums.
    for route in Route::all()
        .into_iter()
        .filter(|&route| route != Route::Wgpu)
    {
        let (losses, weights) = trained(route, Optimizer::Adam, 4);
        let again = trained(route, Optimizer::Adam, 4);
        assert_eq!((&losses, &weights), (&again.0, &again.1));
        assert_ne!(
            weights.weights,
            trained(route, Optimizer::Adam, 5).1.weights
        );
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_the_fused_engine() {
    // Wide enough that matrix products and loops are split among threads, and odd so that the last parts are small.
    let model = ModelConfig::dense(785, &[600, 301], 5);
    let rows: Vec<u32> = (0..201).collect();
    let trained = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| {
            let optimizer = OptimizerConfig {
                clip: Some(Clip::Norm(1.0)),
                ..optimizer(Optimizer::Adam)
            };
            let mut engine = engine(Route::Cpu, &model, optimizer, 1);
            engine
                .train_on(TrainingImages {
                    bytes: stripes(201, 785).into(),
                    ..TrainingImages::default()
                })
                .expect("a working device");
            for step in 0..3 {
                engine
                    .train_step(&rows, &Step::plain(step, LR))
                    .expect("a working device");
            }
            engine.snapshot().expect("a working device")
        })
    };
    let one = trained(1);
    assert_ne!(one.weights, Weights::initial(&model, 1));
    for threads in [2, 3, 8] {
        // Not assert_eq, which would print a million values.
        assert!(trained(threads) == one, "{threads} threads");
    }
}

#[test]
fn a_snapshot_names_every_weight_and_moment_and_carries_the_model_to_every_route() {
    let optimizer = optimizer(Optimizer::Adam);
    for route in Route::all() {
        let mut engine = engine(route, &config(), optimizer, 4);
        let fresh = engine.snapshot().expect("a working device");
        assert_eq!(fresh.weights, Weights::initial(&config(), 4));
        assert!(fresh.moments.is_empty());
        let bytes = bytes().into();
        let images = TrainingImages {
            bytes,
            ..TrainingImages::default()
        };
        engine.train_on(images).expect("a working device");
        engine
            .train_step(&rows(0), &Step::plain(0, LR))
            .expect("a working device");
        let snapshot = engine.snapshot().expect("a working device");
        assert_ne!(snapshot.weights, fresh.weights);
        assert_eq!(snapshot.moments.len(), 2);
        assert_ne!(snapshot.moments[0], snapshot.moments[1]);

        let mut copy = Route::Ndarray.engine(&EngineSetup {
            moments: &snapshot.moments,
            ..EngineSetup::new(&config(), &snapshot.weights, optimizer, 4)
        });
        let images = batch(1);
        let losses = |engine: &mut dyn Engine, first_row| {
            let batch = Batch {
                first_row,
                ..Batch::of(&images)
            };
            let losses = engine.evaluate(&batch, Weighting::PLAIN);
            losses.expect("a working device")
        };
        let (found, expected) = (losses(engine.as_mut(), 7), losses(copy.as_mut(), 7));
        assert!(
            curve_distance(&[found], &[expected]) <= 1.0,
            "{route:?}: {found:?} against {expected:?}"
        );
        assert_ne!(losses(engine.as_mut(), 8), found, "another row's noise");
        let posteriors = [&mut engine, &mut copy].map(|engine| {
            engine
                .encode(&Batch::of(&images))
                .expect("a working device")
        });
        // 50 and 17 products, each with a rounding error of 2^-24 of sums of at most 5.
        assert!(distance(&posteriors[0].mu, &posteriors[1].mu, |_| 2e-5) <= 1.0);
        assert!(distance(&posteriors[0].log_var, &posteriors[1].log_var, |_| 2e-5) <= 1.0);
    }
}

#[test]
fn zero_latents_decode_to_zero_logits_or_means_and_large_ones_to_large_outputs() {
    for route in Route::all() {
        let mut engine = engine(route, &config(), optimizer(Optimizer::Adam), 4);
        let outputs = engine.decode(&[1e6, 0.0, 0.0, 0.0, 0.0, 0.0], &[]);
        let outputs = outputs.expect("a working device");
        assert_eq!(outputs.len(), 2 * config().pixels());
        // Zero latents and zero biases give zero outputs.
        assert!(outputs[..50].iter().any(|&output| output > 1.0));
        assert!(outputs[50..].iter().all(|&output| output == 0.0));
    }
}

#[test]
fn a_snapshot_goes_on_as_if_training_had_never_stopped() {
    for route in Route::all() {
        for which in [Optimizer::Adam, Optimizer::Rmsprop, Optimizer::Sgd] {
            let whole = trained(route, which, 4);
            let mut losses = Vec::new();
            let weights = Weights::initial(&config(), 4);
            let mut snapshot = Snapshot {
                weights,
                moments: Vec::new(),
            };
            for part in [0..7, 7..31, 31..STEPS] {
                let mut engine = route.engine(&EngineSetup {
                    moments: &snapshot.moments,
                    ..EngineSetup::new(&config(), &snapshot.weights, optimizer(which), 4)
                });
                let images = TrainingImages {
                    bytes: bytes().into(),
                    ..TrainingImages::default()
                };
                engine.train_on(images).expect("a working device");
                for step in part {
                    engine
                        .train_step(&rows(step), &Step::plain(step, LR))
                        .expect("a working device");
                }
                losses.extend(engine.take_losses(Wait::ForAll).expect("a working device"));
                snapshot = engine.snapshot().expect("a working device");
            }
            if route == Route::Wgpu {
                // burn's GPU kernels do not guarantee the order of their sums.
                assert!(curve_distance(&losses, &whole.0) <= 1.0);
            } else {
                assert_eq!((losses, snapshot), whole, "{route:?}, {which:?}");
            }
        }
    }
}

#[test]
fn forgotten_moments_are_told_apart_from_the_curve() {
    let whole = trained(Route::Cpu, Optimizer::Adam, 4).0;
    let weights = Weights::initial(&config(), 4);
    let train = |weights: &Weights, steps: std::ops::Range<u64>| {
        let setup = (config(), optimizer(Optimizer::Adam));
        let mut engine = Route::Cpu.engine(&EngineSetup::new(&setup.0, weights, setup.1, 4));
        let images = TrainingImages {
            bytes: bytes().into(),
            ..TrainingImages::default()
        };
        engine.train_on(images).expect("a working device");
        for step in steps {
            engine
                .train_step(&rows(step), &Step::plain(step, LR))
                .expect("a working device");
        }
        let losses = engine.take_losses(Wait::ForAll).expect("a working device");
        (losses, engine.snapshot().expect("a working device").weights)
    };
    let (mut losses, weights) = train(&weights, 0..25);
    losses.extend(train(&weights, 25..STEPS).0);
    assert!(curve_distance(&losses, &whole) > 10.0);
}

#[test]
fn damaged_images_float_images_and_single_likelihoods_are_the_same_on_every_route() {
    let floats: Vec<u8> = bytes()
        .iter()
        .flat_map(|&byte| (f32::from(byte) / 255.0).to_le_bytes())
        .collect();
    let mask = Corruption::Mask {
        side: 4,
        height: 5,
        width: 10,
    };
    for (element, corruption) in [
        (Element::U8, Some(mask)),
        (Element::F32, None),
        (Element::F32, Some(mask)),
    ] {
        let mut expected: Option<Vec<f32>> = None;
        for route in Route::all() {
            let mut engine = engine(route, &config(), optimizer(Optimizer::Adam), 4);
            let bytes = match element {
                Element::U8 => bytes(),
                Element::F32 => floats.clone(),
            };
            let images = TrainingImages {
                bytes: bytes.into(),
                element,
                corruption,
                ..TrainingImages::default()
            };
            engine.train_on(images).expect("a working device");
            for step in 0..10 {
                engine
                    .train_step(&rows(step), &Step::plain(step, LR))
                    .expect("a working device");
            }
            let mut found = curve(&engine.take_losses(Wait::ForAll).expect("a working device"));
            let (whole, damaged) = (batch(1), vec![0.5; batch(1).len()]);
            let mut evaluate = |corrupted| {
                let batch = Batch {
                    corrupted,
                    ..Batch::of(&whole)
                };
                let losses = engine.evaluate(&batch, Weighting::PLAIN);
                losses.expect("a working device")
            };
            let (plain, denoised) = (evaluate(None), evaluate(Some(&damaged[..])));
            assert_ne!(plain, denoised);
            found.extend(curve(&[plain, denoised]));
            let z: Vec<f32> = (0..BATCH * 3).map(|i| (i % 7) as f32 / 3.0 - 1.0).collect();
            let nll = engine
                .nll(&z, &Batch::of(&whole))
                .expect("a working device");
            assert_eq!(nll.len(), BATCH);
            found.extend(nll);
            let expected = expected.get_or_insert_with(|| found.clone());
            let worst = distance(&found, expected, |index| {
                1e-4 * expected[index].abs() + 1e-5
            });
            assert!(worst <= 1.0, "{route:?}: {worst} tolerances");
        }
        let grey = trained(Route::Cpu, Optimizer::Adam, 4).0;
        let same = curve_distance(
            &expected.expect("routes")[..20]
                .chunks(2)
                .map(|pair| Losses::of_elbo(pair[0].into(), pair[1].into(), 1.0))
                .collect::<Vec<_>>(),
            &grey[..10],
        );
        assert_eq!(same <= 1.0, corruption.is_none(), "{same} tolerances");
    }
}

#[test]
fn everything_but_training_sees_the_average_of_the_weights_on_every_route() {
    let images = batch(1);
    let of = |route, ema| {
        let optimizer = OptimizerConfig {
            ema,
            ..optimizer(Optimizer::Adam)
        };
        let mut engine = engine(route, &config(), optimizer, 4);
        let training = TrainingImages {
            bytes: bytes().into(),
            ..TrainingImages::default()
        };
        engine.train_on(training).expect("a working device");
        for step in 0..10 {
            engine
                .train_step(&rows(step), &Step::plain(step, LR))
                .expect("a working device");
        }
        let losses = engine.take_losses(Wait::ForAll).expect("a working device");
        let evaluated = engine.evaluate(&Batch::of(&images), Weighting::PLAIN);
        let evaluated = [evaluated.expect("a working device")];
        let posterior = engine.encode(&Batch::of(&images));
        let mu = posterior.expect("a working device").mu;
        // Evaluating the average does not change the trained weights.
        let step = engine.train_step(&rows(10), &Step::plain(10, LR));
        step.expect("a working device");
        let next = engine.take_losses(Wait::ForAll).expect("a working device");
        ([losses, next].concat(), evaluated, mu)
    };
    let (curve, expected, mu) = of(Route::Ndarray, Some(0.9));
    for route in Route::all() {
        let (found_curve, found, found_mu) = of(route, Some(0.9));
        assert!(curve_distance(&found_curve, &curve) <= 1.0, "{route:?}");
        assert!(curve_distance(&found, &expected) <= 1.0, "{route:?}");
        assert!(distance(&found_mu, &mu, |_| 2e-5) <= 1.0, "{route:?}");
        let (same_curve, plain, _) = of(route, None);
        assert!(curve_distance(&same_curve, &curve) <= 1.0, "{route:?}");
        assert!(curve_distance(&plain, &expected) > 10.0, "{route:?}");
    }
}
