//! What a careful engineer would refuse.

use super::{
    super::{Refused, plan},
    world::{CONFIG, config, now, record, seed, state, subnet},
};
use crate::{
    observed::{HostedZone, Interface, Observed, StoredAlias},
    plan::Severity,
};

fn refused(text: &str, change: impl FnOnce(&mut Observed)) -> Refused {
    let config = config(text);
    let mut observed = seed();
    change(&mut observed);
    plan(&config, &observed, &state(&config), now()).expect_err("a refusal")
}

fn assert_refused(reason: &str, change: impl FnOnce(&mut Observed)) {
    let refused = refused(CONFIG, change).to_string();
    assert!(refused.contains(reason), "expected `{reason}` in: {refused}");
}

#[test]
fn what_could_take_a_site_down_is_refused_with_the_reason() {
    assert_refused("there is no instance `i-0a`", |observed| observed.instances.clear());
    assert_refused("is stopped, not running", |observed| {
        observed
            .instances
            .values_mut()
            .for_each(|instance| "stopped".clone_into(&mut instance.state));
    });
    assert_refused("usable ones in: ap-northeast-1a", |observed| {
        observed.subnets.retain(|subnet| subnet.id.as_str() != "subnet-c");
    });
    assert_refused("no usable public subnets in ap-northeast-1a", |observed| {
        observed.subnets[0].public = false;
        observed.subnets.push(subnet("subnet-e", "ap-northeast-1e", true));
    });
    assert_refused(
        "no public hosted zone of this account can hold `www.example.com`",
        |observed| {
            observed.zones[0].private = true;
        },
    );
    assert_refused(
        "several public hosted zones are named `example.com`: Z1, Z2",
        |observed| {
            observed.zones.push(HostedZone {
                id: "Z2".parse().unwrap(),
                ..observed.zones[0].clone()
            });
        },
    );
    assert_refused("forbids Amazon", |observed| {
        observed
            .record_sets
            .push(record("example.com", "CAA", 300, &["0 issue \"letsencrypt.org\""]));
    });
    assert_refused("no security policy", |observed| observed.tls_policies.clear());
}

#[test]
fn records_that_lead_elsewhere_are_refused() {
    assert_refused(
        "leads elsewhere than to the site's instances: 198.51.100.7",
        |observed| {
            observed.record_sets = vec![record("www.example.com", "A", 300, &["198.51.100.7"])];
        },
    );
    assert_refused("leads elsewhere", |observed| {
        observed.record_sets = vec![record("www.example.com", "A", 300, &["203.0.113.10", "198.51.100.7"])];
    });
    assert_refused("alias to d111.cloudfront.net", |observed| {
        observed.record_sets[0].values.clear();
        observed.record_sets[0].alias = Some(StoredAlias {
            name: "d111.cloudfront.net.".to_owned(),
            zone: "Z2FDTNDATAQYW2".to_owned(),
            evaluate_target_health: false,
        });
    });
    assert_refused("routing policy (set identifier `blue`)", |observed| {
        observed.record_sets[0].set_identifier = Some("blue".to_owned());
    });
    assert_refused("traffic policy", |observed| {
        observed.record_sets[0].traffic_policy_instance = Some("tpi".to_owned());
    });
    assert_refused("the AAAA record", |observed| {
        observed
            .record_sets
            .push(record("www.example.com", "AAAA", 300, &["2001:db8::1"]));
    });
    assert_refused("the CNAME record", |observed| {
        observed.record_sets = vec![record("www.example.com", "CNAME", 300, &["shop.example.net"])];
    });
}

#[test]
fn a_cname_that_leads_to_the_instance_is_taken_over() {
    for target in [
        "ec2-203-0-113-10.ap-northeast-1.compute.amazonaws.com",
        "host.example.com",
    ] {
        let config = config(CONFIG);
        let mut observed = seed();
        observed.record_sets = vec![
            record("www.example.com", "CNAME", 60, &[target]),
            record("host.example.com", "A", 60, &["203.0.113.10"]),
        ];
        assert!(plan(&config, &observed, &state(&config), now()).is_ok(), "{target}");
    }
}

#[test]
fn shared_groups_and_wider_rules_are_reported_and_left_alone() {
    let config = config(CONFIG);
    let mut observed = seed();
    observed.interfaces.push(Interface {
        id: "eni-other".to_owned(),
        security_groups: observed.interfaces[0].security_groups.clone(),
        instance: Some("i-0b".parse().unwrap()),
        description: String::new(),
    });
    let made = plan(&config, &observed, &state(&config), now()).unwrap();
    assert!(
        made.steps
            .iter()
            .all(|step| step.address.kind() != crate::resource::Kind::PortClosure)
    );
    let warning = made.findings.iter().find(|finding| finding.subject == "sg-a").unwrap();
    assert!(warning.message.contains("eni-other of i-0b"), "{}", warning.message);
    // A list that lacks the instance's own interface is not the whole one.
    observed.interfaces.clear();
    let made = plan(&config, &observed, &state(&config), now()).unwrap();
    let closes = |step: &crate::plan::Step| step.address.kind() == crate::resource::Kind::PortClosure;
    assert!(!made.steps.iter().any(closes));

    let mut observed = seed();
    let rules = &mut observed.security_groups.values_mut().next().unwrap().ingress;
    rules.insert("sgr-all".to_owned(), super::world::rule("all 0.0.0.0/0"));
    let made = plan(&config, &observed, &state(&config), now()).unwrap();
    let closure = made
        .steps
        .iter()
        .find(|step| step.address.kind() == crate::resource::Kind::PortClosure)
        .unwrap();
    assert!(!format!("{:?}", closure.changes).contains("sgr-all"));
    assert!(
        made.findings
            .iter()
            .any(|finding| finding.message.contains("`sgr-all` (all 0.0.0.0/0)"))
    );
}

#[test]
fn names_that_would_lose_their_way_are_reported() {
    let config = config(CONFIG);
    let mut observed = seed();
    observed.record_sets.extend([
        record("example.com", "MX", 300, &["10 www.example.com."]),
        record("alias.example.com", "CNAME", 300, &["www.example.com."]),
        record("shop.example.com", "A", 300, &["203.0.113.10"]),
        record("www.example.com", "HTTPS", 300, &["1 . ipv4hint=203.0.113.10"]),
    ]);
    let made = plan(&config, &observed, &state(&config), now()).unwrap();
    let subjects: Vec<&str> = made
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning)
        .map(|finding| finding.subject.as_str())
        .collect();
    assert_eq!(
        subjects,
        [
            "alias.example.com CNAME",
            "example.com MX",
            "load_balancer.http",
            "shop.example.com A",
            "www.example.com HTTPS"
        ]
    );
}
