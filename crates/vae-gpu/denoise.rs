//! `vae-gpu denoise`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use vae_infer::{Inference, stacked};
use vae_recipe::{Corrupt, Preprocessing};

use crate::arguments::{LabelledInputArguments, ModelArguments, OverwriteArguments, positive};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct DenoiseArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: LabelledInputArguments,
    /// Corruption to apply first: gaussian:SIGMA, salt-pepper:PROBABILITY or mask:SIDE, as in `train --corrupt` [default: that
    /// of the run].
    #[arg(
        long,
        value_name = "KIND:AMOUNT",
        conflicts_with = "corrupted",
        help_heading = "Corruption"
    )]
    corrupt: Option<Corrupt>,
    /// The samples are corrupted already: only denoise them [default: false].
    #[arg(long, alias = "damaged", help_heading = "Corruption")]
    corrupted: bool,
    /// Number of samples, from the first on [default: 40 for a .png file, else all].
    #[arg(long, value_parser = positive(), value_name = "N", help_heading = "Output")]
    count: Option<usize>,
    /// File to write: a .png with the original, corrupted and denoised samples below each other; or the denoised samples
    /// alone as .npy or .csv, or in a folder as PNG files; - for stdout
    /// [default: denoised.png; of a table denoised.csv].
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Output")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &DenoiseArguments) -> Result<ExitCode> {
    let run = arguments.model.open()?;
    let out = output::or_default(arguments.out.as_deref(), "denoised", run.recipe.image);
    arguments.overwrite.check(&out)?;
    let corrupt = arguments.corrupt.or(run.recipe.corrupt);
    if corrupt.is_none() && !arguments.corrupted {
        bail!(
            "the run was not trained with --corrupt: choose --corrupt KIND:AMOUNT, for example gaussian:0.3, or --corrupted \
             for samples that are corrupted already"
        );
    }
    let is_picture = output::is_picture(&out, run.recipe.image);
    let count = arguments.count.unwrap_or(output::shown(is_picture));
    let images = arguments.input.first(&run, count)?;
    let places: Vec<u32> = (0..images.count() as u32).collect();
    let recipe = vae_recipe::Recipe {
        corrupt: corrupt.filter(|_| !arguments.corrupted),
        ..run.recipe.clone()
    };
    let preprocessing = Preprocessing::saved(&recipe, run.preprocessing.scaling().cloned());
    let (values, corrupted) = preprocessing.corrupted(&images, &places)?;

    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    let seen = corrupted.as_ref().unwrap_or(&values);
    let denoised = inference.reconstruct(&images.with_values(seen.clone()))?;
    if let Some(corrupted) = &corrupted {
        let length = run.recipe.image.length();
        let before = psnr(corrupted, &values, length).context("no samples")?;
        let after = psnr(&denoised, &values, length).context("no samples")?;
        report::note(&format!(
            "PSNR, mean of {} samples: corrupted {before:.2} dB, denoised {after:.2} dB",
            places.len()
        ));
    }
    if is_picture {
        let kinds = [Some(&values[..]), corrupted.as_deref(), Some(&denoised)];
        let kinds: Vec<&[f32]> = kinds.into_iter().flatten().collect();
        output::write(&out, &stacked(&inference, &kinds).png()?)?;
    } else {
        output::images(&inference, denoised, 1, &out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Peak signal-to-noise ratio of images, `[count, length]`, with a peak of 1: the mean over images of `-10 log10(mean squared
/// error)`, dB.
fn psnr(found: &[f32], expected: &[f32], length: usize) -> Option<f64> {
    let images = found
        .chunks_exact(length)
        .zip(expected.chunks_exact(length));
    let decibels = images.map(|(found, expected)| {
        let pairs = found.iter().zip(expected);
        let squares: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        -10.0 * (squares / length as f64).log10()
    });
    let decibels: Vec<f64> = decibels.collect();
    (!decibels.is_empty()).then(|| decibels.iter().sum::<f64>() / decibels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::psnr;

    #[test]
    fn a_tenth_of_the_peak_everywhere_is_twenty_decibels() {
        let found = psnr(&[0.1, 0.6, 0.0, 0.5], &[0.0, 0.5, 0.1, 0.4], 2).expect("two images");
        assert!((found - 20.0).abs() < 1e-5, "{found}");
        assert_eq!(psnr(&[], &[], 2), None);
    }
}
