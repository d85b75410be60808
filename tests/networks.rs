//! Networks, priors, likelihoods and objectives of all kinds: the same results on every route that computes them, and with
//! micro-batches. That those of the reference, burn on ndarray, are correct is tested in vae-model, in f64.

use vae_data::Dataset;
use vae_spec::{
    Activation, Batch, Convolutions, EngineSetup, ModelConfig, NamedTensor, Objective,
    ObjectiveKind, Optimizer, OptimizerConfig, Step, TrainingImages, Upsampling, Wait, Weights,
};

use crate::common::variants::{
    FEW, IMAGES, SEED, Variant, engine, floats, labels, step, trained, variants, worst,
};
use crate::common::{Route, distance};

#[test]
fn steps_have_the_same_losses_on_every_route() {
    for variant in variants() {
        for route in Route::others() {
            // On a software adapter fifty steps of everything take minutes.
            let steps = if route == Route::Cpu { 50 } else { FEW };
            let expected = trained(Route::Ndarray, &variant, IMAGES, steps);
            let found = trained(route, &variant, IMAGES, steps);
            let worst = worst(&found, &expected, steps);
            assert!(
                worst <= 1.0,
                "{} on {route:?}: {worst} tolerances",
                variant.0
            );
        }
    }
}

/// The gradients of the variant's weights after a few steps, which leave no parameter at zero.
fn gradients(route: Route, (_, model, objective): &Variant, weights: &Weights) -> Vec<NamedTensor> {
    let optimizer = OptimizerConfig::new(Optimizer::Adam);
    let mut engine = route.engine(&EngineSetup {
        objective: *objective,
        ..EngineSetup::new(model, weights, optimizer, SEED)
    });
    let (images, labels) = (floats(model), labels(model));
    let batch = Batch {
        labels: &labels,
        ..Batch::of(&images)
    };
    let gradients = engine.gradients(&batch, &step(9, IMAGES));
    gradients.expect("a working device")
}

#[test]
fn gradients_of_every_parameter_are_those_of_the_reference() {
    for variant in variants() {
        let (name, model, objective) = &variant;
        let mut engine = engine(Route::Ndarray, model, *objective);
        let rows: Vec<u32> = (0..IMAGES as u32).collect();
        for number in 0..5 {
            let step = step(number, IMAGES);
            engine.train_step(&rows, &step).expect("a working device");
        }
        let weights = engine.snapshot().expect("a working device").weights;
        let expected = gradients(Route::Ndarray, &variant, &weights);
        for route in Route::others() {
            let found = gradients(route, &variant, &weights);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(
                    (&found.name, &found.shape),
                    (&expected.name, &expected.shape)
                );
                let largest = expected.values.iter().fold(0f32, |a, g| a.max(g.abs()));
                assert!(largest > 1e-6, "{name}: {} is not trained", expected.name);
                // Sums of a few thousand terms, rounded to 2^-24 of the largest.
                let tolerance = 1e-4 * largest + 1e-5;
                let far = distance(&found.values, &expected.values, |_| tolerance);
                assert!(
                    far <= 1.0,
                    "{name} on {route:?}: {}: {far} tolerances",
                    found.name
                );
                // The same gradient in another order is another one, unless its numbers are all alike.
                let mut turned = found.values.clone();
                turned.rotate_left(1);
                let least = expected.values.iter().copied().fold(f32::MAX, f32::min);
                let is_even = largest - least < 0.1 * largest || expected.values.len() == 1;
                let far = distance(&turned, &expected.values, |_| tolerance);
                assert!(
                    far > 10.0 || is_even,
                    "{name}: {} turned: {far}",
                    found.name
                );
            }
        }
    }
}

#[test]
fn importance_sampled_likelihoods_are_those_of_the_reference() {
    const COUNTS: [usize; 3] = [1, 10, 23];
    for variant in variants() {
        let (name, model, objective) = &variant;
        let (images, labels) = (floats(model), labels(model));
        let batch = Batch {
            labels: &labels,
            ..Batch::of(&images)
        };
        let estimates = |route: Route| -> Vec<f32> {
            let found = engine(route, model, *objective).importance_nll(&batch, &COUNTS);
            let found = found.expect("a working device").into_iter().flatten();
            found.map(|nll| nll as f32).collect()
        };
        let expected = estimates(Route::Ndarray);
        assert_eq!(expected.len(), COUNTS.len() * IMAGES);
        for route in Route::others() {
            let worst = worst(&estimates(route), &expected, FEW);
            assert!(worst <= 1.0, "{name} on {route:?}: {worst} tolerances");
        }
    }
}

#[test]
fn another_network_prior_likelihood_or_objective_is_told_apart() {
    let variants = variants();
    let curves: Vec<_> = variants
        .iter()
        .map(|variant| trained(Route::Ndarray, variant, IMAGES, FEW))
        .collect();
    for (index, curve) in curves.iter().enumerate() {
        for (other, name) in curves[..index].iter().zip(&variants) {
            // The bounds of IWAE and DReG are the same until their gradients have changed the weights.
            if curve.len() == other.len() {
                let worst = worst(curve, other, FEW);
                assert!(
                    worst > 10.0,
                    "{} and {}: {worst}",
                    variants[index].0,
                    name.0
                );
            }
        }
    }
}

#[test]
fn a_batch_in_pieces_takes_the_step_of_the_whole() {
    // Terms that couple the images of a batch differ with micro-batches: the aggregate posterior of the batch, the MMD of two
    // sets, a function of the batch mean.
    let couples = |objective: &Objective| {
        let of_mean = objective
            .free_bits
            .is_some_and(|bits| bits.after_batch_mean);
        of_mean
            || matches!(
                objective.kind,
                ObjectiveKind::BetaTc | ObjectiveKind::Mmd { .. } | ObjectiveKind::Capacity
            )
    };
    let (coupled, apart): (Vec<_>, Vec<_>) = variants()
        .into_iter()
        .partition(|(_, _, objective)| couples(objective));
    let distance = |variant: &Variant| {
        let whole = trained(Route::Ndarray, variant, IMAGES, FEW);
        worst(&trained(Route::Ndarray, variant, 5, FEW), &whole, FEW)
    };
    for variant in &apart {
        let worst = distance(variant);
        assert!(worst <= 1.0, "{}: {worst} tolerances", variant.0);
    }
    for variant in &coupled {
        let (name, _, objective) = variant;
        // The sign of what is beyond the capacity, and which parts have free bits, may be the same in every piece.
        let is_a_sign = objective.kind == ObjectiveKind::Capacity || objective.free_bits.is_some();
        assert!(is_a_sign || distance(variant) > 10.0, "{name}");
        let expected = trained(Route::Ndarray, variant, 5, FEW);
        for route in Route::others() {
            let worst = worst(&trained(route, variant, 5, FEW), &expected, FEW);
            assert!(worst <= 1.0, "{name} on {route:?}: {worst} tolerances");
        }
    }
}

#[test]
fn engines_that_train_at_the_same_time_do_not_mix() {
    let variants = variants();
    let conditional = variants.iter().filter(|(_, model, _)| model.classes > 0);
    for variant in conditional {
        // From the second micro-batch on, the weights are no longer among what autodiff knows to be in use.
        let alone = trained(Route::Ndarray, variant, 5, FEW);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let found = trained(Route::Ndarray, variant, 5, FEW);
                        assert_eq!(found, alone, "{}", variant.0);
                    }
                });
            }
        });
    }
}

#[test]
fn gradients_of_the_preset_of_convolutions_are_the_slopes_of_its_loss() {
    for route in [Route::Ndarray, Route::Cpu] {
        preset_has_its_slopes(route);
    }
}

fn preset_has_its_slopes(route: Route) {
    const IMAGES: usize = 96;
    let model = ModelConfig {
        image: [1, 28, 28],
        convolutions: Some(Convolutions {
            channels: vec![32, 64],
            kernel: 3,
            stride: 2,
            upsampling: Upsampling::Transposed,
            groups: None,
            residual_blocks: 0,
        }),
        decoder_hidden: Vec::new(),
        // Smooth activation: with kinks, all units of a channel would cross theirs at once in black parts of an image.
        activation: Activation::Gelu,
        ..ModelConfig::dense(784, &[16], 2)
    };
    let digits = Dataset::digits().expect("built in").train;
    let bytes: Vec<u8> = (0..IMAGES)
        .flat_map(|place| digits.bytes(place).to_vec())
        .collect();
    let images: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let rows: Vec<u32> = (0..IMAGES as u32).collect();
    let optimizer = OptimizerConfig::new(Optimizer::Adam);
    let engine = |weights: &Weights| {
        let mut engine = route.engine(&EngineSetup::new(&model, weights, optimizer, SEED));
        let images = TrainingImages {
            bytes: bytes.clone().into(),
            count: IMAGES,
            ..TrainingImages::default()
        };
        engine.train_on(images).expect("a working device");
        engine
    };
    // Initially some gradients are too small to be visible in an f32 loss.
    let mut trained = engine(&Weights::initial(&model, SEED));
    for number in 0..80 {
        let step = Step::plain(number, 3e-3);
        trained.train_step(&rows, &step).expect("a working device");
    }
    let weights = trained.snapshot().expect("a working device").weights;
    let step = Step::plain(40, 0.0);
    let gradients = engine(&weights).gradients(&Batch::of(&images), &step);
    let gradients = gradients.expect("a working device");
    // The loss of a step is computed before its update, with the same noise as the gradients.
    let loss = |weights: &Weights| {
        let mut engine = engine(weights);
        engine.train_step(&rows, &step).expect("a working device");
        let losses = engine.take_losses(Wait::ForAll).expect("a working device");
        losses[0].loss
    };
    for (index, gradient) in gradients.iter().enumerate() {
        let squares = gradient.values.iter().map(|&g| f64::from(g).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        assert!(
            norm > 0.05,
            "{route:?}: {}: {norm} is too small to be seen",
            gradient.name
        );
        // A step along the gradient of signed length `way`, here 0.005 either way.
        let moved = |way: f64| {
            let mut tensors = weights.tensors().to_vec();
            let pairs = tensors[index].values.iter_mut().zip(&gradient.values);
            pairs.for_each(|(value, g)| *value += (way / norm * f64::from(*g)) as f32);
            loss(&Weights::from_tensors(&model, tensors).expect("the same tensors"))
        };
        let slope = (moved(0.005) - moved(-0.005)) / 0.01;
        // Losses of a few hundred nats are accurate to 3e-5, their slopes to 3e-3; curvature cancels except for its change.
        let error = (slope - norm).abs();
        assert!(
            error < 0.01 * norm + 5e-3,
            "{route:?}: {}: {slope}, not {norm}",
            gradient.name
        );
    }
}
