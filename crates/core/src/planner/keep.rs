//! What stays as it stands although it would be made otherwise today: names, and the default port of a target group.
//!
//! AWS cannot change them in place, and they make no difference to anybody. So an object that was taken over, or whose
//! site has been renamed, is not replaced for its name alone.

use super::{addresses::load_balancer_address, matching};
use crate::{
    config::Config,
    naming,
    observed::{Actual, Observed},
    resource::{LoadBalancer, Ref, Spec},
    state::State,
};

/// What is known of the load balancer before anything is decided.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    /// The id of the load balancer that stays; `None` if there is none, or it is replaced.
    load_balancer: Option<&'a str>,
    observed: &'a Observed,
}

impl<'a> Standing<'a> {
    pub(super) fn of(config: &Config, observed: &'a Observed, state: &State, wanted: Option<&Spec>) -> Self {
        let found = matching::by_identity(config, observed, state, &load_balancer_address());
        let stays = |actual: &&Actual| match (&actual.spec, wanted) {
            (Spec::LoadBalancer(standing), Some(Spec::LoadBalancer(wanted))) => is_same_but_for_name(standing, wanted),
            _ => false,
        };
        Self {
            load_balancer: found.filter(stays).map(|actual| actual.id.as_str()),
            observed,
        }
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
                    && !self.serves_another_load_balancer(&actual.id) =>
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

    /// A target group belongs to one load balancer (`aws-facts.md` 2.1), for good as long as that uses it.
    fn serves_another_load_balancer(&self, group: &str) -> bool {
        let is_it = |target_group: &Option<Ref>| target_group.as_ref().and_then(|it| it.known().ok()) == Some(group);
        let load_balancer_of = |listener: &Ref| {
            let listener = self.observed.by_id(listener.known().ok()?)?;
            match &listener.spec {
                Spec::Listener(listener) => listener.load_balancer.known().ok(),
                _ => None,
            }
        };
        self.observed.found.iter().any(|actual| {
            let user = match &actual.spec {
                Spec::Listener(listener) if is_it(&listener.target_group) => listener.load_balancer.known().ok(),
                Spec::ListenerRule(rule) if is_it(&rule.target_group) => load_balancer_of(&rule.listener),
                _ => return false,
            };
            user.is_some() && user != self.load_balancer
        })
    }
}

fn is_same_but_for_name(standing: &LoadBalancer, wanted: &LoadBalancer) -> bool {
    standing.scheme == wanted.scheme && standing.vpc == wanted.vpc
}
