//! Knows which steps are under way, for when a run is left in its middle.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use reconcile_core::plan::{Step, StepId};
use reconcile_engine::{Event, Report};

/// Passes everything on, and remembers what has begun and not ended.
#[derive(Debug)]
pub(crate) struct UnderWay<R> {
    inner: R,
    steps: Mutex<BTreeSet<StepId>>,
}

impl<R> UnderWay<R> {
    /// Passes everything on to `inner`.
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            steps: Mutex::new(BTreeSet::new()),
        }
    }

    /// The steps that are under way.
    pub(crate) fn steps(&self) -> BTreeSet<StepId> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<R: Report> Report for UnderWay<R> {
    fn event(&self, step: &Step, at: Timestamp, event: Event<'_>) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started => drop(steps.insert(step.id)),
            Event::Finished | Event::Left { .. } | Event::Failed { .. } => drop(steps.remove(&step.id)),
            _ => {}
        }
        drop(steps);
        self.inner.event(step, at, event);
    }
}
