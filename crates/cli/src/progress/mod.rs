//! Tells what a run does: on stderr with spinners on a terminal and by plain lines elsewhere, or on stdout for programs.

mod events;
mod plain;
mod spinners;
mod under_way;

use std::sync::Arc;

use jiff::Timestamp;
use reconcile_core::plan::Step;
use reconcile_engine::{Event, Report};

use crate::output::{self, Shell};
pub(crate) use events::Events;
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
    /// Events on stdout; stderr is silent then.
    Events(Arc<Events>),
}

impl Progress {
    /// Spinners where lines can be redrawn and nothing else writes between them.
    pub(crate) fn new(shell: &Shell, is_verbose: bool) -> Self {
        if let Some(events) = shell.events() {
            Self::Events(Arc::clone(events))
        } else if shell.redraws() && !is_verbose {
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
            Self::Events(events) => events.event(step, at, event),
        }
    }
}
