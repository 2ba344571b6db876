//! What a run left for the next one, and what the plan has to say.

use std::collections::BTreeSet;

use super::World;
use crate::{
    check::{Check, Verdict},
    plan::{Action, Condition, Severity},
    resource::Kind,
    value::Seconds,
};

/// What a next run carries on or cleans up.
pub(super) fn checks(world: &World<'_>) -> Vec<Check> {
    let mut checks = drains(world);
    for retired in &world.state.retired {
        let since = retired.retired_at;
        checks.push(
            Check::ok(
                retired.address.to_string(),
                "on its way out",
                format!("`{}` was replaced at {since:.0} and is to be deleted", retired.id),
            )
            .but(
                Verdict::Warning,
                "run `reconcile`: it deletes it once AWS lets go of it",
            ),
        );
    }
    for (address, intent) in &world.state.intents {
        checks.push(
            Check::ok(
                address.to_string(),
                "unfinished",
                format!(
                    "a run began a call here at {:.0} and its result is not recorded",
                    intent.begun_at
                ),
            )
            .but(Verdict::Warning, "run `reconcile`: it finds out and carries on"),
        );
    }
    checks
}

/// Old addresses that resolvers may still remember, which the next run waits for.
fn drains(world: &World<'_>) -> Vec<Check> {
    let Ok(plan) = world.plan else { return Vec::new() };
    let mut checks = Vec::new();
    for step in &plan.steps {
        let Action::Wait {
            condition: Condition::Drained { record, margin, .. },
            ..
        } = &step.action
        else {
            continue;
        };
        // Without a cutover nobody has been moved yet.
        let Some(cutover) = world.state.cutovers.get(record) else {
            continue;
        };
        let (comes, is_over) = if record.kind() == Kind::AliasRecord {
            ("resolvers may remember the old address", "the old address is forgotten")
        } else {
            (
                "requests may be under way by the old way",
                "requests by the old way have ended",
            )
        };
        let message = match cutover.drained_at(*margin) {
            Some(at) if at > world.now => {
                let left = at.duration_since(world.now).as_secs();
                format!(
                    "{comes} until {at:.0}, in {}; the next run after that carries on",
                    u32::try_from(left).map_or_else(|_| format!("{left}s"), |left| Seconds::new(left).to_string())
                )
            }
            Some(at) => format!("{is_over} since {at:.0}; the next run carries on"),
            None => "the change of the record was not seen to reach all of Route 53's servers yet".to_owned(),
        };
        checks.push(Check::ok(record.to_string(), "drain", message));
    }
    checks
}

/// What the planner tells beside its steps, without what the resources' own lines say already.
pub(super) fn findings(world: &World<'_>, resources: &[Check]) -> Vec<Check> {
    let plan = match world.plan {
        Ok(plan) => plan,
        Err(refused) => {
            let refusals = refused.refusals.iter();
            return refusals
                .map(|refusal| {
                    Check::ok(
                        &refusal.subject,
                        "plan",
                        format!("no plan can be made: {}", refusal.reason),
                    )
                    .but(Verdict::Failure, &refusal.remedy)
                })
                .collect();
        }
    };
    let told: BTreeSet<&str> = resources
        .iter()
        .filter(|check| check.name == super::resources::HEALTH && check.verdict > Verdict::Ok)
        .map(|check| check.subject.as_str())
        .collect();
    plan.findings
        .iter()
        .filter(|finding| !told.contains(finding.subject.as_str()))
        .map(|finding| {
            let verdict = match finding.severity {
                Severity::Warning => Verdict::Warning,
                Severity::Note => Verdict::Ok,
            };
            Check::ok(&finding.subject, "finding", &finding.message).but(verdict, &finding.remedy)
        })
        .collect()
}
