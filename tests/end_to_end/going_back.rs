//! The way back: `rollback` and `destroy`, with a visitor who keeps asking.

use reconcile_emulator::Settings;
use serde_json::{Value, json};

use crate::support::{NO_DRAIN, comes, inventory, mutating_actions, quick_dns, records, scene_of};

fn is_open(seen: &Value) -> bool {
    let rules = seen["rules"].as_array().unwrap();
    ["web in tcp 443..443 0.0.0.0/0", "web in tcp 80..80 0.0.0.0/0"]
        .iter()
        .all(|rule| rules.contains(&json!(rule)))
}

#[tokio::test]
async fn visitors_go_back_and_forward_again_and_none_of_them_notices() {
    let (scene, desk) = scene_of(&quick_dns(), NO_DRAIN).await;
    let before = inventory(&scene.emulator, &scene.world).await;
    let visitor = scene.visit(&scene.world.domain).unwrap();
    comes(&visitor, |report| report.directly).await;
    desk.run(&["--yes"]).await.expect(0);
    comes(&visitor, |report| report.through_load_balancer).await;

    // Shown first, and asked.
    scene.emulator.control().clear_requests().await.unwrap();
    let plan = desk.run(&["rollback"]).await.expect(1).says("--yes");
    assert!(plan.stdout.contains("alias_record.www.example.com"), "{}", plan.stdout);
    assert!(plan.stdout.contains("goes on costing money"), "{}", plan.stdout);
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());

    let back = desk.run(&["rollback", "--yes"]).await.expect(0);
    // The emulated instance's certificate is none that browsers trust, which cannot be helped from here.
    assert!(
        back.stdout.contains("renewed by this tool") || back.stderr.contains("warning"),
        "{back:?}"
    );
    comes(&visitor, |report| report.directly).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(
        records(&seen, &scene.world.domain, "A"),
        records(&before, &scene.world.domain, "A")
    );
    assert!(is_open(&seen), "{}", seen["rules"]);
    assert_eq!(
        seen["balancers"].as_array().unwrap().len(),
        1,
        "the load balancer stays warm"
    );
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["rollback", "--yes"]).await.expect(0).shows("No changes.");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());

    desk.pass_drain();
    desk.run(&["--yes"]).await.expect(0);
    comes(&visitor, |report| report.through_load_balancer).await;
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

#[tokio::test]
async fn a_destroyed_stack_leaves_the_world_as_it_was() {
    let (scene, desk) = scene_of(&quick_dns(), &format!("{NO_DRAIN}wait = \"0s\"\n")).await;
    let settings = Settings {
        interfaces_linger_for: Some(2.0),
        ..Settings::default()
    };
    scene.emulator.control().change_settings(settings).await.unwrap();
    let before = scene.emulator.inventory(&scene.world).await.unwrap();
    let visitor = scene.visit(&scene.world.domain).unwrap();
    desk.run(&["--yes"]).await.expect(0);
    desk.pass_drain();
    desk.run(&["--yes"]).await.expect(0);
    comes(&visitor, |report| report.through_load_balancer).await;

    desk.run(&["destroy"])
        .await
        .expect(1)
        .shows("load_balancer.main")
        .says("--yes");
    // Visitors are led back first; the load balancer stays until it is forgotten.
    desk.run(&["destroy", "--yes"]).await.expect(0).shows("not before");
    comes(&visitor, |report| report.directly).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["balancers"].as_array().unwrap().len(), 1);
    desk.pass_drain();
    desk.run(&["destroy", "--yes", "--purge-validation"])
        .await
        .expect(0)
        .shows("The stack is gone.");
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
    let after = scene.emulator.inventory(&scene.world).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(desk.state()["resources"], json!({}));
    desk.run(&["destroy", "--yes"]).await.expect(0).shows("No changes.");
}

#[tokio::test]
async fn a_destruction_that_was_killed_is_finished_by_the_next_and_what_is_shared_stays() {
    let (scene, desk) = scene_of(&quick_dns(), NO_DRAIN).await;
    let before = scene.emulator.inventory(&scene.world).await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["rollback", "--yes"]).await.expect(0);
    desk.pass_drain();
    let mut child = desk.start(&["destroy", "--yes"]);
    let gone = async || {
        let seen = inventory(&scene.emulator, &scene.world).await;
        seen["balancers"].as_array().unwrap().is_empty()
    };
    while !gone().await && child.try_wait().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    child.kill().await.unwrap();
    desk.run(&["destroy", "--yes"]).await.expect(0);
    let after = scene.emulator.inventory(&scene.world).await.unwrap();
    // The validation record stays unless the user asks.
    let (mut before, mut after) = (without_validation(before), without_validation(after));
    assert_eq!(after.1, before.1 + 1);
    assert_eq!(after.0.take(), before.0.take());
}

/// An inventory without the validation records, and how many there were.
fn without_validation(mut inventory: Value) -> (Value, usize) {
    let mut count = 0;
    for zone in inventory["zones"].as_array_mut().unwrap() {
        let records = zone["Records"].as_array_mut().unwrap();
        let all = records.len();
        records.retain(|record| !record.to_string().contains("acm-validations.aws"));
        count += all - records.len();
    }
    (inventory, count)
}

#[tokio::test]
async fn a_protected_load_balancer_is_not_destroyed() {
    let config = format!("{NO_DRAIN}\n[load_balancer]\ndeletion_protection = true\n");
    let (scene, desk) = scene_of(&quick_dns(), &config).await;
    desk.run(&["--yes"]).await.expect(0);
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["destroy", "--yes"])
        .await
        .expect(1)
        .says("protected from deletion")
        .says("deletion_protection = false");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
}
