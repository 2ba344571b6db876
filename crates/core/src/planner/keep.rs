//! What stays as it stands although it would be made otherwise today: names, and the default port of a target group.
//!
//! AWS cannot change them in place, and they make no difference to anybody. So an object that was taken over, or whose
//! site has been renamed, is not replaced for its name alone.

use super::{addresses::load_balancer_address, desired, matching};
use crate::{
    config::Config,
    diff, naming,
    observed::{Actual, Observed, Status},
    resource::{Address, LoadBalancer, Ref, Spec, TargetGroup},
    state::State,
};

/// What is known of the load balancer before anything is decided.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    /// The id of the load balancer that stays; `None` if there is none, or it is replaced.
    load_balancer: Option<&'a str>,
    config: &'a Config,
    observed: &'a Observed,
}

impl<'a> Standing<'a> {
    pub(super) fn of(config: &'a Config, observed: &'a Observed, state: &State, wanted: Option<&Spec>) -> Self {
        let address = load_balancer_address();
        let stays = |actual: &&Actual| match (&actual.spec, wanted) {
            (Spec::LoadBalancer(standing), Some(Spec::LoadBalancer(wanted))) => is_same_but_for_name(standing, wanted),
            _ => false,
        };
        Self {
            load_balancer: matching::standing(config, observed, state, &address)
                .into_iter()
                .chain(retired(observed, state, &address))
                .find(stays)
                .map(|actual| actual.id.as_str()),
            config,
            observed,
        }
    }

    /// The object that is to have the resource's place: the one that was found, or one on its way out that is as wanted
    /// when the one that was found would have to be replaced for that. So what was begun by mistake is given up without
    /// harm.
    pub(super) fn choose(&self, state: &State, address: &Address, found: Actual, desired: &Spec) -> Actual {
        let must_go = |actual: &Actual| {
            let mut wanted = desired.clone();
            self.keep(actual, &mut wanted);
            let forced = diff::changes(&actual.spec, &wanted)
                .iter()
                .any(|change| change.forces_replacement);
            forced || matches!(&actual.status, Status::Certificate { state, .. } if state != "ISSUED")
        };
        if !address.kind().has_id() {
            return found;
        }
        let is_named = |actual: &Actual| {
            let name = matching::name_of(desired);
            name.is_some() && matching::name_of(&actual.spec) == name
        };
        let found_must_go = must_go(&found);
        retired(self.observed, state, address)
            .into_iter()
            .find(|actual| !must_go(actual) && (found_must_go || (is_named(actual) && !is_named(&found))))
            .cloned()
            .unwrap_or(found)
    }

    /// Takes over into `desired` what stays as it stands.
    pub(super) fn keep(&self, actual: &Actual, desired: &mut Spec) {
        if self.has_successor(actual, desired) {
            return;
        }
        match (&actual.spec, desired) {
            (Spec::SecurityGroup(standing), Spec::SecurityGroup(wanted)) if standing.vpc == wanted.vpc => {
                wanted.name.clone_from(&standing.name);
                wanted.description.clone_from(&standing.description);
            }
            (Spec::LoadBalancer(standing), Spec::LoadBalancer(wanted)) if is_same_but_for_name(standing, wanted) => {
                wanted.name.clone_from(&standing.name);
            }
            (Spec::TargetGroup(standing), Spec::TargetGroup(wanted))
                if standing.protocol == wanted.protocol
                    && standing.vpc == wanted.vpc
                    && self.can_serve(actual, standing) =>
            {
                wanted.name.clone_from(&standing.name);
                // Targets are registered with a port of their own (`aws-facts.md` 2.1).
                wanted.port = standing.port;
            }
            _ => {}
        }
    }

    /// Whether an object with the same tags has the name that is wanted: an earlier run made it to take over.
    fn has_successor(&self, actual: &Actual, desired: &Spec) -> bool {
        let address = actual.tags.get(naming::RESOURCE_TAG);
        address.is_some()
            && matching::named_like(self.observed, desired).is_some_and(|bearer| {
                bearer.id != actual.id
                    && bearer.tags.get(naming::RESOURCE_TAG) == address
                    && bearer.tags.get(naming::STACK_TAG) == actual.tags.get(naming::STACK_TAG)
            })
    }

    /// Whether a target group can serve the load balancer that is wanted. It belongs to one (`aws-facts.md` 2.1), for good
    /// as long as that uses it. One that none uses would take the name with it that the way back to the other scheme needs
    /// for a new target group.
    fn can_serve(&self, actual: &Actual, group: &TargetGroup) -> bool {
        let mut users = self.load_balancers_of(&actual.id).peekable();
        match users.peek() {
            None => !desired::is_named_for_other_scheme(self.config, group),
            Some(_) => users.all(|user| Some(user) == self.load_balancer),
        }
    }

    /// The load balancers whose listeners or rules forward to a target group.
    fn load_balancers_of(&self, group: &str) -> impl Iterator<Item = &'a str> {
        let observed = self.observed;
        let is_it = move |to: &Option<Ref>| to.as_ref().and_then(|it| it.known().ok()) == Some(group);
        let load_balancer_of = move |listener: &'a Ref| match &observed.by_id(listener.known().ok()?)?.spec {
            Spec::Listener(listener) => listener.load_balancer.known().ok(),
            _ => None,
        };
        observed.found.iter().filter_map(move |actual| match &actual.spec {
            Spec::Listener(listener) if is_it(&listener.target_group) => listener.load_balancer.known().ok(),
            Spec::ListenerRule(rule) if is_it(&rule.target_group) => load_balancer_of(&rule.listener),
            _ => None,
        })
    }
}

/// The objects of a resource that are on their way out and still there, the latest first.
fn retired<'a>(observed: &'a Observed, state: &State, address: &Address) -> Vec<&'a Actual> {
    state
        .retired
        .iter()
        .rev()
        .filter(|retired| retired.address == *address)
        .filter_map(|retired| observed.object(address.kind(), &retired.id))
        .collect()
}

fn is_same_but_for_name(standing: &LoadBalancer, wanted: &LoadBalancer) -> bool {
    standing.scheme == wanted.scheme && standing.vpc == wanted.vpc
}
