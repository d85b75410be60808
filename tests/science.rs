//! Objectives, likelihoods, priors, labels and schedules through the real binary on the built-in digits: that they train,
//! that the numbers in metrics.jsonl agree with the formulas, and that later commands use the trained model.

use std::fs;
use std::path::{Path, PathBuf};

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;
use vae_data::Dataset;

use crate::common::program::{folder, vae_gpu};

/// Options for a run of a second or two.
const SMALL: [&str; 11] = [
    "--backend",
    "cpu",
    "--offline",
    "--hidden",
    "32",
    "--latent",
    "4",
    "--optimizer",
    "adam",
    "--batch-size",
    "100",
];

/// A finished run in a folder of its own.
struct Run {
    _parent: TempDir,
    path: PathBuf,
    said: String,
}

impl Run {
    fn train(arguments: &str) -> Self {
        let parent = folder();
        let path = parent.path().join("run");
        let mut command = vae_gpu(&["train"]);
        command.args(SMALL).args(arguments.split_whitespace());
        let output = command.arg("--out").arg(&path).assert().success();
        let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        Self {
            _parent: parent,
            path,
            said,
        }
    }

    /// The lines of metrics.jsonl that report epochs.
    fn epochs(&self) -> Vec<Value> {
        let metrics = fs::read_to_string(self.path.join("metrics.jsonl")).expect("written");
        let lines = metrics
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines
            .filter(|line: &Value| line.get("validation").is_some())
            .collect()
    }

    /// A metric of an epoch by its path, as in `validation.kl`.
    fn number(epoch: &Value, path: &str) -> f64 {
        let value = path.split('.').fold(epoch, |value, name| &value[name]);
        value
            .as_f64()
            .unwrap_or_else(|| panic!("no {path} in {epoch}"))
    }

    /// The metric in each epoch.
    fn all(&self, path: &str) -> Vec<f64> {
        let epochs = self.epochs();
        epochs
            .iter()
            .map(|epoch| Self::number(epoch, path))
            .collect()
    }

    fn last(&self, path: &str) -> f64 {
        *self.all(path).last().expect("an epoch")
    }

    /// The flattened images written by `sample`.
    fn sample(&self, arguments: &str) -> Vec<f32> {
        let out = self.path.join("sample.npy");
        vae_gpu(&["sample", "--backend", "cpu"])
            .arg(&self.path)
            .args(arguments.split_whitespace())
            .arg("--out")
            .arg(&out)
            .assert()
            .success();
        let bytes = fs::read(&out).expect("written");
        fs::remove_file(&out).expect("removable");
        floats(&bytes)
    }
}

/// The values of an NPY file of little-endian floats.
fn floats(npy: &[u8]) -> Vec<f32> {
    let header = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    assert!(String::from_utf8_lossy(&npy[..header]).contains("<f4"));
    let numbers = npy[header..].chunks_exact(4);
    numbers
        .map(|number| f32::from_le_bytes(number.try_into().expect("four bytes")))
        .collect()
}

fn assert_near(found: f64, expected: f64, what: &str) {
    let tolerance = 1e-5 * expected.abs().max(1.0);
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn every_objective_learns_and_its_loss_is_its_formula() {
    /// The loss as a function of `recon`, `kl` and the epoch's other metrics, sums of 100 to 700 nats in single precision.
    type Formula = fn(f64, f64, &dyn Fn(&str) -> f64) -> f64;
    let elbo: Formula = |recon, kl, _| recon + kl;
    let exact: [(&str, Formula); 8] = [
        ("", elbo),
        ("--beta 3", |recon, kl, _| recon + 3.0 * kl),
        ("--kl sampled", elbo),
        ("--samples 3", elbo),
        ("--prior mixture:5", elbo),
        (
            "--objective capacity --capacity 5:2 --beta 50",
            |recon, kl, _| recon + 50.0 * (kl - 5.0).abs(),
        ),
        ("--objective beta-tcvae --beta 2", |recon, _, of| {
            recon + of("index_code_mi") + 2.0 * of("total_correlation") + of("dimension_wise_kl")
        }),
        (
            "--objective info-vae --beta 0.5 --mmd-weight 20",
            |recon, kl, of| recon + 0.5 * kl + 20.0 * of("mmd"),
        ),
    ];
    for (arguments, loss) in exact {
        let run = Run::train(&format!("{arguments} --epochs 4"));
        let losses = run.all("validation.loss");
        assert!(losses[3] < losses[0] - 5.0, "{arguments}: {losses:?}");
        for epoch in run.epochs() {
            let of = |name: &str| Run::number(&epoch, &format!("validation.{name}"));
            assert_near(of("loss"), loss(of("recon"), of("kl"), &of), arguments);
        }
    }
    for arguments in [
        "--objective iwae --samples 4",
        "--objective dreg --samples 4",
    ] {
        let run = Run::train(&format!("{arguments} --epochs 4"));
        let losses = run.all("validation.loss");
        assert!(losses[3] < losses[0] - 5.0, "{arguments}: {losses:?}");
        let slack = run.last("validation.recon") + run.last("validation.kl") - losses[3];
        // The bound with four draws is tighter than the mean over them, by less than ln 4 for each nat that they differ.
        assert!((0.1..20.0).contains(&slack), "{arguments}: {slack}");
    }
    let tc = Run::train("--objective beta-tcvae --epochs 1");
    let parts = ["index_code_mi", "total_correlation", "dimension_wise_kl"];
    let sum: f64 = parts
        .iter()
        .map(|part| tc.last(&format!("validation.{part}")))
        .sum();
    assert_near(sum, tc.last("validation.kl"), "the decomposition");
}

#[test]
fn every_likelihood_learns_and_draws_pixels_of_its_range() {
    for (arguments, is_of_range) in [
        ("bernoulli", (|x| x == 0.0 || x == 1.0) as fn(f32) -> bool),
        ("continuous-bernoulli", |x| (0.0..=1.0).contains(&x)),
        ("gaussian", |_| true),
        ("gaussian --sigma learned", |_| true),
        ("gaussian --sigma per-dimension", |_| true),
        ("laplace --sigma 0.2", |_| true),
        ("discretized-logistic", |x| {
            ((x * 255.0).round() - x * 255.0).abs() < 1e-3
        }),
        ("poisson", |x| x.fract() == 0.0 && x >= 0.0),
        ("negative-binomial", |x| x.fract() == 0.0 && x >= 0.0),
    ] {
        let run = Run::train(&format!("--likelihood {arguments} --epochs 3"));
        let losses = run.all("validation.loss");
        assert!(losses[2] < losses[0] - 1.0, "{arguments}: {losses:?}");
        let means = run.sample("--count 9");
        let drawn = run.sample("--count 9 --draw-pixels");
        assert_eq!((means.len(), drawn.len()), (9 * 784, 9 * 784));
        assert_ne!(means, drawn);
        assert!(drawn.iter().all(|&x| is_of_range(x)), "{arguments}");
        // Draws scatter around their means, counts by up to three times their size: the mean of 7,056 by 3 / 84 of it. The
        // bound is about three standard deviations.
        let mean = |xs: &[f32]| xs.iter().sum::<f32>() / xs.len() as f32;
        let (of_means, of_drawn) = (mean(&means), mean(&drawn));
        assert!(
            (of_means - of_drawn).abs() < 0.1 * of_means.abs(),
            "{arguments}: {of_means}, {of_drawn}"
        );
    }
}

#[test]
fn a_conditional_model_decodes_the_digit_that_it_is_set() {
    let digits = Dataset::digits().expect("built in");
    let labels = digits.train.classes().expect("digits have labels");
    let mut sums = vec![[0.0f64; 784]; 10];
    let mut counts = [0.0; 10];
    let mut places = labels.iter();
    digits.train.each(|_, pixels| {
        let label = *places.next().expect("a label for each") as usize;
        counts[label] += 1.0;
        for (sum, &pixel) in sums[label].iter_mut().zip(pixels) {
            *sum += f64::from(pixel);
        }
    });
    let nearest = |image: &[f32]| {
        let distance = |class: usize| {
            let means = sums[class].iter().map(|sum| sum / counts[class]);
            let squares = means
                .zip(image)
                .map(|(mean, &x)| (mean - f64::from(x)).powi(2));
            squares.sum::<f64>()
        };
        (0..10).min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
    };
    for network in ["--epochs 8", "--epochs 4 --channels 4,8"] {
        let run = Run::train(&format!("--conditional --lr 0.005 {network}"));
        for class in [1, 3, 7] {
            let images = run.sample(&format!("--count 30 --label {class}"));
            let images: Vec<_> = images.chunks_exact(784).collect();
            let hits = images
                .iter()
                .filter(|image| nearest(image) == Some(class))
                .count();
            // By chance 3, and 12 once in 10,000 times; the nearest class mean is right for four of five digits.
            assert!(hits >= 12, "{network}: {hits} of 30 are a {class}");
            assert_ne!(images[0], images[1]);
        }
        // Without a label, classes are used in turn.
        let images = run.sample("--count 10");
        let found = images.chunks_exact(784).enumerate();
        let hits = found.filter(|(class, image)| nearest(image) == Some(*class));
        assert!(hits.count() >= 5);
        vae_gpu(&["sample", "--label", "eleven", "--backend", "cpu"])
            .arg(&run.path)
            .assert()
            .code(1)
            .stderr(contains("eleven").and(contains("0, 1, 2")));
    }
}

#[test]
fn samples_come_from_the_prior_that_was_trained_or_from_a_mixture_of_the_latents() {
    let spread = |images: &[f32]| {
        let pixels = (0..784).map(|pixel| {
            let column = || images.iter().skip(pixel).step_by(784);
            let mean = column().sum::<f32>() / column().count() as f32;
            column().map(|x| (x - mean).powi(2)).sum::<f32>()
        });
        pixels.sum::<f32>() / images.len() as f32
    };
    for prior in ["normal", "mixture:8", "vamp:20"] {
        let run = Run::train(&format!("--prior {prior} --epochs 6"));
        let images = run.sample("--count 50");
        let narrow = run.sample("--count 50 --temperature 0.01");
        let fitted = run.sample("--count 50 --fit-mixture 5");
        assert_ne!(images, fitted);
        let [images, narrow, fitted] = [images, narrow, fitted].map(|images| spread(&images));
        assert!(fitted > 0.5 * images, "{prior}: {images}, {fitted}");
        // Near temperature 0 the draws of a mixture still differ by component.
        let ratio = narrow / images;
        assert!(ratio < 0.95, "{prior}: {ratio}");
        assert_eq!(ratio > 0.1, prior != "normal", "{prior}: {ratio}");
    }
}

#[test]
fn the_weight_of_the_kl_rises_as_its_schedule_says() {
    let run = Run::train("--kl-schedule linear:2 --beta 4 --epochs 4");
    // 90 steps per epoch; the weight at the last one is reported: steps 89 and 179 of 180.
    let expected = [4.0 * 89.0 / 180.0, 4.0 * 179.0 / 180.0, 4.0, 4.0];
    for (found, expected) in run.all("beta").into_iter().zip(expected) {
        assert_near(found, expected, "beta");
    }
    let steps = Run::train("--kl-schedule cyclical:2:60steps --epochs 1");
    assert_near(steps.last("beta"), 1.0, "after the cycles");
    let epochs = run.epochs();
    // Validation uses the final weight from the first epoch on.
    let [recon, kl, loss] =
        ["recon", "kl", "loss"].map(|name| Run::number(&epochs[0], &format!("validation.{name}")));
    assert_near(loss, recon + 4.0 * kl, "validation");
}

#[test]
fn learning_rates_follow_their_schedule_and_stages() {
    let rates = |arguments: &str| Run::train(&format!("{arguments} --lr 0.002")).all("lr");
    let near = |found: Vec<f64>, expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.into_iter().zip(expected) {
            assert_near(found * 1e5, expected * 1e5, "lr");
        }
    };
    near(
        rates("--lr-schedule steps:1,2:0.1 --epochs 3"),
        &[2e-3, 2e-4, 2e-5],
    );
    near(
        rates("--lr-schedule exponential:0.5 --epochs 3"),
        &[2e-3, 1e-3, 5e-4],
    );
    // A constant metric never improves: the rate falls after each epoch but the first.
    near(
        rates("--lr-schedule plateau:0.5:0 --best-by active_units --epochs 4"),
        &[2e-3, 2e-3, 1e-3, 5e-4],
    );
    let cosine = rates("--lr-schedule cosine:1 --epochs 3");
    assert!(
        cosine[0] > 1.9e-3 && cosine[1] < cosine[0] && cosine[2] < 1e-5,
        "{cosine:?}"
    );
}

#[test]
fn training_stops_early_and_keeps_what_is_best_by_the_metric_that_was_named() {
    // No epoch is better than the first by 1000 nats.
    let run = Run::train("--early-stopping 2:1000 --epochs 9");
    assert_eq!(run.epochs().len(), 3);
    assert!(run.said.contains("stopped early"), "{}", run.said);
    let warm = Run::train("--early-stopping 1:1000:3 --epochs 9");
    assert_eq!(warm.epochs().len(), 5);
    let ramp = Run::train("--early-stopping 1:1000 --kl-schedule linear:2 --epochs 9");
    assert_eq!(ramp.epochs().len(), 4);
    // By the KL term, an epoch is the best if its KL is the lowest so far.
    let by = |metric: &str| {
        let run = Run::train(&format!("--best-by {metric} --epochs 3"));
        let best = run
            .epochs()
            .iter()
            .map(|epoch| epoch["is_best"] == true)
            .collect::<Vec<_>>();
        (run.all(metric), best)
    };
    let (kl, best) = by("validation.kl");
    let mut least = f64::INFINITY;
    for (kl, is_best) in kl.into_iter().zip(best) {
        assert_eq!(is_best, kl < least);
        least = least.min(kl);
    }
    vae_gpu(&["train", "--best-by", "validation.accuracy"])
        .assert()
        .code(1)
        .stderr(contains("validation.accuracy").and(contains("validation.loss")));
}

#[test]
fn batches_that_are_accumulated_are_one_large_batch() {
    let burn = "--engine burn --backend ndarray --epochs 1 --lr 0.01";
    let losses = |sizes: &str| {
        let parent = folder();
        let path = parent.path().join("run");
        vae_gpu(&["train", "--offline", "--hidden", "16"])
            .args(burn.split(' '))
            .args(sizes.split(' '))
            .arg("--out")
            .arg(&path)
            .assert()
            .success();
        let run = Run {
            _parent: parent,
            path,
            said: String::new(),
        };
        [run.last("train.loss"), run.last("validation.loss")]
    };
    let whole = losses("--batch-size 450");
    let pieces = losses("--batch-size 150 --accumulate 3");
    let small = losses("--batch-size 150");
    for ((whole, pieces), small) in whole.into_iter().zip(pieces).zip(small) {
        assert!((whole - pieces).abs() < 1e-3 * whole, "{whole}, {pieces}");
        assert!((whole - small).abs() > 1e-2 * whole, "{whole}, {small}");
    }
}

#[test]
fn a_run_that_collapses_says_so_and_what_helps() {
    let run = Run::train("--beta 300 --epochs 2");
    assert_near(run.last("active_units"), 0.0, "active units");
    assert!(run.last("mutual_information") < 0.1);
    assert!(
        run.said.contains("posterior collapse") && run.said.contains("--kl-schedule linear:10"),
        "{}",
        run.said
    );
    let healthy = Run::train("--beta 0.5 --epochs 2");
    assert_near(healthy.last("active_units"), 4.0, "active units");
    assert!(healthy.last("mutual_information") > 3.0);
    assert!(!healthy.said.contains("collapse"), "{}", healthy.said);
    for run in [&run, &healthy] {
        let each = run.epochs();
        let each = each[1]["kl_per_dimension"].as_array().expect("numbers");
        let sum: f64 = each.iter().map(|kl| kl.as_f64().expect("a number")).sum();
        // From the same posteriors, in closed form, but summed in another order.
        let kl = run.last("validation.kl");
        assert!((sum - kl).abs() < 1e-4 * kl.max(0.1), "{sum}, {kl}");
        assert!(run.path.join("kl.png").exists());
    }
}

#[test]
fn a_run_whose_numbers_stop_being_finite_goes_back_as_often_as_it_may() {
    let parent = folder();
    let trained = |lr: &str, out: &Path| {
        vae_gpu(&["train", "--offline", "--backend", "cpu", "--hidden", "16"])
            .args([
                "--optimizer",
                "sgd",
                "--epochs",
                "2",
                "--on-nan",
                "rollback",
            ])
            .args(["--lr", lr, "--out"])
            .arg(out)
            .assert()
    };
    let rescued = parent.path().join("rescued");
    trained("0.04", &rescued)
        .success()
        .stderr(contains("at learning rate 0.02 (try 1 of 3)").and(contains("epoch   2  train")));
    let hopeless = parent.path().join("hopeless");
    trained("1e20", &hopeless).code(1).stderr(
        contains("(try 3 of 3)")
            .and(contains("first number that is not finite"))
            .and(contains("the last good checkpoint")),
    );
    vae_gpu(&["sample", "--backend", "cpu"])
        .arg(&hopeless)
        .arg("--out")
        .arg(parent.path().join("grid.png"))
        .assert()
        .success();
    let metrics = fs::read_to_string(hopeless.join("metrics.jsonl")).expect("written");
    assert_eq!(metrics.matches("\"kind\":\"rollback\"").count(), 3);
}

#[test]
fn settings_that_do_not_go_together_are_refused_by_name() {
    for (arguments, complaint) in [
        ("--group-norm 4", "channels: expected some"),
        ("--channels 4 --kernel 1", "kernel"),
        ("--channels 4 --upsampling nearest --kernel 4", "kernel"),
        (
            "--channels 4,4,4,4,4 --kernel 4",
            "channels: expected as few",
        ),
        ("--prior mixture:3 --kl analytic", "kl: expected sampled"),
        ("--prior vamp:3 --conditional", "vamp"),
        ("--prior mixture:0", "mixture:0"),
        ("--objective beta-tcvae --prior mixture:3", "prior"),
        ("--objective beta-tcvae --samples 2", "samples: expected 1"),
        ("--objective iwae --free-bits 1", "free_bits"),
        ("--free-bits 1:group-3 --latent 4", "free_bits"),
        ("--free-bits=-1", "free"),
        (
            "--capacity 5",
            "capacity: expected none without objective capacity",
        ),
        (
            "--mmd-weight 5",
            "mmd_weight: expected none without objective info-vae",
        ),
        ("--likelihood poisson --sigma 1", "sigma"),
        ("--likelihood poisson --binarize static", "binarize"),
        ("--likelihood poisson --scale min-max", "scale"),
        ("--likelihood gaussian --sigma 0", "sigma"),
        ("--kl-schedule=linear:-3", "linear:-3"),
        ("--kl-schedule sawtooth", "sawtooth"),
        ("--lr-schedule steps:5", "steps"),
        ("--ema 1.5", "ema"),
        ("--clip-value 0", "clip_value"),
        ("--early-stopping 0", "early"),
        ("--weight-decay=-1", "weight_decay"),
        (
            "--momentum 0.5",
            "momentum: expected none without optimizer sgd",
        ),
    ] {
        let mut command = vae_gpu(&["train", "--offline", "--print-config"]);
        let assert = command.args(arguments.split(' ')).assert().failure();
        assert.stderr(contains(complaint));
    }
}

#[test]
fn a_flag_takes_with_it_what_belongs_to_what_it_overrules() {
    let shows = |arguments: &str| {
        let mut command = vae_gpu(&["train", "--offline", "--print-config"]);
        let output = command.args(arguments.split(' ')).assert().success();
        String::from_utf8_lossy(&output.get_output().stdout).into_owned()
    };
    let preset = shows("--preset iwae-k50");
    assert!(preset.contains("eps = 0.0001") && preset.contains("samples = 50"));
    let other = shows("--preset iwae-k50 --optimizer sgd --objective elbo");
    assert!(!other.contains("\neps") && other.contains("momentum = 0.9"));
    assert!(other.contains("samples = 1\n") && other.contains("kl = \"analytic\""));
    // Settings that depend on no other are kept.
    assert!(other.contains("batch_size = 20") && other.contains("activation = \"tanh\""));

    let capacity = shows("--objective capacity");
    assert!(capacity.contains("beta = 30.0") && capacity.contains("capacity = \"25"));
    let parent = folder();
    let config = parent.path().join("config.toml");
    fs::write(&config, capacity).expect("writable");
    let config = config.to_str().expect("UTF-8");
    let elbo = shows(&format!("--config {config} --objective elbo"));
    assert!(
        elbo.contains("beta = 1.0\n") && !elbo.contains("capacity"),
        "{elbo}"
    );
    let same = shows(&format!("--config {config} --objective capacity --lr 0.1"));
    assert!(same.contains("beta = 30.0") && same.contains("lr = 0.1"));
}
