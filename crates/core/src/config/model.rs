//! The configuration after reading and checking: complete, every default filled in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    defaults,
    state::{is_bucket, is_key},
};
use crate::observed::Identity;
use crate::resource::Address;
use crate::value::{
    AccountId, CanonicalCidr, CertificateArn, DomainName, InstanceId, Region, RoleArn, Seconds, SubnetId, ZoneId,
};

/// What a person asked for: one stack of one or more sites behind one load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the stack: prefix of AWS names and name of the state file.
    pub name: StackName,
    /// The account that the credentials have to be of, if that is demanded.
    pub account: Option<AccountId>,
    /// Region, if not left to the SDK's usual chain.
    pub region: Option<Region>,
    /// Profile of the AWS configuration files, if not left to the SDK's usual chain.
    pub profile: Option<String>,
    /// Whose hosted zones are used, if not those of the account that everything else is in.
    pub dns: Dns,
    /// Tags for everything that is created, beside those that mark ownership.
    pub tags: BTreeMap<String, String>,
    /// The sites, by name; at least one.
    pub sites: BTreeMap<SiteName, Site>,
    /// The load balancer that the sites share.
    pub load_balancer: LoadBalancerConfig,
    /// How the new path is proven before visitors move to it.
    pub prove: Prove,
    /// How the instances are closed to all but the load balancer.
    pub lockdown: Lockdown,
    /// Objects that others made and the stack takes over.
    pub adopt: BTreeSet<Adoption>,
    /// Where the state is kept.
    pub state: StateBackend,
}

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateBackend {
    /// In a file of the machine that runs.
    Local,
    /// In an object on S3, for all machines.
    S3(S3State),
}

/// An object on S3 that holds a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3State {
    /// The bucket.
    pub bucket: String,
    /// The object, if not the one that is called after the stack.
    pub key: Option<String>,
    /// The bucket's region, if not the stack's.
    pub region: Option<Region>,
    /// The KMS key that it is encrypted with, if not S3's own.
    pub kms_key: Option<String>,
    /// The account that the bucket has to be of, if that is checked.
    pub owner: Option<AccountId>,
}

impl S3State {
    /// The object that holds the state of a stack.
    pub fn key(&self, stack: &StackName) -> String {
        self.key
            .clone()
            .unwrap_or_else(|| format!("{}{stack}.json", defaults::STATE_PREFIX))
    }

    /// Reads `s3://BUCKET/KEY`; all else is as in `like`, if there is one. `None` if it is no such address.
    pub fn at(address: &str, like: Option<&Self>) -> Option<Self> {
        let (bucket, key) = address.strip_prefix("s3://")?.split_once('/')?;
        (is_bucket(bucket) && is_key(key)).then(|| Self {
            bucket: bucket.to_owned(),
            key: Some(key.to_owned()),
            region: like.and_then(|like| like.region.clone()),
            kms_key: like.and_then(|like| like.kms_key.clone()),
            owner: like.and_then(|like| like.owner.clone()),
        })
    }
}

/// The credentials are of another account than the configuration demands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the credentials are of account {found}, the configuration demands {demanded} (`account`)")]
pub struct OtherAccount {
    /// The account of the credentials.
    pub found: AccountId,
    /// That of the configuration.
    pub demanded: AccountId,
}

impl Config {
    /// Checks that the credentials are of the account that is demanded, if one is.
    ///
    /// # Errors
    /// If they are of another.
    pub fn check_account(&self, identity: &Identity) -> Result<(), OtherAccount> {
        match &self.account {
            Some(demanded) if *demanded != identity.account => Err(OtherAccount {
                found: identity.account.clone(),
                demanded: demanded.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// An object that others made and the stack takes over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Adoption {
    /// Which resource it becomes, where its id alone does not tell.
    pub address: Option<Address>,
    /// Its ARN or id; for records their name.
    pub id: String,
}

/// The way to Route 53, for hosted zones in another account. Without any of it, the way is that of all other calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// Profile of the AWS configuration files.
    pub profile: Option<String>,
    /// The role to take on, with the credentials of that profile or of all other calls.
    pub role: Option<DnsRole>,
}

/// A role to take on for Route 53.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRole {
    /// Its ARN.
    pub arn: RoleArn,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
}

/// The name of a stack: lower-case letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct StackName(pub(crate) String);

/// The name of a site, which is its key in the configuration: lower-case letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SiteName(pub(crate) String);

impl StackName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SiteName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StackName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::fmt::Display for SiteName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One web site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The site's name; first name of the certificate.
    pub domain: DomainName,
    /// More names on the same certificate, each with its own alias record.
    pub aliases: BTreeSet<DomainName>,
    /// The instances that serve it; at least one.
    pub instances: BTreeSet<InstanceId>,
    /// The hosted zone, if not the public one with the longest matching name.
    pub zone: Option<ZoneId>,
    /// Port on the load balancer.
    pub listen_port: u16,
    /// Port on the instances.
    pub backend_port: u16,
    /// What the load balancer speaks to the instances.
    pub backend_protocol: Protocol,
    /// The health check.
    pub health: Health,
    /// Where the certificate comes from.
    pub certificate: CertificateSource,
    /// How long requests that are under way may take when a target leaves, if not left to AWS (`aws-facts.md` 2.5).
    pub deregistration_delay: Option<Seconds>,
    /// How long a visitor stays with one instance, by a cookie; 0 for no cookie, `None` is left as it is.
    pub stickiness: Option<Seconds>,
    /// How long a new target's share of the requests grows; `None` is left as it is.
    pub slow_start: Option<Seconds>,
}

impl Site {
    /// All names of the site, the domain first.
    pub fn names(&self) -> impl Iterator<Item = &DomainName> {
        std::iter::once(&self.domain).chain(&self.aliases)
    }
}

/// Where a site's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Requested from ACM and looked after.
    Requested {
        /// Algorithm of the key.
        key_algorithm: KeyAlgorithm,
    },
    /// One that exists and is only used.
    Existing(CertificateArn),
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// The key algorithms that ACM issues public certificates for (`aws-facts.md` 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// RSA with 2048 bits, AWS's default.
    #[serde(rename = "RSA_2048")]
    Rsa2048,
    /// ECDSA on P-256.
    #[serde(rename = "EC_prime256v1")]
    EcPrime256v1,
    /// ECDSA on P-384.
    #[serde(rename = "EC_secp384r1")]
    EcSecp384r1,
}

/// The health check of a site's target group (`aws-facts.md` 2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Protocol; the backend's unless set.
    pub protocol: Protocol,
    /// Port; the backend's unless set.
    pub port: Option<u16>,
    /// Path that answers with one of `codes`.
    pub path: String,
    /// Codes that mean healthy: a list and ranges within 200 to 499.
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

/// The load balancer as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerConfig {
    /// Reachable from the internet or from the VPC only.
    pub scheme: Scheme,
    /// Address families.
    pub ip_address_type: IpAddressType,
    /// Subnets; chosen among the VPC's public ones unless set.
    pub subnets: Option<BTreeSet<SubnetId>>,
    /// Security policy of the HTTPS listener.
    pub tls_policy: String,
    /// What happens on port 80.
    pub http: HttpMode,
    /// Who may connect.
    pub allow_from: BTreeSet<CanonicalCidr>,
    /// Load balancer attributes that were set; all others are left alone (`aws-facts.md` 3).
    pub attributes: LoadBalancerAttributes,
    /// The header that tells browsers to come by HTTPS only, `max-age=...`; `None` is left as it is (`aws-facts.md` 4.4).
    pub hsts: Option<String>,
    /// Attributes of the HTTPS listeners by AWS's keys.
    pub listener_attributes: BTreeMap<String, String>,
    /// ARN of the regional web ACL; `None` is left as it is (`aws-facts.md` 9).
    pub web_acl: Option<String>,
}

/// Attributes of the load balancer that people set; `None` is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadBalancerAttributes {
    /// `idle_timeout`: 1 s to 4000 s.
    pub idle_timeout: Option<Seconds>,
    /// `deletion_protection`.
    pub deletion_protection: Option<bool>,
    /// `drop_invalid_headers`.
    pub drop_invalid_headers: Option<bool>,
    /// `access_logs`.
    pub access_logs: Option<AccessLogs>,
    /// Any others by AWS's keys.
    pub others: BTreeMap<String, String>,
}

/// Where access logs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogs {
    /// The bucket, in the load balancer's region and with the delivery policy (`aws-facts.md` 3).
    pub bucket: String,
    /// Prefix of the objects.
    pub prefix: Option<String>,
}

/// Who can reach the load balancer at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// The internet.
    InternetFacing,
    /// The VPC and what is connected to it.
    Internal,
}

/// Address families of the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpAddressType {
    /// IPv4.
    Ipv4,
    /// IPv4 and IPv6.
    Dualstack,
}

/// What happens on port 80 of the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMode {
    /// Nothing listens.
    Closed,
    /// Requests are redirected to HTTPS.
    Redirect,
}

/// How the new path is proven before visitors move to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prove {
    /// Whether a request through the load balancer has to succeed.
    pub request: RequestProof,
    /// How long each wait may take.
    pub deadlines: Deadlines,
}

/// What a failed request through the load balancer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestProof {
    /// Visitors are not moved.
    Require,
    /// Visitors are moved, with a warning.
    Warn,
    /// No request is made: the runner cannot reach the load balancer.
    Off,
}

/// How long each wait of a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For the certificate to be issued.
    pub certificate: Seconds,
    /// For the load balancer to become active.
    pub load_balancer: Seconds,
    /// For the targets to become healthy.
    pub target: Seconds,
    /// For the site to answer through the load balancer.
    pub request: Seconds,
    /// For a DNS change to reach all of Route 53's servers.
    pub dns: Seconds,
    /// For AWS to let go of what is deleted.
    pub release: Seconds,
}

/// How the instances are closed to all but the load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockdown {
    /// Whether they are closed at all.
    pub enabled: bool,
    /// Time to wait after the old TTL has passed; unless set, the TTL once more and at least ten minutes
    /// (`aws-facts.md` 8.1 step 7).
    pub drain_margin: Option<Seconds>,
    /// How long one run stays for the end of the drain.
    pub wait: Seconds,
}
