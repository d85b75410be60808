//! Trains on arrays of this program's own, watching the epochs: `cargo run --release --example train_arrays -- FOLDER`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use vae_data::{Array, Dataset, Shape, Validation};
use vae_device::Device;
use vae_recipe::{Recipe, RecipePatch};
use vae_train::{Event, Training};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or("runs/waves".into(), PathBuf::from);
    // 2,000 waves of 32 values each, from 0 to 1, which differ in frequency and phase.
    let wave = |n: usize| {
        (0..32).map(move |t| 0.5 + 0.5 * ((n % 40 * t) as f32 / 99.0 + (n / 40) as f32 / 8.0).sin())
    };
    let waves = Array::floats((0..2000).flat_map(wave).collect(), Shape::grey(1, 32));
    let dataset = Dataset::of("waves", waves, None, &Validation::default())?;
    let settings = RecipePatch {
        hidden: Some(vec![64]),
        epochs: Some(5),
        ..RecipePatch::default()
    };
    let recipe = Recipe::resolve(settings, &dataset)?;
    let device = Device::open(recipe.backend)?;
    let training = Training::new(&recipe, &dataset, &device, &folder)?;
    // Set from another thread, for example by Ctrl-C, this ends the run after saving it.
    let stop = AtomicBool::new(false);
    let (manifest, outcome) = training.run(&stop, |event| match event {
        Event::Epoch(report) => {
            println!("epoch {}: {:.2} nats", report.epoch, report.validation.loss)
        }
        Event::Progress(_) | Event::Notice(_) => {}
    })?;
    println!(
        "{outcome:?}: {} steps, best epoch {}",
        manifest.steps, manifest.best_epoch
    );
    Ok(())
}
