//! The main job from end to end.

use std::time::Duration;

use reconcile_emulator::{Seed, Visitor, VisitorOptions};
use serde_json::json;

use crate::support::{NO_DRAIN, inventory, mutating_actions, plain, records, scene, scene_of};

#[tokio::test]
async fn a_site_moves_behind_a_load_balancer_and_nobody_notices() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let world = &scene.world;
    let options = VisitorOptions::of(&world.domain).trusting(scene.instance_certificates());
    let visitor = Visitor::start(&scene.data_plane, options).unwrap();
    visitor
        .wait_until(Duration::from_secs(20), |report| report.directly >= 5)
        .await
        .unwrap();

    let plan = desk
        .run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows("Plan: 8 to add, 2 to change, 0 to destroy.");
    // Nothing else is wrong with this world.
    let warnings: Vec<&str> = plan.stdout.lines().filter(|line| line.contains("warning")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("http://"), "{warnings:#?}");
    assert_eq!(
        mutating_actions(&scene.emulator).await,
        Vec::<String>::new(),
        "a plan changes nothing"
    );
    assert!(!desk.state_file().exists(), "a plan writes no state");

    desk.run(&["--yes"]).await.expect(0);

    let seen = inventory(&scene.emulator, world).await;
    let balancer = &seen["balancers"][0];
    assert_eq!(seen["balancers"].as_array().unwrap().len(), 1);
    assert_eq!(balancer["Scheme"], "internet-facing");
    assert_eq!(balancer["IpAddressType"], "ipv4");
    assert_eq!(balancer["zones"].as_array().unwrap().len(), 2);

    let alias = records(&seen, &world.domain, "A");
    assert_eq!(alias.len(), 1);
    let target = &alias[0]["AliasTarget"];
    assert_eq!(target["HostedZoneId"], balancer["CanonicalHostedZoneId"]);
    let balancer_name = balancer["DNSName"].as_str().unwrap().to_lowercase();
    assert_eq!(target["DNSName"].as_str().unwrap().trim_end_matches('.'), balancer_name);

    let certificate = &seen["certificates"][0];
    assert_eq!(seen["certificates"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&certificate["Status"], &certificate["DomainName"]),
        (&json!("ISSUED"), &json!(world.domain))
    );
    let listener = &seen["listeners"][0];
    assert_eq!(seen["listeners"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&listener["Port"], &listener["Protocol"]),
        (&json!(443), &json!("HTTPS"))
    );
    assert_eq!(listener["SslPolicy"], "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09");
    assert_eq!(
        listener["Certificates"][0]["CertificateArn"],
        certificate["CertificateArn"]
    );

    let group = &seen["groups"][0];
    assert_eq!(
        (&group["HealthCheckProtocol"], &group["HealthCheckPath"]),
        (&json!("HTTPS"), &json!("/"))
    );
    assert_eq!(
        seen["targets"],
        json!([{ "id": world.instance().id, "port": 443, "state": "healthy" }])
    );

    let rules: Vec<&str> = seen["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| rule.as_str())
        .collect();
    let ours = balancer["groups"][0].as_str().unwrap();
    for expected in [
        format!("{ours} in tcp 443..443 0.0.0.0/0"),
        format!("{ours} out tcp 443..443 web"),
        format!("web in tcp 443..443 {ours}"),
        "web in tcp 22..22 0.0.0.0/0".to_owned(),
    ] {
        assert!(
            rules.contains(&expected.as_str()),
            "expected `{expected}` in {rules:#?}"
        );
    }
    assert_eq!(
        rules.iter().filter(|rule| rule.starts_with(ours)).count(),
        2,
        "{rules:#?}"
    );
    for closed in ["web in tcp 443..443 0.0.0.0/0", "web in tcp 80..80 0.0.0.0/0"] {
        assert!(!rules.contains(&closed), "`{closed}` should be gone: {rules:#?}");
    }

    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    desk.run(&["--yes"]).await.expect(0).shows("No changes.");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());

    let report = visitor
        .wait_until(Duration::from_secs(20), |report| {
            report.through_load_balancer >= 20 || report.failed > 0
        })
        .await
        .unwrap();
    assert_eq!(report.failed, 0, "{report}");
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

#[tokio::test]
async fn it_works_against_plain_moto_too() {
    let (emulator, world, desk) = plain(&format!("[prove]\nrequest = \"off\"\n{NO_DRAIN}")).await;
    desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);
    desk.run(&["apply", "--yes"]).await.expect(0);
    let seen = inventory(&emulator, &world).await;
    let target = &records(&seen, &world.domain, "A")[0]["AliasTarget"];
    assert_eq!(target["HostedZoneId"], seen["balancers"][0]["CanonicalHostedZoneId"]);
    assert_eq!(
        seen["listeners"][0]["Certificates"][0]["CertificateArn"],
        seen["certificates"][0]["CertificateArn"]
    );
    assert_eq!(seen["targets"][0]["port"], 443);
    emulator.control().clear_requests().await.unwrap();
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    desk.run(&["--yes"]).await.expect(0).shows("No changes.");
    assert_eq!(mutating_actions(&emulator).await, Vec::<String>::new());
}

#[tokio::test]
async fn without_a_terminal_and_without_yes_nothing_is_changed() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    desk.run(&[]).await.expect(1).says("--yes");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    assert!(!desk.state_file().exists());
}

#[tokio::test]
async fn the_instance_stays_open_until_the_old_address_is_forgotten() {
    let (scene, desk) = scene(300, "").await;
    desk.run(&["--yes"]).await.expect(0).shows("not before");
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert!(
        records(&seen, &scene.world.domain, "A")[0]["AliasTarget"].is_object(),
        "visitors are moved"
    );
    assert!(
        seen["rules"]
            .as_array()
            .unwrap()
            .contains(&json!("web in tcp 443..443 0.0.0.0/0")),
        "and may still come"
    );

    // A pipeline that comes back too early waits no longer than it has to, and changes nothing.
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows("port_closure");
    desk.run(&["--yes"]).await.expect(0).shows("not before");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());

    // With the drain over, the next run finishes the job.
    desk.configure(&crate::support::config(&scene.world, NO_DRAIN));
    let mut state = desk.state();
    let cutover = state["cutovers"]["alias_record.www.example.com"]
        .as_object_mut()
        .unwrap();
    cutover.insert("in_sync_at".to_owned(), json!("2026-01-01T00:00:00Z"));
    std::fs::write(desk.state_file(), state.to_string()).unwrap();
    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert!(
        !seen["rules"]
            .as_array()
            .unwrap()
            .contains(&json!("web in tcp 443..443 0.0.0.0/0"))
    );
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn a_run_can_stop_after_any_stage_and_be_carried_on() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let aliased = async || {
        let seen = inventory(&scene.emulator, &scene.world).await;
        records(&seen, &scene.world.domain, "A")[0]["AliasTarget"].is_object()
    };
    for (stage, moved) in [
        ("prepare", false),
        ("prove", false),
        ("cutover", true),
        ("drain", true),
        ("lockdown", true),
    ] {
        desk.run(&["--yes", "--until", stage]).await.expect(0);
        assert_eq!(aliased().await, moved, "after {stage}");
    }
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn names_of_a_site_share_a_certificate_and_each_gets_its_record() {
    let (scene, desk) = scene(1, "").await;
    let config = crate::support::config(
        &scene.world,
        &format!("{NO_DRAIN}\n[load_balancer]\nhttp = \"redirect\"\n"),
    )
    .replace("health ", "aliases = [\"example.com\"]\nhealth ");
    desk.configure(&config);
    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    let names = seen["certificates"][0]["SubjectAlternativeNames"].as_array().unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in ["www.example.com", "example.com"] {
        assert!(records(&seen, name, "A")[0]["AliasTarget"].is_object(), "{name}");
    }
    assert_eq!(seen["listeners"].as_array().unwrap().len(), 2);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn two_instances_that_share_a_group_serve_one_site() {
    let wanted = Seed {
        ttl: 1,
        instances: 2,
        ..Seed::default()
    };
    let (scene, desk) = scene_of(&wanted, "").await;
    let ids: Vec<&str> = scene
        .world
        .instances
        .iter()
        .map(|instance| instance.id.as_str())
        .collect();
    let config = crate::support::config(&scene.world, NO_DRAIN);
    let one = format!("instance = \"{}\"", ids[0]);
    assert!(config.contains(&one), "{config}");
    desk.configure(&config.replace(&one, &format!("instances = [\"{}\", \"{}\"]", ids[0], ids[1])));
    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    let targets = seen["targets"].as_array().unwrap();
    assert!(
        targets.len() == 2 && targets.iter().all(|target| target["state"] == "healthy"),
        "{targets:?}"
    );
    let admitting = |rule: &&serde_json::Value| rule.as_str().is_some_and(|rule| rule.starts_with("web in tcp 443"));
    assert_eq!(
        seen["rules"].as_array().unwrap().iter().filter(admitting).count(),
        1,
        "{}",
        seen["rules"]
    );
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn a_certificate_that_exists_is_used_and_left_alone() {
    const REQUEST: &str = r#"
import time
acm, r53 = client("acm"), client("route53")
arn = acm.request_certificate(DomainName="example.com", SubjectAlternativeNames=["*.example.com"], ValidationMethod="DNS",
    KeyAlgorithm="EC_prime256v1")["CertificateArn"]
def look(): return acm.describe_certificate(CertificateArn=arn)["Certificate"]
def options(): return look().get("DomainValidationOptions") or [{}]
while not all("ResourceRecord" in o for o in options()): time.sleep(0.05)
record = look()["DomainValidationOptions"][0]["ResourceRecord"]
r53.change_resource_record_sets(HostedZoneId=given, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {
    "Name": record["Name"], "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": record["Value"]}]}}]})
while look()["Status"] != "ISSUED": time.sleep(0.05)
show(arn)
"#;
    let (scene, desk) = scene(1, "").await;
    let arn = scene
        .emulator
        .boto3_with(REQUEST, &json!(scene.world.zone))
        .await
        .unwrap();
    let config = crate::support::config(&scene.world, NO_DRAIN);
    desk.configure(&config.replace("health ", &format!("certificate = {arn}\nhealth ")));
    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["listeners"][0]["Certificates"][0]["CertificateArn"], arn);
    assert!(
        !mutating_actions(&scene.emulator)
            .await
            .iter()
            .any(|action| action == "AddTagsToCertificate")
    );
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}
