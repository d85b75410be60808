//! Training: the same curve on every backend, the same bits for the same seed.

use vae_model::{
    Engine, EngineSetup, Initialization, Losses, ModelConfig, OptimizerConfig, Snapshot, Weights,
};
use vae_rng::{Generator, Stream};

use crate::common::{Route, distance};

const BATCH: usize = 33;
const STEPS: u64 = 10;

fn config() -> ModelConfig {
    ModelConfig {
        pixels: 50,
        hidden: vec![17, 9],
        latent: 3,
        init: Initialization::Glorot,
    }
}

fn engine(route: &Route, optimizer: OptimizerConfig, seed: u64) -> Box<dyn Engine> {
    let model = config();
    let weights = Weights::initial(&model, seed);
    route.engine(&EngineSetup {
        model: &model,
        weights: &weights,
        optimizer,
        lr: 1e-2,
        seed,
    })
}

/// Noisy stripes: every fifth column is bright, the next ones ever darker.
fn images(step: u64) -> Vec<f32> {
    let pixels = config().pixels;
    let uniforms = Generator::new(0, Stream::Shuffle).uniforms(step, 0, BATCH, pixels);
    uniforms
        .iter()
        .enumerate()
        .map(|(index, u)| (0.5 + 0.5 * u) * (index % 5) as f32 / 4.0)
        .collect()
}

fn trained(route: &Route, optimizer: OptimizerConfig, seed: u64) -> (Vec<Losses>, Snapshot) {
    let mut engine = engine(route, optimizer, seed);
    for step in 0..STEPS {
        engine
            .train_step(&images(step), step, 1.0)
            .expect("a working device");
    }
    let losses = engine.take_losses().expect("a working device");
    assert_eq!(losses.len(), STEPS as usize);
    (losses, engine.snapshot().expect("a working device"))
}

fn curve(losses: &[Losses]) -> Vec<f32> {
    losses
        .iter()
        .flat_map(|step| [step.recon as f32, step.kl as f32])
        .collect()
}

/// Losses near 35 and 0.1 to 5, each a sum of at most 50 terms rounded to 2^-24, after at most 10 updates of 1e-2 whose
/// relative error of about 1e-5 moves the loss by less than 1e-4 of itself.
fn curve_distance(found: &[Losses], expected: &[Losses]) -> f32 {
    let expected = curve(expected);
    distance(&curve(found), &expected, |index| {
        1e-4 * expected[index].abs() + 1e-5
    })
}

#[test]
fn ten_steps_have_the_same_losses_on_every_route() {
    for optimizer in [OptimizerConfig::Rmsprop, OptimizerConfig::Adam] {
        let (expected, _) = trained(&Route::Ndarray, optimizer, 4);
        assert!(
            expected[9].total(1.0) < expected[0].total(1.0) - 1.0,
            "it did not learn: {expected:?}"
        );
        for route in Route::others() {
            let (found, _) = trained(&route, optimizer, 4);
            let worst = curve_distance(&found, &expected);
            assert!(worst <= 1.0, "{route:?}, {optimizer:?}: {worst} tolerances");
        }
    }
}

#[test]
fn another_optimizer_or_seed_is_told_apart_from_the_curve() {
    let (expected, _) = trained(&Route::Ndarray, OptimizerConfig::Adam, 4);
    assert!(
        curve_distance(
            &trained(&Route::Ndarray, OptimizerConfig::Rmsprop, 4).0,
            &expected
        ) > 10.0
    );
    assert!(
        curve_distance(
            &trained(&Route::Ndarray, OptimizerConfig::Adam, 5).0,
            &expected
        ) > 10.0
    );
}

#[test]
fn a_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others() {
    for route in [Route::Ndarray, Route::Cpu] {
        let (losses, weights) = trained(&route, OptimizerConfig::Adam, 4);
        let again = trained(&route, OptimizerConfig::Adam, 4);
        assert_eq!((&losses, &weights), (&again.0, &again.1));
        assert_ne!(
            weights.weights,
            trained(&route, OptimizerConfig::Adam, 5).1.weights
        );
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_the_fused_engine() {
    // Wide enough that matrix products and loops are shared among threads.
    let model = ModelConfig {
        pixels: 784,
        hidden: vec![300],
        latent: 5,
        init: Initialization::Glorot,
    };
    let weights = Weights::initial(&model, 1);
    let images = Generator::new(0, Stream::Shuffle).uniforms(0, 0, 200, model.pixels);
    let trained = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| {
            let optimizer = OptimizerConfig::Adam;
            let setup = EngineSetup {
                model: &model,
                weights: &weights,
                optimizer,
                lr: 1e-3,
                seed: 1,
            };
            let mut engine = Route::Cpu.engine(&setup);
            for step in 0..3 {
                engine
                    .train_step(&images, step, 1.0)
                    .expect("a working device");
            }
            engine.snapshot().expect("a working device")
        })
    };
    let one = trained(1);
    assert_ne!(one.weights, weights);
    for threads in [2, 3, 8] {
        assert_eq!(trained(threads), one, "{threads} threads");
    }
}

#[test]
fn a_snapshot_names_every_weight_and_moment_and_carries_the_model_to_every_route() {
    for route in Route::others().into_iter().chain([Route::Ndarray]) {
        let mut engine = engine(&route, OptimizerConfig::Adam, 4);
        let fresh = engine.snapshot().expect("a working device");
        assert_eq!(fresh.weights, Weights::initial(&config(), 4));
        assert!(fresh.optimizer.is_empty());
        engine
            .train_step(&images(0), 0, 1.0)
            .expect("a working device");
        let snapshot = engine.snapshot().expect("a working device");
        assert_ne!(snapshot.weights, fresh.weights);
        assert_eq!(snapshot.optimizer.len(), 2 * config().parameters().len());
        assert_eq!(snapshot.optimizer[0].name, "exp_avg.encoder.0.weight");

        let (model, weights) = (config(), &snapshot.weights);
        let optimizer = OptimizerConfig::Adam;
        let copy = Route::Ndarray.engine(&EngineSetup {
            model: &model,
            weights,
            optimizer,
            lr: 1e-2,
            seed: 4,
        });
        let losses =
            |engine: &dyn Engine, row| engine.evaluate(&images(1), row).expect("a working device");
        let (found, expected) = (losses(engine.as_ref(), 7), losses(copy.as_ref(), 7));
        assert!(
            curve_distance(&[found], &[expected]) <= 1.0,
            "{route:?}: {found:?} against {expected:?}"
        );
        assert_ne!(losses(engine.as_ref(), 8), found, "another row's noise");
        let posteriors =
            [&engine, &copy].map(|engine| engine.encode(&images(1)).expect("a working device"));
        // 50 and 17 products, each rounded to 2^-24 of sums of at most 5.
        assert!(distance(&posteriors[0].mu, &posteriors[1].mu, |_| 2e-5) <= 1.0);
        assert!(distance(&posteriors[0].log_var, &posteriors[1].log_var, |_| 2e-5) <= 1.0);
    }
}

#[test]
fn decoded_pixels_are_probabilities() {
    for route in Route::others().into_iter().chain([Route::Ndarray]) {
        let engine = engine(&route, OptimizerConfig::Adam, 4);
        let pixels = engine
            .decode(&[1e6, 0.0, 0.0, 0.0, 0.0, 0.0])
            .expect("a working device");
        assert_eq!(pixels.len(), 2 * config().pixels);
        assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        // Zero latents and zero biases make zero logits.
        assert!(pixels[config().pixels..].iter().all(|&pixel| pixel == 0.5));
    }
}
