//! What really is in AWS: plain data, as one run saw it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    config::StackName,
    resource::{Address, AliasTarget, Kind, Outputs, Ref, Rule, Spec, Tags},
    value::{AccountId, CertificateArn, DomainName, InstanceId, Region, SecurityGroupId, SubnetId, VpcId, ZoneId},
};

/// What to look at: everything that the configuration and the state name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The stack, whose tags mark what is ours.
    pub stack: StackName,
    /// What the names of the stack's target groups, load balancers and security groups begin with.
    pub name_prefix: String,
    /// The instances.
    pub instances: BTreeSet<InstanceId>,
    /// The sites' names.
    pub names: BTreeSet<DomainName>,
    /// Hosted zones given outright.
    pub zones: BTreeSet<ZoneId>,
    /// Certificates given outright.
    pub certificates: BTreeSet<CertificateArn>,
    /// Ids that the state knows, retired ones included: looked up even if their tags are gone.
    pub recorded: BTreeMap<Address, BTreeSet<String>>,
    /// Ids of objects that the stack takes over, or may be asked to.
    pub adopted: BTreeSet<String>,
    /// Which details are wanted that take calls of their own.
    pub details: Details,
}

/// Details that take calls of their own, or permissions that not everybody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is asked for by itself, and all combinations occur"
)]
pub struct Details {
    /// Attributes of target groups.
    pub target_group_attributes: bool,
    /// Attributes of listeners.
    pub listener_attributes: bool,
    /// Web ACLs of load balancers.
    pub web_acls: bool,
    /// Certificates with the stack's tags whatever their names: one was requested for names that may have left the
    /// configuration since, and its ARN is not recorded.
    pub begun_certificates: bool,
}

/// What one run saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Whose AWS it is.
    pub identity: Identity,
    /// The instances that exist among those asked for.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// All subnets of the instances' VPCs.
    pub subnets: Vec<Subnet>,
    /// The groups of the instances and those of the stack.
    pub security_groups: BTreeMap<SecurityGroupId, GroupFacts>,
    /// Every network interface that carries one of the instances' groups.
    pub interfaces: Vec<Interface>,
    /// All hosted zones whose name matches one of the sites' names, and those given outright.
    pub zones: Vec<HostedZone>,
    /// The record sets of the public zones among them.
    pub record_sets: Vec<RecordSet>,
    /// Names of the security policies for Application Load Balancers.
    pub tls_policies: BTreeSet<String>,
    /// Every object that may be one of the stack's: by recorded id, by tag, by name, or given outright.
    pub found: Vec<Actual>,
}

/// Whose AWS it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The partition: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
}

/// One object in AWS that has a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actual {
    /// Its ARN or id; for kinds without one, what identifies it.
    pub id: String,
    /// Its settings, in the shape of the wanted ones.
    pub spec: Spec,
    /// What it supplies to others.
    pub outputs: Outputs,
    /// How it is.
    pub status: Status,
    /// All of its tags.
    pub tags: Tags,
}

/// How an object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Status {
    /// It has no life of its own.
    Exists,
    /// A certificate, in ACM's words (`aws-facts.md` 1.3, 1.4).
    Certificate {
        /// `Status`, for example `PENDING_VALIDATION` or `ISSUED`.
        state: String,
        /// `FailureReason`, if it failed.
        failure_reason: Option<String>,
        /// `Type`, for example `AMAZON_ISSUED`.
        certificate_type: String,
        /// ARNs of the load balancers and others that use it.
        in_use_by: Vec<String>,
        /// Names whose validation has not succeeded.
        pending_names: Vec<DomainName>,
        /// How long it lives and whether it is renewed.
        #[serde(default)]
        life: Box<CertificateLife>,
    },
    /// A load balancer, in ELB's words.
    LoadBalancer {
        /// `State.Code`: `provisioning`, `active`, `active_impaired` or `failed`.
        state: String,
        /// `State.Reason`.
        reason: Option<String>,
    },
    /// A target, in ELB's words (`aws-facts.md` 2.4).
    Target {
        /// `TargetHealth.State`.
        state: String,
        /// `TargetHealth.Reason`.
        reason: Option<String>,
        /// `TargetHealth.Description`.
        description: Option<String>,
    },
}

/// How long a certificate lives and whether ACM renews it (`aws-facts.md` 1.5).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateLife {
    /// `NotBefore`; only an issued certificate has it.
    pub not_before: Option<Timestamp>,
    /// `NotAfter`, likewise.
    pub not_after: Option<Timestamp>,
    /// `Serial` in the form of [`normal_serial`], likewise.
    pub serial: Option<String>,
    /// `RenewalEligibility`: `ELIGIBLE` or `INELIGIBLE`.
    pub renewal_eligibility: Option<String>,
    /// `RenewalSummary`: the last renewal, once there was one.
    pub renewal: Option<Renewal>,
    /// `ValidationMethod` of each name.
    pub validation_methods: BTreeMap<DomainName, String>,
}

/// The last renewal of a certificate, in ACM's words (`aws-facts.md` 1.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// `RenewalStatus`: `PENDING_AUTO_RENEWAL`, `PENDING_VALIDATION`, `SUCCESS` or `FAILED`.
    pub status: String,
    /// `RenewalStatusReason`, if it failed.
    pub reason: Option<String>,
    /// `UpdatedAt`.
    pub updated_at: Option<Timestamp>,
    /// Names whose validation for the renewal has not succeeded, by their `ValidationStatus`.
    pub open_names: BTreeMap<DomainName, String>,
}

/// A certificate's serial number in lower-case hexadecimal digits without colons and leading zeros: ACM and X.509 tools
/// write the same number differently.
pub fn normal_serial(text: &str) -> String {
    let digits: String = text
        .chars()
        .filter(char::is_ascii_hexdigit)
        .map(|digit| digit.to_ascii_lowercase())
        .collect();
    digits.trim_start_matches('0').to_owned()
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `State.Name`: `running`, `stopped`, ...
    pub state: String,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its availability zone.
    pub availability_zone: String,
    /// Public IPv4 address of the primary interface.
    pub public_address: Option<Ipv4Addr>,
    /// Whether that address is an Elastic IP, which stays when the instance is stopped.
    pub elastic: bool,
    /// IPv6 addresses of the primary interface.
    pub ipv6_addresses: BTreeSet<Ipv6Addr>,
    /// Private address that the load balancer connects to.
    pub private_address: Option<Ipv4Addr>,
    /// The primary interface, the only one that instance targets are reached on (`aws-facts.md` 2.4).
    pub primary_interface: String,
    /// The groups of the primary interface.
    pub security_groups: BTreeSet<SecurityGroupId>,
}

impl Instance {
    /// The addresses by which the world may come to it: of IPv4 first.
    pub fn public_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let ipv6 = self.ipv6_addresses.iter().copied().map(IpAddr::V6);
        self.public_address.map(IpAddr::V4).into_iter().chain(ipv6)
    }
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its availability zone.
    pub availability_zone: String,
    /// Whether its route table, or the VPC's main one, leads to an internet gateway (`aws-facts.md` 3).
    pub public: bool,
    /// Addresses that are free.
    pub free_addresses: u32,
    /// Length of the IPv4 prefix.
    pub prefix_length: u8,
    /// Whether it has an IPv6 range.
    pub has_ipv6: bool,
    /// Whether VPC Block Public Access stands in the way.
    pub public_access_blocked: bool,
}

/// What is known of a security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFacts {
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: VpcId,
    /// The account that owns it: groups of a shared VPC can be another's.
    pub owner: AccountId,
    /// Ingress rules by id.
    pub ingress: BTreeMap<String, GroupRule>,
    /// Tags.
    pub tags: Tags,
}

/// One rule of a group with what is not part of its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRule {
    /// What may pass.
    pub rule: Rule,
    /// Description.
    pub description: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its id.
    pub id: String,
    /// Its groups.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// The instance it is attached to.
    pub instance: Option<InstanceId>,
    /// Its description.
    pub description: String,
}

/// A hosted zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedZone {
    /// Its id.
    pub id: ZoneId,
    /// Its name.
    pub name: DomainName,
    /// Whether it answers inside of VPCs only.
    pub private: bool,
    /// The service that manages it and forbids changes (`aws-facts.md` 5.1).
    pub linked_service: Option<String>,
}

/// A record set as Route 53 stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// The zone.
    pub zone: ZoneId,
    /// The name.
    pub name: DomainName,
    /// The type as DNS writes it.
    pub record_type: String,
    /// Time to live in seconds.
    pub ttl: Option<u32>,
    /// Values, sorted.
    pub values: Vec<String>,
    /// The target of an alias: name as stored (lower case, trailing dot), hosted zone id, evaluate target health.
    pub alias: Option<StoredAlias>,
    /// Set identifier of a weighted, latency, failover, geo or multivalue record.
    pub set_identifier: Option<String>,
    /// The traffic policy instance that made it.
    pub traffic_policy_instance: Option<String>,
}

/// The target of an alias as Route 53 stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAlias {
    /// The DNS name as stored.
    pub name: String,
    /// The hosted zone id of that name.
    pub zone: String,
    /// Whether the health of the target decides.
    pub evaluate_target_health: bool,
}

/// What the console and others put in front of a load balancer's name (`aws-facts.md` 5.4).
pub const DUALSTACK: &str = "dualstack.";

impl StoredAlias {
    /// The target in normal form, with the spelling that is stored where it differs.
    pub fn target(&self) -> AliasTarget {
        let name = Self::normal_name(&self.name);
        AliasTarget {
            stored_name: (self.name != name).then(|| self.name.clone()),
            name: Ref::Known(name),
            zone: Ref::Known(self.zone.clone()),
            evaluate_target_health: self.evaluate_target_health,
        }
    }

    /// A load balancer's DNS name in lower case, without trailing dot and without [`DUALSTACK`] (`aws-facts.md` 5.4).
    pub fn normal_name(name: &str) -> String {
        let lower = name.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        name.strip_prefix(DUALSTACK).unwrap_or(name).to_owned()
    }
}

impl Observed {
    /// The object of a kind with this id; a web ACL's association has the id of its load balancer.
    pub fn object(&self, kind: Kind, id: &str) -> Option<&Actual> {
        self.found
            .iter()
            .find(|actual| actual.id == id && actual.spec.kind() == kind)
    }

    /// The object with this id.
    pub fn by_id(&self, id: &str) -> Option<&Actual> {
        self.found.iter().find(|actual| actual.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_have_one_form() {
        assert_eq!(normal_serial("00:0A:b1"), "ab1");
        assert_eq!(normal_serial("0ab1"), "ab1");
    }

    #[test]
    fn a_certificate_that_was_saved_without_its_life_still_reads() {
        let saved = r#"{ "of": "certificate", "state": "ISSUED", "failure_reason": null,
            "certificate_type": "AMAZON_ISSUED", "in_use_by": [], "pending_names": [] }"#;
        let Ok(Status::Certificate { life, .. }) = serde_json::from_str(saved) else {
            panic!("it does not read")
        };
        assert_eq!(*life, CertificateLife::default());
    }
}
