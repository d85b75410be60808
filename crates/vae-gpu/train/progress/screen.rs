//! The lines of the live view: plain text out of numbers, for a terminal of any width.

use std::time::Duration;

use console::{measure_text_width, style};
use vae_run::{EpochReport, StepReport};
use vae_spec::Losses;

use super::lines::extra_terms;
use vae_device::memory;

/// Columns of the labels at the left, and of the blanks after them.
const LABEL: usize = 11;
const GAP: &str = "  ";
/// Columns of the curve, at most.
const CURVE: usize = 48;
/// Columns of the bar, at most and at least.
const BAR: [usize; 2] = [30, 8];

/// Characters that the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Charset {
    #[default]
    Unicode,
    Ascii,
}

impl Charset {
    /// From low to high.
    const fn levels(self) -> &'static [char] {
        match self {
            Self::Unicode => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Self::Ascii => &['_', '.', '-', '=', '+', '*', '%', '#'],
        }
    }

    /// What is done, and what is left, of a bar.
    const fn bar(self) -> [char; 2] {
        match self {
            Self::Unicode => ['━', '─'],
            Self::Ascii => ['#', '.'],
        }
    }
}

/// All that the view shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen {
    pub(super) charset: Charset,
    pub(super) device: String,
    /// What samples are called.
    pub(super) samples: &'static str,
    /// Number of epochs of the run.
    pub(super) epochs: usize,
    pub(super) progress: Option<StepReport>,
    pub(super) passed: Duration,
    pub(super) left: Option<Duration>,
    pub(super) memory: Option<u64>,
    pub(super) gpu_memory: Option<u64>,
    pub(super) last: Option<EpochReport>,
    /// Validation loss of the best epoch, and the epoch.
    pub(super) best: Option<(f64, usize)>,
    /// Validation losses.
    pub(super) curve: Vec<f64>,
}

impl Screen {
    pub(super) fn add(&mut self, epoch: &EpochReport) {
        self.curve.push(epoch.validation.loss);
        if epoch.is_best {
            self.best = Some((epoch.validation.loss, epoch.epoch));
        }
        self.last = Some(epoch.clone());
    }

    /// The lines, none wider than `width`: what has no room is left out, the least important first.
    pub(super) fn lines(&self, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |label: &str, parts: &[String]| lines.push(fitted(label, parts, width));
        if let Some(progress) = &self.progress {
            self.position(progress, width, &mut line);
        }
        if let Some(last) = &self.last {
            let best = self
                .best
                .map(|(loss, epoch)| format!("best {loss:.2} in epoch {epoch}"));
            let parts = losses(&last.validation).into_iter().chain(best);
            line("validation", &parts.collect::<Vec<_>>());
            line("curve", &self.curve(width));
            line(
                "latents",
                &[
                    format!(
                        "{} of {} active",
                        last.active_units,
                        last.kl_per_dimension.len()
                    ),
                    format!("mutual information {:.2} nats", last.mutual_information),
                ],
            );
        }
        let memory = [("memory", self.memory), ("of the GPU", self.gpu_memory)];
        let memory = memory.into_iter();
        let memory =
            memory.filter_map(|(what, bytes)| Some(format!("{what} {}", memory::bytes(bytes?))));
        let parts = [self.device.clone()].into_iter().chain(memory);
        line("device", &parts.collect::<Vec<_>>());
        lines
    }

    /// Where training is, how fast it goes, and its losses.
    fn position(
        &self,
        progress: &StepReport,
        width: usize,
        line: &mut impl FnMut(&str, &[String]),
    ) {
        let StepReport {
            epoch,
            step,
            steps,
            train,
            beta,
            images_per_second,
            ..
        } = progress;
        let done = ((epoch - 1) * steps + step) as f64 / (self.epochs * steps).max(1) as f64;
        let room = width.saturating_sub(LABEL + 32).clamp(BAR[1], BAR[0]);
        let full = ((room as f64 * done) as usize).min(room);
        let [did, left] = self.charset.bar();
        let bar = did.to_string().repeat(full) + &left.to_string().repeat(room - full);
        let time = match self.left {
            Some(left) => format!("{} left", time(left)),
            None => format!("{} so far", time(self.passed)),
        };
        line(
            &format!("epoch {epoch}/{}", self.epochs),
            &[
                bar,
                time,
                format!("step {step}/{steps}"),
                format!("{} {}/s", thousands(*images_per_second), self.samples),
            ],
        );
        let parts = losses(train).into_iter();
        let parts = parts.chain([format!("beta {beta:.2}")]);
        line("train", &parts.collect::<Vec<_>>());
    }

    /// The validation losses as a row of bars, each the mean of some epochs if there are many, and their range.
    fn curve(&self, width: usize) -> Vec<String> {
        let room = width.saturating_sub(LABEL + GAP.len()).clamp(1, CURVE);
        let size = self.curve.len().div_ceil(room).max(1);
        let means: Vec<f64> = self
            .curve
            .chunks(size)
            .map(|chunk| chunk.iter().sum::<f64>() / chunk.len() as f64)
            .collect();
        let low = means.iter().copied().fold(f64::INFINITY, f64::min);
        let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let levels = self.charset.levels();
        let top = (levels.len() - 1) as f64;
        let level = |mean: &f64| {
            let share = (mean - low) / (high - low).max(f64::MIN_POSITIVE);
            levels[(share * top).round() as usize]
        };
        vec![
            means.iter().map(level).collect(),
            format!("{high:.2} to {low:.2}"),
        ]
    }
}

/// `loss 158.44`, `recon 153.14 | kl 5.30`
fn losses(losses: &Losses) -> Vec<String> {
    let mut terms = format!("recon {:.2} | kl {:.2}", losses.recon, losses.kl);
    for (name, value) in extra_terms(losses) {
        terms += &format!(" | {name} {value:.2}");
    }
    vec![format!("loss {:.2}", losses.loss), terms]
}

/// A label and as many of the parts as have room, two blanks between them.
fn fitted(label: &str, parts: &[String], width: usize) -> String {
    let label = format!("{label:<LABEL$}{GAP}");
    let mut used = measure_text_width(&label);
    if used > width {
        return console::truncate_str(&label, width, "").into_owned();
    }
    let mut line = style(label).for_stderr().dim().to_string();
    for (index, part) in parts.iter().enumerate() {
        let gap = if index == 0 { "" } else { GAP };
        let needs = gap.len() + measure_text_width(part);
        if used + needs > width {
            break;
        }
        line += gap;
        line += part;
        used += needs;
    }
    line
}

/// `8 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`
fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

/// `74,819`
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let count = digits.len();
    let digits = digits.chars().enumerate();
    let grouped = digits.flat_map(|(index, digit)| {
        let is_start = index > 0 && (count - index).is_multiple_of(3);
        is_start.then_some(',').into_iter().chain([digit])
    });
    grouped.collect()
}

#[cfg(test)]
mod tests;
