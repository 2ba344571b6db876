//! How a run ended, as text.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use reconcile_core::plan::{Action, Counts, Plan, Stage, Step, StepId};
use reconcile_engine::{FailedRun, Outcome, OutcomeKind, Warning};

use super::{plan::left_out_after, step, text, time};
use crate::output::Paint;

/// What was done, what is left, and how to go on.
///
/// `cut` is the stage after which the plan was cut off, and how many steps that left out.
pub(crate) fn applied(
    plan: &Plan,
    outcome: &Outcome,
    cut: Option<(Stage, usize)>,
    now: Timestamp,
    paint: Paint,
) -> String {
    let mut lines = vec![String::new()];
    lines.extend(warnings(plan, &outcome.warnings, paint));
    lines.push(done(plan, &outcome.done));
    let left = text::counted(outcome.left.len(), "step");
    match outcome.kind {
        OutcomeKind::Complete => {
            let left_out = cut.filter(|(_, steps)| *steps > 0);
            lines.extend(left_out.map(|(stage, steps)| format!("Later: {}.", left_out_after(stage, steps))));
        }
        OutcomeKind::Later { not_before } => {
            let remaining = Duration::try_from(not_before.duration_since(now)).unwrap_or_default();
            let moment = format!("{} (in {})", time::local(not_before), time::elapsed(remaining));
            lines.push(format!("Later: {left} left, not before {moment}:"));
            lines.extend(steps(plan, &outcome.left, paint));
            lines.push("Run the same command again then: it carries on from here.".to_owned());
        }
        OutcomeKind::StillInUse => {
            lines.push(format!("Later: AWS still counts something as in use, {left} left:"));
            lines.extend(steps(plan, &outcome.left, paint));
            lines.push("Run the same command again in some minutes.".to_owned());
        }
        OutcomeKind::Interrupted => {
            lines.push(format!("Interrupted: {left} left:"));
            lines.extend(steps(plan, &outcome.left, paint));
            lines.push("The state is saved. Run the same command again: it carries on from here.".to_owned());
        }
    }
    lines.join("\n") + "\n"
}

/// What a run that failed had done before, and what it left.
pub(crate) fn failed_run(plan: &Plan, run: &FailedRun, paint: Paint) -> String {
    let mut lines = vec![String::new()];
    lines.extend(warnings(plan, &run.warnings, paint));
    lines.push(done(plan, &run.done));
    lines.push(format!("Not done: {}:", text::counted(run.left.len(), "step")));
    lines.extend(steps(plan, &run.left, paint));
    let state = if run.is_saved {
        "The state is saved. The next run carries on from here."
    } else {
        "The state could not be saved to the end. What it lacks is found again by names and tags: the next run carries on."
    };
    lines.push(state.to_owned());
    lines.join("\n") + "\n"
}

/// What a run leaves that ends at once: the steps whose calls have no answer yet.
pub(crate) fn left_in_the_middle(plan: &Plan, under_way: &BTreeSet<StepId>, paint: Paint) -> String {
    let ids: Vec<StepId> = under_way.iter().copied().collect();
    let mut lines = vec![String::new()];
    if ids.is_empty() {
        lines.push("Ended at once. Nothing was under way; what was done is in the state.".to_owned());
    } else {
        lines.push(format!(
            "Ended at once. {} under way, and what became of that is not known:",
            text::counted(ids.len(), "step")
        ));
        lines.extend(steps(plan, &ids, paint));
        lines.push("The state says what was begun and what was done.".to_owned());
    }
    lines.push("Run the same command again: it finds out and carries on from here.".to_owned());
    lines.join("\n") + "\n"
}

/// What was odd, each with the step that it is about.
fn warnings(plan: &Plan, warnings: &[Warning], paint: Paint) -> Vec<String> {
    let line = |warning: &Warning| {
        let step = plan.steps.iter().find(|step| step.id == warning.step);
        let title = step.map(|step| format!("{}: ", step::title(step))).unwrap_or_default();
        format!("{} {title}{}", paint.yellow("warning:"), text::clean(&warning.text))
    };
    warnings.iter().map(line).collect()
}

fn done(plan: &Plan, done: &[StepId]) -> String {
    let Counts { add, change, destroy } = counts(plan, done);
    format!("Done: {add} added, {change} changed, {destroy} destroyed.")
}

fn counts(plan: &Plan, done: &[StepId]) -> Counts {
    let mut counts = Counts::default();
    for step in plan.steps.iter().filter(|step| done.contains(&step.id)) {
        match step.action {
            Action::Create { .. } | Action::Replace { .. } => counts.add += 1,
            Action::Update { .. } => counts.change += 1,
            Action::Delete { .. } => counts.destroy += 1,
            Action::Record { .. } | Action::Reinstate { .. } | Action::Forget { .. } | Action::Wait { .. } => {}
        }
    }
    counts
}

fn steps(plan: &Plan, ids: &[StepId], paint: Paint) -> Vec<String> {
    let steps = ids
        .iter()
        .filter_map(|id| plan.steps.iter().find(|step| step.id == *id));
    steps.map(|step: &Step| step::line(step, paint)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::{create, plan_of, wait};

    fn outcome(done: &[u32], left: &[u32], kind: OutcomeKind) -> Outcome {
        let ids = |ids: &[u32]| ids.iter().copied().map(StepId).collect();
        Outcome {
            done: ids(done),
            left: ids(left),
            kind,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_complete_run_says_what_was_done() {
        let plan = plan_of(vec![create(1), wait(2)]);
        let text = applied(
            &plan,
            &outcome(&[1, 2], &[], OutcomeKind::Complete),
            Some((Stage::Prove, 2)),
            Timestamp::UNIX_EPOCH,
            Paint::PLAIN,
        );
        insta::assert_snapshot!(text, @"

        Done: 1 added, 0 changed, 0 destroyed.
        Later: 2 steps after the stage `prove` left out (--until prove).
        ");
    }

    #[test]
    fn a_run_that_ends_early_says_what_is_left_and_when() {
        let plan = plan_of(vec![create(1), wait(2)]);
        let now = Timestamp::UNIX_EPOCH;
        let not_before = now.checked_add(Duration::from_secs(590)).unwrap();
        let mut outcome = outcome(&[1], &[2], OutcomeKind::Later { not_before });
        outcome.warnings.push(Warning {
            step: StepId(1),
            text: "look at this".to_owned(),
        });
        let text = applied(&plan, &outcome, None, now, Paint::PLAIN).replace(&time::local(not_before), "[THEN]");
        insta::assert_snapshot!(text, @"

        warning: create security_group.load_balancer: look at this
        Done: 1 added, 0 changed, 0 destroyed.
        Later: 1 step left, not before [THEN] (in 9m 50s):
          … wait until certificate.www is issued
        Run the same command again then: it carries on from here.
        ");
    }

    #[test]
    fn an_interrupted_run_says_that_nothing_is_lost() {
        let plan = plan_of(vec![create(1), wait(2)]);
        let text = applied(
            &plan,
            &outcome(&[], &[1, 2], OutcomeKind::Interrupted),
            None,
            Timestamp::UNIX_EPOCH,
            Paint::PLAIN,
        );
        assert!(
            text.contains("Interrupted: 2 steps left:\n  + create  security_group.load_balancer\n"),
            "{text}"
        );
        assert!(text.contains("The state is saved."), "{text}");
    }
}
