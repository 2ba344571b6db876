//! What security groups let through.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::model::{Instance, LoadBalancer, Permission, World};

/// Where all visitors come from: on loopback nothing tells them apart, so rules for `0.0.0.0/0` and for networks that
/// hold this address admit them, and rules for any other network do not.
pub(crate) const VISITOR: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The other side of a connection, as rules can name it.
#[derive(Debug, Clone, Copy)]
struct Peer<'a> {
    address: Option<Ipv4Addr>,
    groups: &'a [String],
}

/// Tells whether a visitor may connect to a port behind these groups.
pub(crate) fn admits_visitor(world: &World, groups: &[String], port: u16) -> bool {
    let visitor = Peer {
        address: Some(VISITOR),
        groups: &[],
    };
    world
        .security_groups_of(groups)
        .flat_map(|group| &group.ingress)
        .any(|rule| covers(rule, port, visitor))
}

/// Tells whether a load balancer may connect to a port of an instance: its own groups must let it out and the
/// instance's must let it in (aws-facts 3: a group without egress gives `Target.Timeout`).
pub(crate) fn admits_load_balancer(world: &World, balancer: &LoadBalancer, instance: &Instance, port: u16) -> bool {
    // The balancer's own private addresses are not part of the world. They lie in the instance's VPC, so its address
    // stands for them: a rule for the VPC's network admits both.
    let from = Peer {
        address: instance.private_address,
        groups: &balancer.security_groups,
    };
    let to = Peer {
        address: instance.private_address,
        groups: &instance.security_groups,
    };
    let let_out = world
        .security_groups_of(&balancer.security_groups)
        .flat_map(|group| &group.egress)
        .any(|rule| covers(rule, port, to));
    let let_in = world
        .security_groups_of(&instance.security_groups)
        .flat_map(|group| &group.ingress)
        .any(|rule| covers(rule, port, from));
    let_out && let_in
}

fn covers(rule: &Permission, port: u16, peer: Peer<'_>) -> bool {
    let port = i32::from(port);
    let port_matches = match rule.protocol.as_str() {
        "-1" => true,
        "tcp" | "6" => rule.from.is_none_or(|from| from <= port) && rule.to.is_none_or(|to| port <= to),
        _ => false,
    };
    let by_address = rule
        .cidr
        .as_deref()
        .and_then(|cidr| cidr.parse::<Ipv4Net>().ok())
        .is_some_and(|network| network.prefix_len() == 0 || peer.address.is_some_and(|it| network.contains(&it)));
    let by_group = rule
        .source_group
        .as_ref()
        .is_some_and(|group| peer.groups.contains(group));
    port_matches && (by_address || by_group)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn world(instance_rules: &Value, egress: &Value) -> World {
        serde_json::from_value(json!({
            "instances": [{ "id": "i-1", "state": "running", "private_address": "10.0.0.5",
                            "security_groups": ["sg-i"] }],
            "load_balancers": [{ "arn": "lb", "security_groups": ["sg-lb"] }],
            "security_groups": [
                { "id": "sg-i", "ingress": instance_rules, "egress": [] },
                { "id": "sg-lb", "ingress": [], "egress": egress },
            ],
        }))
        .unwrap()
    }

    fn rule(protocol: &str, port: Option<(u16, u16)>, cidr: Option<&str>, group: &str) -> Value {
        let (from, to) = port.unzip();
        let group = (!group.is_empty()).then_some(group);
        json!({ "protocol": protocol, "from": from, "to": to, "cidr": cidr, "source_group": group })
    }

    #[test]
    fn a_visitor_is_admitted_by_port_and_network() {
        let cases = [
            (rule("tcp", Some((443, 443)), Some("0.0.0.0/0"), ""), true),
            (rule("tcp", Some((400, 500)), Some("0.0.0.0/0"), ""), true),
            (rule("-1", None, Some("0.0.0.0/0"), ""), true),
            (rule("tcp", Some((443, 443)), Some("127.0.0.0/8"), ""), true),
            (rule("tcp", Some((443, 443)), Some("203.0.113.0/24"), ""), false),
            (rule("tcp", Some((443, 443)), Some("::/0"), ""), false),
            (rule("tcp", Some((80, 80)), Some("0.0.0.0/0"), ""), false),
            (rule("udp", Some((443, 443)), Some("0.0.0.0/0"), ""), false),
            (rule("tcp", Some((443, 443)), None, "sg-lb"), false),
        ];
        for (rule, admitted) in cases {
            let world = world(&json!([rule]), &json!([]));
            let groups = ["sg-i".to_owned()];
            assert_eq!(admits_visitor(&world, &groups, 443), admitted, "{rule}");
        }
    }

    #[test]
    fn a_load_balancer_needs_both_ends() {
        let by_group = rule("tcp", Some((443, 443)), None, "sg-lb");
        let to_instance = rule("tcp", Some((443, 443)), None, "sg-i");
        let to_all = rule("-1", None, Some("0.0.0.0/0"), "");
        let to_vpc = rule("tcp", Some((443, 443)), Some("10.0.0.0/16"), "");
        let to_other = rule("tcp", Some((443, 443)), Some("10.9.0.0/16"), "");
        let cases = [
            (json!([by_group]), json!([to_instance]), true),
            (json!([by_group]), json!([to_all]), true),
            (json!([to_vpc]), json!([to_vpc]), true),
            (json!([by_group]), json!([]), false),
            (json!([by_group]), json!([to_other]), false),
            (json!([]), json!([to_all]), false),
        ];
        for (ingress, egress, admitted) in cases {
            let world = world(&ingress, &egress);
            let (balancer, instance) = (&world.load_balancers[0], &world.instances[0]);
            assert_eq!(
                admits_load_balancer(&world, balancer, instance, 443),
                admitted,
                "{ingress} {egress}"
            );
        }
    }
}
