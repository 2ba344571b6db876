//! The kinds of resources: one struct per kind, used for what is wanted and for what was found.
//!
//! A kind declares beside its struct what AWS cannot change in place. Everything else about it (diff, plan, text) follows
//! from its serialised form, so adding a kind touches this folder, its file in `reconcile-aws`, and what the compiler
//! then asks for.

mod address;
mod kinds;
mod reference;
mod rule;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use address::{Address, AddressError, Kind};
pub use kinds::{
    AliasRecord, AliasTarget, Certificate, DefaultAction, HealthCheck, InstanceIngress, Listener, ListenerCertificate,
    ListenerRule, LoadBalancer, PortClosure, RecordData, RecordType, SecurityGroup, Target, TargetGroup,
    ValidationRecord, WebAclAssociation,
};
pub use reference::{Output, Outputs, Ref, RefError, Unresolved};
pub use rule::{Peer, Rule, RuleError};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// The settings of one resource of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "settings", rename_all = "snake_case")]
pub enum Spec {
    /// A certificate.
    Certificate(Certificate),
    /// A record that proves control over a name.
    ValidationRecord(ValidationRecord),
    /// The load balancer's security group.
    SecurityGroup(SecurityGroup),
    /// A rule in an instance's group.
    InstanceIngress(InstanceIngress),
    /// A target group.
    TargetGroup(TargetGroup),
    /// A load balancer.
    LoadBalancer(LoadBalancer),
    /// A listener.
    Listener(Listener),
    /// A certificate of a listener beside its default one.
    ListenerCertificate(ListenerCertificate),
    /// A rule of a listener.
    ListenerRule(ListenerRule),
    /// The web ACL of a load balancer.
    WebAclAssociation(WebAclAssociation),
    /// An instance in a target group.
    Target(Target),
    /// The address records of a site's name.
    AliasRecord(AliasRecord),
    /// The absence of world-open web rules in an instance's group.
    PortClosure(PortClosure),
}

impl Spec {
    /// The kind that the settings are of.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Certificate(_) => Kind::Certificate,
            Self::ValidationRecord(_) => Kind::ValidationRecord,
            Self::SecurityGroup(_) => Kind::SecurityGroup,
            Self::InstanceIngress(_) => Kind::InstanceIngress,
            Self::TargetGroup(_) => Kind::TargetGroup,
            Self::LoadBalancer(_) => Kind::LoadBalancer,
            Self::Listener(_) => Kind::Listener,
            Self::ListenerCertificate(_) => Kind::ListenerCertificate,
            Self::ListenerRule(_) => Kind::ListenerRule,
            Self::WebAclAssociation(_) => Kind::WebAclAssociation,
            Self::Target(_) => Kind::Target,
            Self::AliasRecord(_) => Kind::AliasRecord,
            Self::PortClosure(_) => Kind::PortClosure,
        }
    }

    /// The settings as a tree of values: what the diff compares and the user reads.
    pub fn settings(&self) -> serde_json::Value {
        let result = match self {
            Self::Certificate(settings) => serde_json::to_value(settings),
            Self::ValidationRecord(settings) => serde_json::to_value(settings),
            Self::SecurityGroup(settings) => serde_json::to_value(settings),
            Self::InstanceIngress(settings) => serde_json::to_value(settings),
            Self::TargetGroup(settings) => serde_json::to_value(settings),
            Self::LoadBalancer(settings) => serde_json::to_value(settings),
            Self::Listener(settings) => serde_json::to_value(settings),
            Self::ListenerCertificate(settings) => serde_json::to_value(settings),
            Self::ListenerRule(settings) => serde_json::to_value(settings),
            Self::WebAclAssociation(settings) => serde_json::to_value(settings),
            Self::Target(settings) => serde_json::to_value(settings),
            Self::AliasRecord(settings) => serde_json::to_value(settings),
            Self::PortClosure(settings) => serde_json::to_value(settings),
        };
        // Structs of strings, numbers, lists and maps with string keys always serialise.
        result.unwrap_or(serde_json::Value::Null)
    }

    /// Every reference in the settings, to read or to resolve.
    pub fn references_mut(&mut self) -> Vec<&mut Ref> {
        match self {
            Self::Certificate(_) | Self::SecurityGroup(_) | Self::TargetGroup(_) | Self::PortClosure(_) => Vec::new(),
            Self::ValidationRecord(record) => vec![&mut record.name, &mut record.value],
            Self::InstanceIngress(ingress) => vec![&mut ingress.source],
            Self::LoadBalancer(load_balancer) => vec![&mut load_balancer.security_group],
            Self::Listener(listener) => {
                let Listener {
                    load_balancer,
                    certificate,
                    target_group,
                    ..
                } = listener;
                std::iter::once(load_balancer)
                    .chain(certificate)
                    .chain(target_group)
                    .collect()
            }
            Self::ListenerCertificate(settings) => vec![&mut settings.listener, &mut settings.certificate],
            Self::ListenerRule(rule) => std::iter::once(&mut rule.listener)
                .chain(&mut rule.target_group)
                .collect(),
            Self::WebAclAssociation(association) => vec![&mut association.load_balancer],
            Self::Target(target) => vec![&mut target.target_group],
            Self::AliasRecord(record) => record
                .records
                .values_mut()
                .filter_map(|data| data.alias.as_mut())
                .flat_map(|alias| [&mut alias.name, &mut alias.zone])
                .collect(),
        }
    }

    /// Every reference in the settings.
    pub fn references(&self) -> Vec<Ref> {
        self.clone()
            .references_mut()
            .into_iter()
            .map(|reference| reference.clone())
            .collect()
    }

    /// What identifies an object that has neither tags nor a name, once its references are resolved.
    pub fn content_id(&self) -> Option<String> {
        match self {
            Self::ListenerCertificate(listed) => Some(ListenerCertificate::id_of(
                listed.listener.known().ok()?,
                listed.certificate.known().ok()?,
            )),
            Self::Target(target) => {
                let group = target.target_group.known().ok()?;
                Some(Target::id_of(group, &target.instance, target.port))
            }
            _ => None,
        }
    }

    /// The tags among the settings, for kinds that carry tags.
    pub fn tags(&self) -> Option<&Tags> {
        match self {
            Self::Certificate(Certificate { tags, .. })
            | Self::SecurityGroup(SecurityGroup { tags, .. })
            | Self::InstanceIngress(InstanceIngress { tags, .. })
            | Self::TargetGroup(TargetGroup { tags, .. })
            | Self::LoadBalancer(LoadBalancer { tags, .. })
            | Self::Listener(Listener { tags, .. })
            | Self::ListenerRule(ListenerRule { tags, .. }) => Some(tags),
            Self::ValidationRecord(_)
            | Self::ListenerCertificate(_)
            | Self::WebAclAssociation(_)
            | Self::Target(_)
            | Self::AliasRecord(_)
            | Self::PortClosure(_) => None,
        }
    }

    /// The tags among the settings, to change.
    pub fn tags_mut(&mut self) -> Option<&mut Tags> {
        match self {
            Self::Certificate(Certificate { tags, .. })
            | Self::SecurityGroup(SecurityGroup { tags, .. })
            | Self::InstanceIngress(InstanceIngress { tags, .. })
            | Self::TargetGroup(TargetGroup { tags, .. })
            | Self::LoadBalancer(LoadBalancer { tags, .. })
            | Self::Listener(Listener { tags, .. })
            | Self::ListenerRule(ListenerRule { tags, .. }) => Some(tags),
            Self::ValidationRecord(_)
            | Self::ListenerCertificate(_)
            | Self::WebAclAssociation(_)
            | Self::Target(_)
            | Self::AliasRecord(_)
            | Self::PortClosure(_) => None,
        }
    }
}
