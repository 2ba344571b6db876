//! The load balancer's group while something moves: what is needed by the old path stays until that is gone.

use super::decide::{Decided, Decision, Item};
use crate::{
    resource::{Kind, SecurityGroup, Spec},
    state::State,
};

/// Whether something is on its way out that may still need the group's rules.
fn something_leaves(state: &State, decided: &Decided) -> bool {
    let needs_rules = |kind: Kind| {
        matches!(
            kind,
            Kind::Target | Kind::TargetGroup | Kind::Listener | Kind::LoadBalancer
        )
    };
    decided.iter().any(|(address, item)| {
        needs_rules(address.kind())
            && (item.given_up.is_some() || matches!(item.decision, Decision::Replace | Decision::Delete))
    }) || state.retired.iter().any(|retired| needs_rules(retired.address.kind()))
}

/// The group with the rules that it has and those that are wanted, if the rest has to wait for a later step.
fn wider(state: &State, decided: &Decided, item: &Item) -> Option<SecurityGroup> {
    let (Some(Spec::SecurityGroup(standing)), Some(Spec::SecurityGroup(wanted))) =
        (item.actual.as_ref().map(|actual| &actual.spec), &item.desired)
    else {
        return None;
    };
    let surplus = !standing.ingress.is_subset(&wanted.ingress) || !standing.egress.is_subset(&wanted.egress);
    (item.decision == Decision::Update && surplus && something_leaves(state, decided)).then(|| {
        let mut wider = wanted.clone();
        wider.ingress.extend(standing.ingress.iter().cloned());
        wider.egress.extend(standing.egress.iter().cloned());
        wider
    })
}

/// What the first of two steps brings the group to.
pub(super) fn first_step(state: &State, decided: &Decided, item: &Item) -> Option<Spec> {
    wider(state, decided, item).map(Spec::SecurityGroup)
}
