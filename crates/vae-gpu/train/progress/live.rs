//! The live view of a training run on a terminal: a few lines that are rewritten in place, a few times a second.

use std::env;
use std::mem::take;
use std::time::{Duration, Instant};

use console::{Term, measure_text_width};
use vae_run::{EpochReport, StepReport};

use super::Subject;
use super::screen::{Charset, Screen};
use vae_device::memory;

use crate::report;

/// Time between two drawings: calm to look at, and little to send over a slow line.
const INTERVAL: Duration = Duration::from_millis(250);
/// Fewer rows or columns than this leave no room for the view.
const LEAST_ROWS: u16 = 8;
const LEAST_COLUMNS: u16 = 30;

/// Whether the standard error is a terminal that can be rewritten.
pub(super) fn is_possible() -> bool {
    let term = Term::stderr();
    let is_large = term
        .size_checked()
        .is_some_and(|(rows, columns)| rows >= LEAST_ROWS && columns >= LEAST_COLUMNS);
    term.is_term() && is_large && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// What the terminal can show, by the locale; Windows' can show all of it.
fn charset() -> Charset {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    let locale = locale.filter_map(env::var_os).find(|text| !text.is_empty());
    let is_unicode = locale.is_some_and(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    if is_unicode || cfg!(windows) {
        Charset::Unicode
    } else {
        Charset::Ascii
    }
}

pub(super) struct Live<'a> {
    subject: Subject<'a>,
    term: Term,
    screen: Screen,
    /// When this process began to train, and how many steps had been done by then.
    start: Option<(Instant, u64)>,
    drawn: Option<Instant>,
    /// Number of lines on the terminal, and columns of the widest.
    shown: Extent,
    /// Columns of the terminal when it was last looked at.
    columns: u16,
}

/// What the view takes of the terminal.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    rows: usize,
    columns: usize,
}

impl<'a> Live<'a> {
    pub(super) fn new(subject: Subject<'a>, epochs: &[EpochReport]) -> Self {
        let mut screen = Screen {
            charset: charset(),
            epochs: subject.recipe.epochs,
            samples: subject.samples(),
            device: format!("{}, {}", subject.device, engine(subject)),
            ..Screen::default()
        };
        for epoch in epochs {
            screen.add(epoch);
        }
        Self {
            subject,
            term: Term::buffered_stderr(),
            screen,
            start: None,
            drawn: None,
            shown: Extent::default(),
            columns: 0,
        }
    }

    pub(super) fn progress(&mut self, progress: &StepReport) {
        let steps = progress.steps as u64;
        let done = (progress.epoch as u64 - 1) * steps + progress.step as u64;
        let now = Instant::now();
        let (start, before) = *self.start.get_or_insert_with(|| {
            // The first report comes after some steps, which took what their number and speed say.
            let images = progress.step * self.subject.recipe.effective_batch_size();
            let passed = images as f64 / progress.images_per_second.max(f64::MIN_POSITIVE);
            let passed = Duration::try_from_secs_f64(passed).unwrap_or_default();
            let start = now.checked_sub(passed).unwrap_or(now);
            (start, done - progress.step as u64)
        });
        let passed = now - start;
        let left = (self.subject.recipe.epochs as u64 * steps).saturating_sub(done);
        let done = done.saturating_sub(before);
        self.screen.passed = passed;
        self.screen.left = (done > 0).then(|| passed.mul_f64(left as f64 / done as f64));
        self.screen.progress = Some(*progress);
        self.draw_if_due();
    }

    pub(super) fn epoch(&mut self, epoch: &EpochReport) {
        let is_first = self.screen.last.is_none();
        self.screen.add(epoch);
        if is_first {
            self.draw();
        } else {
            self.draw_if_due();
        }
    }

    pub(super) fn notice(&mut self, text: &str) {
        self.clear();
        report::note(text);
        self.draw();
    }

    fn draw_if_due(&mut self) {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= INTERVAL) {
            self.draw();
        }
    }

    /// Replaces what is on the terminal, in one write, so that nothing flickers.
    fn draw(&mut self) {
        let (rows, columns) = self.term.size();
        self.drawn = Some(Instant::now());
        // While the user makes the terminal narrower, the view waits.
        if std::mem::replace(&mut self.columns, columns) > columns && self.is_wrapped(columns) {
            return;
        }
        self.screen.memory = memory::used();
        self.screen.gpu_memory = self.subject.device.gpu_memory();
        // A line as wide as the terminal would wrap on some.
        let mut lines = self.screen.lines(usize::from(columns).saturating_sub(1));
        lines.truncate(usize::from(rows).saturating_sub(1));
        self.erase(columns);
        for line in &lines {
            // A terminal that is gone has nobody to tell.
            let _ = self.term.write_line(line);
        }
        self.shown = Extent {
            rows: lines.len(),
            columns: lines
                .iter()
                .map(|line| measure_text_width(line))
                .max()
                .unwrap_or(0),
        };
        let _ = self.term.flush();
    }

    /// Takes the view off the terminal.
    pub(super) fn clear(&mut self) {
        let (_, columns) = self.term.size();
        self.erase(columns);
        let _ = self.term.flush();
    }

    /// Whether the terminal has become too narrow for what is on it.
    fn is_wrapped(&self, columns: u16) -> bool {
        self.shown.columns >= usize::from(columns)
    }

    /// Goes back to the first row of what was drawn. Some terminals wrap lines that have become too wide and some cut them off, so
    /// nobody knows where that row is then: the view begins anew below, and nothing that is not its own is lost.
    fn erase(&mut self, columns: u16) {
        let is_wrapped = self.is_wrapped(columns);
        let Extent { rows, .. } = take(&mut self.shown);
        if rows > 0 && !is_wrapped {
            let _ = self.term.move_cursor_up(rows);
            // `^C`, as the terminal echoes it, may stand before the cursor.
            let _ = self.term.write_str("\r");
            let _ = self.term.clear_to_end_of_screen();
        }
    }
}

/// The engine in one word: why it was taken is said before training.
fn engine(subject: Subject<'_>) -> &'static str {
    match subject.route {
        vae_device::Route::Fused => "fused",
        vae_device::Route::Burn { .. } => "burn",
    }
}
