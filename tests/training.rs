//! Training: the same curve on every backend, the same bits for the same seed.

use burn_wgpu::WgpuDevice;
use vae_burn::EngineSetup;
use vae_model::{Engine, Initialization, Losses, ModelConfig, OptimizerConfig, Snapshot, Weights};
use vae_rng::{Generator, Stream};

use crate::common::{burn_device, distance};

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

fn engine(device: Option<&WgpuDevice>, optimizer: OptimizerConfig, seed: u64) -> Box<dyn Engine> {
    let model = config();
    let weights = Weights::initial(&model, seed);
    let setup = EngineSetup {
        model: &model,
        weights: &weights,
        optimizer,
        lr: 1e-2,
        seed,
    };
    let engine = match device {
        Some(device) => vae_burn::wgpu(&setup, device),
        None => vae_burn::ndarray(&setup),
    };
    engine.expect("its own weights")
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

fn trained(
    device: Option<&WgpuDevice>,
    optimizer: OptimizerConfig,
    seed: u64,
) -> (Vec<Losses>, Snapshot) {
    let mut engine = engine(device, optimizer, seed);
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
fn ten_steps_on_wgpu_and_on_ndarray_have_the_same_losses() {
    let Some(device) = burn_device() else { return };
    for optimizer in [OptimizerConfig::Rmsprop, OptimizerConfig::Adam] {
        let (expected, _) = trained(None, optimizer, 4);
        let (found, _) = trained(Some(&device), optimizer, 4);
        assert!(
            expected[9].total(1.0) < expected[0].total(1.0) - 1.0,
            "it did not learn: {expected:?}"
        );
        let worst = curve_distance(&found, &expected);
        assert!(worst <= 1.0, "{optimizer:?}: {worst} tolerances");
    }
}

#[test]
fn another_optimizer_or_seed_is_told_apart_from_the_curve() {
    let (expected, _) = trained(None, OptimizerConfig::Adam, 4);
    assert!(curve_distance(&trained(None, OptimizerConfig::Rmsprop, 4).0, &expected) > 10.0);
    assert!(curve_distance(&trained(None, OptimizerConfig::Adam, 5).0, &expected) > 10.0);
}

#[test]
fn a_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others() {
    let (losses, weights) = trained(None, OptimizerConfig::Adam, 4);
    let again = trained(None, OptimizerConfig::Adam, 4);
    assert_eq!((&losses, &weights), (&again.0, &again.1));
    assert_ne!(
        weights.weights,
        trained(None, OptimizerConfig::Adam, 5).1.weights
    );
}

#[test]
fn a_snapshot_names_every_weight_and_moment_and_carries_the_model() {
    let mut engine = engine(None, OptimizerConfig::Adam, 4);
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
    let setup = EngineSetup {
        model: &model,
        weights,
        optimizer: OptimizerConfig::Adam,
        lr: 1e-2,
        seed: 4,
    };
    let copy = vae_burn::ndarray(&setup).expect("its own weights");
    assert_eq!(
        copy.evaluate(&images(1), 7).expect("works"),
        engine.evaluate(&images(1), 7).expect("works")
    );
    assert_ne!(
        copy.evaluate(&images(1), 7).expect("works"),
        copy.evaluate(&images(1), 8).expect("works")
    );
    assert_eq!(
        copy.encode(&images(1)).expect("works"),
        engine.encode(&images(1)).expect("works")
    );
}

#[test]
fn decoded_pixels_are_probabilities() {
    let engine = engine(None, OptimizerConfig::Adam, 4);
    let pixels = engine
        .decode(&[1e6, 0.0, 0.0, 0.0, 0.0, 0.0])
        .expect("a working device");
    assert_eq!(pixels.len(), 2 * config().pixels);
    assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    // Zero latents and zero biases make zero logits.
    assert!(pixels[config().pixels..].iter().all(|&pixel| pixel == 0.5));
}
