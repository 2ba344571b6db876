//! What others made around the stack: never changed, and told where it matters.

use std::collections::BTreeSet;

use super::{
    decide::{Decided, Decision, Item, names_certificate},
    findings::Findings,
};
use crate::{
    config::{Config, Site},
    naming,
    observed::{Actual, Observed, Status},
    resource::{DefaultAction, Kind, ListenerRule, Spec},
    state::State,
    value::DomainName,
};

/// What others hung on objects of the stack: listeners, rules, certificates and targets, each with the id of what it hangs
/// on. AWS deletes it together with that (`aws-facts.md` 2.4, 3, 4.1, 4.3).
pub(super) fn hung_on<'a>(
    observed: &'a Observed,
    ours: &BTreeSet<&str>,
    parents: &BTreeSet<&str>,
) -> Vec<(&'a Actual, &'a str)> {
    let parent = |actual: &'a Actual| match (&actual.spec, &actual.status) {
        (Spec::Target(_), Status::Target { state, .. }) if state == "draining" => None,
        (Spec::Target(target), _) => target.target_group.known().ok(),
        (Spec::Listener(listener), _) => listener.load_balancer.known().ok(),
        (Spec::ListenerRule(rule), _) => rule.listener.known().ok(),
        (Spec::ListenerCertificate(certificate), _) => certificate.listener.known().ok(),
        _ => None,
    };
    observed
        .found
        .iter()
        .filter(|actual| !ours.contains(actual.id.as_str()))
        .filter_map(|actual| Some((actual, parent(actual)?)))
        .filter(|(_, parent)| parents.contains(parent))
        .collect()
}

/// Such a thing in words.
pub(super) fn in_words(spec: &Spec) -> String {
    match spec {
        Spec::Listener(listener) => format!("a listener of somebody else on port {}", listener.port),
        Spec::ListenerRule(rule) => format!("a rule of somebody else with priority {}", rule.priority),
        Spec::ListenerCertificate(it) => match it.certificate.known() {
            Ok(arn) => format!("the certificate `{arn}`, which somebody else added to the listener,"),
            Err(_) => "a certificate that somebody else added to the listener".to_owned(),
        },
        Spec::Target(target) => format!(
            "`{}` on port {}, which somebody else registered,",
            target.instance, target.port
        ),
        other => format!("a {} of somebody else", other.kind()),
    }
}

/// Whether what stands at an address is there after the plan.
fn stays(item: &Item) -> bool {
    !matches!(item.decision, Decision::Replace | Decision::Delete)
}

/// Listeners and certificates of others, which are left alone, and what goes away with an object that is replaced or
/// deleted.
pub(super) fn parts(observed: &Observed, state: &State, decided: &Decided, findings: &mut Findings) {
    let ids = |wanted: &dyn Fn(&Item) -> bool| -> BTreeSet<&str> {
        decided
            .iter()
            .filter(|(_, item)| wanted(item))
            .filter_map(|(_, item)| Some(item.actual.as_ref()?.id.as_str()))
            .collect()
    };
    let mut ours = ids(&|_| true);
    ours.extend(state.resources.values().map(|entry| entry.id.as_str()));
    ours.extend(state.retired.iter().map(|retired| retired.id.as_str()));
    for (actual, _) in hung_on(observed, &ours, &ids(&stays)) {
        if matches!(actual.spec, Spec::Listener(_) | Spec::ListenerCertificate(_)) {
            findings.note(
                &actual.id,
                &format!("{} is left alone", in_words(&actual.spec)),
                "take it away if it is not wanted",
            );
        }
    }
    for (actual, parent) in hung_on(observed, &ours, &ids(&|item| !stays(item))) {
        findings.warn(
            &actual.id,
            &format!("{} goes away with `{parent}`", in_words(&actual.spec)),
            "make it again on the successor if it is wanted",
        );
    }
}

/// Targets in the stack's groups that it did not register: they get requests too.
pub(super) fn targets(observed: &Observed, decided: &Decided, findings: &mut Findings) {
    let items = || decided.objects();
    for actual in &observed.found {
        if let (Spec::Target(target), Status::Target { state, .. }) = (&actual.spec, &actual.status)
            && state != "draining"
            && items().all(|used| used.id != actual.id)
            && let Ok(group) = target.target_group.known()
            && decided
                .iter()
                .any(|(_, item)| stays(item) && item.actual.as_ref().is_some_and(|used| used.id == group))
        {
            findings.warn(
                group,
                &format!(
                    "`{}` is registered on port {} beside what the configuration asks for",
                    target.instance, target.port
                ),
                "it gets requests too: deregister it, or add the instance to `instances`",
            );
        }
    }
}

/// Rules of others on the stack's listeners (`aws-facts.md` 4.3): those with lower numbers take requests before the sites
/// get them.
pub(super) fn listener_rules(config: &Config, observed: &Observed, decided: &Decided, findings: &mut Findings) {
    let listeners: BTreeSet<&str> = decided
        .iter()
        .filter(|(address, item)| address.kind() == Kind::Listener && stays(item))
        .filter_map(|(_, item)| Some(item.actual.as_ref()?.id.as_str()))
        .collect();
    for actual in &observed.found {
        let Spec::ListenerRule(rule) = &actual.spec else {
            continue;
        };
        let on_ours = rule.listener.known().is_ok_and(|listener| listeners.contains(listener));
        if !on_ours || actual.tags.get(naming::STACK_TAG).map(String::as_str) == Some(config.name.as_str()) {
            continue;
        }
        let taken: Vec<&str> = config
            .sites
            .values()
            .flat_map(Site::names)
            .filter(|name| may_match(rule, name))
            .map(DomainName::as_str)
            .collect();
        let conditions: Vec<String> = rule
            .conditions
            .iter()
            .map(|(field, values)| format!("{field} {}", values.iter().cloned().collect::<Vec<_>>().join(" or ")))
            .collect();
        let what = format!(
            "a rule of somebody else with priority {} ({}) {}",
            rule.priority,
            conditions.join(", "),
            match rule.action {
                DefaultAction::Forward | DefaultAction::WeightedForward => "forwards",
                DefaultAction::Redirect => "redirects",
                DefaultAction::FixedResponse => "answers by itself",
                DefaultAction::Other => "acts",
            }
        );
        if taken.is_empty() {
            findings.note(&actual.id, &what, "it is left alone");
        } else {
            findings.warn(
                &actual.id,
                &format!("{what}, and may take requests for {}", taken.join(", ")),
                "it is left alone: delete it if it is not wanted",
            );
        }
    }
}

/// Whether a request for the name may meet the conditions, as far as they are about names.
fn may_match(rule: &ListenerRule, name: &DomainName) -> bool {
    rule.conditions.get(ListenerRule::HOST).is_none_or(|hosts| {
        hosts.iter().any(|pattern| {
            pattern == name.as_str()
                || pattern.parse::<DomainName>().is_ok_and(|pattern| pattern.covers(name))
                || (pattern.contains(['*', '?']) && pattern.parse::<DomainName>().is_err())
        })
    })
}

/// Objects with the stack's tags that are neither in use by it nor known to be on their way out.
pub(super) fn orphans(config: &Config, observed: &Observed, state: &State, decided: &Decided, findings: &mut Findings) {
    let used: BTreeSet<&str> = decided
        .objects()
        .map(|actual| actual.id.as_str())
        .chain(state.retired.iter().map(|retired| retired.id.as_str()))
        .collect();
    for actual in &observed.found {
        let is_tagged = actual
            .tags
            .get(naming::STACK_TAG)
            .is_some_and(|stack| stack == config.name.as_str());
        if is_tagged
            && !names_certificate(config, &actual.id)
            && actual.spec.kind() != Kind::Target
            && !used.contains(actual.id.as_str())
        {
            findings.warn(
                &actual.id,
                &format!(
                    "this {} carries the stack's tags and the stack does not use it",
                    actual.spec.kind()
                ),
                "delete it if nothing else needs it: it may cost money",
            );
        }
    }
}
