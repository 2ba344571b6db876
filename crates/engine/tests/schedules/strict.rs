//! What AWS refuses.

use jiff::Timestamp;
use reconcile_core::{
    config::IpAddressType,
    observed::Actual,
    resource::{Peer, Ref, Spec},
};
use reconcile_engine::{CloudError, ErrorKind};

use crate::world::{World, known};

/// An error of the simulated cloud.
pub(crate) fn error(kind: ErrorKind, code: &str, message: impl Into<String>) -> CloudError {
    CloudError {
        operation: "simulated".to_owned(),
        kind,
        code: Some(code.to_owned()),
        message: message.into(),
        request_id: None,
        remedy: None,
    }
}

fn missing(code: &str, id: &str) -> CloudError {
    error(ErrorKind::NotFound, code, format!("{id} does not exist"))
}

/// What is unique among objects of its kind, in words.
pub(crate) fn unique_name(spec: &Spec) -> Option<String> {
    match spec {
        Spec::SecurityGroup(group) => Some(format!("{} {}", group.vpc, group.name.to_ascii_lowercase())),
        Spec::TargetGroup(group) => Some(group.name.clone()),
        Spec::LoadBalancer(balancer) => Some(balancer.name.clone()),
        Spec::Listener(listener) => Some(format!("{} {}", known(&listener.load_balancer), listener.port)),
        Spec::ListenerRule(rule) => Some(format!("{} {}", known(&rule.listener), rule.priority)),
        _ => None,
    }
}

impl World {
    /// The object that has the name which is to be unique.
    pub(crate) fn namesake(&self, desired: &Spec) -> Option<&Actual> {
        let name = unique_name(desired)?;
        self.objects
            .values()
            .map(|object| &object.actual)
            .find(|actual| actual.spec.kind() == desired.kind() && unique_name(&actual.spec).as_ref() == Some(&name))
    }

    fn exists(&self, reference: &Ref, code: &str) -> Result<(), CloudError> {
        let id = known(reference);
        if self.objects.contains_key(id) {
            Ok(())
        } else {
            Err(missing(code, id))
        }
    }

    fn is_issued(&self, arn: &Ref, now: Timestamp) -> Result<(), CloudError> {
        let arn = known(arn);
        match self.objects.get(arn) {
            None => Err(error(ErrorKind::NotFound, "CertificateNotFound", arn)),
            Some(object) if object.is_issued(now) => Ok(()),
            Some(_) => Err(error(
                ErrorKind::Refused,
                "UnsupportedCertificate",
                format!("{arn} is not issued"),
            )),
        }
    }

    /// A target group is used by one load balancer (`aws-facts.md` 2.1).
    fn forwards(&self, group: &Ref, balancer: &str) -> Result<(), CloudError> {
        self.exists(group, "TargetGroupNotFound")?;
        let users = self.users_of(known(group));
        match users.iter().find(|user| *user != balancer) {
            Some(user) => Err(error(
                ErrorKind::Conflict,
                "TargetGroupAssociationLimit",
                format!("{} is used by {user}", known(group)),
            )),
            None => Ok(()),
        }
    }

    /// Refuses settings that AWS would refuse, of a new object or of the one with this id.
    pub(crate) fn allow(&self, id: Option<&str>, desired: &Spec, now: Timestamp) -> Result<(), CloudError> {
        match desired {
            Spec::LoadBalancer(balancer) => {
                self.exists(&balancer.security_group, "InvalidSecurityGroup")?;
                let subnets: Vec<_> = self
                    .subnets
                    .iter()
                    .filter(|subnet| balancer.subnets.contains(&subnet.id))
                    .collect();
                let zones: std::collections::BTreeSet<_> =
                    subnets.iter().map(|subnet| &subnet.availability_zone).collect();
                if zones.len() < 2 || zones.len() != subnets.len() {
                    return Err(error(
                        ErrorKind::Refused,
                        "ValidationError",
                        "one subnet in each of two zones",
                    ));
                }
                if balancer.ip_address_type == IpAddressType::Dualstack && subnets.iter().any(|subnet| !subnet.has_ipv6)
                {
                    return Err(error(ErrorKind::Refused, "InvalidSubnet", "no IPv6"));
                }
            }
            Spec::Listener(listener) => {
                self.exists(&listener.load_balancer, "LoadBalancerNotFound")?;
                if let Some(certificate) = &listener.certificate {
                    self.is_issued(certificate, now)?;
                }
                if let Some(group) = &listener.target_group {
                    self.forwards(group, known(&listener.load_balancer))?;
                }
            }
            Spec::ListenerCertificate(listed) => {
                self.exists(&listed.listener, "ListenerNotFound")?;
                self.is_issued(&listed.certificate, now)?;
            }
            Spec::ListenerRule(rule) => {
                self.exists(&rule.listener, "ListenerNotFound")?;
                if let Some(group) = &rule.target_group {
                    self.forwards(group, self.balancer_of(known(&rule.listener)).unwrap_or_default())?;
                }
                if let Some(holder) = self.namesake(desired)
                    && id.is_some_and(|id| id != holder.id)
                {
                    return Err(error(
                        ErrorKind::Conflict,
                        "PriorityInUse",
                        format!("{} has the priority {}", holder.id, rule.priority),
                    ));
                }
            }
            Spec::Target(target) => {
                self.exists(&target.target_group, "TargetGroupNotFound")?;
                let Some(Spec::TargetGroup(group)) = self.spec(known(&target.target_group)) else {
                    return Err(missing("TargetGroupNotFound", known(&target.target_group)));
                };
                if self
                    .instances
                    .get(&target.instance)
                    .is_none_or(|instance| instance.vpc != group.vpc)
                {
                    return Err(error(ErrorKind::Refused, "InvalidTarget", target.instance.to_string()));
                }
            }
            Spec::InstanceIngress(ingress) => {
                self.exists(&ingress.source, "InvalidGroup.NotFound")?;
                if !self.groups.contains_key(&ingress.group) {
                    return Err(missing("InvalidGroup.NotFound", ingress.group.as_str()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Refuses to delete what something else uses, or used a moment ago.
    pub(crate) fn is_free(&self, id: &str, now: Timestamp) -> Result<(), CloudError> {
        let in_use = |by: String| {
            Err(error(
                ErrorKind::InUse,
                "ResourceInUse",
                format!("{id} is in use by {by}"),
            ))
        };
        if let Some((user, _)) = self
            .specs()
            .find(|(_, spec)| Self::uses(spec).iter().any(|used| used == id))
        {
            return in_use(user.to_owned());
        }
        let names_group =
            |rule: &reconcile_core::resource::Rule| matches!(&rule.peer, Peer::Group(group) if group.as_str() == id);
        let referring = self
            .groups
            .iter()
            .find(|(_, facts)| facts.ingress.values().any(|rule| names_group(&rule.rule)));
        if let Some((group, _)) = referring {
            return in_use(format!("a rule of {group}"));
        }
        if self.lingering.get(id).is_some_and(|until| now < *until) {
            return in_use("what used it a moment ago".to_owned());
        }
        if let Some(Spec::LoadBalancer(balancer)) = self.spec(id)
            && balancer
                .attributes
                .get("deletion_protection.enabled")
                .is_some_and(|value| value == "true")
        {
            return Err(error(ErrorKind::Refused, "OperationNotPermitted", id));
        }
        Ok(())
    }
}
