//! What is said at the end of a run: how good it became, what its latents carry, what its pictures show, what to do next.

use vae_infer::LatentUse;
use vae_run::{EpochReport, Manifest};
use vae_train::Outcome;

use super::Subject;

/// The pictures that a run may leave, and what each shows.
pub(crate) const PICTURES: [(&str, &str); 6] = [
    ("loss.png", "training and validation loss by epoch"),
    (
        "kl.png",
        "nats that each latent dimension carries, by epoch",
    ),
    (
        "latent.png",
        "validation samples in the two most active latents",
    ),
    ("samples.png", "images decoded from draws of the prior"),
    (
        "reconstructions.png",
        "validation images, and below each what the model makes of it",
    ),
    ("manifold.png", "the plane of the two latents, decoded"),
];

pub(super) fn lines(
    subject: &Subject<'_>,
    epochs: &[EpochReport],
    manifest: &Manifest,
    outcome: Outcome,
) -> Vec<String> {
    let run = subject.run.display();
    let mut lines = Vec::new();
    if outcome == Outcome::Interrupted {
        lines.push(format!(
            "interrupted after {} complete epochs; a checkpoint is saved, continue with train --resume {run}",
            manifest.epochs
        ));
    }
    let best = epochs
        .iter()
        .find(|epoch| epoch.epoch == manifest.best_epoch);
    if let Some(loss) = manifest.best_validation_loss {
        lines.push(format!(
            "best epoch {} of {}: validation loss {loss:.2} nats per sample; {:.1} s of training",
            manifest.best_epoch, manifest.epochs, manifest.seconds
        ));
    }
    if let Some(best) = best {
        lines.push(format!("latents: {}", latents(best)));
    }
    let pictures = PICTURES
        .iter()
        .filter(|(name, _)| subject.run.join(name).exists());
    lines.push("pictures:".to_owned());
    lines.extend(pictures.map(|(name, shows)| format!("  {name:<20} {shows}")));
    if outcome == Outcome::Finished {
        lines.push("next:".to_owned());
        let next = next_commands(subject.recipe, &run.to_string());
        lines.extend(next.into_iter().map(|command| format!("  {command}")));
    }
    lines
}

/// What the latents of an epoch carry, in words.
pub(crate) fn latents(epoch: &EpochReport) -> String {
    let used = LatentUse {
        kl_per_dimension: epoch.kl_per_dimension.clone(),
        active_units: epoch.active_units,
        mutual_information: epoch.mutual_information,
    };
    match used.warning(None) {
        Some(warning) => warning,
        None => format!(
            "all in use: {} of {0} active, mutual information {:.2} nats",
            epoch.active_units, epoch.mutual_information
        ),
    }
}

/// Commands that use the run, as they can be typed.
pub(crate) fn next_commands(recipe: &vae_recipe::Recipe, run: &str) -> Vec<String> {
    let run = if run.contains([' ', '\'', '"', '$']) {
        format!("'{}'", run.replace('\'', r"'\''"))
    } else {
        run.to_owned()
    };
    let mut commands = Vec::new();
    if recipe.image.is_table() {
        commands.push(format!(
            "vae-gpu score {run} --sort --out scores.csv      # the unlikely rows first"
        ));
        commands.push(format!(
            "vae-gpu encode {run} --out latents.csv           # mu and log_var of each row"
        ));
    } else {
        commands.push(format!(
            "vae-gpu sample {run} --count 64 --out new.png    # more of the same kind"
        ));
        commands.push(format!(
            "vae-gpu score {run} --sort --out scores.csv      # the unlikely images first"
        ));
        commands.push(format!(
            "vae-gpu interpolate {run} --from 0 --to 1        # from one image to another"
        ));
    }
    commands.push(format!(
        "vae-gpu eval {run} --k 500                       # likelihood, latents and reconstructions in numbers"
    ));
    commands.push(format!(
        "vae-gpu report {run}                             # curves and pictures on one page"
    ));
    commands.push(format!(
        "vae-gpu train --resume {run} --epochs 20         # train on"
    ));
    commands
}
