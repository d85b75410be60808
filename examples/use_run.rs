//! Loads a trained run, encodes samples and decodes them again: `cargo run --release --example use_run -- RUN`.

use std::error::Error;
use std::path::PathBuf;

use vae_data::Dataset;
use vae_device::Device;
use vae_infer::Inference;
use vae_recipe::BackendChoice;
use vae_run::SavedRun;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or("runs/digits-1".into(), PathBuf::from);
    let run = SavedRun::open(&folder, None)?;
    let device = Device::open(BackendChoice::Auto)?;
    let mut inference = Inference::open(&run, &device, &|_| {})?;
    // The same samples as of `vae-gpu encode RUN` where the run was trained on the digits; arrays of your own work as well.
    let digits = Dataset::digits()?.validation;
    let (samples, _) = run.recipe.matching(&digits, "digits")?;
    let samples = run.preprocessing.evaluation_images(&samples)?;
    let posterior = inference.encode(&samples)?;
    println!("mu of the first: {:?}", &posterior.mu[..inference.latent()]);
    let mut images = inference.decode(&posterior.mu)?;
    run.preprocessing
        .undo(&mut images, inference.shape().length());
    println!(
        "{} images of {}",
        images.len() / inference.shape().length(),
        inference.shape()
    );
    let scores = inference.score(&samples, None)?;
    let mean = scores.iter().map(|score| score.elbo()).sum::<f64>() / scores.len() as f64;
    println!("mean ELBO {mean:.2} nats per sample");
    Ok(())
}
