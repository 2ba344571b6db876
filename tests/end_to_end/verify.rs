//! What visitors see from outside, and what is said when it is not as it should be.

use reconcile_emulator::{Route, Scene, WebServer};
use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, config, inventory, mutating_actions, scene, scene_of};

/// The checks of a run that ends with `code`.
async fn verified(desk: &Desk, arguments: &[&str], code: i32) -> Vec<Value> {
    let arguments = [&["verify", "--format", "json"], arguments].concat();
    let run = desk.run(&arguments).await.expect(code);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&report["format_version"], &report["stack"]),
        (&json!(1), &json!("www-example-com"))
    );
    report["checks"].as_array().unwrap().clone()
}

fn with(checks: &[Value], verdict: &str) -> Vec<String> {
    let found = checks.iter().filter(|check| check["verdict"] == verdict);
    found
        .map(|check| format!("{}: {}", check["subject"], check["name"]).replace('"', ""))
        .collect()
}

#[track_caller]
fn told<'a>(checks: &'a [Value], name: &str) -> &'a str {
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no `{name}` in {checks:#?}"));
    assert!(
        check["verdict"] == "ok" || check["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()),
        "{check}"
    );
    check["message"].as_str().unwrap()
}

/// A scene in which everything has been set up.
async fn applied(more: &str) -> (Scene, Desk) {
    let (scene, desk) = scene(1, &format!("{NO_DRAIN}{more}")).await;
    desk.run(&["--yes"])
        .await
        .expect(0)
        .shows("Verified from outside:")
        .shows("Checks: 12 ok.");
    (scene, desk)
}

async fn change(scene: &Scene, script: &str, given: &Value) {
    scene.emulator.boto3_with(script, given).await.unwrap();
    scene.data_plane.settled().await.unwrap();
}

#[tokio::test]
async fn after_an_apply_everything_is_as_it_should_be() {
    let (scene, desk) = applied("").await;
    scene.emulator.control().clear_requests().await.unwrap();
    let checks = verified(&desk, &[], 0).await;
    assert_eq!(with(&checks, "ok").len(), checks.len(), "{checks:#?}");
    let instance = &scene.world.instance().id;
    assert_eq!(
        with(&checks, "ok"),
        [
            "example.com: delegation".to_owned(),
            "www.example.com: A at the name servers".to_owned(),
            "www.example.com: A at the resolver".to_owned(),
            "www.example.com: https".to_owned(),
            "www.example.com: certificate chain".to_owned(),
            "www.example.com: certificate issuer".to_owned(),
            "www.example.com: certificate lifetime".to_owned(),
            "www.example.com: certificate served".to_owned(),
            "www.example.com: page /".to_owned(),
            "www.example.com: http".to_owned(),
            format!("{instance}: back door 80"),
            format!("{instance}: back door 443"),
        ]
    );
    assert!(told(&checks, "certificate issuer").contains("O=Amazon"));
    assert_eq!(
        mutating_actions(&scene.emulator).await,
        Vec::<String>::new(),
        "nothing is changed"
    );
    let text = desk.run(&["verify"]).await.expect(0);
    text.shows("  ok       https                  TLS 1.3 with 127.")
        .shows("Checks: 12 ok.");
}

#[tokio::test]
async fn a_back_door_that_somebody_opened_is_found() {
    let (scene, desk) = applied("").await;
    let open = r#"
ec2 = client("ec2")
for group in ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["web"]}])["SecurityGroups"]:
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443,
        "ToPort": 443, "IpRanges": [{"CidrIp": given}]}])
"#;
    // A network that this machine belongs to is not everybody.
    change(&scene, open, &json!("127.0.0.0/8")).await;
    let checks = verified(&desk, &[], 0).await;
    let door = format!("{}: back door 443", scene.world.instance().id);
    assert_eq!(with(&checks, "warning"), std::slice::from_ref(&door));
    change(&scene, open, &json!("0.0.0.0/0")).await;
    let checks = verified(&desk, &[], 1).await;
    assert_eq!(with(&checks, "failure"), [door]);
    assert_eq!(with(&checks, "ok").len(), checks.len() - 1);
    assert!(
        told(&checks, "back door 443").contains("(tcp 443 0.0.0.0/0)"),
        "{checks:#?}"
    );
    desk.run(&["verify"])
        .await
        .expect(1)
        .shows("  failure  back door 443")
        .shows("hint: run `reconcile`")
        .says("error: 1 check failed");
    desk.run(&["--yes"]).await.expect(0);
    assert_eq!(with(&verified(&desk, &[], 0).await, "failure"), Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_leads_elsewhere_is_found_in_both_places() {
    let (scene, desk) = applied("").await;
    let point = r#"
client("route53").change_resource_record_sets(HostedZoneId=given["zone"], ChangeBatch={"Changes": [{"Action": "UPSERT",
    "ResourceRecordSet": {"Name": "www.example.com.", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": given["to"]}]}}]})
"#;
    let instance = scene.world.instance().public.to_string();
    change(&scene, point, &json!({ "zone": scene.world.zone, "to": instance })).await;
    let checks = verified(&desk, &[], 1).await;
    let failed = with(&checks, "failure");
    assert_eq!(
        failed[..2],
        [
            "www.example.com: A at the name servers",
            "www.example.com: A at the resolver"
        ]
    );
    assert!(
        told(&checks, "A at the name servers").contains(&format!("leads to the instance ({instance})")),
        "{checks:#?}"
    );
}

#[tokio::test]
async fn a_listener_that_is_gone_fails_one_line_and_leaves_the_others_open() {
    let (scene, desk) = applied("").await;
    let remove = r#"
elb = client("elbv2")
for balancer in elb.describe_load_balancers()["LoadBalancers"]:
    for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
        elb.delete_listener(ListenerArn=listener["ListenerArn"])
"#;
    change(&scene, remove, &Value::Null).await;
    let checks = verified(&desk, &[], 1).await;
    assert_eq!(with(&checks, "failure"), ["www.example.com: https"]);
    assert_eq!(with(&checks, "unknown").len(), 5, "{checks:#?}");
    assert!(told(&checks, "https").contains("refused"), "{checks:#?}");
}

#[tokio::test]
async fn plain_http_is_held_to_what_was_configured() {
    let (scene, desk) = applied("[load_balancer]\nhttp = \"redirect\"\n").await;
    let checks = verified(&desk, &[], 0).await;
    assert_eq!(told(&checks, "http"), "301 to https://www.example.com/");

    let temporary = r#"
elb = client("elbv2")
for balancer in elb.describe_load_balancers()["LoadBalancers"]:
    for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
        if listener["Port"] == 80:
            elb.modify_listener(ListenerArn=listener["ListenerArn"], DefaultActions=[{"Type": "redirect",
                "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_302"}}])
"#;
    change(&scene, temporary, &Value::Null).await;
    let checks = verified(&desk, &[], 1).await;
    assert_eq!(with(&checks, "failure"), ["www.example.com: http"]);
    assert!(told(&checks, "http").starts_with("302 to "), "{checks:#?}");

    // The other way round: what should be closed answers.
    desk.configure(&config(&scene.world, NO_DRAIN));
    let checks = verified(&desk, &[], 1).await;
    assert_eq!(with(&checks, "failure"), ["www.example.com: http"]);
    assert!(told(&checks, "http").contains("without TLS"), "{checks:#?}");
}

#[tokio::test]
async fn what_visitors_would_see_of_a_broken_site_is_told() {
    let (scene, desk) = applied("").await;
    let instance = &scene.world.instance().id;
    let to_itself = Route::at("/")
        .status(302)
        .header("location", "https://www.example.com/");
    let looping = WebServer::for_site(&scene.world.domain).route(to_itself);
    scene.data_plane.serve(instance, looping).await.unwrap();
    let checks = verified(&desk, &[], 1).await;
    assert_eq!(with(&checks, "failure"), ["www.example.com: page /"]);
    assert!(told(&checks, "page /").contains("redirect loop"), "{checks:#?}");
}

#[tokio::test]
async fn a_drain_that_is_under_way_is_a_warning() {
    let (scene, desk) = scene(300, "").await;
    let run = desk.run(&["--yes"]).await.expect(0).shows("not before");
    assert!(!run.stdout.contains("Verified"), "it is not the end yet");
    let checks = verified(&desk, &[], 0).await;
    let instance = &scene.world.instance().id;
    assert_eq!(
        with(&checks, "warning"),
        [
            format!("{instance}: back door 80"),
            format!("{instance}: back door 443")
        ]
    );
    desk.configure(&config(&scene.world, "[lockdown]\nenabled = false\n"));
    let checks = verified(&desk, &[], 0).await;
    assert_eq!(with(&checks, "ok").len(), checks.len(), "{checks:#?}");
    assert!(told(&checks, "back door 443").contains("lockdown.enabled"));
}

#[tokio::test]
async fn an_apply_whose_checks_fail_says_so_and_keeps_what_it_did() {
    let wanted = reconcile_emulator::Seed {
        ttl: 1,
        ..reconcile_emulator::Seed::default()
    };
    let (scene, desk) = scene_of(&wanted, NO_DRAIN).await;
    // A range of ports is not closed by the tool, and lets everybody past the load balancer.
    let range = r#"
ec2 = client("ec2")
for group in ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["web"]}])["SecurityGroups"]:
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[{"IpProtocol": "tcp", "FromPort": 400,
        "ToPort": 500, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
"#;
    change(&scene, range, &Value::Null).await;
    desk.run(&["--yes"])
        .await
        .expect(1)
        .shows("  failure  back door 443")
        .says("what was done stays done")
        .says("reconcile verify");
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["listeners"].as_array().unwrap().len(), 1);
    desk.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    desk.configure(&config(
        &scene.world,
        &format!("{NO_DRAIN}[prove]\nrequest = \"off\"\n"),
    ));
    assert_eq!(with(&verified(&desk, &[], 1).await, "failure").len(), 1);
}

#[tokio::test]
async fn one_site_can_be_chosen_and_a_wrong_one_is_named() {
    let (_scene, desk) = applied("").await;
    assert_eq!(verified(&desk, &["--site", "www"], 0).await.len(), 12);
    desk.run(&["verify", "--site", "shop"])
        .await
        .expect(1)
        .says("no site `shop`")
        .says("`www`");
}

#[tokio::test]
async fn given_addresses_are_taken_for_requests_and_dns_is_not_judged_by_them() {
    let (scene, desk) = applied("").await;
    // As with curl, detours come first: they lead to the port that stands for 443. Nothing listens at the address.
    let port = scene.data_plane.real_port(443).unwrap();
    let given = format!("www.example.com:{port}:127.0.0.1");
    let checks = verified(&desk, &["--resolve", &given], 1).await;
    assert_eq!(with(&checks, "failure"), ["www.example.com: https"]);
    assert_eq!(with(&checks, "unknown")[0], "www.example.com: A at the resolver");
}

#[tokio::test]
async fn before_anything_is_set_up_that_is_what_is_said() {
    let (_scene, desk) = scene(1, NO_DRAIN).await;
    let checks = verified(&desk, &[], 1).await;
    assert_eq!(with(&checks, "failure"), ["load_balancer.main: load balancer"]);
}

#[tokio::test]
async fn every_name_of_a_site_is_looked_at_and_of_a_wildcard_what_can_be_asked() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let config = config(&scene.world, NO_DRAIN);
    desk.configure(&config.replace("health ", "aliases = [\"example.com\", \"*.example.com\"]\nhealth "));
    desk.run(&["--yes"]).await.expect(0);
    let checks = verified(&desk, &[], 0).await;
    let of = |name: &str| checks.iter().filter(|check| check["subject"] == name).count();
    assert_eq!((of("www.example.com"), of("*.example.com")), (9, 2), "{checks:#?}");
    // The zone has the name too.
    assert_eq!(of("example.com"), 9 + 1, "{checks:#?}");
}
