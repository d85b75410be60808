//! What fails in the middle of a run: the device, its arithmetic, the disk. The last checkpoint stays, and the run goes on or says how to.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use vae_data::Dataset;
use vae_device::Device;
use vae_fused::FusedEngine;
use vae_kernels::gpu::{Gpu, GraphicsApi};
use vae_recipe::{BackendChoice, EngineChoice, OnDeviceLost, Recipe, RecipePatch};
use vae_rng::{Generator, Stream};
use vae_run::Interrupted;
use vae_spec::{
    Batch, Engine, EngineSetup, ModelConfig, Optimizer, OptimizerConfig, Posterior, Step,
    TrainingImages, Wait, Weighting, Weights,
};
use vae_train::{Event, Outcome, Training};

use crate::common::program::{folder, train_tiny, vae_gpu};
use crate::common::{distance, gpu};

/// A small run of three epochs on the built-in digits.
fn recipe(dataset: &Dataset, backend: BackendChoice, change: impl Fn(&mut Recipe)) -> Recipe {
    let patch = RecipePatch {
        hidden: Some(vec![8]),
        batch_size: Some(500),
        epochs: Some(3),
        backend: Some(backend),
        ..RecipePatch::default()
    };
    let mut recipe = Recipe::resolve(patch.over_defaults(), dataset).expect("valid");
    change(&mut recipe);
    recipe
}

/// A run, what is said in it, and how it ended.
struct Ran {
    notices: Vec<String>,
    epochs: usize,
    outcome: Result<Outcome, String>,
    device: String,
}

/// Trains in the folder `path`, with `fault` done to the device behind the first epoch.
fn run(path: &Path, recipe: &Recipe, dataset: &Dataset, fault: impl Fn(&Device)) -> Ran {
    let device = Device::open(recipe.backend).expect("a device");
    let training = Training::new(recipe, dataset, &device, path).expect("started");
    let (mut notices, mut epochs) = (Vec::new(), 0);
    let outcome = training.run(&AtomicBool::new(false), |event| match event {
        Event::Epoch(report) => {
            epochs += 1;
            if report.epoch == 1 {
                fault(&device);
            }
        }
        Event::Notice(notice) => notices.push(notice),
        Event::Progress(_) => {}
    });
    let manifest = fs::read_to_string(path.join("manifest.json")).expect("written");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    Ran {
        notices,
        epochs,
        outcome: outcome
            .map(|(_, outcome)| outcome)
            .map_err(|error| error.to_string()),
        device: manifest["device"].as_str().expect("text").to_owned(),
    }
}

/// Takes the device away, as a driver that resets it does.
fn lose(device: &Device) {
    let gpu = device.gpu().expect("a GPU");
    gpu.device_and_queue().0.destroy();
}

/// Makes the driver report a mistake: a buffer for two uses that exclude each other.
fn mistake(device: &Device) {
    let (device, _) = device.gpu().expect("a GPU").device_and_queue();
    drop(device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("a mistake"),
        size: 3,
        usage: wgpu::BufferUsages::empty(),
        mapped_at_creation: true,
    }));
}

#[test]
fn a_lost_device_or_an_error_of_its_driver_ends_a_run_that_can_be_resumed() {
    if gpu().is_none() {
        return;
    }
    let dataset = Dataset::digits().expect("built in");
    for (engine, name, fault) in [
        (EngineChoice::Fused, "loss", lose as fn(&Device)),
        (EngineChoice::Fused, "mistake", mistake),
        (EngineChoice::Burn, "mistake", mistake),
        (EngineChoice::Burn, "loss", lose),
    ] {
        let parent = folder();
        let path = parent.path().join("run");
        let recipe = recipe(&dataset, BackendChoice::Wgpu, |recipe| {
            recipe.engine = engine;
        });
        let ran = run(&path, &recipe, &dataset, fault);
        let error = ran.outcome.expect_err(name);
        for part in ["failed: ", "epoch 2, step 0", "--resume", "--backend cpu"] {
            assert!(error.contains(part), "{engine:?}: {part} in {error}");
        }
        assert_eq!(ran.epochs, 1);
        // Elsewhere it goes on.
        let (interrupted, _) = Interrupted::open(&path).expect("a run");
        assert_eq!(interrupted.position(), (2, 0));
        vae_gpu(&["train", "--backend", "cpu", "--resume"])
            .arg(&path)
            .assert()
            .success();
    }
}

#[test]
fn with_on_device_lost_cpu_a_run_goes_on_there_from_its_last_checkpoint() {
    if gpu().is_none() {
        return;
    }
    let dataset = Dataset::digits().expect("built in");
    let parent = folder();
    let at = |name: &str| parent.path().join(name);
    let on_gpu = recipe(&dataset, BackendChoice::Wgpu, |recipe| {
        recipe.on_device_lost = OnDeviceLost::Cpu;
    });
    let mut through_burn = on_gpu.clone();
    through_burn.engine = EngineChoice::Burn;
    let ran = run(&at("burn"), &through_burn, &dataset, lose);
    assert_eq!(ran.outcome, Ok(Outcome::Finished));
    let ran = run(&at("lost"), &on_gpu, &dataset, lose);
    assert_eq!(ran.outcome, Ok(Outcome::Finished));
    assert_eq!(ran.epochs, 3);
    let said = ran.notices.join("\n");
    assert!(
        said.contains("epoch 2, step 0; going on from there on the cpu"),
        "{said}"
    );
    assert!(
        ran.device.starts_with("cpu") && ran.device.contains(" failed"),
        "{}",
        ran.device
    );
    // To what the CPU alone comes to, but for the rounding of one epoch.
    let on_cpu = recipe(&dataset, BackendChoice::Cpu, |_| {});
    run(&at("whole"), &on_cpu, &dataset, |_| {});
    let loss = |name: &str| {
        let manifest = fs::read_to_string(at(name).join("manifest.json")).expect("written");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
        manifest["best_validation_loss"].as_f64().expect("a number")
    };
    let (found, expected) = (loss("lost"), loss("whole"));
    assert!(
        (found / expected - 1.0).abs() < 1e-3,
        "{found} against {expected}"
    );
}

#[test]
fn steps_are_verified_against_another_way_to_compute_them() {
    let dataset = Dataset::digits().expect("built in");
    let backends = [Some(BackendChoice::Cpu), gpu().map(|_| BackendChoice::Wgpu)];
    for backend in backends.into_iter().flatten() {
        let parent = folder();
        let recipe = recipe(&dataset, backend, |recipe| recipe.verify_every = Some(7));
        let ran = run(&parent.path().join("run"), &recipe, &dataset, |_| {});
        assert_eq!(ran.outcome, Ok(Outcome::Finished), "{backend:?}");
    }
}

#[test]
fn a_memory_that_is_full_takes_fewer_rows_at_once_and_says_so_in_training() {
    let Some(whole) = gpu() else { return };
    let small = Gpu::open(GraphicsApi::Any).expect("as before");
    // What some rows take of the 40 that are asked for.
    let small = small.with_checked_shaders().with_memory(16_000);
    let model = ModelConfig::dense(50, &[17], 3);
    let weights = Weights::initial(&model, 0);
    let setup = EngineSetup::new(&model, &weights, OptimizerConfig::new(Optimizer::Adam), 0);
    let images = Generator::new(0, Stream::Shuffle).uniforms(0, 0, 40, 50);
    let batch = Batch {
        first_row: 5,
        ..Batch::of(&images)
    };
    let found = [&small, whole].map(|gpu| {
        let mut engine = FusedEngine::gpu(&setup, gpu).expect("a working device");
        let losses = engine.evaluate(&batch, Weighting::PLAIN).expect("in parts");
        let Posterior { mu, log_var } = engine.encode(&batch).expect("in parts");
        let output = engine.decode(&mu, &[]).expect("in parts");
        let nll = engine.nll(&mu, &batch).expect("in parts");
        let bound = engine.importance_nll(&batch, &[3]).expect("in parts");
        let bound = bound.iter().flatten().map(|nll| *nll as f32).collect();
        let losses = [losses.loss, losses.recon, losses.kl].map(|loss| loss as f32);
        let training = TrainingImages {
            bytes: vec![128; 40 * 50].into(),
            count: 40,
            ..TrainingImages::default()
        };
        engine.train_on(training).expect("a working device");
        let rows: Vec<u32> = (0..40).collect();
        let trained = engine.train_step(&rows, &Step::plain(0, 1e-3));
        let trained = trained.and_then(|()| engine.take_losses(Wait::ForAll));
        if trained.is_err() {
            // It goes on.
            assert_eq!(engine.decode(&mu, &[]).expect("in parts"), output);
        }
        let numbers = [losses.to_vec(), mu, log_var, output, nll, bound].concat();
        (numbers, trained.err().map(|error| error.to_string()))
    });
    let [(found, refused), (expected, trained)] = found;
    assert!(distance(&found, &expected, |i| 1e-5 * expected[i].abs().max(1.0)) <= 1.0);
    assert_eq!(trained, None);
    let refused = refused.expect("no room for 40 rows");
    assert!(
        refused.contains("for 40 rows. --batch-size 20 --accumulate 2"),
        "{refused}"
    );
}

#[test]
fn a_disk_without_room_stops_no_run() {
    let dataset = Dataset::digits().expect("built in");
    let parent = folder();
    let path = parent.path().join("run");
    let recipe = recipe(&dataset, BackendChoice::Cpu, |_| {});
    // A folder under the state's name cannot be replaced; before the end there is room again.
    let state = path.join("state.safetensors");
    let device = Device::open(recipe.backend).expect("a CPU");
    let training = Training::new(&recipe, &dataset, &device, &path);
    let mut notices = Vec::new();
    let training = training.expect("started");
    fs::remove_file(&state).expect("written");
    fs::create_dir_all(state.join("in the way")).expect("created");
    let outcome = training.run(&AtomicBool::new(false), |event| match event {
        Event::Epoch(report) if report.epoch == 3 => {
            fs::remove_dir_all(&state).expect("removed");
        }
        Event::Notice(notice) => notices.push(notice),
        _ => {}
    });
    assert_eq!(outcome.expect("saved").1, Outcome::Finished);
    let said = notices.join("\n");
    assert!(
        said.contains("state.safetensors: cannot be written: "),
        "{said}"
    );
    assert!(said.contains("the next checkpoint tries again"), "{said}");
    let (interrupted, _) = Interrupted::open(&path).expect("a run");
    assert_eq!(interrupted.position(), (4, 0));
    // The same bits as with room all the time.
    let whole = parent.path().join("whole");
    run(&whole, &recipe, &dataset, |_| {});
    for name in ["model.safetensors", "last.safetensors"] {
        let [found, expected] = [&path, &whole].map(|run| fs::read(run.join(name)).expect("there"));
        assert!(found == expected, "{name}");
    }
}

#[test]
fn what_to_do_about_a_device_is_an_option() {
    let parent = folder();
    let run = parent.path().join("run");
    let mut command = train_tiny(&run);
    command.args(["--on-device-lost", "cpu", "--verify-every", "5"]);
    command.assert().success();
    let config = fs::read_to_string(run.join("config.toml")).expect("written");
    assert!(config.contains("on_device_lost = \"cpu\"") && config.contains("verify_every = 5"));
    let mut resume = vae_gpu(&["train", "--epochs", "1", "--verify-every", "3", "--resume"]);
    resume.arg(&run).assert().success();
}
