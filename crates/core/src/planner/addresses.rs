//! Where the resources of a stack sit.

use crate::{
    config::SiteName,
    resource::{Address, Kind},
    value::{DomainName, InstanceId, SecurityGroupId},
};

/// The address of the load balancer.
pub(crate) fn load_balancer_address() -> Address {
    Address::new(Kind::LoadBalancer, "main")
}

/// The address of the load balancer's security group.
pub(super) fn security_group_address() -> Address {
    Address::new(Kind::SecurityGroup, "load_balancer")
}

/// The address of the certificate of a site.
pub(crate) fn certificate_address(site: &SiteName) -> Address {
    Address::new(Kind::Certificate, site.as_str())
}

/// The address of the target group of a site.
pub(super) fn target_group_address(site: &SiteName) -> Address {
    Address::new(Kind::TargetGroup, site.as_str())
}

/// The address of an instance in the target group of a site.
pub(super) fn target_address(site: &SiteName, instance: &InstanceId) -> Address {
    Address::new(Kind::Target, format!("{site}.{instance}"))
}

/// The address of the records at a name.
pub(crate) fn record_address(name: &DomainName) -> Address {
    Address::new(Kind::AliasRecord, name.as_str())
}

/// The address of the listener on a port.
pub(super) fn listener_address(port: u16) -> Address {
    Address::new(Kind::Listener, port.to_string())
}

/// The address of the closure of a group.
pub(super) fn closure_address(group: &SecurityGroupId) -> Address {
    Address::new(Kind::PortClosure, group.as_str())
}

/// The address of the certificate of a site beside the default one of the listener on a port.
pub(super) fn listener_certificate_address(port: u16, site: &SiteName) -> Address {
    Address::new(Kind::ListenerCertificate, format!("{port}.{site}"))
}

/// The address of the rule of a site on a port; a site with many names has several, counted from 0.
pub(super) fn listener_rule_address(port: u16, site: &SiteName, index: usize) -> Address {
    let key = if index == 0 {
        format!("{port}.{site}")
    } else {
        format!("{port}.{site}.{}", index + 1)
    };
    Address::new(Kind::ListenerRule, key)
}

/// The address of the rule that leads requests for the proof to a target group before visitors come there.
pub(super) fn proof_rule_address(port: u16, site: &SiteName) -> Address {
    Address::new(Kind::ListenerRule, format!("{port}.{site}.proof"))
}

/// The address of the load balancer's web ACL.
pub(super) fn web_acl_address() -> Address {
    Address::new(Kind::WebAclAssociation, "main")
}
