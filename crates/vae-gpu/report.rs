//! All that the program prints: results to stdout, everything else to stderr.
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use vae_data::{Dataset, Images, Scale};
use vae_device::Device;
use vae_recipe::{Preprocessing, Recipe};
use vae_run::Interrupted;
use vae_train::Group;

/// Whether this process is silent, for another one reports what all of them do.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// From here on nothing is printed but errors.
pub(crate) fn silence() {
    IS_SILENT.store(true, Ordering::Relaxed);
}

fn is_silent() -> bool {
    IS_SILENT.load(Ordering::Relaxed)
}

/// A result, for people and pipes.
pub(crate) fn result(text: &str) {
    if !is_silent() {
        line(io::stdout(), text);
    }
}

/// Something worth knowing on the way.
pub(crate) fn note(text: &str) {
    if !is_silent() {
        line(io::stderr(), text);
    }
}

/// The end of a run that failed.
pub(crate) fn error(error: &anyhow::Error) {
    line(io::stderr(), &format!("error: {error:#}"));
}

/// Writes a line. Whoever closes the pipe, as `head` does, has seen enough: the program ends.
fn line(mut out: impl Write, text: &str) {
    // Other failures to print have nobody to tell.
    if let Err(error) = writeln!(out, "{text}") {
        ended_by(&error);
    }
}

/// Ends the program without a word, and with a shell's status for it, if the reader of a pipe has gone.
fn ended_by(error: &io::Error) {
    const BROKEN_PIPE: i32 = 141;
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(BROKEN_PIPE);
    }
}

/// Where it is computed, and why there.
pub(crate) fn device(device: &Device) {
    note(&format!("device: {device}: {}", device.reason()));
}

/// That others do their part, too.
pub(crate) fn processes(group: &dyn Group) {
    let [_, here] = group.local();
    let size = group.size();
    let here = if here == size {
        "all".to_owned()
    } else {
        here.to_string()
    };
    note(&format!(
        "processes: {size}, {here} on this machine; each computes its part of every batch"
    ));
}

/// A file's content instead of a file.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    Ok(written.inspect_err(ended_by)?)
}

/// What is trained on, and what was found out about it; the scaling that was `asked` for may have been decided by the data.
pub(crate) fn dataset(dataset: &Dataset, recipe: &Recipe, asked: Scale) {
    let Dataset {
        name,
        format,
        train,
        validation,
        validated_on,
        ..
    } = dataset;
    note(&format!(
        "data: {name} ({format}): {} training samples of {}{}, {}; validation: {} samples, {validated_on}",
        train.count(),
        train.shape(),
        labels(train),
        range(train),
        validation.count(),
    ));
    note(&format!(
        "scale: {}; SHA-256 {}",
        Preprocessing::describe(recipe, train, asked),
        &dataset.fingerprint[..16]
    ));
}

/// ` in 10 classes`
pub(crate) fn labels(images: &Images) -> String {
    match images.class_names().len() {
        0 => String::new(),
        count => format!(" in {count} classes"),
    }
}

/// Lowest and highest value, in words.
pub(crate) fn range(images: &Images) -> String {
    match images.range() {
        Ok([low, high]) if images.array.element == vae_data::Element::U8 => {
            format!("bytes from {} to {}", low * 255.0, high * 255.0)
        }
        Ok([low, high]) => format!("values from {low} to {high}"),
        Err(error) => error.to_string(),
    }
}

/// Where a run goes on.
pub(crate) fn resumed(interrupted: &Interrupted, recipe: &Recipe) {
    let (epoch, step) = interrupted.position();
    if epoch > recipe.epochs {
        note(&format!(
            "resume: all {} epochs are done; --epochs N trains for N more",
            recipe.epochs
        ));
    } else {
        note(&format!(
            "resume: at epoch {epoch} of {}, after {step} of its steps",
            recipe.epochs
        ));
    }
    if let Some(version) = interrupted.other_version() {
        note(&format!(
            "resume: the checkpoint was written by vae-gpu {version}; results may differ in the last bits"
        ));
    }
}

/// Whoever draws how far reading, fetching or encoding is: a bar on a terminal, nothing elsewhere.
pub(crate) fn on_progress() -> impl Fn(vae_data::Progress<'_>) + Sync {
    let bars: Mutex<Option<(String, ProgressBar)>> = Mutex::new(None);
    move |progress| {
        let vae_data::Progress {
            what,
            done,
            total,
            bytes,
        } = progress;
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        if bars.as_ref().is_none_or(|(shown, _)| shown != what) {
            let unit = if bytes {
                "{bytes}/{total_bytes}"
            } else {
                "{pos}/{len}"
            };
            let template = format!("{{prefix}}  {{wide_bar}}  {unit}");
            let style = ProgressStyle::with_template(&template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(0)
                .with_style(style)
                .with_prefix(what.to_owned());
            *bars = Some((what.to_owned(), bar));
        }
        if let Some((_, bar)) = &*bars {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
            if total == Some(done) {
                bar.finish_and_clear();
            }
        }
    }
}
