//! Whole training steps on two engines, and how long the kernels of one take.

use vae_fused::FusedEngine;
use vae_kernels::gpu::Gpu;
use vae_rng::{Generator, Stream};
use vae_spec::{
    Batch, Corruption, Engine, EngineSetup, ModelConfig, Optimizer, OptimizerConfig, Step,
    TrainingImages, Wait, Weights,
};

use super::models::{Case, cases};
use super::{CHAIN, CheckError, distance};

/// Steps that are trained, rows of a batch, and rows in all.
const STEPS: u64 = 20;
const BATCH: usize = 24;
const ROWS: usize = 100;
/// Of weights from which on no unit is nearer to its kink than rounding brings it, which a test finds out.
const SEED: u64 = 3;

/// What was trained or derived on a device, compared with another way to compute it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCheck {
    /// Number of models.
    pub models: usize,
    /// Largest distance of a number from what it should be; above 1 it is wrong.
    pub worst: f32,
}

impl StepCheck {
    /// Whether all numbers are right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.worst <= 1.0
    }
}

/// Trains small models on `gpu` and on the CPU, with gathering, corruption, labels and Adam, and compares losses and weights.
///
/// # Errors
/// If the GPU fails.
pub fn training(gpu: &Gpu) -> Result<StepCheck, CheckError> {
    compared(
        |setup| {
            let engines: [Box<dyn Engine>; 2] = [
                Box::new(FusedEngine::gpu(setup, gpu)?),
                Box::new(FusedEngine::cpu(setup)),
            ];
            Ok(engines)
        },
        trained,
    )
}

/// Compares gradients of burn's autodiff with those of the fused engine on the CPU, which were written by hand: of burn on `gpu`,
/// or on the CPU.
///
/// # Errors
/// If the GPU fails.
pub fn engines(gpu: Option<&Gpu>) -> Result<StepCheck, CheckError> {
    compared(
        |setup| {
            let burn = match gpu {
                Some(gpu) => vae_burn_wgpu::wgpu(setup, gpu),
                None => vae_burn::ndarray(setup),
            };
            Ok([burn, Box::new(FusedEngine::cpu(setup))])
        },
        gradients,
    )
}

/// Compares what two engines of each model compute.
pub(super) fn compared(
    engines: impl Fn(&EngineSetup<'_>) -> Result<[Box<dyn Engine>; 2], CheckError>,
    compute: impl Fn(&mut dyn Engine, &Case) -> Result<Vec<Vec<f32>>, CheckError>,
) -> Result<StepCheck, CheckError> {
    let cases = cases();
    let mut worst = 0.0_f32;
    for case in &cases {
        let weights = Weights::initial(&case.model, SEED);
        // The default would make steps as long as the learning rate of gradients that are nothing but rounding errors.
        let optimizer = OptimizerConfig {
            eps: 1e-4,
            ..OptimizerConfig::new(Optimizer::Adam)
        };
        let [mut found, mut expected] = engines(&EngineSetup {
            objective: case.objective,
            ..EngineSetup::new(&case.model, &weights, optimizer, 0)
        })?;
        let found = compute(found.as_mut(), case)?;
        let expected = compute(expected.as_mut(), case)?;
        for (found, expected) in found.iter().zip(&expected) {
            worst = worst.max(distance(found, expected) / CHAIN);
        }
    }
    Ok(StepCheck {
        models: cases.len(),
        worst,
    })
}

/// Rows as bytes, or as counts below 9. Means begin near 0, where no pixel is: on which side of it a mean is must not hang on
/// rounding, for the gradient of Laplace's density jumps there.
fn bytes(case: &Case) -> Vec<u8> {
    let uniforms = Generator::new(0, Stream::Shuffle).uniforms(0, 0, ROWS, case.model.pixels());
    let [least, largest] = if case.model.likelihood.is_count() {
        [0.0, 8.0]
    } else {
        [64.0, 255.0]
    };
    let bytes = uniforms.iter().map(|u| least + (largest - least) * u);
    bytes.map(|byte| byte as u8).collect()
}

fn labels(case: &Case) -> Vec<u32> {
    let classes = case.model.classes as u32;
    let rows = 0..if classes > 0 { ROWS as u32 } else { 0 };
    rows.map(|row| row * 7 % classes).collect()
}

/// Losses of the steps, and the weights after them.
pub(super) fn trained(engine: &mut dyn Engine, case: &Case) -> Result<Vec<Vec<f32>>, CheckError> {
    let corruption = Corruption::SaltPepper { probability: 0.2 };
    engine.train_on(TrainingImages {
        bytes: bytes(case).into(),
        labels: labels(case),
        count: ROWS,
        corruption: case.corrupts.then_some(corruption),
        ..TrainingImages::default()
    })?;
    let order = Generator::new(2, Stream::Shuffle);
    for number in 0..STEPS {
        let rows = order.permutation(number, ROWS as u32);
        engine.train_step(&rows[..BATCH], &Step::plain(number, 1e-3))?;
    }
    let losses = engine.take_losses(Wait::ForAll)?;
    let weights = engine.snapshot()?.weights;
    let losses = losses.iter().map(|losses| losses.loss as f32).collect();
    let weights = weights.tensors().iter().map(|tensor| tensor.values.clone());
    Ok([losses].into_iter().chain(weights).collect())
}

/// Gradients of one batch.
fn gradients(engine: &mut dyn Engine, case: &Case) -> Result<Vec<Vec<f32>>, CheckError> {
    let scale = if case.model.likelihood.is_count() {
        1.0
    } else {
        255.0
    };
    let images: Vec<f32> = bytes(case)
        .iter()
        .map(|&byte| f32::from(byte) / scale)
        .collect();
    let labels = labels(case);
    let batch = Batch {
        images: &images[..BATCH * case.model.pixels()],
        labels: labels.get(..BATCH).unwrap_or_default(),
        ..Batch::default()
    };
    let gradients = engine.gradients(&batch, &Step::plain(3, 1e-3))?;
    Ok(gradients.into_iter().map(|tensor| tensor.values).collect())
}

/// How long a kernel takes in a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// Stem of the kernel's name.
    pub stem: &'static str,
    /// Seconds in a step, all launches of the kernel together, the median of some steps.
    pub seconds: f64,
}

/// Times the kernels of a training step of 784-400-20 at a batch of 128; none on a GPU without timestamps.
///
/// # Errors
/// If the GPU fails.
pub fn step_times(gpu: Option<&Gpu>) -> Result<Vec<KernelTime>, CheckError> {
    const BATCH: usize = 128;
    const TIMED: usize = 9;
    let model = ModelConfig::dense(784, &[400], 20);
    let weights = Weights::initial(&model, 0);
    let setup = EngineSetup::new(&model, &weights, OptimizerConfig::new(Optimizer::Adam), 0);
    let mut engine = match gpu {
        Some(gpu) => FusedEngine::gpu(&setup, gpu)?,
        None => FusedEngine::cpu(&setup),
    };
    engine.train_on(TrainingImages {
        bytes: vec![100; BATCH * 784].into(),
        count: BATCH,
        ..TrainingImages::default()
    })?;
    let rows: Vec<u32> = (0..BATCH as u32).collect();
    let mut times: Vec<(&'static str, Vec<f64>)> = Vec::new();
    // The first step compiles, and fills caches.
    for number in 0..=TIMED {
        let step = engine.time_step(&rows, &Step::plain(number as u64, 1e-3))?;
        for (stem, seconds) in step.into_iter().filter(|_| number > 0) {
            match times.iter_mut().find(|(known, _)| *known == stem) {
                Some((_, all)) if all.len() == number => all[number - 1] += seconds,
                Some((_, all)) => all.push(seconds),
                None => times.push((stem, vec![seconds])),
            }
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Ok(times
        .into_iter()
        .map(|(stem, values)| KernelTime {
            stem,
            seconds: median(values),
        })
        .collect())
}
