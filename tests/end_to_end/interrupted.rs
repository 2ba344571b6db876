//! A process that ends in the middle, and a state file that somebody else holds.

mod state_errors;
mod storage;

use std::time::Duration;

use reconcile_emulator::{Fault, FaultKind, Scene, Settings};
use serde_json::{Value, json};

use crate::{
    support::{Desk, NO_DRAIN, inventory, mutating_actions, no_changes, scene},
    watched::{Watched, under_way},
};

fn count(seen: &Value, what: &str) -> usize {
    seen[what].as_array().unwrap().len()
}

#[tokio::test]
async fn a_killed_run_is_carried_on_without_a_duplicate() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    // Killed while the answer to the creation of the load balancer is on its way: AWS made it, nobody recorded it.
    let late = Fault::new("elbv2", "CreateLoadBalancer", FaultKind::Latency).delay(Duration::from_secs(30));
    scene.emulator.control().inject(&late).await.unwrap();
    let mut child = desk.start(&["--yes"]);
    let created = async {
        loop {
            let requests = scene.emulator.control().requests().await.unwrap();
            if requests.iter().any(|request| request.action == "RequestCertificate") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), created)
        .await
        .expect("the run begins");
    child.kill().await.unwrap();
    scene.emulator.control().clear_faults().await.unwrap();

    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    for what in ["balancers", "groups", "certificates", "listeners", "targets"] {
        assert_eq!(count(&seen, what), 1, "{what}: {}", seen[what]);
    }
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn a_lost_state_file_is_made_again_from_tags() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    desk.run(&["--yes"]).await.expect(0);
    std::fs::remove_file(desk.state_file()).unwrap();
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

/// Carries a run on that was ended, and asserts that nothing is there twice and nothing is left to do.
async fn is_carried_on(scene: &Scene, desk: &Desk) {
    scene.emulator.control().clear_faults().await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    for what in ["balancers", "groups", "certificates", "listeners", "targets"] {
        assert_eq!(count(&seen, what), 1, "{what}: {}", seen[what]);
    }
    no_changes(desk).await;
}

/// Has the creation of the load balancer take this long.
async fn slow(scene: &Scene, seconds: u64) {
    let late = Fault::new("elbv2", "CreateLoadBalancer", FaultKind::Latency).delay(Duration::from_secs(seconds));
    scene.emulator.control().inject(&late).await.unwrap();
}

#[tokio::test]
async fn the_first_interruption_lets_the_call_in_flight_end_and_says_what_is_left() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    slow(&scene, 3).await;
    let run = Watched::start(&desk, &["--yes"]);
    under_way(&scene.emulator, "CreateLoadBalancer").await;
    run.send("INT").await;
    let (run, _) = run.end().await;
    run.expect(1)
        .shows("Done: ")
        .shows("Interrupted: ")
        .shows("~ change  alias_record.www.example.com")
        .shows("The state is saved. Run the same command again: it carries on from here.")
        .says("stopping as soon as the call in flight has ended; once more to end at once")
        .says("create load_balancer.main: done")
        .says("error: interrupted");
    let state = desk.state();
    assert!(state["resources"]["load_balancer.main"].is_object(), "{state}");
    assert_eq!(state["intents"], json!({}), "nothing is left open");
    let begun = mutating_actions(&scene.emulator).await;
    assert!(!begun.contains(&"CreateListener".to_owned()), "{begun:?}");
    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_run_whose_call_hangs_ends_at_once_when_it_has_to_and_says_what_is_under_way() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    slow(&scene, 30).await;
    let told = |run: crate::support::Run| {
        run.says("Ended at once. 1 step under way, and what became of that is not known:")
            .says("+ create  load_balancer.main")
            .says("Run the same command again: it finds out and carries on from here.")
    };

    // Ctrl-C, and again.
    let mut run = Watched::start(&desk, &["--yes"]);
    under_way(&scene.emulator, "CreateLoadBalancer").await;
    run.send("INT").await;
    run.says("once more to end at once").await;
    run.send("INT").await;
    let (run, _) = run.end().await;
    told(run.expect(130));
    assert!(desk.state()["intents"]["load_balancer.main"].is_object());

    // Signals of machines have a limit. Under `nohup` SIGHUP is none, and the tests may run under it themselves.
    let heeds = json!({ "signals": { "SIGHUP": "SIG_DFL" } });
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        scene.emulator.control().clear_requests().await.unwrap();
        let run = Watched::start_in(&desk, &heeds, &["--yes"]);
        under_way(&scene.emulator, "CreateLoadBalancer").await;
        run.send(signal).await;
        let (run, took) = run.end().await;
        assert!(took < Duration::from_secs(2), "SIG{signal} took {took:?}");
        told(run.expect(code)).says("stopping: the call in flight has a second to end");
        assert!(desk.state()["intents"]["load_balancer.main"].is_object());
    }

    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_run_under_nohup_outlives_its_terminal() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    slow(&scene, 2).await;
    let outlives = json!({ "signals": { "SIGHUP": "SIG_IGN" } });
    let run = Watched::start_in(&desk, &outlives, &["--yes"]);
    under_way(&scene.emulator, "CreateLoadBalancer").await;
    run.send("HUP").await;
    let (run, _) = run.end().await;
    run.expect(0).shows("Done: ");
    no_changes(&desk).await;
}

#[tokio::test]
async fn an_interrupted_wait_ends_at_once_and_says_what_is_awaited() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let issue_after = async |seconds| {
        let settings = Settings {
            issue_after: Some(seconds),
            ..Settings::default()
        };
        scene.emulator.control().change_settings(settings).await.unwrap();
    };
    issue_after(600.0).await;
    for (signal, code) in [("INT", 1), ("TERM", 1)] {
        let mut run = Watched::start(&desk, &["--yes"]);
        run.says("wait until certificate.www is issued: PENDING_VALIDATION")
            .await;
        run.send(signal).await;
        let (run, took) = run.end().await;
        assert!(took < Duration::from_secs(2), "SIG{signal} took {took:?}");
        run.expect(code)
            .shows("Interrupted: ")
            .shows("… wait until certificate.www is issued")
            .shows("The state is saved.");
    }
    issue_after(0.1).await;
    is_carried_on(&scene, &desk).await;
}

#[tokio::test]
async fn a_signal_before_the_first_change_says_that_nothing_was_changed() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let late = Fault::new("ec2", "*", FaultKind::Latency).delay(Duration::from_secs(5));
    scene.emulator.control().inject(&late).await.unwrap();
    let run = Watched::start(&desk, &["--yes"]);
    under_way(&scene.emulator, "DescribeInstances").await;
    run.send("TERM").await;
    let (run, _) = run.end().await;
    run.expect(1).says("error: interrupted; nothing was changed");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    assert!(!desk.state_file().exists());
}
