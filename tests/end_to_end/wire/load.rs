//! AWS asks to slow down, or does not answer as it should.

use std::collections::BTreeMap;

use reconcile_emulator::{FaultKind, LoggedRequest};
use serde_json::json;

use super::{assert_whole, clear_faults, codes, inject, on, requests, tells_what_is_left};
use crate::support::{NO_DRAIN, scene};

/// Asserts that Route 53 was not asked more often than the account may ask, by when the requests arrived.
///
/// Five leave in one second at most. Where the machine is busy, five that were held up on their way may meet the next five,
/// but over a longer time nothing is gained by that.
fn assert_paced(requests: &[LoggedRequest]) {
    let times: Vec<f64> = requests
        .iter()
        .filter(|request| request.service == "route53")
        .map(|request| request.time)
        .collect();
    for (first, time) in times.iter().enumerate() {
        let within = |span: f64| times[first..].iter().filter(|other| **other - time < span).count();
        assert!(within(1.0) <= 10, "{times:?}");
        assert!(within(3.0) <= 20, "{times:?}");
    }
}

/// How often each action was carried out.
fn carried_out(requests: &[LoggedRequest]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in requests
        .iter()
        .filter(|request| request.mutating && request.status == Some(200))
    {
        *counts.entry(request.action.clone()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn half_of_all_requests_throttled_a_first_apply_completes_and_says_so() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    scene.emulator.control().clear_requests().await.unwrap();
    let pending = on("route53", "ChangeResourceRecordSets", FaultKind::Throttle);
    let pending = pending.code(
        "PriorRequestNotComplete",
        "The request was rejected because of a prior one.",
    );
    inject(
        &scene.emulator,
        [pending.times(1), on("*", "*", FaultKind::Throttle).probability(0.5)],
    )
    .await;
    let run = desk.run(&["--yes", "--verbose"]).await.expect(0);
    let log = requests(&scene.emulator).await;
    let codes = codes(&log);
    for (service, code) in [
        ("acm", "ThrottlingException"),
        ("ec2", "RequestLimitExceeded"),
        ("elbv2", "Throttling"),
        ("route53", "PriorRequestNotComplete"),
    ] {
        assert!(codes[service].contains(code), "{service}: {codes:?}");
    }
    assert_paced(&log);
    let counts = carried_out(&log);
    for action in [
        "RequestCertificate",
        "CreateLoadBalancer",
        "CreateTargetGroup",
        "CreateSecurityGroup",
    ] {
        assert_eq!(counts[action], 1, "{counts:?}");
    }
    // A user is told, in a line and not in a flood; who wants to know more sees call, attempt and code.
    let told = run
        .stderr
        .matches("EC2 asks to slow down (RequestLimitExceeded)")
        .count();
    assert!((1..=5).contains(&told), "{}", run.stderr);
    let attempt = |line: &&str| line.contains("attempt=2") && line.contains("status=") && line.contains("operation=");
    assert!(run.stderr.lines().any(|line| attempt(&line)), "{}", run.stderr);
    clear_faults(&scene.emulator).await;
    assert_whole(&scene, &desk).await;
}

#[tokio::test]
async fn outages_and_lost_connections_on_a_share_of_all_requests_are_got_through() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let share = |kind| on("*", "*", kind).probability(0.05);
    inject(
        &scene.emulator,
        [
            share(FaultKind::Status).status(500),
            share(FaultKind::Status).status(503),
            share(FaultKind::DropBefore),
            share(FaultKind::DropAfter),
            share(FaultKind::Abort),
            // Each at least once, where it hurts.
            on("acm", "RequestCertificate", FaultKind::DropAfter).times(1),
            on("elbv2", "CreateLoadBalancer", FaultKind::Abort).times(1),
            on("ec2", "CreateSecurityGroup", FaultKind::DropBefore).times(1),
            on("elbv2", "CreateTargetGroup", FaultKind::Status).status(503).times(1),
        ],
    )
    .await;
    desk.run(&["plan"]).await.expect(0).shows("to add");
    desk.run(&["--yes"]).await.expect(0);
    assert_paced(&requests(&scene.emulator).await);
    clear_faults(&scene.emulator).await;
    assert_whole(&scene, &desk).await;
}

#[tokio::test]
async fn a_large_zone_is_read_at_the_pace_of_route_53() {
    const RECORDS: &str = r#"
route53 = client("route53")
for first in range(0, 2400, 400):
    changes = [{"Action": "CREATE", "ResourceRecordSet": {"Name": "host%d.example.com." % n, "Type": "A", "TTL": 60,
                "ResourceRecords": [{"Value": "198.51.100.7"}]}} for n in range(first, first + 400)]
    route53.change_resource_record_sets(HostedZoneId=given, ChangeBatch={"Changes": changes})
"#;
    let (scene, desk) = scene(1, NO_DRAIN).await;
    scene
        .emulator
        .boto3_with(RECORDS, &json!(scene.world.zone))
        .await
        .unwrap();
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["plan"]).await.expect(0).shows("to add");
    let log = requests(&scene.emulator).await;
    assert_paced(&log);
    let times: Vec<f64> = log
        .iter()
        .filter(|request| request.service == "route53")
        .map(|request| request.time)
        .collect();
    assert!(times.len() >= 9, "a list of zones and eight pages: {times:?}");
    let took = times[times.len() - 1] - times[0];
    assert!(took > 0.9, "more than five requests take more than a second: {times:?}");
}

#[tokio::test]
async fn quotas_are_told_at_the_first_answer() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let quotas = [
        ("ec2", "CreateSecurityGroup", "SecurityGroupLimitExceeded"),
        (
            "ec2",
            "AuthorizeSecurityGroupIngress",
            "RulesPerSecurityGroupLimitExceeded",
        ),
        ("acm", "RequestCertificate", "LimitExceededException"),
        ("elbv2", "CreateLoadBalancer", "TooManyLoadBalancers"),
    ];
    for (place, (_, action, code)) in quotas.iter().enumerate() {
        // Those behind stay, so that each has its turn.
        scene.emulator.control().clear_requests().await.unwrap();
        let quota = |(service, action, code): &(&str, &str, &str)| {
            on(service, action, FaultKind::Error).code(code, "The quota is used up.")
        };
        inject(&scene.emulator, quotas[place..].iter().map(quota)).await;
        let run = desk.run(&["--yes"]).await.expect(1).says(code).says("Service Quotas");
        tells_what_is_left(&run);
        assert!(!run.stderr.contains("tried "), "{}", run.stderr);
        let log = requests(&scene.emulator).await;
        let asked = log
            .iter()
            .filter(|request| request.action == *action && request.error.is_some());
        // Steps that run at the same time may each meet it, but none asks twice.
        let mut asked: Vec<String> = asked.map(|request| request.parameters.to_string()).collect();
        let all = asked.len();
        asked.sort();
        asked.dedup();
        assert!(all >= 1 && asked.len() == all, "{action}: {asked:#?}");
        clear_faults(&scene.emulator).await;
    }
    desk.run(&["--yes"]).await.expect(0);
    assert_whole(&scene, &desk).await;
}
