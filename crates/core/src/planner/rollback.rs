//! Back to the state before the cutover, with the load balancer kept warm.

use super::{Refused, sequence::Sequence, way_back};
use crate::{
    config::{Config, SiteName},
    observed::Observed,
    plan::{FORMAT_VERSION, Finding, Plan, Purpose, Severity},
    state::State,
};

/// The plan that leads visitors back to the instances: of all sites, or of one.
///
/// # Errors
/// Refuses where nothing is remembered of what stood before.
pub fn rollback(config: &Config, observed: &Observed, state: &State, only: Option<&SiteName>) -> Result<Plan, Refused> {
    let (names, groups) = way_back::of_sites(config, observed, only);
    let back = way_back::find(config, observed, state, &names, &groups);
    let made = back.made.iter().map(|standing| {
        super::Refusal::new(
            super::addresses::record_address(&standing.name).to_string(),
            "nothing stood at the name before, so there is no way back",
            "point the record by hand, or take everything away with `reconcile destroy`",
        )
    });
    let refusals: Vec<_> = back
        .unknown_refusals("point the record at the instance by hand")
        .chain(made)
        .chain(back.closed_refusals(observed, state))
        .collect();
    if !refusals.is_empty() {
        return Err(Refused { refusals });
    }
    let mut sequence = Sequence::new();
    back.steps(config, observed, state, &mut sequence);
    let mut findings = back.findings.clone();
    if !back.is_empty() {
        findings.extend(what_stays(config));
    }
    findings.sort();
    Ok(Plan {
        format_version: FORMAT_VERSION,
        purpose: Purpose::Rollback,
        stack: config.name.clone(),
        steps: sequence.finish(),
        unchanged: Vec::new(),
        findings,
    })
}

/// What a rollback does not bring back.
fn what_stays(config: &Config) -> Vec<Finding> {
    let note = |severity, subject: &str, message: &str, remedy: &str| Finding {
        severity,
        subject: subject.to_owned(),
        message: message.to_owned(),
        remedy: remedy.to_owned(),
    };
    let mut findings = vec![
        note(
            Severity::Note,
            "load_balancer.main",
            "the load balancer stays as it is, ready for the way forward, and goes on costing money",
            "go forward again with `reconcile`, or take everything away with `reconcile destroy`",
        ),
        note(
            Severity::Note,
            "certificate",
            "the certificate on the instance is not renewed by this tool: one that has expired since stays expired",
            "renew it on the instance",
        ),
    ];
    if config.load_balancer.hsts.is_some() {
        findings.push(note(
            Severity::Warning,
            "load_balancer.hsts",
            "browsers remember to come by HTTPS only for as long as the header said; that cannot be taken back",
            "keep a valid certificate on the instance",
        ));
    }
    findings
}
