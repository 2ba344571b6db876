//! Tells on stderr what a run does: with spinners on a terminal, by plain lines elsewhere.

mod plain;
mod spinners;
mod under_way;

use jiff::Timestamp;
use reconcile_core::plan::Step;
use reconcile_engine::{Event, Report};

use crate::output::{self, Shell};
use plain::Plain;
use spinners::Spinners;

pub(crate) use under_way::UnderWay;

/// Whoever tells.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Lines.
    Plain(Plain),
    /// Spinners.
    Spinners(Spinners),
}

impl Progress {
    /// Spinners where lines can be redrawn and nothing else writes between them.
    pub(crate) fn new(shell: &Shell, is_verbose: bool) -> Self {
        if shell.redraws() && !is_verbose {
            Self::Spinners(Spinners::new(shell.err_paint()))
        } else {
            Self::Plain(Plain::new(shell.err_paint()))
        }
    }
}

impl Report for Progress {
    fn event(&self, step: &Step, at: Timestamp, event: Event<'_>) {
        match self {
            Self::Plain(plain) => {
                for line in plain.lines(step, at, event) {
                    output::note(&format!("{line}\n"));
                }
            }
            Self::Spinners(spinners) => spinners.event(step, at, event),
        }
    }
}
