//! Parts of a batch, computed apart from each other: their gradients and losses add up to those of the batch, on every engine.

use vae_spec::{Engine, Losses, Part, Wait};

use crate::common::Route;
use crate::common::program::{folder, vae_gpu};
use crate::common::variants::{FEW, IMAGES, Variant, engine, step, trained, variants, worst};

/// Rows of a part, and of the micro-batches that it is compared with: of more than two parts, the last shorter.
const ROWS: usize = 5;

/// The losses of some steps whose gradients are added up from those of parts. `first` says where in its batch a part begins.
fn in_parts(
    engine: &mut dyn Engine,
    steps: u64,
    first: impl Fn(usize) -> usize,
) -> Vec<[f64; Losses::TERMS]> {
    let all: Vec<u32> = (0..IMAGES as u32).collect();
    let losses = (0..steps).map(|number| {
        let rows = &all[..if number == 3 { 7 } else { IMAGES }];
        let step = step(number, ROWS);
        let mut sum: Option<(Vec<f32>, [f64; Losses::TERMS])> = None;
        for (index, part) in rows.chunks(ROWS).enumerate() {
            let part = Part {
                rows: part,
                first: first(index * ROWS),
                batch: rows.len(),
            };
            // What a buffer holds is lost.
            let mut gradients = vec![f32::NAN; 3];
            let losses = engine.part_gradients(part, &step, &mut gradients);
            let losses = losses.expect("a working device").to_array();
            sum = Some(match sum {
                None => (gradients, losses),
                Some((mut sums, all)) => {
                    sums.iter_mut()
                        .zip(&gradients)
                        .for_each(|(sum, g)| *sum += g);
                    let both = all.iter().zip(losses);
                    let added: Vec<f64> = both.map(|(one, other)| one + other).collect();
                    (sums, added.try_into().expect("as many"))
                }
            });
        }
        let (mut gradients, losses) = sum.expect("a part");
        let length = gradients.len();
        engine
            .update(&mut gradients, &step)
            .expect("a working device");
        assert_eq!(gradients.len(), length, "what is left in its place");
        losses
    });
    losses.collect()
}

/// The largest difference from steps in micro-batches of the same rows, in tolerances.
fn difference(route: Route, variant: &Variant, first: impl Fn(usize) -> usize) -> f32 {
    let mut engine = engine(route, &variant.1, variant.2);
    let found = in_parts(engine.as_mut(), FEW, first);
    let found = found.into_iter().flatten().filter(|loss| !loss.is_nan());
    let found: Vec<f32> = found.map(|loss| loss as f32).collect();
    let expected = trained(Route::Ndarray, variant, ROWS, FEW);
    // Those of the evaluation come last.
    worst(&found, &expected[..found.len()], FEW)
}

#[test]
fn parts_add_up_to_the_batch_on_every_route() {
    for variant in variants() {
        for route in Route::all() {
            let worst = difference(route, &variant, |first| first);
            assert!(
                worst <= 1.0,
                "{} on {route:?}: {worst} tolerances",
                variant.0
            );
        }
    }
}

#[test]
fn a_part_with_the_noise_of_another_is_told_apart() {
    let variant = &variants()[0];
    for route in Route::all() {
        assert!(difference(route, variant, |_| 0) > 10.0, "{route:?}");
    }
}

#[test]
fn nothing_is_left_over_between_parts_and_whole_steps() {
    // A step of one kind behind one of the other, with the same weights and moments.
    let (_, model, objective) = &variants()[0];
    for route in Route::all() {
        let mut mixed = engine(route, model, *objective);
        let rows: Vec<u32> = (0..IMAGES as u32).collect();
        in_parts(mixed.as_mut(), 1, |first| first);
        mixed
            .train_step(&rows, &step(1, ROWS))
            .expect("a working device");
        let found = mixed.take_losses(Wait::ForAll).expect("a working device");
        let mut plain = engine(route, model, *objective);
        for number in 0..2 {
            plain
                .train_step(&rows, &step(number, ROWS))
                .expect("a working device");
        }
        let expected = plain.take_losses(Wait::ForAll).expect("a working device");
        let loss = |losses: &[Losses]| losses.last().map(|losses| losses.loss as f32);
        let [found, expected] = [found, expected].map(|losses| loss(&losses).expect("a step"));
        assert!(
            worst(&[found], &[expected], FEW) <= 1.0,
            "{route:?}: {found}, {expected}"
        );
    }
}

#[test]
fn an_engine_takes_over_all_numbers_of_another() {
    let (_, model, objective) = &variants()[0];
    let rows: Vec<u32> = (0..IMAGES as u32).collect();
    for route in Route::all() {
        let trained = |steps: u64| {
            let mut engine = engine(route, model, *objective);
            for number in 0..steps {
                let step = step(number, IMAGES);
                engine.train_step(&rows, &step).expect("a working device");
            }
            engine
        };
        let (mut one, mut other) = (trained(3), trained(1));
        let snapshot = |engine: &mut dyn Engine| engine.snapshot().expect("a working device");
        assert_ne!(
            snapshot(one.as_mut()),
            snapshot(other.as_mut()),
            "{route:?}"
        );
        let numbers = one.numbers().expect("a working device");
        other.set_numbers(&numbers).expect("a working device");
        assert_eq!(
            snapshot(one.as_mut()),
            snapshot(other.as_mut()),
            "{route:?}"
        );
        assert_eq!(
            other.numbers().expect("a working device"),
            numbers,
            "{route:?}"
        );
    }
}

#[test]
fn a_run_in_pieces_is_the_run_up_to_rounding() {
    let parent = folder();
    let train = |pieces: &str| {
        let run = parent.path().join(pieces);
        let mut command = vae_gpu(&[
            "train",
            "--backend",
            "cpu",
            "--hidden",
            "16",
            "--epochs",
            "1",
        ]);
        let command = command.args(["--batch-size", "300", "--pieces", pieces]);
        command.arg("--out").arg(&run).assert().success();
        let metrics = vae_run::Metrics::read(&run).expect("metrics");
        metrics.epochs[0].validation.loss
    };
    let whole = train("1");
    // More pieces than the last batch has images.
    for pieces in ["2", "7", "128"] {
        let found = train(pieces);
        assert!(
            (found - whole).abs() < 1e-3 * whole,
            "{pieces}: {found}, {whole}"
        );
        assert!(found != whole, "{pieces} pieces were not added up");
    }
}

#[test]
fn a_program_without_mpi_does_not_train_beside_others() {
    let parent = folder();
    let mut train = vae_gpu(&["train", "--epochs", "1", "--quiet"]);
    let train = train.arg("--out").arg(parent.path().join("run"));
    let train = train.env("OMPI_COMM_WORLD_SIZE", "2").assert();
    if cfg!(not(feature = "mpi")) {
        let error =
            "started as 2 processes that train together, but this vae-gpu was built without MPI";
        train.code(1).stderr(predicates::str::contains(error));
        assert!(!parent.path().join("run").exists());
    }
}
