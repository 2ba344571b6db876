//! Where a resource sits in a stack.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What sort of thing a resource is, in the order of apply: a kind refers only to kinds above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A certificate in ACM.
    Certificate,
    /// The CNAME record that proves control over a name to ACM.
    ValidationRecord,
    /// The load balancer's own security group, with all of its rules.
    SecurityGroup,
    /// One rule in an instance's group, never the group.
    InstanceIngress,
    /// A target group.
    TargetGroup,
    /// The load balancer.
    LoadBalancer,
    /// A listener of the load balancer.
    Listener,
    /// A certificate that a listener chooses by the visitor's server name, beside its default one.
    ListenerCertificate,
    /// A rule of a listener.
    ListenerRule,
    /// The web ACL of the load balancer.
    WebAclAssociation,
    /// An instance in a target group.
    Target,
    /// The address records (A, AAAA, CNAME) at one name.
    AliasRecord,
    /// The absence of world-open web rules in one group of an instance.
    PortClosure,
}

impl Kind {
    /// Every kind, in the order of apply.
    pub const ALL: [Self; 13] = [
        Self::Certificate,
        Self::ValidationRecord,
        Self::SecurityGroup,
        Self::InstanceIngress,
        Self::TargetGroup,
        Self::LoadBalancer,
        Self::Listener,
        Self::ListenerCertificate,
        Self::ListenerRule,
        Self::WebAclAssociation,
        Self::Target,
        Self::AliasRecord,
        Self::PortClosure,
    ];

    /// The name that addresses begin with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::ValidationRecord => "validation_record",
            Self::SecurityGroup => "security_group",
            Self::InstanceIngress => "instance_ingress",
            Self::TargetGroup => "target_group",
            Self::LoadBalancer => "load_balancer",
            Self::Listener => "listener",
            Self::ListenerCertificate => "listener_certificate",
            Self::ListenerRule => "listener_rule",
            Self::WebAclAssociation => "web_acl_association",
            Self::Target => "target",
            Self::AliasRecord => "alias_record",
            Self::PortClosure => "port_closure",
        }
    }

    /// Settings that AWS cannot change in place: changing one makes a replacement.
    ///
    /// Records have none: whatever changes at a name is one atomic update. The facts stand in `aws-facts.md` 1.1, 2.1, 3,
    /// 4.1 and 6.1.
    pub const fn immutable(self) -> &'static [&'static str] {
        match self {
            Self::Certificate => &["names", "key_algorithm"],
            Self::SecurityGroup => &["name", "description", "vpc"],
            Self::TargetGroup => &["name", "protocol", "port", "vpc"],
            Self::LoadBalancer => &["name", "scheme", "vpc"],
            Self::Listener | Self::WebAclAssociation => &["load_balancer"],
            Self::ListenerCertificate => &["listener", "certificate"],
            Self::ListenerRule => &["listener"],
            Self::Target => &["target_group", "instance", "port"],
            // Another port or source is a rule of its own, made before the old one goes: nobody is shut out in between.
            Self::InstanceIngress => &["group", "port", "source"],
            Self::ValidationRecord | Self::AliasRecord | Self::PortClosure => &[],
        }
    }

    /// Settings that are compared as a whole: what is found and not wanted is a change too.
    ///
    /// Everywhere else only what is wanted is compared, so attributes and tags of others are left alone.
    pub const fn whole(self) -> &'static [&'static str] {
        match self {
            Self::AliasRecord => &["records"],
            Self::PortClosure => &["open"],
            Self::ListenerRule => &["conditions"],
            _ => &[],
        }
    }

    /// Whether two objects of the kind can have the same name and settings and still be two, so that it is found again
    /// by its id or its tags only.
    pub const fn has_id(self) -> bool {
        matches!(
            self,
            Self::Certificate
                | Self::SecurityGroup
                | Self::TargetGroup
                | Self::LoadBalancer
                | Self::Listener
                | Self::ListenerRule
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Where a resource sits in a stack, for example `target_group.www`. Ordered as resources are applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    kind: Kind,
    key: String,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not the address of a resource, expected for example `target_group.www`")]
pub struct AddressError {
    /// What was written.
    pub text: String,
}

impl Address {
    /// The address of the resource of `kind` that `key` tells from its siblings.
    pub fn new(kind: Kind, key: impl Into<String>) -> Self {
        Self { kind, key: key.into() }
    }

    /// The kind of the resource.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What tells the resource from others of its kind.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.kind, self.key)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('.')
            .and_then(|(kind, key)| {
                let kind = Kind::ALL.into_iter().find(|candidate| candidate.name() == kind)?;
                (!key.is_empty()).then(|| Self::new(kind, key))
            })
            .ok_or_else(|| AddressError { text: text.to_owned() })
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}
