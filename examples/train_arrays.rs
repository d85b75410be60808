//! Trains on arrays of this program's own, watching the epochs: `cargo run --release --example train_arrays -- FOLDER`.

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use vae_data::{Array, Dataset, Shape, Validation};
use vae_device::Device;
use vae_recipe::{Recipe, RecipePatch};
use vae_train::{Event, Training};

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("runs/waves".into()));
    // 2,000 waves of 32 values from 0 to 1, of several frequencies.
    let wave = |n| (0..32).map(move |t| ((1 + n % 9) * t) as f32 / 40.0 + n as f32);
    let values = (0..2000).flat_map(wave).map(|x| 0.5 + 0.5 * x.sin());
    let waves = Array::floats(values.collect(), Shape::grey(1, 32));
    let dataset = Dataset::of("waves", waves, None, &Validation::default())?;
    let settings = RecipePatch {
        epochs: Some(10),
        ..RecipePatch::default()
    };
    let recipe = Recipe::resolve(settings, &dataset)?;
    let device = Device::open(recipe.backend)?;
    // Set from another thread, as by Ctrl-C, this ends the run, saved and ready to be resumed.
    let stop = AtomicBool::new(false);
    let training = Training::new(&recipe, &dataset, &device, &folder)?;
    let (manifest, outcome) = training.run(&stop, |event| {
        if let Event::Epoch(report) = event {
            let loss = report.validation.loss;
            println!("epoch {}: {loss:.2} nats", report.epoch);
        }
    })?;
    println!("{outcome:?}, best epoch {}", manifest.best_epoch);
    Ok(())
}
