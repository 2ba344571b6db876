//! A plan as a document for programs.

use jiff::Timestamp;
use reconcile_core::{
    config::StackName,
    diff::Change,
    observed::Identity,
    plan::{Action, Consequence, Finding, Plan, Purpose, Severity, Stage, Step, StepId},
    resource::{Address, Kind, Ref},
    value::{AccountId, Region, Seconds},
};
use serde::Serialize;

use super::{condition, step};

/// The version of the document.
const FORMAT_VERSION: u32 = 1;

/// A plan with what stands above and below it. What has nothing to say is left out.
#[derive(Debug, Serialize)]
pub(crate) struct PlanDocument<'a> {
    format_version: u32,
    reconcile_version: &'static str,
    made_at: Timestamp,
    stack: &'a StackName,
    account: &'a AccountId,
    region: &'a Region,
    purpose: Purpose,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Cut>,
    summary: Summary,
    steps: Vec<StepDocument<'a>>,
    unchanged: &'a [Address],
    findings: &'a [Finding],
}

/// Where the plan was cut off.
#[derive(Debug, Serialize)]
struct Cut {
    stage: Stage,
    steps_left_out: usize,
}

/// How much happens.
#[derive(Debug, Serialize)]
struct Summary {
    add: usize,
    change: usize,
    destroy: usize,
    /// Steps that change the state only.
    record: usize,
    wait: usize,
    unchanged: usize,
    warnings: usize,
    /// The gravest of all steps.
    consequence: Consequence,
}

#[derive(Debug, Serialize)]
struct StepDocument<'a> {
    id: StepId,
    stage: Stage,
    action: &'static str,
    address: &'a Address,
    kind: Kind,
    title: String,
    consequence: Consequence,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    after: &'a [StepId],
    /// The object as it is in AWS now, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    changes: &'a [Change],
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Wait>,
}

#[derive(Debug, Serialize)]
struct Wait {
    until: String,
    deadline_seconds: u64,
}

impl<'a> PlanDocument<'a> {
    /// The document of a plan; `cut` is the stage after which it was cut off, and how many steps that left out.
    pub(crate) fn new(plan: &'a Plan, identity: &'a Identity, cut: Option<(Stage, usize)>, now: Timestamp) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            reconcile_version: env!("CARGO_PKG_VERSION"),
            made_at: now,
            stack: &plan.stack,
            account: &identity.account,
            region: &identity.region,
            purpose: plan.purpose,
            until: cut.map(|(stage, steps_left_out)| Cut { stage, steps_left_out }),
            summary: Summary::of(plan),
            steps: plan.steps.iter().map(StepDocument::of).collect(),
            unchanged: &plan.unchanged,
            findings: &plan.findings,
        }
    }
}

impl Summary {
    fn of(plan: &Plan) -> Self {
        let counts = plan.counts();
        let count = |which: fn(&Action) -> bool| plan.steps.iter().filter(|step| which(&step.action)).count();
        let wait = count(|action| matches!(action, Action::Wait { .. }));
        Self {
            add: counts.add,
            change: counts.change,
            destroy: counts.destroy,
            record: count(|action| !action.is_mutating()) - wait,
            wait,
            unchanged: plan.unchanged.len(),
            warnings: plan
                .findings
                .iter()
                .filter(|finding| finding.severity == Severity::Warning)
                .count(),
            consequence: gravest(&plan.steps),
        }
    }
}

/// The gravest consequence of some steps.
pub(super) fn gravest<'s>(steps: impl IntoIterator<Item = &'s Step>) -> Consequence {
    let consequences = steps.into_iter().map(|step| step.consequence);
    consequences.max().unwrap_or(Consequence::None)
}

impl<'a> StepDocument<'a> {
    fn of(step: &'a Step) -> Self {
        let (mut object, mut wait) = (None, None);
        match &step.action {
            Action::Create { .. } | Action::Delete { id: Ref::Of(..), .. } => {}
            Action::Replace { retire: id, .. }
            | Action::Update { id, .. }
            | Action::Record { id }
            | Action::Reinstate { id, .. }
            | Action::Forget { id }
            | Action::Delete { id: Ref::Known(id), .. } => object = Some(id.as_str()),
            Action::Wait { condition, deadline } => {
                wait = Some(Wait {
                    until: condition::until(condition),
                    deadline_seconds: seconds(*deadline),
                });
            }
        }
        Self {
            id: step.id,
            stage: step.stage,
            action: step.action.name(),
            address: &step.address,
            kind: step.address.kind(),
            title: step::title(step),
            consequence: step.consequence,
            reason: &step.reason,
            after: &step.after,
            object,
            changes: &step.changes,
            wait,
        }
    }
}

fn seconds(seconds: Seconds) -> u64 {
    seconds.duration().as_secs()
}
