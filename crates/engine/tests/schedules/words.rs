//! What is said of a schedule.

use std::fmt::{self, Write};

use reconcile_core::plan::{Action, Plan};
use reconcile_engine::title_of;

use crate::schedule::Goal;

/// A property did not hold.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) seed: u64,
    pub(crate) what: String,
    pub(crate) log: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}: {}", self.seed, self.what)?;
        self.log.iter().try_for_each(|line| writeln!(formatter, "  {line}"))
    }
}

/// An error with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// A plan, step by step.
pub(crate) fn describe(plan: &Plan, goal: Goal) -> String {
    let mut text = format!("{goal:?}:");
    for step in &plan.steps {
        let condition = match &step.action {
            Action::Wait { condition, .. } => format!("{condition:?}").chars().take(420).collect(),
            _ => String::new(),
        };
        let _ = write!(
            text,
            "\n      {:>3} {} {} {condition} after {:?} ({})",
            step.id.0,
            step.stage,
            title_of(step),
            step.after.iter().map(|id| id.0).collect::<Vec<_>>(),
            step.reason
        );
    }
    text
}
