//! The sections of the page: what is said of a run.

use std::fs;

use vae_run::{EpochReport, RunOverview};
use vae_view::{Block, Chart, Section, Series};

use crate::runs::{name, network, objective, status};
use crate::train::summary::{PICTURES, latents};

/// What makes a section of a run; nothing if there is nothing to say.
pub(super) type Blocks = fn(&RunOverview) -> Vec<Block>;

/// The sections, in order.
pub(super) const SECTIONS: [(&str, Blocks); 6] = [
    ("Result", result),
    ("Curves", curves),
    ("Latents", latent_use),
    ("Pictures", pictures),
    ("Data, machine and time", origin),
    ("How to repeat it", repeat),
];

/// The name of a curve, and its value in an epoch.
type Curve = (&'static str, fn(&EpochReport) -> f64);

/// The most latents that are listed.
const LATENTS: usize = 64;

fn row(name: &str, value: impl Into<String>) -> Vec<String> {
    vec![name.to_owned(), value.into()]
}

/// The epoch whose weights are kept.
fn best(run: &RunOverview) -> Option<&EpochReport> {
    let best = run.manifest.as_ref()?.best_epoch;
    run.metrics.epochs.iter().find(|epoch| epoch.epoch == best)
}

fn result(run: &RunOverview) -> Vec<Block> {
    let recipe = &run.recipe;
    let mut rows = vec![
        row("run", run.path.display().to_string()),
        row("status", status(run.status)),
        row("network", network(recipe)),
        row("objective", objective(recipe)),
        row(
            "optimizer",
            format!(
                "{}, learning rate {}, batch {}",
                name(&recipe.optimizer),
                recipe.lr,
                recipe.effective_batch_size()
            ),
        ),
    ];
    if let (Some(best), Some(manifest)) = (best(run), &run.manifest) {
        let losses = best.validation;
        let bits = (losses.recon + losses.kl) / (recipe.image.length() as f64 * 2f64.ln());
        rows.push(row(
            "best epoch",
            format!("{} of {}", best.epoch, manifest.epochs),
        ));
        rows.push(row(
            "validation loss",
            format!(
                "{:.3} nats per sample: recon {:.3}, kl {:.3}",
                losses.loss, losses.recon, losses.kl
            ),
        ));
        rows.push(row("-ELBO", format!("{bits:.4} bits per dimension")));
    }
    vec![Block::Table(rows)]
}

fn curves(run: &RunOverview) -> Vec<Block> {
    if run.metrics.epochs.is_empty() {
        return Vec::new();
    }
    let chart = |up: &str, series: &[Curve]| {
        let series = series.iter().map(|(name, value)| Series {
            name: (*name).to_owned(),
            points: points(run, value),
        });
        Block::Chart(Chart {
            across: "epoch".to_owned(),
            up: up.to_owned(),
            series: series.collect(),
        })
    };
    vec![
        chart(
            "loss, nats per sample",
            &[
                ("training", |report| report.train.loss),
                ("validation", |report| report.validation.loss),
            ],
        ),
        chart(
            "reconstruction, nats per sample",
            &[
                ("training", |report| report.train.recon),
                ("validation", |report| report.validation.recon),
            ],
        ),
        chart(
            "KL divergence, nats per sample",
            &[
                ("training", |report| report.train.kl),
                ("validation", |report| report.validation.kl),
                ("mutual information", |report| report.mutual_information),
            ],
        ),
    ]
}

fn latent_use(run: &RunOverview) -> Vec<Block> {
    let Some(best) = best(run) else {
        return Vec::new();
    };
    let bars = (1..).zip(&best.kl_per_dimension).take(LATENTS);
    let bars = bars
        .map(|(latent, kl)| (format!("latent {latent}"), *kl))
        .collect();
    let more = best.kl_per_dimension.len().saturating_sub(LATENTS);
    let mut blocks = vec![
        Block::Text(latents(best)),
        Block::Text(format!(
            "KL divergence of each latent from the prior in epoch {}:",
            best.epoch
        )),
        Block::Bars(bars, "nats".to_owned()),
    ];
    if more > 0 {
        blocks.push(Block::Text(format!("and {more} latents more")));
    }
    blocks
}

fn pictures(run: &RunOverview) -> Vec<Block> {
    // The curves are drawn above.
    let pictures = PICTURES.iter().filter(|(name, _)| *name != "loss.png");
    let pictures = pictures.filter_map(|(name, shows)| {
        let png = fs::read(run.path.join(name)).ok()?;
        Some(Block::Picture(png, format!("{name}: {shows}")))
    });
    pictures.collect()
}

fn origin(run: &RunOverview) -> Vec<Block> {
    let Some(manifest) = &run.manifest else {
        return Vec::new();
    };
    let data = &manifest.data;
    let speeds = run
        .metrics
        .epochs
        .iter()
        .map(|epoch| epoch.images_per_second);
    let mut speeds: Vec<f64> = speeds.collect();
    speeds.sort_by(f64::total_cmp);
    let mut rows = vec![
        row("data", format!("{} ({})", data.name, data.format)),
        row(
            "samples",
            format!(
                "{} training, {} validation, of {}",
                data.train, data.validation, run.recipe.image
            ),
        ),
        row("SHA-256", data.fingerprint.clone()),
        row("device", manifest.device.clone()),
        row(
            "training",
            format!(
                "{:.1} s for {} epochs, {} steps",
                manifest.seconds, manifest.epochs, manifest.steps
            ),
        ),
    ];
    if let Some(median) = speeds.get(speeds.len() / 2) {
        rows.push(row(
            "speed",
            format!("{median:.0} samples per second, median of the epochs"),
        ));
    }
    rows.push(row("parameters", manifest.parameters.to_string()));
    rows.push(row(
        "written by",
        format!(
            "vae-gpu {}, format {}",
            manifest.program_version, manifest.format_version
        ),
    ));
    if run.metrics.rollbacks > 0 {
        rows.push(row("rollbacks", run.metrics.rollbacks.to_string()));
    }
    vec![Block::Table(rows)]
}

fn repeat(run: &RunOverview) -> Vec<Block> {
    let config = toml::to_string(&run.recipe).unwrap_or_default();
    vec![
        Block::Text("With these lines as config.toml, and the data where it says:".to_owned()),
        Block::Code("vae-gpu train --config config.toml".to_owned()),
        Block::Code(config),
    ]
}

/// A number of each epoch.
fn points(run: &RunOverview, value: impl Fn(&EpochReport) -> f64) -> Vec<[f64; 2]> {
    let epochs = run.metrics.epochs.iter();
    epochs
        .map(|report| [report.epoch as f64, value(report)])
        .collect()
}

/// The settings in which two runs differ, and their validation losses.
pub(super) fn differences(a: &RunOverview, b: &RunOverview) -> Section {
    let settings = [a, b].map(|run| toml::Table::try_from(&run.recipe).unwrap_or_default());
    let names = settings.iter().flat_map(toml::Table::keys);
    let names: std::collections::BTreeSet<&String> = names.collect();
    let value = |index: usize, name: &str| {
        let value = settings[index].get(name);
        value.map_or_else(|| "-".to_owned(), ToString::to_string)
    };
    let differing = names
        .into_iter()
        .filter(|name| value(0, name) != value(1, name));
    let rows = differing.map(|name| vec![name.clone(), value(0, name), value(1, name)]);
    let rows: Vec<Vec<String>> = rows.collect();
    let block = if rows.is_empty() {
        Block::Text("none".to_owned())
    } else {
        let head = [
            "",
            &a.path.display().to_string(),
            &b.path.display().to_string(),
        ];
        let head = head.map(str::to_owned).to_vec();
        Block::Table([head].into_iter().chain(rows).collect())
    };
    let series = [a, b].map(|run| Series {
        name: run.path.display().to_string(),
        points: points(run, |report| report.validation.loss),
    });
    let chart = Chart {
        across: "epoch".to_owned(),
        up: "validation loss, nats per sample".to_owned(),
        series: series.to_vec(),
    };
    Section {
        heading: "Settings that differ, and validation losses".to_owned(),
        columns: vec![vec![block], vec![Block::Chart(chart)]],
    }
}
