//! Learning rate schedules against PyTorch's rules and the papers' formulas.

use std::f64::consts::PI;

use super::{LrSchedule, Plateau};

/// Results are rounded to f32, by a relative 2^-24 at most; the f64 error before that is a million times smaller.
const TOLERANCE: f64 = 1.0 / (1 << 23) as f64;

fn schedule(text: &str) -> LrSchedule {
    text.parse().expect("well written")
}

/// The largest relative difference between the factor and `formula` of the step, in a run of `epochs` of 10 steps.
fn distance(text: &str, epochs: usize, mut formula: impl FnMut(u64) -> f64) -> f64 {
    let schedule = schedule(text);
    let mut distance = 0f64;
    for step in 0..10 * epochs as u64 {
        let found = schedule.factor(step, 10, epochs, &Plateau::default());
        let expected = formula(step);
        distance = distance.max((f64::from(found) - expected).abs() / expected);
    }
    distance
}

/// The factor in each epoch after the metrics of those before it.
fn plateau(text: &str, metrics: &[f64]) -> Vec<f32> {
    let schedule = schedule(text);
    let mut plateau = Plateau::default();
    let factors = metrics.iter().map(|&metric| {
        plateau.end_epoch(&schedule, metric);
        schedule.factor(0, 10, 20, &plateau)
    });
    factors.collect()
}

#[test]
fn steps_and_exponential_multiply_as_pytorch_does_when_an_epoch_ends() {
    assert_eq!(distance("constant", 60, |_| 1.0), 0.0);
    // `MultiStepLR.get_lr`: lr * gamma if last_epoch in milestones else lr.
    let multi_step = |milestones: [u64; 2]| {
        let mut lr = 1.0;
        move |step| {
            if step % 10 == 0 && milestones.contains(&(step / 10)) {
                lr *= 0.1;
            }
            lr
        }
    };
    assert!(distance("steps:20,40:0.1", 60, multi_step([20, 40])) < TOLERANCE);
    assert!(distance("steps:20,40:0.1", 60, multi_step([21, 41])) > 0.8);
    // `ExponentialLR.get_lr`: lr * gamma after every epoch.
    let exponential = |first| {
        let mut lr = 1.0;
        move |step| {
            if step % 10 == 0 && step >= first {
                lr *= 0.95;
            }
            lr
        }
    };
    assert!(distance("exponential:0.95", 60, exponential(10)) < TOLERANCE);
    assert!(distance("exponential:0.95", 60, exponential(0)) > 0.01);
}

#[test]
fn steps_can_say_the_eight_stages_of_the_iwae_paper() {
    // Burda et al. 2016: stage i of 0..=7 lasts 3^i epochs at 0.001 * 10^(-i / 7).
    let stages = (0..8).flat_map(|i| std::iter::repeat_n(i, 3usize.pow(i)));
    let stages: Vec<u32> = stages.collect();
    assert_eq!(stages.len(), 3280);
    let text = "steps:1,4,13,40,121,364,1093:0.7196856730011519";
    let burda = |stages: f64| move |i: u32| 10f64.powf(-f64::from(i) / stages);
    let found = |formula: &dyn Fn(u32) -> f64| {
        distance(text, stages.len(), |step| {
            formula(stages[step as usize / 10])
        })
    };
    assert!(found(&burda(7.0)) < TOLERANCE);
    assert!(found(&burda(8.0)) > 0.1);
}

#[test]
fn cosine_falls_to_0_at_the_end_of_the_run_as_loshchilov_and_hutter_have_it() {
    let at = |text, step| f64::from(schedule(text).factor(step, 10, 20, &Plateau::default()));
    for (step, expected) in [
        (0, 1.0),
        (50, 0.853_553_390_593_273_8),
        (100, 0.5),
        (150, 0.146_446_609_406_726_2),
        (200, 0.0),
        (300, 0.0),
    ] {
        let distance = (at("cosine", step) - expected).abs();
        assert!(distance < TOLERANCE, "{step}");
    }
    // The last step still has a positive rate: sin^2 of pi / 400.
    assert!((at("cosine", 199) - (PI / 400.0).sin().powi(2)).abs() < TOLERANCE);
    assert!((1..200).all(|step| at("cosine", step) < at("cosine", step - 1)));
}

#[test]
fn a_warm_up_rises_from_its_first_step_to_the_top_of_the_cosine() {
    let formula = |first: f64| {
        move |step: u64| match step as f64 {
            step if step < 40.0 => (step + first) / 40.0,
            step => (PI * (step - 40.0) / 160.0 / 2.0).cos().powi(2),
        }
    };
    // The smallest factor is sin^2(pi / 320) = 1e-4; relative to it the f64 rounding of 1 + cos is 1e-12.
    for text in ["cosine:4", "cosine:40steps"] {
        assert!(distance(text, 20, formula(1.0)) < TOLERANCE, "{text}");
        assert!(distance(text, 20, formula(2.0)) > 0.4, "{text}");
    }
    assert!(distance("cosine", 20, formula(1.0)) > 0.4);
    // A warm-up that ends within a step, and one that outlasts the run.
    let at = |text, step| schedule(text).factor(step, 10, 20, &Plateau::default());
    assert_eq!(at("cosine:0.25", 2), 1.0);
    assert_eq!(at("cosine:40", 199), 0.5);
    assert_eq!(at("cosine:20", 200), 0.0);
    assert_eq!(at("cosine:40", 400), 0.0);
}

#[test]
fn a_plateau_lowers_the_rate_in_the_epoch_after_its_patience_as_pytorch_does() {
    // `num_bad_epochs > patience`: of the bad epochs 3 to 7, the third lowers the rate and resets the count.
    let found = plateau(
        "plateau:0.5:2",
        &[3.0, 2.0, 2.0, 2.5, 2.0, 2.0, 2.0, 2.0, 1.0],
    );
    assert_eq!(found, [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
    assert_eq!(plateau("plateau:0.5:0", &[1.0, 1.0, 1.0]), [1.0, 0.5, 0.25]);
    // The defaults, 0.1 and 10.
    assert_eq!(plateau("plateau", &[1.0; 12])[10..], [1.0, 0.1]);
}

#[test]
fn a_better_metric_is_lower_by_a_ten_thousandth_of_the_best_whatever_its_sign() {
    for (best, close, lower) in [(100.0, 99.991, 99.989), (-100.0, -100.009, -100.011)] {
        assert_eq!(plateau("plateau:0.5:0", &[best, close]), [1.0, 0.5]);
        assert_eq!(plateau("plateau:0.5:0", &[best, lower]), [1.0, 1.0]);
        assert_eq!(plateau("plateau:0.5:0", &[best, best]), [1.0, 0.5]);
    }
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0];
    assert_eq!(
        plateau("plateau:0.5:0", &odd),
        [0.5, 0.25, 0.125, 0.125, 0.0625]
    );
}

#[test]
fn a_plateau_of_another_schedule_stays_as_it_is_and_its_state_survives_a_checkpoint() {
    let mut state = Plateau::default();
    state.end_epoch(&LrSchedule::Constant, 1.0);
    assert_eq!(state, Plateau::default());
    // 0.1^4 is among the numbers that serde_json reads back wrong without its feature `float_roundtrip`.
    for _ in 0..5 {
        state.end_epoch(&schedule("plateau:0.1:0"), 2.5);
    }
    assert!((state.factor - 1e-4).abs() < 1e-4 * TOLERANCE);
    let text = serde_json::to_string(&state).expect("writes");
    let read: Plateau = serde_json::from_str(&text).expect("reads");
    assert_eq!(read, state);
}

#[test]
fn runs_of_no_steps_do_no_harm() {
    for text in [
        "constant",
        "steps:1:0.1",
        "exponential:0.5",
        "cosine",
        "plateau",
    ] {
        let factor = schedule(text).factor(0, 0, 0, &Plateau::default());
        assert!((0.0..=1.0).contains(&factor), "{text}");
    }
}

#[test]
fn what_is_written_reads_back_with_its_defaults_spelt_out() {
    for text in [
        "constant",
        "steps:20:0.1",
        "steps:1,4,13:0.7196856730011519",
        "exponential:0.95",
        "cosine",
        "cosine:5",
        "cosine:500steps",
        "plateau:0.5:3",
    ] {
        assert_eq!(schedule(text).to_string(), text);
    }
    assert_eq!(schedule("plateau").to_string(), "plateau:0.1:10");
    assert_eq!(schedule("plateau:0.5").to_string(), "plateau:0.5:10");
}

#[test]
fn what_cannot_be_is_refused() {
    for text in [
        "",
        "linear",
        "constant:1",
        "steps",
        "steps:20",
        "steps::0.1",
        "steps:5,3:0.1",
        "steps:5,5:0.1",
        "steps:0:0.1",
        "steps:5,:0.1",
        "steps:5:",
        "steps:5:0",
        "steps:5:0.1:2",
        "exponential",
        "exponential:0",
        "exponential:NaN",
        "exponential:-1",
        "cosine:-1",
        "cosine:0",
        "cosine:",
        "plateau:",
        "plateau:1",
        "plateau:0",
        "plateau:0.1:",
        "plateau:0.1:-1",
        "plateau:0.1:10:1",
    ] {
        let error = text.parse::<LrSchedule>().expect_err(text);
        let example = error.contains("such as") || error.contains("for example");
        assert!(error.starts_with("expected") && example, "{error}");
    }
}
