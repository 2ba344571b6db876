//! Answers that are lost, late, cut off, or somebody else's.

use std::time::Duration;

use reconcile_emulator::{Fault, FaultKind};

use super::{MUTATING, PORTAL, assert_whole, clear_faults, inject, on, requests, tells_what_is_left};
use crate::support::{NO_DRAIN, mutating_actions, scene};

/// Longer than a request may take.
const TOO_LONG: Duration = Duration::from_secs(64);

/// The ways in which an answer can be no good, one for each place in a list.
fn spoilt(service: &str, action: &str, way: usize) -> Fault {
    let fault = |kind| on(service, action, kind);
    match way % 7 {
        0 => fault(FaultKind::DropAfter),
        1 => fault(FaultKind::Truncate),
        2 => fault(FaultKind::Abort),
        3 => fault(FaultKind::ReplaceAfter).body("text/xml", ""),
        4 => fault(FaultKind::ReplaceAfter).body("text/html", PORTAL),
        5 => fault(FaultKind::ReplaceAfter).body("text/html", PORTAL).status(502),
        _ => fault(FaultKind::ReplaceAfter).body("application/json", "not what you asked for"),
    }
}

#[tokio::test]
async fn the_answer_to_every_change_is_lost_once_and_the_call_is_made_again() {
    // In seven runs every action would meet every way; the ways are alike for the program, and here two meet each.
    for shift in [0, 3] {
        let (scene, desk) = scene(1, NO_DRAIN).await;
        let faults = MUTATING.iter().enumerate();
        inject(
            &scene.emulator,
            faults.map(|(place, (service, action))| spoilt(service, action, place + shift).times(1)),
        )
        .await;
        desk.run(&["--yes"]).await.expect(0);
        clear_faults(&scene.emulator).await;
        assert_whole(&scene, &desk).await;
    }
}

#[tokio::test]
async fn the_answer_to_every_single_change_is_lost_for_good_and_the_next_run_finds_what_it_did() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let mut failed = 0;
    loop {
        // A proxy that forbids is not asked again, so each run ends at its first changes, which AWS has carried out.
        clear_faults(&scene.emulator).await;
        let lost = |(service, action): &(&str, &str)| {
            let page = on(service, action, FaultKind::ReplaceAfter).body("text/html", PORTAL);
            page.status(403)
        };
        inject(&scene.emulator, MUTATING.iter().map(lost)).await;
        let run = desk.run(&["--yes"]).await;
        if run.code == Some(0) {
            break;
        }
        let run = run
            .expect(1)
            .says("HTTP status 403 with a web page: \"Hotel WiFi Log in first\"");
        tells_what_is_left(&run);
        failed += 1;
        assert!(failed < 40, "it does not come to an end");
    }
    let log = requests(&scene.emulator).await;
    let changed: Vec<&str> = log
        .iter()
        .filter(|request| request.mutating && request.status == Some(403))
        .map(|request| request.action.as_str())
        .collect();
    for (_, action) in MUTATING {
        assert!(changed.contains(&action), "{action} is not met: {changed:?}");
    }
    for once in [
        "RequestCertificate",
        "CreateTargetGroup",
        "CreateLoadBalancer",
        "CreateSecurityGroup",
        "CreateListener",
    ] {
        assert_eq!(
            changed.iter().filter(|action| **action == once).count(),
            1,
            "{once}: {changed:?}"
        );
    }
    clear_faults(&scene.emulator).await;
    assert_whole(&scene, &desk).await;
}

#[tokio::test]
async fn reads_whose_answers_are_no_good_are_asked_again_or_told() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    for way in 0..7 {
        let services = ["sts", "ec2", "elbv2", "acm", "route53"];
        inject(
            &scene.emulator,
            services.map(|service| spoilt(service, "*", way).times(1)),
        )
        .await;
        desk.run(&["plan"]).await.expect(0).shows("to add");
        clear_faults(&scene.emulator).await;
    }

    // What does not pass is told, with what came; nothing is concluded from it, and nothing made.
    desk.run(&["--yes"]).await.expect(0);
    scene.emulator.control().clear_requests().await.unwrap();
    inject(
        &scene.emulator,
        [
            on("acm", "DescribeCertificate", FaultKind::Truncate),
            on("route53", "ListHostedZones", FaultKind::ReplaceBefore).body("text/html", PORTAL),
            on("elbv2", "DescribeTargetGroups", FaultKind::ReplaceAfter).body("text/xml", ""),
        ],
    )
    .await;
    let run = desk.run(&["--yes"]).await.expect(1);
    let told = ["ends too early", "Hotel WiFi", "with nothing in it"];
    assert!(told.iter().any(|part| run.stderr.contains(part)), "{}", run.stderr);
    let run = run.says("tried 8 times within").says("a network that wants a login");
    assert!(
        run.stderr.contains("does not answer as it should; trying again"),
        "{}",
        run.stderr
    );
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    clear_faults(&scene.emulator).await;
    assert_whole(&scene, &desk).await;
}

#[tokio::test]
async fn an_empty_answer_is_not_taken_for_an_empty_account() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let empty = on("acm", "ListCertificates", FaultKind::ReplaceAfter).body("application/x-amz-json-1.1", "");
    inject(&scene.emulator, [empty]).await;
    let run = desk.run(&["plan"]).await.expect(1);
    run.says("acm ListCertificates")
        .says("HTTP status 200 with nothing in it");
}

#[tokio::test]
async fn what_takes_too_long_is_asked_again_and_not_made_twice() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    inject(
        &scene.emulator,
        [
            // Carried out after the caller has given up and asked again.
            on("elbv2", "CreateTargetGroup", FaultKind::Latency)
                .delay(TOO_LONG)
                .times(1),
            // Carried out at once; the answer stops in the middle.
            on("ec2", "CreateSecurityGroup", FaultKind::Stall)
                .delay(TOO_LONG)
                .times(1),
            on("acm", "RequestCertificate", FaultKind::Stall)
                .delay(TOO_LONG)
                .times(1),
        ],
    )
    .await;
    desk.run(&["--yes"])
        .await
        .expect(0)
        .says("does not answer; trying again");
    clear_faults(&scene.emulator).await;
    let log = requests(&scene.emulator).await;
    for action in ["CreateTargetGroup", "CreateSecurityGroup", "RequestCertificate"] {
        let times = log.iter().filter(|request| request.action == action).count();
        assert_eq!(times, 2, "{action}");
    }
    assert_whole(&scene, &desk).await;
}
