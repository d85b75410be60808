//! KL schedules against the formulas of their papers.

use std::f64::consts::PI;

use super::KlSchedule;

/// Results are rounded to f32, by 2^-25 below 1; the f64 error before that is a million times smaller.
const TOLERANCE: f64 = 1.0 / (1 << 24) as f64;

fn schedule(text: &str) -> KlSchedule {
    text.parse().expect("well written")
}

/// The largest difference between the factor and `formula` of the step, in a run of 20 epochs of 100 steps.
fn distance(text: &str, formula: impl Fn(f64) -> f64) -> f64 {
    let schedule = schedule(text);
    let distance =
        |step: u32| f64::from(schedule.factor(step.into(), 100, 20)) - formula(step.into());
    (0..2000).fold(0.0, |largest, step| distance(step).abs().max(largest))
}

/// Fu et al. 2019, their two equations of beta, with their t = step + 1; `ratio` is R.
fn fu(step: f64, cycles: f64, total: f64, ratio: f64) -> f64 {
    let tau = (step % (total / cycles).ceil()) / (total / cycles);
    if tau <= ratio { tau / ratio } else { 1.0 }
}

/// The completed fraction of a rise over half of the run.
fn t(step: f64) -> f64 {
    (step / 1000.0).min(1.0)
}

#[test]
fn each_schedule_is_that_of_its_formula() {
    assert_eq!(distance("constant", |_| 1.0), 0.0);
    for span in ["", ":10", ":1000steps"] {
        assert!(distance(&format!("linear{span}"), t) < TOLERANCE);
        let cosine = |step| (PI * t(step) / 2.0).sin().powi(2);
        assert!(distance(&format!("cosine{span}"), cosine) < TOLERANCE);
        // The same curve by symmetry: logistic(2 x) = (1 + tanh(x)) / 2.
        let sigmoid = |step| (1.0 + (6.0 * t(step) - 3.0).tanh() / 3f64.tanh()) / 2.0;
        assert!(distance(&format!("sigmoid{span}"), sigmoid) < TOLERANCE);
    }
    for (text, cycles) in [
        ("cyclical", 4.0),
        ("cyclical:8", 8.0),
        ("cyclical:5:20", 5.0),
    ] {
        assert!(
            distance(text, |step| fu(step, cycles, 2000.0, 0.5)) < TOLERANCE,
            "{text}"
        );
    }
}

#[test]
fn a_neighbouring_formula_is_told_apart() {
    // Steps counted from 1 differ by a thousandth of the span.
    assert!(distance("linear", |step| t(step + 1.0)) > 0.9e-3);
    // The unscaled sigmoid is off by logistic(-6) = 0.0025 at both ends.
    let unscaled = |step| 1.0 / (1.0 + (6.0 - 12.0 * t(step)).exp());
    assert!(distance("sigmoid", unscaled) > 2e-3);
    assert!(distance("cosine", t) > 0.1);
    assert!(distance("cyclical", |step| fu(step, 4.0, 2000.0, 1.0)) > 0.4);
    assert!(distance("cyclical", |step| fu(step, 5.0, 2000.0, 0.5)) > 0.4);
}

#[test]
fn every_rise_starts_at_0_passes_a_half_midway_and_ends_at_1() {
    for text in ["linear:10", "cosine:10", "sigmoid:10"] {
        let factors = [0, 500, 1000, 5000].map(|step| schedule(text).factor(step, 100, 20));
        assert_eq!(factors[0], 0.0, "{text}");
        assert!((f64::from(factors[1]) - 0.5).abs() < TOLERANCE, "{text}");
        assert_eq!(factors[2..], [1.0, 1.0], "{text}");
    }
}

#[test]
fn a_rise_never_falls_and_a_longer_one_is_slower() {
    for kind in ["linear", "cosine", "sigmoid"] {
        let [short, long] = [5, 10].map(|span| schedule(&format!("{kind}:{span}")));
        for step in 0..1000 {
            let factor = long.factor(step, 100, 20);
            assert!(factor <= long.factor(step + 1, 100, 20), "{kind} {step}");
            assert!(factor <= short.factor(step, 100, 20), "{kind} {step}");
        }
        assert!(
            long.factor(250, 100, 20) < short.factor(250, 100, 20),
            "{kind}"
        );
    }
}

#[test]
fn cycles_start_over_at_exactly_0_and_stay_at_1_after_their_span() {
    // 49 * (1 / 49) is less than 1 in f64: divided first, a cycle would start at 1.
    let many = schedule("cyclical:49:49");
    for cycle in 0..49 {
        let factors = [0, 25, 50, 75].map(|step| many.factor(100 * cycle + step, 100, 60));
        assert_eq!(factors, [0.0, 0.5, 1.0, 1.0], "{cycle}");
    }
    assert!((4900..6000).all(|step| many.factor(step, 100, 60) == 1.0));
}

#[test]
fn after_the_ramp_epochs_it_is_1_for_good_and_an_epoch_before_not_yet() {
    for (text, ramp) in [
        ("constant", 0),
        ("linear", 10),
        ("linear:2.5", 3),
        ("cosine:301steps", 4),
        ("sigmoid:300steps", 3),
        ("cyclical", 18),
        ("cyclical:1:4", 2),
        ("cyclical:3:1.1", 1),
        ("linear:30", 30),
    ] {
        let schedule = schedule(text);
        assert_eq!(schedule.ramp_epochs(100, 20), ramp, "{text}");
        let start = 100 * ramp as u64;
        assert!(
            (start..start + 2000).all(|step| schedule.factor(step, 100, 20) == 1.0),
            "{text}"
        );
        if ramp > 0 {
            assert!(schedule.factor(start - 100, 100, 20) < 1.0, "{text}");
        }
    }
}

#[test]
fn spans_that_f64_cannot_hold_and_empty_runs_do_no_harm() {
    // 1.1 epochs of 10 steps are 11.000000000000002 steps: step 11 is the end of the last cycle, not a new start.
    for tenths in 1..200u32 {
        let schedule = schedule(&format!("cyclical:4:{}", f64::from(tenths) / 10.0));
        assert_eq!(schedule.factor(tenths.into(), 10, 20), 1.0, "{tenths}");
    }
    for text in ["constant", "linear", "cosine", "sigmoid", "cyclical"] {
        assert_eq!(schedule(text).factor(0, 100, 0), 1.0, "{text}");
        assert_eq!(schedule(text).ramp_epochs(100, 0), 0, "{text}");
    }
}

#[test]
fn what_is_written_reads_back_with_its_defaults_spelt_out() {
    for text in [
        "constant",
        "linear",
        "linear:10",
        "cosine:0.5",
        "sigmoid:2000steps",
        "cyclical:4",
        "cyclical:8:20",
    ] {
        assert_eq!(schedule(text).to_string(), text);
    }
    assert_eq!(schedule("cyclical").to_string(), "cyclical:4");
}

#[test]
fn what_cannot_be_is_refused() {
    for text in [
        "",
        "warm",
        "constant:1",
        "linear:",
        "linear:0",
        "linear:10:5",
        "cosine:-1",
        "sigmoid:NaN",
        "cyclical:0",
        "cyclical:-1",
        "cyclical:1.5",
        "cyclical:",
        "cyclical:4:0",
        "cyclical:4:",
        "cyclical:4:20:1",
    ] {
        let error = text.parse::<KlSchedule>().expect_err(text);
        let example = error.contains("such as") || error.contains("for example");
        assert!(error.starts_with("expected") && example, "{error}");
    }
}
