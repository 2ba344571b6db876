//! Credentials that end, and permissions that are missing.

use reconcile_emulator::{FaultKind, Scene};

use super::{actions, assert_whole, clear_faults, codes, inject, on, requests, tells_what_is_left};
use crate::support::{Desk, NO_DRAIN, Run, inventory, scene};

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
        // Later still it is the look from outside that is refused, and nothing is left.
        if run.stdout.contains("Not done: ") {
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

/// Ends a run that has to wait for resolvers, so that `Desk::pass_drain` can let the time pass.
const NO_WAIT: &str = "[lockdown]\ndrain_margin = \"0s\"\nwait = \"5s\"\n";

/// The action in the words of a policy.
fn permission(service: &str, action: &str) -> String {
    let prefix = if service == "elbv2" {
        "elasticloadbalancing"
    } else {
        service
    };
    format!("{prefix}:{action}")
}

/// The actions that runs with these arguments make until nothing is left, in their order, and which of them change
/// something.
async fn actions_of(scene: &Scene, desk: &Desk, arguments: &[&str]) -> Vec<(String, String, bool)> {
    scene.emulator.control().clear_requests().await.unwrap();
    while desk.run(arguments).await.expect(0).stdout.contains("not before") {
        desk.pass_drain();
    }
    let log = requests(&scene.emulator).await;
    let is_mutating = |action: &str| log.iter().any(|request| request.action == action && request.mutating);
    let actions = actions(&log).into_iter();
    actions
        .map(|(service, action)| {
            let is_mutating = is_mutating(&action);
            (service, action, is_mutating)
        })
        .collect()
}

/// Runs the program once for each action with that action denied, then without a fault to the end. Gives the actions that
/// no run asked for.
///
/// Steps run at the same time, so the changes whose turn comes later are held back by a quota; else many would be done
/// already when their turn comes. A run that ends by that, before it asks for the denied one, is followed by one that is
/// not held back.
async fn deny_each(
    scene: &Scene,
    desk: &Desk,
    arguments: &[&str],
    all: &[(String, String, bool)],
) -> Vec<(String, String, bool)> {
    let mut left = Vec::new();
    for (place, one) in all.iter().enumerate() {
        let (service, action, _) = one;
        let mut is_told = false;
        for is_held in [true, true, false] {
            scene.emulator.control().clear_requests().await.unwrap();
            let later = all[place + 1..].iter();
            let later = later.filter(|(.., is_mutating)| is_held && *is_mutating);
            let held = later.map(|(service, action, _)| {
                on(service, action, FaultKind::Error).code("LimitExceededException", "held back")
            });
            let denied = on(service, action, FaultKind::Deny);
            inject(&scene.emulator, std::iter::once(denied).chain(held)).await;
            let run = desk.run(arguments).await;
            clear_faults(&scene.emulator).await;
            let log = requests(&scene.emulator).await;
            let mut asked = log.iter();
            is_told = asked.any(|request| request.service == *service && request.action == *action);
            if is_told {
                tells_of_denial(run, service, action);
                break;
            }
            if run.stdout.contains("not before") {
                desk.pass_drain();
            }
        }
        if !is_told {
            left.push(one.clone());
        }
    }
    while desk.run(arguments).await.expect(0).stdout.contains("not before") {
        desk.pass_drain();
    }
    left
}

#[track_caller]
fn tells_of_denial(run: Run, service: &str, action: &str) {
    let run = run
        .expect(1)
        .says(&format!("hint: allow `{}`", permission(service, action)));
    let error = format!(": {service} {action}: ");
    let error = run
        .stderr
        .lines()
        .find(|line| line.contains(&error) || line.contains(&error[1..]));
    let error = error.unwrap_or_else(|| panic!("{service} {action} is not told:\n{}", run.stderr));
    if run.stdout.contains("Done: ") {
        tells_what_is_left(&run);
        // `error: create target_group.www: elbv2 CreateTargetGroup: ...`: the resource stands before the call.
        assert!(error.split(": ").nth(1).unwrap_or_default().contains('.'), "{error}");
    }
}

#[tokio::test]
async fn every_single_action_denied_is_told_by_its_permission_and_costs_nothing() {
    let (scene, desk) = scene(1, NO_WAIT).await;
    let destroy = ["destroy", "--yes", "--purge-validation"];
    let making = actions_of(&scene, &desk, &["--yes"]).await;
    let removing = actions_of(&scene, &desk, &destroy).await;
    assert!(making.len() + removing.len() > 50, "{making:?} {removing:?}");

    // What was done already when its turn came has it in the next round.
    let (mut making, mut removing) = (making, removing);
    for _ in 0..3 {
        making = deny_each(&scene, &desk, &["--yes"], &making).await;
        assert_whole(&scene, &desk).await;
        removing = deny_each(&scene, &desk, &destroy, &removing).await;
        let seen = inventory(&scene.emulator, &scene.world).await;
        for what in ["balancers", "groups", "certificates", "listeners"] {
            assert_eq!(seen[what].as_array().unwrap().len(), 0, "{what}: {:#}", seen[what]);
        }
        if making.is_empty() && removing.is_empty() {
            return;
        }
    }
    panic!("never asked for: {making:?} {removing:?}");
}
