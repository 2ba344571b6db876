//! One step of a plan as text.

use reconcile_core::plan::{Action, Consequence, Stage, Step};

use super::{
    condition,
    settings::{self, Sign},
    text,
};
use crate::output::Paint;

/// The symbol of an action.
fn symbol(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "+",
        Action::Update { .. } => "~",
        Action::Replace { .. } => "±",
        Action::Delete { .. } => "-",
        Action::Record { .. } | Action::Forget { .. } => "=",
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
        Action::Forget { .. } => "forget",
        Action::Wait { .. } => "wait",
    }
}

fn painted(action: &Action, paint: Paint, text: &str) -> String {
    match action {
        Action::Create { .. } => paint.green(text),
        Action::Update { .. } | Action::Replace { .. } => paint.yellow(text),
        Action::Delete { .. } => paint.red(text),
        Action::Record { .. } | Action::Forget { .. } => paint.dim(text),
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
pub(super) fn lines(step: &Step, paint: Paint) -> Vec<String> {
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
        Action::Wait { condition, deadline } => lines.push(format!(
            "      until {}; this run waits {deadline} at most",
            text::clean(&condition::until(condition))
        )),
        Action::Record { id }
        | Action::Forget { id }
        | Action::Delete { id, .. }
        | Action::Replace { retire: id, .. } => {
            lines.push(format!("      {}", paint.dim(&text::clean(id))));
        }
        Action::Create { .. } | Action::Update { .. } => {}
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
