//! Random configurations out of the whole space of options. Each is refused before it trains, with a reason, or trains some twenty steps:
//! to the same bits if it is interrupted and resumed, to the same losses on every route, and to a run that exports and encodes.
//! `VAE_GPU_CONFIGURATIONS=200` tries so many, `VAE_GPU_CONFIGURATIONS=17..18` the one that failed.

mod draw;

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use vae_data::Dataset;
use vae_device::Device;
use vae_recipe::{BackendChoice, EngineChoice, Recipe, RecipePatch};
use vae_run::{EpochReport, Interrupted};
use vae_train::{Event, Outcome, Training};

use crate::common::gpu;
use crate::common::program::{folder, vae_gpu};
use crate::resume::outcome;
use draw::Draw;

/// How many, if nothing is said.
const CONFIGURATIONS: usize = 20;

/// Those with these numbers.
fn configurations() -> Range<usize> {
    let Ok(text) = std::env::var("VAE_GPU_CONFIGURATIONS") else {
        return 0..CONFIGURATIONS;
    };
    let number = |text: &str| {
        text.parse()
            .expect("VAE_GPU_CONFIGURATIONS is a number, or two")
    };
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    }
}

/// What a training came to, or the message of its error.
type Trained = Result<Done, String>;

#[derive(Debug)]
struct Done {
    epochs: Vec<EpochReport>,
    outcome: Outcome,
    /// From the first step to the end of the last epoch.
    takes: Duration,
}

/// A configuration with its data.
struct Subject {
    recipe: Recipe,
    dataset: Dataset,
}

impl Subject {
    fn new(toml: &str) -> Self {
        let patch = RecipePatch::parse(toml, Path::new("config.toml")).expect("what was printed");
        let options = patch.read_options(Default::default());
        let name = patch.data.clone().expect("always printed");
        let dataset = Dataset::open(&name, &options, &patch.validation(), &|_| {});
        let dataset = dataset.expect("read before");
        let recipe = Recipe::resolve(patch, &dataset).expect("resolved before");
        Self { recipe, dataset }
    }

    /// Trains, or goes on with, the run in `path`; with `stop`, until that time has passed.
    fn train(
        &self,
        path: &Path,
        [backend, engine]: [&str; 2],
        resumed: Option<Interrupted>,
        stop: Option<Duration>,
    ) -> Trained {
        let backend: BackendChoice = match backend {
            "cpu" => BackendChoice::Cpu,
            "ndarray" => BackendChoice::Ndarray,
            _ => BackendChoice::Wgpu,
        };
        let engine = match engine {
            "burn" => EngineChoice::Burn,
            _ => EngineChoice::Auto,
        };
        let said = |error: &dyn std::error::Error| error.to_string();
        let Self { recipe, dataset } = self;
        let recipe = Recipe {
            engine,
            ..recipe.clone()
        };
        let device = Device::open(backend).map_err(|error| said(&error))?;
        let training = match resumed {
            Some(run) => Training::resume(run, &recipe, dataset, &device),
            None => Training::new(&recipe, dataset, &device, path),
        };
        let training = training.map_err(|error| said(&error))?;
        let (is_stopped, mut epochs) = (AtomicBool::new(false), Vec::new());
        let (start, mut takes) = (Instant::now(), Duration::ZERO);
        let (end, ended) = channel();
        let outcome = thread::scope(|scope| {
            if let Some(stop) = stop {
                let is_stopped = &is_stopped;
                scope.spawn(move || {
                    // The other end is dropped when the training has ended.
                    let _ = ended.recv_timeout(stop);
                    is_stopped.store(true, Ordering::Relaxed);
                });
            }
            let outcome = training.run(&is_stopped, |event| {
                if let Event::Epoch(report) = event {
                    epochs.push(report);
                    takes = start.elapsed();
                }
            });
            drop::<std::sync::mpsc::Sender<()>>(end);
            outcome
        });
        let (_, outcome) = outcome.map_err(|error| said(&error))?;
        Ok(Done {
            epochs,
            outcome,
            takes,
        })
    }
}

/// Losses of an epoch that have to be equal.
fn losses(epochs: &[EpochReport]) -> Vec<[f64; 2]> {
    let of = |report: &EpochReport| [report.train.loss, report.validation.loss];
    epochs.iter().map(of).collect()
}

/// How a configuration ended.
#[derive(Debug, Default)]
struct Counts {
    refused: usize,
    failed: usize,
    trained: usize,
    interrupted: usize,
}

#[test]
fn random_configurations_train_alike_on_every_route_or_are_refused_with_a_reason() {
    let parent = folder();
    let (mut counts, mut wrong) = (Counts::default(), Vec::new());
    for number in configurations() {
        let folder = parent.path().join(number.to_string());
        fs::create_dir(&folder).expect("a folder");
        let mut draw = Draw::new(number);
        let arguments = draw.configuration(&folder);
        let tried = catch_unwind(AssertUnwindSafe(|| {
            try_one(&folder, &arguments, &mut draw, &mut counts);
        }));
        if tried.is_err() {
            eprintln!("configuration {number}: {}", arguments.join(" "));
            wrong.push(number);
        }
        fs::remove_dir_all(&folder).expect("its own folder");
    }
    eprintln!("{counts:?}");
    assert!(wrong.is_empty(), "configurations {wrong:?}, see above");
    if configurations().len() >= CONFIGURATIONS {
        assert!(counts.trained > configurations().len() / 2, "{counts:?}");
    }
}

fn try_one(folder: &Path, arguments: &[String], draw: &mut Draw, counts: &mut Counts) {
    let run = folder.join("run");
    let mut command = vae_gpu(&["train"]);
    let output = command.args(arguments).arg("--print-config").output();
    let output = output.expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        // Neither a panic nor silence, and training says the same.
        assert!(matches!(output.status.code(), Some(1 | 2)), "{said}");
        assert!(said.contains("error: ") && said.len() > 30, "{said}");
        let mut command = vae_gpu(&["train"]);
        let refused = command.args(arguments).arg("--out").arg(&run).output();
        let refused = refused.expect("started");
        assert_eq!(refused.status, output.status);
        assert_eq!(String::from_utf8_lossy(&refused.stderr), said);
        assert!(!run.exists(), "a folder of a run that was refused");
        counts.refused += 1;
        return;
    }
    let subject = Subject::new(&String::from_utf8_lossy(&output.stdout));
    let whole = subject.train(&run, ["cpu", "auto"], None, None);
    let mut routes = vec![["ndarray", "auto"]];
    if gpu().is_some() {
        routes.push(["wgpu", "auto"]);
        // Its kernels take long to make.
        routes.extend(draw.is(0.1).then_some(["wgpu", "burn"]));
    }
    for route in routes {
        compare(&subject, folder, route, &whole);
    }
    let Ok(whole) = whole else {
        counts.failed += 1;
        return;
    };
    assert!(!whole.epochs.is_empty());

    let stopped = folder.join("stopped");
    let stop = whole.takes.mul_f64(draw.uniform());
    let first = subject.train(&stopped, ["cpu", "auto"], None, Some(stop));
    if first.expect("as before").outcome == Outcome::Interrupted {
        counts.interrupted += 1;
        let (interrupted, _) = Interrupted::open(&stopped).expect("an interrupted run loads");
        let rest = subject.train(&stopped, ["cpu", "auto"], Some(interrupted), None);
        assert_eq!(rest.expect("as before").outcome, Outcome::Finished);
    }
    assert!(
        outcome(&stopped) == outcome(&run),
        "other bits after a stop"
    );

    let export = vae_gpu(&["export", "--format", "onnx"])
        .arg(&run)
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&export.stderr);
    assert!(export.status.success(), "{said}");
    let latents = folder.join("latents.npy");
    let mut encode = vae_gpu(&["encode"]);
    let encode = encode.arg(&run).arg("--out").arg(&latents).output();
    let encode = encode.expect("started");
    let said = String::from_utf8_lossy(&encode.stderr);
    assert!(encode.status.success() && latents.exists(), "{said}");
    counts.trained += 1;
}

/// A route ends as the CPU did: with its losses, or as it failed.
fn compare(subject: &Subject, folder: &Path, route: [&str; 2], whole: &Trained) {
    let other = subject.train(&folder.join(route.join("-")), route, None, None);
    let (expected, found) = match (whole, other) {
        (Ok(expected), Ok(found)) => (losses(&expected.epochs), losses(&found.epochs)),
        (Err(_), Err(_)) => return,
        (whole, other) => panic!("{route:?}: {other:?} against {whole:?}"),
    };
    assert_eq!(expected.len(), found.len(), "{route:?}");
    if let Some(difference) = difference(&found, &expected) {
        panic!("{route:?}: {difference}");
    }
}

/// The first losses that differ by more than twenty steps of single precision explain, which gradients of changing sign drive apart. What
/// follows on a loss that has grown tenfold, in a run that explodes, is anybody's guess.
fn difference(found: &[[f64; 2]], expected: &[[f64; 2]]) -> Option<String> {
    let most = 10.0 * expected[0][0].abs().max(1.0);
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    pairs
        .take_while(|(_, expected)| expected.abs() <= most)
        .find(|(found, expected)| (*found - *expected).abs() > 2e-3 * expected.abs().max(1.0))
        .map(|(found, expected)| format!("{found} against {expected}"))
}

#[test]
fn other_noise_or_another_learning_rate_is_told_apart() {
    let parent = folder();
    let data = parent.path().join("counts.csv");
    let rows = (0..40).map(|row| format!("{},{},{}\n", row % 7, row % 3, row % 5));
    fs::write(&data, rows.collect::<String>()).expect("written");
    let mut command = vae_gpu(&["train", "--epochs", "3", "--likelihood", "poisson"]);
    command.args(["--batch-size", "6", "--print-config", "--data"]);
    let toml = command.arg(&data).output().expect("started").stdout;
    let toml = String::from_utf8(toml).expect("text");
    let trained = |name: &str, change: &dyn Fn(&mut Recipe)| {
        let mut changed = Subject::new(&toml);
        change(&mut changed.recipe);
        let trained = changed.train(&parent.path().join(name), ["cpu", "auto"], None, None);
        losses(&trained.expect("trained").epochs)
    };
    let expected = trained("same", &|_| {});
    assert_eq!(difference(&trained("again", &|_| {}), &expected), None);
    for (name, change) in [
        (
            "seed",
            (&|recipe: &mut Recipe| recipe.seed += 1) as &dyn Fn(&mut Recipe),
        ),
        ("lr", &|recipe| recipe.lr *= 1.5),
    ] {
        assert!(
            difference(&trained(name, change), &expected).is_some(),
            "{name}"
        );
    }
}
