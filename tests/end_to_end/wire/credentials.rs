//! Credentials that end, and permissions that are missing.

use reconcile_emulator::{FaultKind, Scene};

use super::{actions, assert_whole, clear_faults, codes, inject, on, requests, tells_what_is_left};
use crate::support::{Desk, NO_DRAIN, Run, scene};

#[tokio::test]
async fn a_session_that_ends_in_the_middle_is_told_and_the_next_run_carries_on() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    scene.emulator.control().clear_requests().await.unwrap();
    let mut ended = 0;
    // Later and later: while looking, and in the middle of the changes.
    for after in [0, 12, 24, 30, 36, 42, 48, 54, 60] {
        inject(&scene.emulator, [on("*", "*", FaultKind::Expire).after(after)]).await;
        let run = desk.run(&["--yes"]).await;
        clear_faults(&scene.emulator).await;
        if run.code == Some(0) {
            break;
        }
        let run = run.expect(1).says("the credentials have expired").says("aws sso login");
        if run.stderr.contains("create ") {
            tells_what_is_left(&run);
            ended += 1;
        }
    }
    assert!(ended >= 2, "it ended in the middle of the changes");
    let codes = codes(&requests(&scene.emulator).await);
    assert!(codes["ec2"].contains("RequestExpired"), "{codes:?}");
    assert!(codes["elbv2"].contains("ExpiredToken"), "{codes:?}");
    desk.run(&["--yes"]).await.expect(0);
    assert_whole(&scene, &desk).await;
}

/// Reads that only make a plan better: without them it says so, and goes on.
const NOT_NEEDED: [&str; 0] = [];

/// The action in the words of a policy.
fn permission(service: &str, action: &str) -> String {
    let prefix = if service == "elbv2" {
        "elasticloadbalancing"
    } else {
        service
    };
    format!("{prefix}:{action}")
}

/// Runs the program once for each action that is still to be tried, with just that action denied, and once more without a
/// fault. Gives those that no run has asked for.
async fn deny_each(
    scene: &Scene,
    desk: &Desk,
    arguments: &[&str],
    all: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let mut left = Vec::new();
    for (service, action) in all {
        scene.emulator.control().clear_requests().await.unwrap();
        inject(&scene.emulator, [on(&service, &action, FaultKind::Deny)]).await;
        let run = desk.run(arguments).await;
        clear_faults(&scene.emulator).await;
        let log = requests(&scene.emulator).await;
        if log
            .iter()
            .any(|request| request.service == service && request.action == action)
        {
            denied(run, &service, &action);
        } else {
            left.push((service, action));
        }
    }
    desk.run(arguments).await.expect(0);
    left
}

#[track_caller]
fn denied(run: Run, service: &str, action: &str) {
    if NOT_NEEDED.contains(&action) {
        return;
    }
    let permission = permission(service, action);
    let run = run.expect(1).says(&format!("hint: allow `{permission}`"));
    if run.stdout.contains("Done: ") {
        tells_what_is_left(&run);
        // The step and with it the resource.
        assert!(run.stderr.contains("error: "), "{}", run.stderr);
    } else {
        assert!(
            run.stderr.contains(&format!("error: {service} {action}: ")),
            "{}",
            run.stderr
        );
    }
}

#[tokio::test]
async fn every_single_action_denied_is_told_by_its_permission_and_costs_nothing() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let destroy = ["destroy", "--yes"];
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    let mut making = actions(&requests(&scene.emulator).await);
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&destroy).await.expect(0);
    let mut removing = actions(&requests(&scene.emulator).await);
    let all = making.len() + removing.len();

    // Steps run at the same time, so an action may be done already when its turn comes: then it is tried the next time.
    for round in 0..4 {
        making = deny_each(&scene, &desk, &["--yes"], making).await;
        if round == 0 || making.is_empty() {
            assert_whole(&scene, &desk).await;
        }
        removing = deny_each(&scene, &desk, &destroy, removing).await;
        if making.is_empty() && removing.is_empty() {
            break;
        }
    }
    assert!(
        making.is_empty() && removing.is_empty(),
        "never asked for: {making:?} {removing:?}"
    );
    assert!(all > 40, "{all} actions");
}
