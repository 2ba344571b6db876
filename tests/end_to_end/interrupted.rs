//! A process that ends in the middle, and a state file that somebody else holds.

use std::time::Duration;

use reconcile_emulator::{Fault, FaultKind};
use serde_json::Value;

use crate::support::{NO_DRAIN, inventory, scene};

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
    assert_eq!(
        crate::support::mutating_actions(&scene.emulator).await,
        Vec::<String>::new()
    );
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn a_state_that_cannot_be_used_stops_the_run_before_any_change() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    std::fs::create_dir_all(desk.state_file().parent().unwrap()).unwrap();
    for (text, expected) in [
        ("{ not json", "damaged"),
        ("{\"format_version\": 99}", "format version 99"),
    ] {
        std::fs::write(desk.state_file(), text).unwrap();
        desk.run(&["--yes"]).await.expect(1).says(expected);
    }
    assert_eq!(
        crate::support::mutating_actions(&scene.emulator).await,
        Vec::<String>::new()
    );
}
