//! What others do between two runs.

use std::time::Duration;

use reconcile_core::{
    naming,
    resource::{DefaultAction, Kind, Spec},
    value::DomainName,
};

use crate::{sim::Sim, world::World};

/// Where nobody is.
pub(crate) const ELSEWHERE: &str = "198.51.100.9";

/// Whose visitors a change by others may harm while a run relies on what it has proven.
enum Harms {
    Nobody,
    One(DomainName),
    Everybody,
}

impl Sim {
    /// Somebody else changes something of the stack's, or beside it.
    pub(crate) fn drift(&self) {
        self.drift_that_harms();
    }

    /// The same within a run. Between a proof and what follows from it nobody can tell that the proof does not hold any
    /// more, so who may be harmed is looked at again when a plan is empty.
    pub(crate) fn drift_within_run(&self) {
        match self.drift_that_harms() {
            None | Some(Harms::Nobody) => {}
            Some(Harms::One(name)) => self.excuse_all([name]),
            Some(Harms::Everybody) => self.excuse_all(self.served.borrow().keys().cloned()),
        }
    }

    fn drift_that_harms(&self) -> Option<Harms> {
        let (what, harms) = {
            let mut world = self.world.borrow_mut();
            self.change_by_hand(&mut world)
        }?;
        self.note(|| format!("by hand: {what}"));
        self.count(|tally| tally.drifts += 1);
        self.excuse();
        Some(harms)
    }

    fn one_of(&self, world: &World, kind: Kind) -> Option<String> {
        let is_ours = |spec: &Spec| spec.tags().is_none_or(|tags| tags.contains_key(naming::STACK_TAG));
        let all: Vec<&str> = world
            .specs()
            .filter(|(id, spec)| spec.kind() == kind && is_ours(spec) && !id.contains("legacy"))
            .map(|(id, _)| id)
            .collect();
        self.dice.pick(&all).map(|id| (*id).to_owned())
    }

    fn change_by_hand(&self, world: &mut World) -> Option<(String, Harms)> {
        let now = self.clock.now();
        let lingers = self.dice.seconds(self.habits.lingers);
        let removed = [
            Kind::ListenerRule,
            Kind::Listener,
            Kind::Target,
            Kind::ListenerCertificate,
            Kind::LoadBalancer,
            Kind::TargetGroup,
            Kind::Certificate,
        ];
        match self.dice.below(12) {
            0..=2 => {
                let kind = *self.dice.pick(&removed)?;
                let id = self.one_of(world, kind)?;
                world.is_free(&id, now).ok()?;
                world.remove(&id, now, Duration::ZERO, lingers);
                Some((format!("{id} is deleted"), Harms::Everybody))
            }
            3 => {
                let kind = *self.dice.pick(&Kind::ALL)?;
                let id = self.one_of(world, kind)?;
                let mut spec = world.spec(&id)?.clone();
                let tags = spec.tags_mut()?;
                // What is not recorded yet is known by these alone.
                let is_recorded = self.stored.borrow().resources.values().any(|entry| entry.id == id);
                if self.dice.chance(50) && is_recorded {
                    tags.remove(naming::RESOURCE_TAG);
                } else {
                    tags.insert("team".to_owned(), "others".to_owned());
                }
                world.change(&id, spec, now, Duration::ZERO, lingers);
                Some((format!("the tags of {id} are changed"), Harms::Nobody))
            }
            4 | 5 => {
                let kinds = [
                    Kind::Listener,
                    Kind::TargetGroup,
                    Kind::LoadBalancer,
                    Kind::SecurityGroup,
                ];
                let id = self.one_of(world, *self.dice.pick(&kinds)?)?;
                let mut spec = world.spec(&id)?.clone();
                self.spoil(&mut spec);
                world.allow(Some(&id), &spec, now).ok()?;
                world.change(&id, spec, now, Duration::ZERO, lingers);
                Some((format!("settings of {id} are changed"), Harms::Everybody))
            }
            6 | 7 => {
                let names: Vec<DomainName> = self.served.borrow().keys().cloned().collect();
                let name = self.dice.pick(&names)?;
                if self.dice.chance(15) {
                    world.replace_addresses(name, Vec::new(), now, true);
                    return Some((format!("the record of {name} is deleted"), Harms::One(name.clone())));
                }
                let address = *self.dice.pick(&["203.0.113.10", "203.0.113.11", ELSEWHERE])?;
                world.point_by_hand(name, address, now);
                Some((format!("{name} is led to {address}"), Harms::One(name.clone())))
            }
            8 | 9 => {
                let groups: Vec<_> = world.groups.keys().cloned().collect();
                let group = self.dice.pick(&groups)?;
                let ours = world.groups[group]
                    .ingress
                    .iter()
                    .find(|(_, rule)| rule.tags.contains_key(naming::STACK_TAG))
                    .map(|(id, _)| id.clone());
                if let Some(id) = ours.filter(|_| self.dice.chance(50)) {
                    world.change_group(group, now, Duration::ZERO, |facts| {
                        facts.ingress.remove(&id);
                    });
                    return Some((format!("{id} of {group} is revoked"), Harms::Everybody));
                }
                world.open_by_hand(group, "tcp 443 0.0.0.0/0".parse().unwrap(), now);
                Some((format!("{group} is opened to the world"), Harms::Nobody))
            }
            10 => {
                let at = world
                    .records
                    .iter()
                    .position(|set| set.name.as_str().starts_with("_x."))?;
                let set = world.records.remove(at);
                Some((format!("{} is deleted", set.name), Harms::Nobody))
            }
            _ => {
                let groups: Vec<_> = world.groups.keys().cloned().collect();
                let group = self.dice.pick(&groups)?;
                world.open_by_hand(group, "tcp 80 0.0.0.0/0".parse().unwrap(), now);
                Some((format!("port 80 of {group} is opened to the world"), Harms::Nobody))
            }
        }
    }

    /// Changes one setting to something that nobody asked for.
    fn spoil(&self, spec: &mut Spec) {
        match spec {
            Spec::Listener(listener) if listener.port == 443 => match self.dice.below(3) {
                0 => listener.tls_policy = Some("ELBSecurityPolicy-2016-08".to_owned()),
                1 => {
                    listener.attributes.insert(
                        "routing.http.response.strict_transport_security.header_value".to_owned(),
                        "max-age=1".to_owned(),
                    );
                }
                _ => {
                    listener.default_action = DefaultAction::FixedResponse;
                    listener.target_group = None;
                    listener.fixed_response = Some("503 text/plain: closed".to_owned());
                }
            },
            Spec::TargetGroup(group) => "/elsewhere".clone_into(&mut group.health.path),
            Spec::LoadBalancer(balancer) => {
                balancer
                    .attributes
                    .insert("idle_timeout.timeout_seconds".to_owned(), "10".to_owned());
            }
            Spec::SecurityGroup(group) => match self.dice.below(3) {
                0 => drop(group.ingress.pop_first()),
                1 => drop(group.egress.pop_first()),
                _ => drop(group.ingress.insert("tcp 8080 0.0.0.0/0".parse().unwrap())),
            },
            _ => {}
        }
    }
}
