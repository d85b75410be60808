//! All that the program prints: results to stdout, everything else to stderr.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the file that prints"
)]

use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use vae_train::{Device, EpochReport, Manifest, Outcome, Progress};

/// A result, for people and pipes.
pub(crate) fn result(text: &str) {
    println!("{text}");
}

/// Something worth knowing on the way.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// The end of a run that failed.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Where it is computed, and why there.
pub(crate) fn device(device: &Device) {
    note(&format!("device: {device}: {}", device.reason()));
}

/// The progress of a training run: a bar on a terminal, one line per epoch everywhere.
pub(crate) struct TrainingReport {
    bar: ProgressBar,
    beta: f32,
    epochs: usize,
}

impl TrainingReport {
    pub(crate) fn new(epochs: usize, beta: f32) -> Result<Self> {
        let style = ProgressStyle::with_template("{prefix}  {msg}  {wide_bar}")?;
        Ok(Self {
            bar: ProgressBar::new(0).with_style(style),
            beta,
            epochs,
        })
    }

    pub(crate) fn progress(&self, progress: &Progress) {
        let Progress {
            epoch,
            step,
            steps,
            train,
            images_per_second,
        } = progress;
        let loss = train.total(self.beta);
        self.bar
            .set_prefix(format!("epoch {epoch}/{}", self.epochs));
        self.bar.set_length(*steps as u64);
        self.bar.set_position(*step as u64);
        self.bar.set_message(format!(
            "loss {loss:.2}  recon {:.2}  kl {:.2}  {images_per_second:.0} images/s",
            train.recon, train.kl
        ));
    }

    pub(crate) fn epoch(&self, report: &EpochReport) {
        let EpochReport {
            epoch,
            train,
            validation,
            images_per_second,
            is_best,
        } = report;
        let line = format!(
            "epoch {epoch:>3}  train {:.2}  validation {:.2} = recon {:.2} + {}kl {:.2}  {images_per_second:.0} images/s{}",
            train.total(self.beta),
            validation.total(self.beta),
            validation.recon,
            if self.beta == 1.0 {
                String::new()
            } else {
                format!("{} ", self.beta)
            },
            validation.kl,
            if *is_best { "  best" } else { "" },
        );
        self.bar.suspend(|| note(&line));
    }

    pub(crate) fn end(&self, manifest: &Manifest, outcome: Outcome, folder: &Path) {
        self.bar.finish_and_clear();
        let Manifest {
            epochs,
            seconds,
            best_epoch,
            ..
        } = manifest;
        if outcome == Outcome::Interrupted {
            note(&format!(
                "interrupted after {epochs} whole epochs; what was learned is saved"
            ));
        }
        if let Some(loss) = manifest.best_validation_loss {
            note(&format!(
                "best validation loss {loss:.2} nats per image, epoch {best_epoch} of {epochs}; {seconds:.1} s of training"
            ));
        }
        result(&folder.display().to_string());
    }
}
