//! One struct per kind. The names of the fields are what the user reads in a diff.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Address, Kind, Ref, Rule, Tags};
use crate::{
    config::{IpAddressType, KeyAlgorithm, Protocol, Scheme},
    value::{DomainName, InstanceId, Seconds, SecurityGroupId, SubnetId, VpcId, ZoneId},
};

/// A public certificate in ACM with DNS validation (`aws-facts.md` 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The common name. It is one of `names` and does not count in comparisons: which of the names comes first makes no
    /// difference to visitors.
    #[serde(skip)]
    pub domain: Option<DomainName>,
    /// All names.
    pub names: BTreeSet<DomainName>,
    /// Algorithm of the key.
    pub key_algorithm: KeyAlgorithm,
    /// Tags.
    pub tags: Tags,
}

/// The CNAME record that proves control over a name, shared by every certificate of the account for that name
/// (`aws-facts.md` 1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// The zone that holds it.
    pub zone: ZoneId,
    /// Its name.
    pub name: Ref,
    /// Its value.
    pub value: Ref,
}

/// The load balancer's security group with all of its rules (`aws-facts.md` 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Name, unique in the VPC.
    pub name: String,
    /// Description, which AWS cannot change later.
    pub description: String,
    /// The VPC.
    pub vpc: VpcId,
    /// Who may connect to it.
    pub ingress: BTreeSet<Rule>,
    /// Where it may connect to.
    pub egress: BTreeSet<Rule>,
    /// Tags.
    pub tags: Tags,
}

/// One rule in an instance's group that admits the load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceIngress {
    /// The instance's group.
    pub group: SecurityGroupId,
    /// The TCP port.
    pub port: u16,
    /// The load balancer's group.
    pub source: Ref,
    /// Tags of the rule.
    pub tags: Tags,
}

impl InstanceIngress {
    /// The group and the port of the rule at an address, whose key is `<group>.<port>`.
    pub fn group_and_port(address: &Address) -> Option<(SecurityGroupId, u16)> {
        let (group, port) = address.key().split_once('.')?;
        Some((group.parse().ok()?, port.parse().ok()?)).filter(|_| address.kind() == Kind::InstanceIngress)
    }
}

/// A target group of instances (`aws-facts.md` 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Name, unique in account and region.
    pub name: String,
    /// What is spoken to the instances.
    pub protocol: Protocol,
    /// Port for targets that are registered without one; ours always have one.
    pub port: u16,
    /// The VPC of the instances.
    pub vpc: VpcId,
    /// The health check.
    pub health: HealthCheck,
    /// Attributes by AWS's keys; only wanted ones are compared (`aws-facts.md` 2.5).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
}

/// A health check with every field that AWS has a default for (`aws-facts.md` 2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Protocol, independent of the target group's.
    pub protocol: Protocol,
    /// A port or `traffic-port`.
    pub port: String,
    /// Path.
    pub path: String,
    /// Status codes that mean healthy.
    pub codes: String,
    /// Time between two checks.
    pub interval: Seconds,
    /// Time that one check may take.
    pub timeout: Seconds,
    /// Passed checks in a row that make a target healthy.
    pub healthy: u8,
    /// Failed checks in a row that make a target unhealthy.
    pub unhealthy: u8,
}

/// An Application Load Balancer (`aws-facts.md` 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Name, unique in account and region.
    pub name: String,
    /// Who can reach it at all.
    pub scheme: Scheme,
    /// The VPC of its subnets.
    pub vpc: VpcId,
    /// Address families.
    pub ip_address_type: IpAddressType,
    /// One subnet in each of two or more availability zones.
    pub subnets: BTreeSet<SubnetId>,
    /// Its security group.
    pub security_group: Ref,
    /// Attributes by AWS's keys; only wanted ones are compared.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
}

/// A listener of the load balancer (`aws-facts.md` 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The load balancer's ARN.
    pub load_balancer: Ref,
    /// The port that visitors connect to.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The security policy of an HTTPS listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_policy: Option<String>,
    /// The ARN of the default certificate of an HTTPS listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Ref>,
    /// What happens with a request that no rule takes.
    pub default_action: DefaultAction,
    /// The ARN of the target group that requests are forwarded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_group: Option<Ref>,
    /// Where requests are redirected to, as `STATUS PROTOCOL://HOST:PORT/PATH?QUERY` in AWS's placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<String>,
    /// What is answered by the load balancer itself, as `STATUS CONTENT-TYPE: BODY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_response: Option<String>,
    /// Attributes by AWS's keys; only wanted ones are compared (`aws-facts.md` 4.4).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
}

impl Listener {
    /// The redirect to HTTPS on `port`, in the form of `redirect_to`; AWS fills in the parts that are not sent with these
    /// placeholders (`aws-facts.md` 4.3).
    pub fn redirect_to_https(port: u16) -> String {
        format!("HTTP_301 HTTPS://#{{host}}:{port}/#{{path}}?#{{query}}")
    }
}

/// A certificate that a listener chooses by the visitor's server name, beside its default one (`aws-facts.md` 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerCertificate {
    /// The listener's ARN.
    pub listener: Ref,
    /// The certificate's ARN.
    pub certificate: Ref,
}

impl ListenerCertificate {
    /// What identifies one.
    pub fn id_of(listener: &str, certificate: &str) -> String {
        format!("{listener}#{certificate}")
    }
}

/// A rule of a listener: what happens with requests that meet all of its conditions (`aws-facts.md` 4.3, 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRule {
    /// The listener's ARN.
    pub listener: Ref,
    /// Rules are tried from the lowest number on; each number is there once.
    pub priority: u16,
    /// The values that match by the field that they are about: `host-header`, `path-pattern`, or `http-header NAME`.
    pub conditions: BTreeMap<String, BTreeSet<String>>,
    /// What happens.
    pub action: DefaultAction,
    /// The ARN of the target group that requests are forwarded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_group: Option<Ref>,
    /// Tags.
    pub tags: Tags,
}

impl ListenerRule {
    /// The field of conditions on the visitor's host name.
    pub const HOST: &str = "host-header";

    /// The field of conditions on a header of the request.
    pub fn header(name: &str) -> String {
        format!("http-header {}", name.to_ascii_lowercase())
    }
}

/// The web ACL of a load balancer, of which it has at most one (`aws-facts.md` 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebAclAssociation {
    /// The load balancer's ARN.
    pub load_balancer: Ref,
    /// The web ACL's ARN.
    pub web_acl: String,
}

/// What a listener or one of its rules does. `Other` stands for everything that people can set up and this tool does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultAction {
    /// Forwards to one target group.
    Forward,
    /// Forwards to several target groups.
    WeightedForward,
    /// Redirects.
    Redirect,
    /// Answers by itself.
    FixedResponse,
    /// Something else, for example an authentication before the last action.
    Other,
}

/// An instance in a target group, with its port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The target group's ARN.
    pub target_group: Ref,
    /// The instance.
    pub instance: InstanceId,
    /// The port that requests go to.
    pub port: u16,
}

impl Target {
    /// What identifies one.
    pub fn id_of(target_group: &str, instance: &InstanceId, port: u16) -> String {
        format!("{target_group}/{instance}:{port}")
    }
}

/// The address records at one name: changing any of them is one atomic batch (`aws-facts.md` 5.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The zone.
    pub zone: ZoneId,
    /// The name.
    pub name: DomainName,
    /// What stands there by type: A, AAAA and CNAME records only; other types are not touched.
    pub records: BTreeMap<RecordType, RecordData>,
}

/// The types of records that lead to addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Another name.
    Cname,
}

impl RecordType {
    /// The type as DNS writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
        }
    }
}

/// The content of one record set: either values with a TTL, or an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordData {
    /// Time to live in seconds; an alias has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// The values as Route 53 stores them, sorted: a deletion has to repeat them exactly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The target of an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<AliasTarget>,
}

/// The target of an alias record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasTarget {
    /// The DNS name in lower case, without trailing dot and without a `dualstack.` prefix (`aws-facts.md` 5.4).
    pub name: Ref,
    /// The hosted zone id of that name: the load balancer's, not ours.
    pub zone: Ref,
    /// Whether the health of the targets decides if the record is answered.
    pub evaluate_target_health: bool,
    /// The name as it is stored, where it differs from `name`: a deletion has to repeat it exactly.
    #[serde(default, skip_serializing)]
    pub stored_name: Option<String>,
}

/// The absence of world-open rules for the web ports in one group of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortClosure {
    /// The instance's group.
    pub group: SecurityGroupId,
    /// The rules that stand open, by rule id. Wanted: none.
    pub open: BTreeMap<String, Rule>,
    /// Descriptions of these rules by rule id, remembered for going back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<String, String>,
}
