//! Loads a trained run, encodes samples, decodes and scores them: `cargo run --release --example use_run -- RUN`.

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use std::path::PathBuf;

use vae_data::Dataset;
use vae_device::Device;
use vae_infer::Inference;
use vae_recipe::BackendChoice;
use vae_run::SavedRun;

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("runs/digits-1".into()));
    let run = SavedRun::open(&folder, None)?;
    let device = Device::open(BackendChoice::Auto)?;
    let mut inference = Inference::open(&run, &device, &|_| {})?;
    // The digits that `train` validates on; arrays of your own as in the other example.
    let digits = Dataset::digits()?.validation;
    let (samples, _) = run.recipe.matching(&digits, "digits")?;
    let samples = run.preprocessing.evaluation_images(&samples)?;
    let posterior = inference.encode(&samples)?;
    println!("mu of the first: {:?}", &posterior.mu[..inference.latent()]);
    let length = inference.shape().length();
    let mut images = inference.decode(&posterior.mu)?;
    run.preprocessing.undo(&mut images, length);
    println!("{} of {}", images.len() / length, inference.shape());
    let scores = inference.score(&samples, None)?;
    let elbo = scores.iter().map(|score| score.elbo()).sum::<f64>();
    println!("mean ELBO {:.2} nats", elbo / scores.len() as f64);
    Ok(())
}
