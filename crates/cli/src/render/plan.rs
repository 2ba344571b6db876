//! A plan as text.

use jiff::Timestamp;
use reconcile_core::{
    config::StackName,
    observed::Identity,
    plan::{Action, Condition, Consequence, Finding, Plan, Purpose, Severity, Stage, Step},
    resource::Kind,
    state::State,
};

use super::{step, text};
use crate::output::Paint;

/// What stands above a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    /// The stack.
    pub(crate) stack: &'a StackName,
    /// Whose AWS the plan is about.
    pub(crate) identity: &'a Identity,
    /// The stage after which the plan was cut off, and how many steps that left out.
    pub(crate) cut: Option<(Stage, usize)>,
    /// What is remembered of earlier runs.
    pub(crate) state: &'a State,
    /// Now.
    pub(crate) now: Timestamp,
}

impl Header<'_> {
    /// When the old address is forgotten that a step waits for, if the name has been moved before.
    pub(super) fn drained_at(&self, plan: &Plan, step: &Step) -> Option<Timestamp> {
        let Action::Wait {
            condition: Condition::Drained { record, margin, .. },
            ..
        } = &step.action
        else {
            return None;
        };
        let moves = |step: &Step| step.address == *record && step.action.is_mutating();
        let cutover = self.state.cutovers.get(record);
        cutover
            .filter(|_| !plan.steps.iter().any(moves))
            .and_then(|cutover| cutover.drained_at(*margin))
    }
}

/// The plan: header, steps by stage, findings, and as the last line how much changes.
pub(crate) fn plan(plan: &Plan, header: &Header<'_>, paint: Paint) -> String {
    let Identity {
        account,
        region,
        partition: _,
    } = header.identity;
    let mut lines = vec![
        paint.bold(&format!("stack {} ({region}, account {account})", header.stack)),
        String::new(),
    ];
    for stage in Stage::ALL {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.stage == stage).collect();
        if steps.is_empty() {
            continue;
        }
        let noticed = noticed(plan.purpose, stage, &steps);
        lines.push(format!(
            "{} {}",
            paint.bold(&format!("{stage}:")),
            format_args!("{}; {noticed}", purpose(plan.purpose, stage, &steps))
        ));
        for step in steps {
            lines.extend(step::lines(step, header.drained_at(plan, step), header.now, paint));
        }
        lines.push(String::new());
    }
    lines.extend(findings(&plan.findings, paint));
    if let Some((stage, left_out)) = header.cut
        && left_out > 0
    {
        lines.push(left_out_after(stage, left_out));
        lines.push(String::new());
    }
    lines.extend(totals(plan));
    lines.join("\n") + "\n"
}

/// What `--until` leaves out.
pub(super) fn left_out_after(stage: Stage, steps: usize) -> String {
    let steps = text::counted(steps, "step");
    format!("{steps} after the stage `{stage}` left out (--until {stage})")
}

fn totals(plan: &Plan) -> Vec<String> {
    if plan.is_empty() {
        return vec!["No changes.".to_owned()];
    }
    let mut lines = Vec::new();
    if !plan.steps.iter().any(|step| step.action.is_mutating()) {
        let waits = plan.steps.iter().any(|step| matches!(step.action, Action::Wait { .. }));
        let records = plan
            .steps
            .iter()
            .any(|step| !matches!(step.action, Action::Wait { .. }));
        lines.push(
            match (waits, records) {
                (true, true) => "Nothing changes in AWS: the run only waits, and writes to the state file.",
                (true, false) => "Nothing changes in AWS: the run only waits.",
                (false, _) => "Nothing changes in AWS: the run only writes to the state file.",
            }
            .to_owned(),
        );
    }
    let counts = plan.counts();
    lines.push(format!(
        "Plan: {} to add, {} to change, {} to destroy.",
        counts.add, counts.change, counts.destroy
    ));
    lines
}

fn findings(findings: &[Finding], paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings {
        let severity = match finding.severity {
            Severity::Warning => paint.yellow("warning:"),
            Severity::Note => paint.cyan("note:"),
        };
        lines.push(format!(
            "{severity} {}: {}",
            text::clean(&finding.subject),
            text::clean(&finding.message)
        ));
        if !finding.remedy.is_empty() {
            lines.push(format!("  {} {}", paint.cyan("hint:"), text::clean(&finding.remedy)));
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// What a stage does.
pub(super) fn purpose(purpose: Purpose, stage: Stage, steps: &[&Step]) -> &'static str {
    let only_waits = steps.iter().all(|step| matches!(step.action, Action::Wait { .. }));
    let moves_names = steps.iter().any(|step| step.address.kind() == Kind::AliasRecord);
    match (purpose, stage) {
        (Purpose::Rollback | Purpose::Destroy, Stage::Prepare) => "opens the instance to visitors as it was",
        (Purpose::Rollback | Purpose::Destroy, Stage::Prove) => "asks the instance before visitors are led there",
        (Purpose::Rollback | Purpose::Destroy, Stage::Cutover) => "leads the names back to where they led before",
        (Purpose::Rollback | Purpose::Destroy, Stage::Drain) => "waits until the load balancer is forgotten",
        (Purpose::Destroy, Stage::Cleanup) => "deletes what the stack made",
        (_, Stage::Cutover) if only_waits => "the names have been moved to the load balancer",
        (_, Stage::Cutover) if !moves_names => "sends visitors to what was built and proven",
        (_, Stage::Prepare) => "builds the new path beside the old one",
        (_, Stage::Prove) => "proves the new path before anybody is sent there",
        (_, Stage::Cutover) => "moves the names to the load balancer",
        (_, Stage::Drain) if !moves_names => "waits until requests by the old way have ended",
        (_, Stage::Drain) => "waits until the old address is forgotten",
        (_, Stage::Lockdown) => "closes the instance to all but the load balancer",
        (_, Stage::Verify) => "asks the site from outside, as its visitors do",
        (_, Stage::Cleanup) => "deletes what is no longer needed",
    }
}

/// Who notices the steps of a stage.
pub(super) fn noticed(purpose: Purpose, stage: Stage, steps: &[&Step]) -> &'static str {
    let most = steps
        .iter()
        .map(|step| step.consequence)
        .max()
        .unwrap_or(Consequence::None);
    match (most, stage) {
        (Consequence::None, _) => "nobody notices",
        // They came by the alias, which resolvers may remember for a minute.
        (Consequence::VisitorsNotice, Stage::Cutover) if purpose != Purpose::Apply => {
            "visitors move back within a minute"
        }
        (Consequence::VisitorsNotice, Stage::Cutover) => "visitors move over within the old TTL",
        (Consequence::VisitorsNotice, Stage::Lockdown) => "visitors of the old address are turned away",
        (Consequence::VisitorsNotice, _) => "visitors notice",
        (Consequence::Brief, _) => "a short disturbance is possible",
        (Consequence::HardToUndo, _) => "cannot simply be undone",
    }
}
