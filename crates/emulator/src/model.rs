//! The emulated world as the control interface tells it: all that the data plane needs to behave like it.
//!
//! Missing lists are empty and unknown fields are ignored, so that the two sides can grow apart a little.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

/// Everything at one version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct World {
    /// Grows with every change.
    pub version: u64,
    /// Hosted zones with their records.
    pub zones: Vec<Zone>,
    /// Load balancers with listeners and rules.
    pub load_balancers: Vec<LoadBalancer>,
    /// Target groups with targets and their health.
    pub target_groups: Vec<TargetGroup>,
    /// Certificates of ACM.
    pub certificates: Vec<Certificate>,
    /// Instances of EC2.
    pub instances: Vec<Instance>,
    /// Security groups with their rules.
    pub security_groups: Vec<SecurityGroup>,
}

/// A hosted zone.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// `Z...`.
    pub id: String,
    /// With a trailing dot.
    pub name: String,
    /// Whether only VPCs see it.
    pub private: bool,
    /// The delegation set.
    pub name_servers: Vec<String>,
    /// All record sets.
    pub records: Vec<RecordSet>,
}

/// A record set, plain or alias.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RecordSet {
    /// With a trailing dot.
    pub name: String,
    /// `A`, `CNAME`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds; none for an alias.
    pub ttl: Option<u32>,
    /// In the notation of zone files; none for an alias.
    pub values: Vec<String>,
    /// What an alias points at.
    pub alias: Option<AliasTarget>,
    /// Set for weighted and similar records.
    pub set_identifier: Option<String>,
}

/// What an alias record points at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AliasTarget {
    /// The target's DNS name.
    pub name: String,
    /// The hosted zone of the target.
    pub zone_id: String,
}

/// An Application Load Balancer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its DNS name under `elb.amazonaws.com`.
    pub dns_name: String,
    /// `provisioning`, `active`, ...
    pub state: String,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    /// Ids of its security groups.
    pub security_groups: Vec<String>,
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// Its attributes, for example `idle_timeout.timeout_seconds`.
    pub attributes: HashMap<String, String>,
}

/// A listener of a load balancer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// The port it listens on.
    pub port: u16,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// The TLS policy of an HTTPS listener.
    pub ssl_policy: Option<String>,
    /// ARNs of certificates, the default first.
    pub certificates: Vec<String>,
    /// What it does when no rule matches.
    pub default_actions: Vec<Action>,
    /// Further rules.
    pub rules: Vec<Rule>,
}

/// A rule of a listener.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// The lowest number is looked at first.
    pub priority: u32,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// What to do then.
    pub actions: Vec<Action>,
}

/// A condition of a rule: one of the values must match.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `host-header`, `path-pattern`, ...
    pub field: String,
    /// Patterns with `*` and `?`.
    pub values: Vec<String>,
}

/// What a listener does with a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// Hands it to a target group.
    Forward {
        /// One or several, chosen by weight.
        #[serde(default)]
        target_groups: Vec<WeightedGroup>,
    },
    /// Sends the visitor elsewhere. Parts may hold `#{host}` and the like.
    Redirect {
        /// `HTTPS`, or `#{protocol}`.
        protocol: Option<String>,
        /// `443`, or `#{port}`.
        port: Option<String>,
        /// The host, or `#{host}`.
        host: Option<String>,
        /// The path, or `/#{path}`.
        path: Option<String>,
        /// The query, or `#{query}`.
        query: Option<String>,
        /// `HTTP_301` or `HTTP_302`.
        status: String,
    },
    /// Answers by itself.
    FixedResponse {
        /// The status code.
        status: String,
        /// The body's type.
        content_type: Option<String>,
        /// The body.
        body: Option<String>,
    },
    /// Anything that the data plane does not know.
    #[serde(other)]
    Unknown,
}

/// A target group and its share of the requests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WeightedGroup {
    /// The group's ARN.
    pub arn: String,
    /// Relative to the others; `None` counts as 1.
    pub weight: Option<u32>,
}

/// A target group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// The default port of its targets.
    pub port: u16,
    /// Registered targets.
    pub targets: Vec<Target>,
}

/// A registered target.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    /// An instance id.
    pub id: String,
    /// The port it is registered with.
    pub port: u16,
    /// `initial`, `healthy`, `unhealthy`, `unused` or `draining`.
    pub state: String,
    /// AWS's reason code.
    pub reason: Option<String>,
}

/// A certificate of ACM.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// Its ARN.
    pub arn: String,
    /// `PENDING_VALIDATION`, `ISSUED`, `FAILED`, ...
    pub status: String,
    /// The main name.
    pub domain: String,
    /// All names.
    pub names: Vec<String>,
    /// `RSA_2048`, `EC_prime256v1`, ...
    pub key_algorithm: String,
    /// The serial number as ACM describes it: hexadecimal digits, with colons between the bytes.
    pub serial: String,
}

/// An instance of EC2.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// `i-...`.
    pub id: String,
    /// `running`, `stopped`, ...
    pub state: String,
    /// Its public IPv4 address.
    pub public_address: Option<Ipv4Addr>,
    /// Its address in the VPC.
    pub private_address: Option<Ipv4Addr>,
    /// Ids of its security groups.
    pub security_groups: Vec<String>,
}

/// A security group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SecurityGroup {
    /// `sg-...`.
    pub id: String,
    /// What may come in.
    pub ingress: Vec<Permission>,
    /// What may go out.
    pub egress: Vec<Permission>,
}

/// One rule of a security group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Permission {
    /// `tcp`, `-1`, ...
    pub protocol: String,
    /// The first port; none for all.
    pub from: Option<i32>,
    /// The last port; none for all.
    pub to: Option<i32>,
    /// From or to these addresses.
    pub cidr: Option<String>,
    /// From or to members of this group.
    pub source_group: Option<String>,
}

impl World {
    /// The certificate with an ARN.
    pub fn certificate(&self, arn: &str) -> Option<&Certificate> {
        self.certificates.iter().find(|it| it.arn == arn)
    }

    /// The instance with an id.
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.iter().find(|it| it.id == id)
    }

    /// The load balancer with an ARN.
    pub fn load_balancer(&self, arn: &str) -> Option<&LoadBalancer> {
        self.load_balancers.iter().find(|it| it.arn == arn)
    }

    /// The target group with an ARN.
    pub fn target_group(&self, arn: &str) -> Option<&TargetGroup> {
        self.target_groups.iter().find(|it| it.arn == arn)
    }

    /// The security groups with these ids.
    pub fn security_groups_of<'a>(&'a self, ids: &'a [String]) -> impl Iterator<Item = &'a SecurityGroup> {
        self.security_groups.iter().filter(|group| ids.contains(&group.id))
    }
}

impl LoadBalancer {
    /// The listener on a port.
    pub fn listener(&self, port: u16) -> Option<&Listener> {
        self.listeners.iter().find(|it| it.port == port)
    }
}
