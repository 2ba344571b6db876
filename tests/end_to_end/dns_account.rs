//! Route 53 by way of a role.

use std::time::Duration;

use reconcile_emulator::{Fault, FaultKind, Seed};
use serde_json::{Value, json};

use crate::support::{NO_DRAIN, config, scene, scene_of};

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

/// The zones of both accounts, and the records at the site's name and below.
const LOOK: &str = r#"
theirs, own = client("route53", **role(given["role"])), client("route53")
records = theirs.list_resource_record_sets(HostedZoneId=given["zone"])["ResourceRecordSets"]
show({"own": len(own.list_hosted_zones()["HostedZones"]),
      "records": {r["Type"]: r for r in records if r["Name"].endswith("www.example.com.")},
      "certificates": [c["Status"] for c in client("acm").list_certificates()["CertificateSummaryList"]]})
"#;

#[tokio::test]
async fn a_site_moves_whose_hosted_zone_is_in_another_account() {
    let wanted = Seed {
        ttl: 1,
        load_balancer_ttl: 1,
        zone_account: Some("210987654321".to_owned()),
        ..Seed::default()
    };
    let (scene, desk) = scene_of(&wanted, NO_DRAIN).await;
    let role = scene.world.zone_role.clone().unwrap();
    desk.run(&["plan"])
        .await
        .expect(1)
        .says("no public hosted zone of this account can hold `www.example.com`")
        .says("`dns.role`");

    let lockdown = format!("{NO_DRAIN}wait = \"0s\"\n");
    desk.configure(&config(&scene.world, &format!("{lockdown}[dns]\nrole = \"{role}\"\n")));
    let look = async || {
        let given = json!({ "role": role, "zone": scene.world.zone });
        scene.emulator.boto3_with(LOOK, &given).await.unwrap()
    };
    let before = look().await;
    let visitor = scene.visit(&scene.world.domain).unwrap();
    desk.run(&["--yes"]).await.expect(0);
    desk.pass_drain();
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    desk.run(&["status", "--check"]).await.expect(0);
    let seen = look().await;
    assert_eq!(seen["own"], 0, "nothing is made in the account of the site");
    assert_eq!(seen["certificates"], json!(["ISSUED"]));
    let records = &seen["records"];
    assert!(records["A"]["AliasTarget"].is_object(), "{records}");
    let validation = records["CNAME"]["ResourceRecords"][0]["Value"].as_str().unwrap();
    assert!(validation.contains("acm-validations.aws"), "{records}");
    visitor
        .wait_until(Duration::from_secs(30), |report| {
            report.failed > 0 || report.through_load_balancer > 20
        })
        .await
        .unwrap();

    desk.run(&["destroy", "--yes"]).await.expect(0);
    desk.pass_drain();
    desk.run(&["destroy", "--yes", "--purge-validation"])
        .await
        .expect(0)
        .shows("The stack is gone.");
    let after = look().await;
    assert_eq!(after["records"], before["records"]);
    assert_eq!(
        (&after["own"], &after["certificates"]),
        (&json!(0), &Value::Array(Vec::new()))
    );
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}
