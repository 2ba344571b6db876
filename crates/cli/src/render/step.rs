//! One step of a plan as text.

use std::time::Duration;

use jiff::Timestamp;
use reconcile_core::{
    plan::{Action, Condition, Consequence, Stage, Step},
    resource::Ref,
};

use super::{
    condition,
    settings::{self, Sign},
    text, time,
};
use crate::output::Paint;

/// The symbol of an action.
fn symbol(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "+",
        Action::Update { .. } => "~",
        Action::Replace { .. } => "±",
        Action::Delete { .. } => "-",
        Action::Record { .. } | Action::Reinstate { .. } | Action::Forget { .. } => "=",
        Action::Wait { .. } => "…",
    }
}

/// The symbol as a word.
fn word(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "create",
        Action::Update { .. } => "change",
        Action::Replace { .. } => "replace",
        Action::Delete { .. } => "destroy",
        Action::Record { .. } => "record",
        Action::Reinstate { .. } => "put back",
        Action::Forget { .. } => "forget",
        Action::Wait { .. } => "wait",
    }
}

fn painted(action: &Action, paint: Paint, text: &str) -> String {
    match action {
        Action::Create { .. } => paint.green(text),
        Action::Update { .. } | Action::Replace { .. } => paint.yellow(text),
        Action::Delete { .. } => paint.red(text),
        Action::Record { .. } | Action::Reinstate { .. } | Action::Forget { .. } => paint.dim(text),
        Action::Wait { .. } => paint.cyan(text),
    }
}

/// What people notice of a step; nothing where nobody notices.
fn consequence(step: &Step) -> Option<&'static str> {
    match (step.consequence, step.stage) {
        (Consequence::None, _) => None,
        (Consequence::Brief, _) => Some("a short disturbance is possible"),
        (Consequence::VisitorsNotice, Stage::Cutover) => Some("visitors move"),
        (Consequence::VisitorsNotice, Stage::Lockdown) => Some("visitors of the old address are turned away"),
        (Consequence::VisitorsNotice, _) => Some("visitors notice"),
        (Consequence::HardToUndo, _) => Some("cannot simply be undone"),
    }
}

/// A step in a few words, as progress shows it: `create certificate.www`.
pub(crate) fn title(step: &Step) -> String {
    let title = match &step.action {
        Action::Wait { condition, .. } => condition::task(condition),
        action => format!("{} {}", word(action), step.address),
    };
    text::clean(&title)
}

/// The head of a step: symbol, word, address.
fn head(step: &Step, paint: Paint) -> String {
    let action = &step.action;
    let address = text::clean(&step.address.to_string());
    let signal = format!("{} {:<7}", symbol(action), word(action));
    format!("  {} {address}", painted(action, paint, &signal))
}

/// A step on one line that can be read by itself.
pub(super) fn line(step: &Step, paint: Paint) -> String {
    match &step.action {
        Action::Wait { .. } => format!(
            "  {} {}",
            painted(&step.action, paint, symbol(&step.action)),
            title(step)
        ),
        _ => head(step, paint),
    }
}

/// A step with its reason, what people notice of it, and its diff.
///
/// `drained_at` is when the old address is forgotten that it waits for, where that is known.
pub(crate) fn lines(step: &Step, drained_at: Option<Timestamp>, now: Timestamp, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = head(step, paint);
    if !step.reason.is_empty() {
        line.push_str(&paint.dim(&format!("  # {}", text::clean(&step.reason))));
    }
    lines.push(line);
    if let Some(consequence) = consequence(step) {
        lines.push(format!("      {}", paint.yellow(&format!("! {consequence}"))));
    }
    match &step.action {
        Action::Wait { condition, deadline } => {
            let (until, short) = match (condition, drained_at) {
                (Condition::Drained { .. }, Some(at)) => {
                    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                    let until = format!("{} (in {})", time::local(at), time::elapsed(left));
                    (until, left > deadline.duration())
                }
                (Condition::Drained { old_ttl, margin, .. }, None) => (
                    condition::until(condition),
                    old_ttl.duration().saturating_add(margin.duration()) > deadline.duration(),
                ),
                _ => (condition::until(condition), false),
            };
            let run = if short {
                format!("longer than the {deadline} that a run waits, so what follows is left to a later run")
            } else {
                format!("this run waits {deadline} at most")
            };
            lines.push(format!("      until {}; {run}", text::clean(&until)));
        }
        Action::Record { id }
        | Action::Reinstate { id, .. }
        | Action::Forget { id }
        | Action::Delete { id: Ref::Known(id), .. }
        | Action::Replace { retire: id, .. } => {
            lines.push(format!("      {}", paint.dim(&text::clean(id))));
        }
        Action::Create { .. } | Action::Update { .. } | Action::Delete { .. } => {}
    }
    let changes = match &step.action {
        Action::Create { .. } | Action::Delete { .. } => settings::without_ownership(&step.changes),
        _ => step.changes.clone(),
    };
    for line in settings::lines(&changes) {
        lines.push(match line.sign {
            Sign::Removed => format!("      {}", paint.red(&format!("- {}", line.text))),
            Sign::Added => format!("      {}", paint.green(&format!("+ {}", line.text))),
            Sign::Around => format!("        {}", line.text),
        });
    }
    lines
}
