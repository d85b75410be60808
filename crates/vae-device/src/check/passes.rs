//! Each pass alone, on what the passes before it left, on two executors.

use vae_fused::FusedEngine;
use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Arena, Executor, Run};
use vae_kernels::gpu::{Gpu, GpuExecutor};
use vae_kernels::program::{MatrixId, Pass, Program};
use vae_rng::{Generator, Noise, Stream};
use vae_spec::{
    Corruption, Element, Engine, EngineSetup, Optimizer, OptimizerConfig, TrainingImages,
    Weighting, Weights,
};

use super::models::{Case, cases};
use super::{CheckError, distance};

/// Rows of a batch: no multiple of anything that a kernel divides by.
const ROWS: usize = 37;

/// What a kind of pass computed on a device, compared with its twin on the CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct PassCheck {
    /// Stem of the kernel's name.
    pub stem: &'static str,
    /// Number of passes that were compared.
    pub count: usize,
    /// Largest distance of a number from its twin; above 1 it is wrong.
    pub worst: f32,
}

impl PassCheck {
    /// Whether all numbers are right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.worst <= 1.0
    }
}

/// Checks every pass on `gpu`, in the order of their stems.
///
/// # Errors
/// If the GPU fails.
pub fn passes(gpu: &Gpu) -> Result<Vec<PassCheck>, CheckError> {
    passes_on(|parameters| {
        let executor = GpuExecutor::new(gpu, parameters, &[vec![0.0; parameters.len()]])?;
        Ok(Box::new(executor))
    })
}

/// Checks every pass on executors with the parameters that `executor` is given.
pub(super) fn passes_on(
    executor: impl Fn(&[f32]) -> Result<Box<dyn Executor>, CheckError>,
) -> Result<Vec<PassCheck>, CheckError> {
    let mut checks: Vec<PassCheck> = Vec::new();
    for case in cases() {
        let program = program(&case)?;
        let parameters = normals(0, case.model.parameter_count(), 0.1);
        let moments = vec![vec![0.0; parameters.len()]];
        let mut twin = Cpu::new(parameters.clone(), moments);
        let mut device = executor(&parameters)?;
        let mut matrices = start(&program, &case);
        for pass in &program.passes {
            let expected = alone(&mut twin, &program, *pass, &matrices)?;
            let found = alone(device.as_mut(), &program, *pass, &matrices)?;
            let pairs = found.iter().zip(&expected);
            let worst = pairs.map(|(found, expected)| distance(found, expected));
            let worst = worst.fold(0.0, f32::max);
            let stem = pass.stem();
            match checks.iter_mut().find(|check| check.stem == stem) {
                Some(check) => {
                    check.count += 1;
                    check.worst = check.worst.max(worst);
                }
                None => checks.push(PassCheck {
                    stem,
                    count: 1,
                    worst,
                }),
            }
            matrices = expected;
            matrices.truncate(program.columns.len());
        }
    }
    checks.sort_by_key(|check| check.stem);
    Ok(checks)
}

/// The passes of a training step, but for those that gather rows, which no executor runs alone.
fn program(case: &Case) -> Result<Program, CheckError> {
    let weights = Weights::initial(&case.model, 0);
    let optimizer = OptimizerConfig::new(Optimizer::Adam);
    let mut engine = FusedEngine::cpu(&EngineSetup {
        objective: case.objective,
        ..EngineSetup::new(&case.model, &weights, optimizer, 0)
    });
    let corruption = Corruption::Gaussian {
        sigma: 0.3,
        clamp: true,
    };
    engine.train_on(TrainingImages {
        element: Element::F32,
        corruption: case.corrupts.then_some(corruption),
        ..TrainingImages::default()
    })?;
    let mut program = engine.training_program().program.clone();
    let is_gathering =
        |pass: &Pass| matches!(pass, Pass::Gather { .. } | Pass::GatherLabels { .. });
    program.passes.retain(|pass| !is_gathering(pass));
    Ok(program)
}

/// Matrices before the first pass: rows between 0 and 1, or counts; labels in the only column that is read as such.
fn start(program: &Program, case: &Case) -> Vec<Vec<f32>> {
    let is_count = case.model.likelihood.is_count();
    let labels = program.passes.iter().find_map(|pass| match pass {
        Pass::Label { labels, .. } => Some(labels.0),
        _ => None,
    });
    let matrices = 0..program.columns.len();
    let matrices = matrices.map(|matrix| {
        let length = program.length(MatrixId(matrix), ROWS);
        if labels == Some(matrix) {
            let classes = case.model.classes.max(1);
            return (0..length).map(|row| (row % classes) as f32).collect();
        }
        let mut values = normals(1 + matrix as u64, length, 1.0);
        for value in &mut values {
            let size = value.abs();
            *value = if is_count {
                (3.0 * size).floor()
            } else {
                size.min(1.0)
            };
        }
        values
    });
    matrices.collect()
}

fn normals(step: u64, length: usize, scale: f32) -> Vec<f32> {
    let normals = Generator::new(1, Stream::Init).normals(step, 0, 1, length);
    normals.into_iter().map(|x| scale * x).collect()
}

/// All matrices after `pass` has run on `matrices`; after one of weights, their gradients, too.
fn alone(
    executor: &mut dyn Executor,
    program: &Program,
    pass: Pass,
    matrices: &[Vec<f32>],
) -> Result<Vec<Vec<f32>>, CheckError> {
    let single = Program {
        passes: vec![pass],
        ..program.clone()
    };
    let ids = || (0..matrices.len()).map(MatrixId);
    let inputs: Vec<(MatrixId, &[f32])> = ids().zip(matrices.iter().map(Vec::as_slice)).collect();
    let outputs: Vec<MatrixId> = ids().collect();
    let mut values = executor.run(&single, &[run()], ROWS, &inputs, &outputs)?;
    if let Some(range) = gradients(&pass) {
        let arena = executor.arena(Arena::Gradients)?;
        values.push(arena[range].to_vec());
    }
    Ok(values)
}

/// Where in the arena the gradients of a pass lie.
fn gradients(pass: &Pass) -> Option<std::ops::Range<usize>> {
    match *pass {
        Pass::DenseBackwardParameters { layer, .. } => {
            Some(layer.block(0).start..layer.block(layer.blocks - 1).end)
        }
        Pass::ConvolveBackwardWeight { convolution, .. } => {
            let length = convolution.patch() * convolution.map_channels;
            Some(convolution.weight..convolution.weight + length)
        }
        Pass::Sums {
            columns, offset, ..
        } => Some(offset..offset + columns),
        _ => None,
    }
}

/// Noise and weights of a step.
fn run() -> Run {
    Run {
        noise: Noise {
            generator: Generator::new(3, Stream::Noise),
            step: 1 << 35 | 9,
            first_row: 40,
        },
        binarization: Generator::new(3, Stream::Binarization),
        corruption: Generator::new(3, Stream::Corruption),
        prior: (Generator::new(3, Stream::PriorNoise), 1 << 33 | 5),
        data_count: 1_000,
        weighting: Weighting {
            beta: 0.7,
            ..Weighting::PLAIN
        },
    }
}
