//! What goes wrong in the real world stops before visitors notice, and is explained.

use reconcile_emulator::{CertificateFailure, Fault, FaultKind, ForceHttps, HealthStep, Route, Scene, WebServer};
use serde_json::json;

use crate::support::{NO_DRAIN, inventory, mutating_actions, records, scene};

const SHORT: &str =
    "[prove]\ndeadlines = { certificate = \"4s\", load_balancer = \"10s\", target = \"4s\", request = \"4s\" }\n";

async fn assert_not_moved(scene: &Scene) {
    let seen = inventory(&scene.emulator, &scene.world).await;
    let record = records(&seen, &scene.world.domain, "A")[0];
    assert_eq!(
        record["ResourceRecords"][0]["Value"],
        json!(scene.world.instance().public.to_string())
    );
    let rules = seen["rules"].as_array().unwrap();
    assert!(
        rules.contains(&json!("web in tcp 443..443 0.0.0.0/0")),
        "the instance stays open: {rules:#?}"
    );
}

#[tokio::test]
async fn an_unhealthy_target_keeps_visitors_where_they_are_and_is_explained() {
    let (scene, desk) = scene(1, &format!("{SHORT}{NO_DRAIN}")).await;
    let instance = &scene.world.instance().id;
    let redirected = HealthStep::new(
        "unhealthy",
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [301]",
    );
    scene
        .emulator
        .control()
        .script_health(instance, &[redirected])
        .await
        .unwrap();
    desk.run(&["--yes"])
        .await
        .expect(1)
        .says("Target.ResponseCodeMismatch")
        .says("[301]")
        .says("health.path");
    assert_not_moved(&scene).await;

    // With the cause gone, the next run carries on from there.
    scene.emulator.control().clear_health_scripts().await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn a_health_path_that_redirects_is_told_in_the_plan() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let redirect = Route::at("/")
        .status(301)
        .header("location", "https://www.example.com/start");
    let server = WebServer::for_site(&scene.world.domain).route(redirect);
    scene
        .data_plane
        .serve(&scene.world.instance().id, server)
        .await
        .unwrap();
    desk.run(&["plan"])
        .await
        .expect(0)
        .shows("answers 301 on /")
        .shows("`health.path`");
}

#[tokio::test]
async fn a_certificate_that_fails_is_explained_and_asked_for_again_by_the_next_run() {
    let (scene, desk) = scene(1, &format!("{SHORT}{NO_DRAIN}")).await;
    let domain = CertificateFailure::Domain(scene.world.domain.clone());
    scene
        .emulator
        .control()
        .fail_certificate(&domain, "CAA_ERROR")
        .await
        .unwrap();
    desk.run(&["--yes"])
        .await
        .expect(1)
        .says("CAA_ERROR")
        .says("CAA record");
    assert_not_moved(&scene).await;
    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(
        seen["certificates"].as_array().unwrap().len(),
        1,
        "the failed one is deleted: {}",
        seen["certificates"]
    );
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn an_application_that_redirects_to_itself_is_not_put_behind_the_load_balancer() {
    let (scene, desk) = scene(1, "").await;
    // It looks at its own scheme only, which is HTTP behind a load balancer that terminates TLS.
    let server = WebServer::for_site(&scene.world.domain).force_https(ForceHttps::ByConnection);
    scene
        .data_plane
        .serve(&scene.world.instance().id, server)
        .await
        .unwrap();
    let config = crate::support::config(&scene.world, &format!("{SHORT}{NO_DRAIN}"));
    desk.configure(&config.replace(
        "health ",
        "ports = { backend = 80 }\nbackend = { protocol = \"HTTP\" }\nhealth ",
    ));
    desk.run(&["--yes"]).await.expect(1).says("redirect");
    assert_not_moved(&scene).await;
}

#[tokio::test]
async fn a_record_that_leads_elsewhere_is_refused_before_anything_is_made() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let script = r#"
client("route53").change_resource_record_sets(HostedZoneId=given, ChangeBatch={"Changes": [{"Action": "UPSERT",
    "ResourceRecordSet": {"Name": "www.example.com.", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "198.51.100.7"}]}}]})
"#;
    scene
        .emulator
        .boto3_with(script, &json!(scene.world.zone))
        .await
        .unwrap();
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["--yes"])
        .await
        .expect(1)
        .says("198.51.100.7")
        .says("leads elsewhere");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_denied_call_names_the_permission_and_keeps_what_was_done() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let denied = Fault::new("elbv2", "CreateListener", FaultKind::Deny);
    scene.emulator.control().inject(&denied).await.unwrap();
    desk.run(&["--yes"])
        .await
        .expect(1)
        .says("listener.443")
        .says("elasticloadbalancing:CreateListener");
    assert_not_moved(&scene).await;
    scene.emulator.control().clear_faults().await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["balancers"].as_array().unwrap().len(), 1);
    assert_eq!(seen["certificates"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_profile_that_is_asked_for_is_used_or_missed_but_never_passed_over() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let config = crate::support::config(&scene.world, NO_DRAIN);
    desk.configure(&format!("profile = \"nowhere\"\n{config}"));
    desk.run(&["plan"]).await.expect(1).says("nowhere");
}
