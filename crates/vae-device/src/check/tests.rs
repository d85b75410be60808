//! The checks find what is wrong, name it, and find nothing else.

use vae_fused::FusedEngine;
use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Arena, Executor, ExecutorError, Run, StepLosses, TrainingStep};
use vae_kernels::program::{MatrixId, Program, Update};
use vae_rng::{Generator, Stream};
use vae_spec::{
    Batch, Engine, EngineSetup, ModelConfig, NamedTensor, Optimizer, OptimizerConfig, Step, Weights,
};

use super::passes::passes_on;
use super::steps::{compared, trained};
use super::{CHAIN, CheckError, difference, distance, engines, rounded, step_times};

/// The CPU, wrong by a thousandth in the pass of one stem.
#[derive(Debug)]
struct Wrong(Cpu, &'static str);

impl Executor for Wrong {
    fn set_images(
        &mut self,
        images: bytes::Bytes,
        labels: Vec<u32>,
        row_bytes: usize,
    ) -> Result<(), ExecutorError> {
        self.0.set_images(images, labels, row_bytes)
    }

    fn train(&mut self, step: TrainingStep) -> Result<(), ExecutorError> {
        self.0.train(step)
    }

    fn gradients(
        &mut self,
        step: &TrainingStep,
        gradients: &mut Vec<f32>,
    ) -> Result<StepLosses, ExecutorError> {
        self.0.gradients(step, gradients)
    }

    fn update(&mut self, update: Update, gradients: &mut Vec<f32>) -> Result<(), ExecutorError> {
        self.0.update(update, gradients)
    }

    fn set_arena(&mut self, arena: Arena, values: &[f32]) -> Result<(), ExecutorError> {
        self.0.set_arena(arena, values)
    }

    fn losses(&mut self, wait: bool) -> Result<Vec<StepLosses>, ExecutorError> {
        self.0.losses(wait)
    }

    fn run(
        &mut self,
        program: &Program,
        runs: &[Run],
        batch: usize,
        inputs: &[(MatrixId, &[f32])],
        outputs: &[MatrixId],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        let mut values = self.0.run(program, runs, batch, inputs, outputs)?;
        if program.passes.iter().any(|pass| pass.stem() == self.1) {
            let changed = values.iter_mut().zip(inputs);
            for (values, _) in changed.filter(|(values, (_, before))| values[..] != **before) {
                values.iter_mut().for_each(|x| *x *= 1.001);
            }
        }
        Ok(values)
    }

    fn exchange(&mut self, moment: usize) -> Result<(), ExecutorError> {
        self.0.exchange(moment)
    }

    fn arena(&mut self, arena: Arena) -> Result<Vec<f32>, ExecutorError> {
        self.0.arena(arena)
    }

    fn time_step(&mut self, step: TrainingStep) -> Result<Vec<(&'static str, f64)>, ExecutorError> {
        self.0.time_step(step)
    }
}

/// The stems of the passes that are wrong on [`Wrong`], and of all.
fn wrong_and_all(stem: &'static str) -> [Vec<&'static str>; 2] {
    let executor = |parameters: &[f32]| -> Result<Box<dyn Executor>, CheckError> {
        let moments = vec![vec![0.0; parameters.len()]];
        Ok(Box::new(Wrong(
            Cpu::new(parameters.to_vec(), moments),
            stem,
        )))
    };
    let checks = passes_on(executor).expect("memory");
    let wrong = checks.iter().filter(|check| !check.is_right());
    [
        wrong.map(|check| check.stem).collect(),
        checks.iter().map(|check| check.stem).collect(),
    ]
}

#[test]
fn every_kind_of_pass_is_checked_and_the_wrong_one_is_named() {
    let [wrong, all] = wrong_and_all("none");
    assert_eq!(wrong, Vec::<&str>::new());
    // All but two that gather rows, which whole steps check, and one of evaluation.
    assert_eq!(all.len(), 38, "{all:?}");
    for stem in [
        "dense_forward",
        "sample_kl_forward",
        "group_norm_forward",
        "nll",
    ] {
        assert_eq!(wrong_and_all(stem)[0], [stem]);
    }
}

#[test]
fn both_engines_of_this_machine_agree_and_its_kernels_take_time() {
    let check = engines(None).expect("memory");
    assert!(check.is_right(), "{check:?}");
    assert!(check.models > 4);
    let times = step_times(None).expect("memory");
    assert!(times.len() > 5, "{times:?}");
    assert!(times.iter().all(|kernel| kernel.seconds > 0.0), "{times:?}");
}

#[test]
fn no_model_that_is_trained_magnifies_rounding() {
    for number in 0..8 {
        let engines = |setup: &EngineSetup<'_>| {
            let weights = rounded(setup.model, setup.weights, number);
            let moved = EngineSetup {
                weights: &weights,
                ..*setup
            };
            let engines: [Box<dyn Engine>; 2] = [
                Box::new(FusedEngine::cpu(&moved)),
                Box::new(FusedEngine::cpu(setup)),
            ];
            Ok(engines)
        };
        let check = compared(engines, trained).expect("memory");
        assert!(check.is_right() && check.worst > 0.0, "{check:?}");
    }
}

#[test]
fn half_precision_is_far_off_and_rounding_is_not() {
    let expected: Vec<f32> = (1..1000_u16).map(|x| f32::from(x).sin()).collect();
    let off = |share: f32| -> Vec<f32> { expected.iter().map(|x| x * (1.0 + share)).collect() };
    assert!(distance(&off(1e-6), &expected) < 0.1);
    assert!(distance(&off(1.0 / 2048.0), &expected) > 5.0);
    assert!(distance(&[f32::NAN], &[1.0]).is_infinite());
}

#[test]
fn gradients_that_are_off_by_a_hundredth_are_named_and_rounding_is_not() {
    let gradients = |factor: f32| {
        ["weight", "bias"].map(|name| NamedTensor {
            name: name.to_owned(),
            shape: vec![3],
            values: [0.5, -2.0, 1e-3]
                .map(|x| if name == "bias" { factor * x } else { x })
                .to_vec(),
        })
    };
    let expected = gradients(1.0);
    let difference = |factor| {
        let same = |_| Ok::<_, CheckError>(gradients(1.0).to_vec());
        difference(&gradients(factor), &expected, same).expect("no device")
    };
    assert_eq!(difference(1.0 + 1e-6), None);
    for wrong in [1.01, -1.0, f32::NAN] {
        let said = difference(wrong).expect("told apart");
        assert!(said.contains("`bias`"), "{said}");
    }
}

#[test]
fn what_rounding_does_to_jumping_gradients_is_no_error_and_a_hundredth_of_a_whole_tensor_is() {
    let [rows, pixels, units] = [64, 300, 50];
    let model = ModelConfig::dense(pixels, &[units], 8);
    let images = Generator::new(3, Stream::Shuffle).uniforms(0, 0, rows, pixels);
    // Each unit is at its kink for one image, so that any rounding may make it cross.
    let mut tensors = Weights::initial(&model, 3).tensors().to_vec();
    let [weight, bias, ..] = &mut tensors[..] else {
        panic!("no layer")
    };
    for (unit, bias) in bias.values.iter_mut().enumerate() {
        let image = images[unit * pixels..][..pixels].iter();
        let column = weight.values[unit..].iter().step_by(units);
        *bias = -image.zip(column).map(|(x, w)| x * w).sum::<f32>();
    }
    let weights = Weights::from_tensors(&model, tensors).expect("the same tensors");
    let batch = Batch::of(&images);
    let gradients = |weights: &Weights| {
        let optimizer = OptimizerConfig::new(Optimizer::Adam);
        let mut engine = FusedEngine::cpu(&EngineSetup::new(&model, weights, optimizer, 3));
        engine.gradients(&batch, &Step::plain(0, 1e-3))
    };
    let expected = gradients(&weights).expect("memory");
    let mut jumped = 0;
    // As far away as other roundings, and none of those that it is compared with.
    for number in 1_000..1_020 {
        let found = gradients(&rounded(&model, &weights, number)).expect("memory");
        let pairs = found.iter().zip(&expected);
        let is_far = |(found, expected): (&NamedTensor, &NamedTensor)| {
            distance(&found.values, &expected.values) > CHAIN
        };
        jumped += usize::from(pairs.into_iter().any(is_far));
        let roundings = |number| gradients(&rounded(&model, &weights, number));
        let said = difference(&found, &expected, roundings).expect("memory");
        assert_eq!(said, None, "{number}");
    }
    assert_eq!(jumped, 20, "units cross their kinks");
    for (index, tensor) in expected.iter().enumerate() {
        let mut found = expected.clone();
        found[index]
            .values
            .iter_mut()
            .for_each(|value| *value *= 1.01);
        let roundings = |number| gradients(&rounded(&model, &weights, number));
        let said = difference(&found, &expected, roundings).expect("memory");
        assert!(
            said.is_some_and(|said| said.contains(&tensor.name)),
            "{}",
            tensor.name
        );
    }
}
