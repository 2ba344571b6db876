//! Route 53 by way of a role.

use reconcile_emulator::{Fault, FaultKind};

use crate::support::{config, scene};

#[tokio::test]
async fn route_53_is_asked_with_the_role_and_a_refusal_names_it() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/reconcile-dns";
    let (scene, desk) = scene(1, "").await;
    let dns = format!("[dns]\nrole = \"{ROLE}\"\nexternal_id = \"a-1\"\n");
    desk.configure(&config(&scene.world, &dns));
    desk.run(&["plan"]).await.expect(0).shows("Plan: 8 to add");
    let requests = scene.emulator.control().requests().await.unwrap();
    let assumed = requests.iter().filter(|request| request.action == "AssumeRole");
    assert_eq!(assumed.count(), 1, "one session serves the whole run");

    let denied = Fault::new("sts", "AssumeRole", FaultKind::Deny);
    scene.emulator.control().inject(&denied).await.unwrap();
    desk.run(&["plan"])
        .await
        .expect(1)
        .says(&format!(
            "the role `{ROLE}` for Route 53 (`dns.role`) cannot be assumed"
        ))
        .says("hint: allow the caller `sts:AssumeRole`")
        .says("trust policy");
}
