//! A plain line for each epoch.

use vae_recipe::KlSchedule;
use vae_run::EpochReport;
use vae_spec::Losses;

use super::Subject;

/// An epoch on one line: what changes from epoch to epoch is shown; what does not, is not.
pub(super) fn epoch(report: &EpochReport, subject: &Subject<'_>) -> String {
    let recipe = subject.recipe;
    let EpochReport {
        epoch,
        train,
        validation,
        beta,
        lr,
        active_units,
        kl_per_dimension,
        mutual_information,
        images_per_second,
        is_best,
    } = report;
    let mut line = format!(
        "epoch {epoch:>3}  train {:.2}  validation {:.2} ({})  active {active_units}/{}  mi {mutual_information:.2}",
        train.loss,
        validation.loss,
        terms(validation),
        kl_per_dimension.len(),
    );
    if recipe.kl_schedule != KlSchedule::Constant || recipe.beta != 1.0 {
        line += &format!("  beta {beta:.3}");
    }
    if *lr != recipe.lr as f32 {
        line += &format!("  lr {lr:.2e}");
    }
    line += &format!("  {images_per_second:.0} {}/s", subject.samples());
    if *is_best {
        line += "  best";
    }
    line
}

/// What a loss is made of.
fn terms(losses: &Losses) -> String {
    let mut text = format!("recon {:.2}, kl {:.2}", losses.recon, losses.kl);
    for (name, value) in extra_terms(losses) {
        text += &format!(", {name} {value:.3}");
    }
    text
}

/// The terms that some objectives add.
pub(super) fn extra_terms(losses: &Losses) -> impl Iterator<Item = (&'static str, f64)> {
    let terms = [
        ("mi", losses.index_code_mi),
        ("tc", losses.total_correlation),
        ("dim-kl", losses.dimension_wise_kl),
        ("mmd", losses.mmd),
    ];
    terms
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
}
