//! Whatever happens between the program and AWS, a first apply gets through or says what is in the way, and the next run
//! carries on: nothing is made twice, nothing is lost.

mod answers;
mod credentials;
mod load;

use std::collections::{BTreeMap, BTreeSet};

use reconcile_emulator::{Emulator, Fault, FaultKind, LoggedRequest, Scene};
use serde_json::Value;

use crate::support::{Desk, Run, inventory, no_changes, records};

/// Every action of a first apply that changes something.
const MUTATING: [(&str, &str); 11] = [
    ("acm", "RequestCertificate"),
    ("ec2", "CreateSecurityGroup"),
    ("ec2", "AuthorizeSecurityGroupIngress"),
    ("ec2", "RevokeSecurityGroupIngress"),
    ("ec2", "AuthorizeSecurityGroupEgress"),
    ("ec2", "RevokeSecurityGroupEgress"),
    ("elbv2", "CreateTargetGroup"),
    ("elbv2", "RegisterTargets"),
    ("elbv2", "CreateLoadBalancer"),
    ("elbv2", "CreateListener"),
    ("route53", "ChangeResourceRecordSets"),
];

/// What a portal in a hotel answers in AWS's place.
const PORTAL: &str = "<!DOCTYPE html><html><head><title>Hotel WiFi</title></head><body>Log in first</body></html>";

async fn inject(emulator: &Emulator, faults: impl IntoIterator<Item = Fault>) {
    for fault in faults {
        emulator.control().inject(&fault).await.unwrap();
    }
}

async fn clear_faults(emulator: &Emulator) {
    emulator.control().clear_faults().await.unwrap();
}

async fn requests(emulator: &Emulator) -> Vec<LoggedRequest> {
    emulator.control().requests().await.unwrap()
}

/// The actions of these requests, each once, as `service Action`, in the order of their first appearance.
fn actions(requests: &[LoggedRequest]) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    requests
        .iter()
        .map(|request| (request.service.clone(), request.action.clone()))
        .filter(|action| seen.insert(action.clone()))
        .collect()
}

/// The error codes that each service answered with.
fn codes(requests: &[LoggedRequest]) -> BTreeMap<String, BTreeSet<String>> {
    let mut codes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in requests {
        if let Some(code) = &request.error {
            codes.entry(request.service.clone()).or_default().insert(code.clone());
        }
    }
    codes
}

/// Asserts that the whole stack is there, each part once, that visitors are led to it, that the state lists just what
/// exists, and that nothing is left to do.
async fn assert_whole(scene: &Scene, desk: &Desk) {
    let seen = inventory(&scene.emulator, &scene.world).await;
    for what in ["balancers", "groups", "certificates", "listeners", "targets"] {
        assert_eq!(seen[what].as_array().unwrap().len(), 1, "{what}: {:#}", seen[what]);
    }
    assert_eq!(seen["certificates"][0]["Status"], "ISSUED");
    let domain = &scene.world.domain;
    assert!(
        records(&seen, domain, "A")[0]["AliasTarget"].is_object(),
        "{:#}",
        seen["records"]
    );
    // The alias, and the record that validates the certificate.
    let ours = seen["records"].as_array().unwrap().iter();
    let ours = ours.filter(|record| record["Name"].as_str().unwrap().ends_with(&format!("{domain}.")));
    assert_eq!(ours.count(), 2, "{:#}", seen["records"]);
    let rules: Vec<&str> = seen["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let distinct: BTreeSet<&&str> = rules.iter().collect();
    assert_eq!(distinct.len(), rules.len(), "{rules:#?}");
    assert!(
        !rules.contains(&"web in tcp 443..443 0.0.0.0/0"),
        "the back door is closed: {rules:#?}"
    );
    let groups: BTreeSet<&str> = rules.iter().filter_map(|rule| rule.split(' ').next()).collect();
    assert_eq!(
        groups.len(),
        3,
        "the default group, the instance's and the load balancer's: {groups:?}"
    );

    let state = desk.state();
    let is_empty = |part: &Value| match part {
        Value::Object(entries) => entries.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        _ => true,
    };
    assert!(is_empty(&state["retired"]), "{:#}", state["retired"]);
    let ids: Vec<&str> = state["resources"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|entry| entry["id"].as_str())
        .collect();
    for (list, field) in [
        ("balancers", "LoadBalancerArn"),
        ("groups", "TargetGroupArn"),
        ("listeners", "ListenerArn"),
        ("certificates", "CertificateArn"),
    ] {
        let id = seen[list][0][field].as_str().unwrap();
        assert!(ids.contains(&id), "the state does not know {id}: {ids:#?}");
    }
    no_changes(desk).await;
}

/// Asserts that a run that failed on a step says what is done and what is left.
#[track_caller]
fn tells_what_is_left(run: &Run) {
    for part in ["Done: ", "Not done: ", "The next run carries on from here."] {
        assert!(
            run.stdout.contains(part),
            "expected `{part}` in:\n{}\n{}",
            run.stdout,
            run.stderr
        );
    }
}

fn on(service: &str, action: &str, kind: FaultKind) -> Fault {
    Fault::new(service, action, kind)
}
