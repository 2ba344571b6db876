//! Progress on a terminal: a spinner for each step that runs, and a line above them for each that ended.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use reconcile_aws::without_secrets;
use reconcile_core::plan::{Step, StepId};
use reconcile_engine::Event;

use super::plain::{since, took};
use crate::{
    output::{self, Paint},
    render::{clean, elapsed, safe, title},
};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Tells by spinners.
#[derive(Debug)]
pub(crate) struct Spinners {
    paint: Paint,
    bars: MultiProgress,
    running: Mutex<BTreeMap<StepId, (ProgressBar, Timestamp)>>,
}

impl Spinners {
    pub(crate) fn new(paint: Paint) -> Self {
        let bars = MultiProgress::new();
        output::write_above(&bars);
        Self {
            paint,
            bars,
            running: Mutex::new(BTreeMap::new()),
        }
    }

    /// Shows an event.
    pub(crate) fn event(&self, step: &Step, at: Timestamp, event: Event<'_>) {
        let stage = self.paint.dim(&format!("{}:", step.stage));
        let title = format!("{stage} {}", title(step));
        match event {
            Event::Started => self.start(step, at, &title),
            Event::Waiting { said, until } => {
                if let Some((bar, _)) = self.running().get(&step.id) {
                    let left = elapsed(since(at, until));
                    bar.set_message(self.safe(&format!("{title}: {} (at most {left} more)", clean(said))));
                }
            }
            Event::Warning { text } => {
                let (sign, warning) = (self.paint.yellow("!"), self.paint.yellow("warning:"));
                self.line(&format!("  {sign} {title}: {warning} {}", clean(text)));
            }
            Event::Finished => {
                let took = self.end(step, at);
                self.line(&format!("  {} {title}{took}", self.paint.green("✓")));
            }
            Event::Left { why } => {
                self.end(step, at);
                let (sign, later) = (self.paint.yellow("…"), self.paint.yellow("left for later:"));
                self.line(&format!("  {sign} {title}: {later} {}", clean(why)));
            }
            // Why is told when the run has ended.
            Event::Failed { .. } => {
                let took = self.end(step, at);
                let (sign, failed) = (self.paint.red("✗"), self.paint.red("failed"));
                self.line(&format!("  {sign} {title}: {failed}{took}"));
            }
            _ => {}
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<StepId, (ProgressBar, Timestamp)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, step: &Step, at: Timestamp, title: &str) {
        let bar = self.bars.add(ProgressBar::new_spinner());
        let template = if self.paint.is_coloured() {
            "  {spinner:.cyan} {wide_msg} {elapsed}"
        } else {
            "  {spinner} {wide_msg} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(self.safe(title));
        bar.enable_steady_tick(TICK);
        self.running().insert(step.id, (bar, at));
    }

    /// Takes the spinner away, and says how long it turned if that is worth a word.
    fn end(&self, step: &Step, at: Timestamp) -> String {
        let ended = self.running().remove(&step.id);
        ended
            .map(|(bar, began)| {
                bar.finish_and_clear();
                self.bars.remove(&bar);
                took(began, at)
            })
            .unwrap_or_default()
    }

    /// Writes a line above the spinners; that it cannot be written is nothing that could be told.
    fn line(&self, line: &str) {
        let _ = self.bars.println(self.safe(line));
    }

    /// What is drawn does not pass the one place that writes all else.
    fn safe(&self, text: &str) -> String {
        safe(&without_secrets(text), self.paint.is_coloured()).into_owned()
    }
}
