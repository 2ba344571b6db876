//! What AWS refuses.

use super::Strict;
use crate::{
    observed::Status,
    plan::{Action, Condition, Step, Through},
    resource::{Address, Kind, Listener, ListenerRule, Output, Peer, Ref, Spec, Target},
    value::DomainName,
};

impl Strict {
    fn known(&self, reference: &Ref) -> String {
        match reference {
            Ref::Known(value) => value.clone(),
            Ref::Of(address, output) => {
                let Some(id) = self.state.id(address) else {
                    self.fail(&format!("{address} is needed and not there yet"));
                };
                match output {
                    Output::Id => id.to_owned(),
                    output => self.observed.by_id(id).unwrap().outputs[output].clone(),
                }
            }
        }
    }

    /// Refuses what AWS would refuse.
    pub(super) fn before(&self, step: &Step) {
        match &step.action {
            Action::Create { desired } | Action::Replace { desired, .. } => {
                self.unique(&step.address, desired);
                self.allowed(&step.address, None, desired);
            }
            Action::Update { id, desired, .. } => self.allowed(&step.address, Some(id), desired),
            Action::Delete { id, .. } => {
                let id = self.known(id);
                let ours = self.state.id(&step.address) == Some(id.as_str())
                    || self
                        .state
                        .retired
                        .iter()
                        .any(|retired| retired.id == id && retired.address == step.address);
                if !ours {
                    self.fail(&format!("{} {id} is not the stack's to delete", step.address));
                }
                self.unused(step.address.kind(), &id);
            }
            Action::Wait { condition, .. } => self.will_hold(condition),
            Action::Reinstate { id, .. } => {
                if !self.state.retired.iter().any(|retired| retired.id == *id) {
                    self.fail(&format!("{} {id} is not on its way out", step.address));
                }
            }
            Action::Record { .. } | Action::Forget { .. } => {}
        }
    }

    fn unique(&self, address: &Address, desired: &Spec) {
        let name = |spec: &Spec| match spec {
            Spec::SecurityGroup(group) => Some(group.name.clone()),
            Spec::TargetGroup(group) => Some(group.name.clone()),
            Spec::LoadBalancer(balancer) => Some(balancer.name.clone()),
            Spec::Listener(listener) => Some(format!("{} {}", self.known(&listener.load_balancer), listener.port)),
            _ => None,
        };
        let Some(wanted) = name(desired) else { return };
        for actual in &self.observed.found {
            let taken = actual.spec.kind() == desired.kind() && name(&actual.spec).as_ref() == Some(&wanted);
            let known = self.state.resources.values().any(|entry| entry.id == actual.id)
                || self.state.retired.iter().any(|retired| retired.id == actual.id);
            if taken && known {
                self.fail(&format!("{address}: the name {wanted} is taken by {}", actual.id));
            }
        }
    }

    fn allowed(&self, address: &Address, id: Option<&String>, desired: &Spec) {
        let issued = |arn: &Ref| {
            let arn = self.known(arn);
            let status = self.observed.by_id(&arn).map(|actual| &actual.status);
            if !matches!(status, Some(Status::Certificate { state, .. }) if state == "ISSUED") {
                self.fail(&format!("{address}: the certificate {arn} is not issued"));
            }
        };
        match desired {
            Spec::Listener(listener) => {
                if let Some(certificate) = &listener.certificate {
                    issued(certificate);
                }
                if let Some(group) = &listener.target_group {
                    self.one_balancer(address, &self.known(group), &self.known(&listener.load_balancer));
                }
            }
            Spec::ListenerCertificate(certificate) => issued(&certificate.certificate),
            Spec::ListenerRule(rule) => {
                let listener = self.known(&rule.listener);
                for (other, standing) in self.rules_on(&listener) {
                    if standing.priority == rule.priority && Some(&other) != id {
                        let taken = self.observed.by_id(&other).unwrap();
                        let recorded = self.state.resources.values().any(|entry| entry.id == other);
                        if recorded || !crate::naming::is_owned(&taken.tags, &self.state.stack, address) {
                            self.fail(&format!(
                                "{address}: the priority {} is in use by {other}",
                                rule.priority
                            ));
                        }
                    }
                }
                if let Some(group) = &rule.target_group {
                    let balancer = self.balancer_of(&listener);
                    self.one_balancer(address, &self.known(group), &balancer);
                }
            }
            Spec::Target(target) => {
                let group = self.known(&target.target_group);
                let vpc = match &self.observed.by_id(&group).unwrap().spec {
                    Spec::TargetGroup(group) => group.vpc.clone(),
                    _ => unreachable!(),
                };
                if self.observed.instances[&target.instance].vpc != vpc {
                    self.fail(&format!("{address}: the instance is in another VPC"));
                }
            }
            _ => {}
        }
    }

    /// A target group belongs to one load balancer.
    fn one_balancer(&self, address: &Address, group: &str, balancer: &str) {
        for user in self.users_of(group) {
            if user != balancer {
                self.fail(&format!("{address}: the target group {group} is used by {user}"));
            }
        }
    }

    /// The load balancers whose listeners or rules forward to a target group.
    pub(super) fn users_of(&self, group: &str) -> Vec<String> {
        self.observed
            .found
            .iter()
            .filter_map(|actual| match &actual.spec {
                Spec::Listener(Listener {
                    target_group: Some(to),
                    load_balancer,
                    ..
                }) if to.known().unwrap() == group => Some(load_balancer.known().unwrap().to_owned()),
                Spec::ListenerRule(ListenerRule {
                    target_group: Some(to),
                    listener,
                    ..
                }) if to.known().unwrap() == group => Some(self.balancer_of(listener.known().unwrap())),
                _ => None,
            })
            .collect()
    }

    pub(super) fn balancer_of(&self, listener: &str) -> String {
        match &self.observed.by_id(listener).unwrap().spec {
            Spec::Listener(listener) => listener.load_balancer.known().unwrap().to_owned(),
            _ => unreachable!(),
        }
    }

    pub(super) fn rules_on(&self, listener: &str) -> Vec<(String, ListenerRule)> {
        let mut rules: Vec<_> = self
            .observed
            .found
            .iter()
            .filter_map(|actual| match &actual.spec {
                Spec::ListenerRule(rule) if rule.listener.known().unwrap() == listener => {
                    Some((actual.id.clone(), rule.clone()))
                }
                _ => None,
            })
            .collect();
        rules.sort_by_key(|(_, rule)| rule.priority);
        rules
    }

    /// Refuses to delete what something else uses.
    fn unused(&self, kind: Kind, id: &str) {
        let is = |reference: &Ref| reference.known().ok() == Some(id);
        for actual in &self.observed.found {
            let uses = match (&actual.spec, kind) {
                (Spec::Listener(listener), Kind::Certificate) => listener.certificate.as_ref().is_some_and(is),
                (Spec::ListenerCertificate(listed), Kind::Certificate) => is(&listed.certificate),
                (Spec::LoadBalancer(balancer), Kind::SecurityGroup) => is(&balancer.security_group),
                (Spec::LoadBalancer(balancer), Kind::LoadBalancer) => {
                    actual.id == id
                        && balancer
                            .attributes
                            .get("deletion_protection.enabled")
                            .map(String::as_str)
                            == Some("true")
                }
                _ => false,
            };
            if uses {
                self.fail(&format!("{id} is in use by {}", actual.id));
            }
        }
        if kind == Kind::TargetGroup && !self.users_of(id).is_empty() {
            self.fail(&format!("{id} is in use by {:?}", self.users_of(id)));
        }
        let referenced = self
            .observed
            .security_groups
            .values()
            .flat_map(|group| group.ingress.values())
            .any(|rule| matches!(&rule.rule.peer, Peer::Group(group) if group.as_str() == id));
        if kind == Kind::SecurityGroup && referenced {
            self.fail(&format!("rules refer to {id}"));
        }
    }

    /// Fails where a wait would never end well.
    fn will_hold(&self, condition: &Condition) {
        match condition {
            Condition::CertificateIssued { certificate } => {
                let id = self.known(&Ref::id_of(certificate));
                let actual = self.observed.by_id(&id).unwrap();
                for (output, name) in &actual.outputs {
                    if matches!(output, Output::ValidationName(_))
                        && !self.observed.record_sets.iter().any(|set| set.name.as_str() == name)
                    {
                        self.fail(&format!("{certificate} is never issued without {name}"));
                    }
                }
            }
            Condition::TargetHealthy { target } => {
                let id = self.known(&Ref::id_of(target));
                let Some(Spec::Target(Target {
                    target_group,
                    instance,
                    port,
                })) = self.observed.by_id(&id).map(|actual| actual.spec.clone())
                else {
                    self.fail(&format!("{target} is not registered"));
                };
                let group = target_group.known().unwrap();
                let users = self.users_of(group);
                if users.is_empty() {
                    self.fail(&format!("{target} is never healthy in a group that no listener uses"));
                }
                for balancer in users {
                    for port in [port, self.health_port(group, port)] {
                        if let Err(why) = self.reaches(&balancer, &instance, port) {
                            self.fail(&format!("{target} is never healthy: {why}"));
                        }
                    }
                }
            }
            Condition::SiteAnswers { request, .. } => {
                let host = request.name.clone();
                let answer = match &request.through {
                    Through::LoadBalancer(balancer) => {
                        let id = self.known(&Ref::id_of(balancer));
                        self.ask_balancer(&id, &host, request.port, &request.headers).map(drop)
                    }
                    Through::Name => self.ask(&host).map(drop),
                    Through::NameNotAt(addresses) => self
                        .resolve(&host)
                        .iter()
                        .all(|way| !addresses.iter().any(|address| way.is(address)))
                        .then_some(())
                        .ok_or_else(|| "it leads to the instance still".to_owned()),
                    Through::Instance { address, .. } => self.ask_instance(&address.to_string()).map(drop),
                };
                if let Err(why) = answer {
                    self.fail(&format!("{host} does not answer {:?}: {why}", request.through));
                }
            }
            _ => {}
        }
    }

    /// Whether a name is among those that a certificate is for.
    pub(super) fn covers(&self, arn: &str, host: &DomainName) -> bool {
        let Some(actual) = self.observed.by_id(arn) else {
            return false;
        };
        matches!((&actual.spec, &actual.status), (Spec::Certificate(certificate), Status::Certificate { state, .. })
            if state == "ISSUED" && certificate.names.iter().any(|name| name.covers(host)))
    }
}
