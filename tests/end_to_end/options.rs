//! What can be asked for beyond the main job, each as one apply, an empty next plan, and a repair of what drifted.

use reconcile_emulator::{Scene, Seed, SeedSite, Visitor};
use serde_json::{Value, json};

use crate::support::{NO_DRAIN, comes, config, inventory, mutating_actions, no_changes, quick_dns, records, scene_of};

mod attributes;

use attributes::ATTRIBUTES;

/// What the snippets of this file can use.
const PRELUDE: &str = r#"
import time
elb, ec2, acm, r53, waf = client("elbv2"), client("ec2"), client("acm"), client("route53"), client("wafv2")
def web_acl(name):
    visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": name}
    return waf.create_web_acl(Name=name, Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility)["Summary"]["ARN"]
def balancers(): return {b["LoadBalancerName"]: b["LoadBalancerArn"] for b in elb.describe_load_balancers()["LoadBalancers"]}
def protection(arn): return (waf.get_web_acl_for_resource(ResourceArn=arn).get("WebACL") or {}).get("Name")
def attributes(answer): return {a["Key"]: a["Value"] for a in answer["Attributes"]}
def pairs(given): return [{"Key": key, "Value": value} for key, value in given.items()]
"#;

fn object(pairs: &[(&str, &str)]) -> Value {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn ask(scene: &Scene, script: &str, given: &Value) -> Value {
    let script = format!("{PRELUDE}{script}");
    scene.emulator.boto3_with(&script, given).await.unwrap()
}

const ONE_CHANGE: &str = "Plan: 0 to add, 1 to change, 0 to destroy.";
const ONE_MORE: &str = "Plan: 1 to add, 0 to change, 0 to destroy.";

/// Asks the load balancer as a visitor of the site would, and tells status and headers.
const VISIT: &str = r#"
import socket, ssl, http.client
context = ssl.create_default_context(cafile=given["ca_file"])
raw = socket.create_connection((given["address"], given["port"]), timeout=10)
connection = http.client.HTTPSConnection(given["name"], context=context)
connection.sock = context.wrap_socket(raw, server_hostname=given["name"])
connection.request("GET", "/")
answer = connection.getresponse()
show({"status": answer.status, "headers": {key.lower(): value for key, value in answer.getheaders()}})
"#;

/// What a visitor gets who comes by the address that the site's name has.
async fn visit_once(scene: &Scene, visitor: &Visitor) -> Value {
    let report = visitor.report();
    let address = report.addresses.keys().next_back().unwrap();
    let given = json!({
        "ca_file": scene.data_plane.ca_file(), "address": address.to_string(), "port": scene.data_plane.real_port(443),
        "name": scene.world.domain,
    });
    ask(scene, VISIT, &given).await
}

#[tokio::test]
async fn the_header_that_cannot_be_taken_back_waits_for_the_run_after_the_move() {
    let (scene, desk) = scene_of(
        &quick_dns(),
        &format!("{NO_DRAIN}[load_balancer]\nhsts = \"max-age=86400\"\n"),
    )
    .await;
    let visitor = scene.visit(&scene.world.domain).unwrap();
    desk.run(&["plan"])
        .await
        .expect(0)
        .shows("it waits until visitors have moved")
        .shows("the next plan sets it");
    desk.run(&["--yes"]).await.expect(0);
    comes(&visitor, |report| report.through_load_balancer).await;
    let answer = visit_once(&scene, &visitor).await;
    assert_eq!(answer["headers"]["strict-transport-security"], Value::Null, "{answer}");
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows(ONE_CHANGE)
        .shows("+ hsts = \"max-age=86400\"");
    desk.run(&["--yes"]).await.expect(0);
    scene.data_plane.settled().await.unwrap();
    let answer = visit_once(&scene, &visitor).await;
    assert_eq!(
        answer["headers"]["strict-transport-security"], "max-age=86400",
        "{answer}"
    );
    no_changes(&desk).await;
    let off =
        json!({ "of": "listener", "change": { "routing.http.response.strict_transport_security.header_value": "" } });
    ask(&scene, ATTRIBUTES, &off).await;
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows(ONE_CHANGE);
    desk.run(&["--yes"]).await.expect(0);
    no_changes(&desk).await;
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

/// An AAAA record at the site's name.
const IPV6_RECORD: &str = r#"
r53.change_resource_record_sets(HostedZoneId=given["zone"], ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {
    "Name": "www.example.com.", "Type": "AAAA", "TTL": 1, "ResourceRecords": [{"Value": given["address"]}]}}]})
"#;

fn balancer_rules(seen: &Value) -> Vec<String> {
    let group = seen["balancers"][0]["groups"][0].as_str().unwrap();
    let rules = seen["rules"].as_array().unwrap().iter().filter_map(Value::as_str);
    let prefix = format!("{group} in ");
    rules
        .filter_map(|rule| rule.strip_prefix(&prefix))
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn both_address_families_move_together_and_go_back_together() {
    let dualstack = format!("{NO_DRAIN}[load_balancer]\nip_address_type = \"dualstack\"\n");
    let wanted = Seed {
        ipv6: true,
        ..quick_dns()
    };
    let (scene, desk) = scene_of(&wanted, &dualstack).await;
    let address = scene.world.instance().ipv6.unwrap().to_string();
    ask(
        &scene,
        IPV6_RECORD,
        &json!({ "zone": scene.world.zone, "address": address }),
    )
    .await;
    let before = inventory(&scene.emulator, &scene.world).await;
    let visitor = scene.visit(&scene.world.domain).unwrap();
    comes(&visitor, |report| report.directly).await;
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    let changes = mutating_actions(&scene.emulator).await;
    let record_changes = changes
        .iter()
        .filter(|action| *action == "ChangeResourceRecordSets")
        .count();
    assert_eq!(
        record_changes, 2,
        "the validation record, then both families at once: {changes:?}"
    );
    comes(&visitor, |report| report.through_load_balancer).await;

    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["balancers"][0]["IpAddressType"], "dualstack");
    let name = &scene.world.domain;
    let alias = |seen: &Value, family: &str| records(seen, name, family)[0]["AliasTarget"].clone();
    assert!(alias(&seen, "A").is_object());
    assert_eq!(alias(&seen, "A"), alias(&seen, "AAAA"));
    assert_eq!(balancer_rules(&seen), ["tcp 443..443 0.0.0.0/0", "tcp 443..443 ::/0"]);
    let open_to_ipv6 = json!("web in tcp 443..443 ::/0");
    assert!(
        !seen["rules"].as_array().unwrap().contains(&open_to_ipv6),
        "{}",
        seen["rules"]
    );
    no_changes(&desk).await;

    desk.run(&["rollback", "--yes"]).await.expect(0);
    comes(&visitor, |report| report.directly).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    for family in ["A", "AAAA"] {
        assert_eq!(records(&seen, name, family), records(&before, name, family));
    }
    assert!(
        seen["rules"].as_array().unwrap().contains(&open_to_ipv6),
        "{}",
        seen["rules"]
    );
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

#[tokio::test]
async fn a_load_balancer_learns_ipv6_and_forgets_it_again() {
    const BOTH: [&str; 2] = ["tcp 443..443 0.0.0.0/0", "tcp 443..443 ::/0"];
    let wanted = Seed {
        ipv6: true,
        ..quick_dns()
    };
    let (scene, desk) = scene_of(&wanted, NO_DRAIN).await;
    desk.run(&["--yes"]).await.expect(0);
    desk.pass_drain();
    let visitor = scene.visit(&scene.world.domain).unwrap();
    comes(&visitor, |report| report.through_load_balancer).await;
    let name = &scene.world.domain;
    for (kind, families, rules) in [
        ("dualstack", 2, BOTH.to_vec()),
        ("ipv4", 1, vec!["tcp 443..443 0.0.0.0/0"]),
    ] {
        let more = format!("{NO_DRAIN}[load_balancer]\nip_address_type = \"{kind}\"\n");
        desk.configure(&config(&scene.world, &more));
        let plan = desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);
        if kind == "dualstack" {
            plan.shows("Plan: 0 to add, 3 to change, 0 to destroy.");
        } else {
            plan.shows(ONE_CHANGE).shows("keeps its IPv6 addresses until");
        }
        desk.run(&["--yes"]).await.expect(0);
        // The records go first, and what they lead to once they are forgotten.
        let seen = inventory(&scene.emulator, &scene.world).await;
        assert_eq!(seen["balancers"][0]["IpAddressType"], "dualstack");
        assert_eq!(balancer_rules(&seen), BOTH);
        desk.pass_drain();
        desk.run(&["--yes"]).await.expect(0);
        no_changes(&desk).await;
        let seen = inventory(&scene.emulator, &scene.world).await;
        assert_eq!(seen["balancers"][0]["IpAddressType"], kind);
        assert_eq!(balancer_rules(&seen), rules);
        let found = records(&seen, name, "A").len() + records(&seen, name, "AAAA").len();
        assert_eq!(found, families, "{}", seen["records"]);
        comes(&visitor, |report| report.through_load_balancer).await;
    }
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

#[tokio::test]
async fn a_web_acl_protects_the_site_before_visitors_come_and_for_as_long_as_it_is_asked_for() {
    let (scene, desk) = scene_of(&quick_dns(), NO_DRAIN).await;
    let acls = ask(
        &scene,
        "show([web_acl(name) for name in ('block-all', 'first', 'second')])",
        &Value::Null,
    )
    .await;
    let with = |acl: &Value, more: &str| {
        let lines =
            format!("{NO_DRAIN}[load_balancer]\nweb_acl = {acl}\n{more}[prove]\ndeadlines = {{ request = \"3s\" }}\n");
        desk.configure(&config(&scene.world, &lines));
    };
    let protection = async || {
        let look = "show({name: protection(arn) for name, arn in balancers().items()})";
        ask(&scene, look, &Value::Null).await
    };
    let visitor = scene.visit(&scene.world.domain).unwrap();
    with(&acls[0], "");
    desk.run(&["--yes"]).await.expect(1).says("403");
    let seen = inventory(&scene.emulator, &scene.world).await;
    let record = records(&seen, &scene.world.domain, "A")[0];
    assert!(record["AliasTarget"].is_null(), "visitors stay where they are");

    with(&acls[1], "");
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows("web_acl");
    desk.run(&["--yes"]).await.expect(0);
    comes(&visitor, |report| report.through_load_balancer).await;
    no_changes(&desk).await;
    let found = protection().await;
    let protections = found.as_object().unwrap();
    assert!(
        protections.len() == 1 && protections.values().all(|name| name == "first"),
        "{found}"
    );

    with(&acls[2], "");
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows(ONE_CHANGE);
    desk.run(&["--yes"]).await.expect(0);
    assert!(
        protection()
            .await
            .as_object()
            .unwrap()
            .values()
            .all(|name| name == "second")
    );
    no_changes(&desk).await;

    // By hand: another one, then none.
    desk.age_state();
    let other = "for arn in balancers().values(): waf.associate_web_acl(WebACLArn=given, ResourceArn=arn)";
    ask(&scene, other, &acls[1]).await;
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows(ONE_CHANGE);
    desk.run(&["--yes"]).await.expect(0);
    let none = "for arn in balancers().values(): waf.disassociate_web_acl(ResourceArn=arn)";
    ask(&scene, none, &Value::Null).await;
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows(ONE_MORE);
    desk.run(&["--yes"]).await.expect(0);
    assert!(
        protection()
            .await
            .as_object()
            .unwrap()
            .values()
            .all(|name| name == "second")
    );

    desk.configure(&config(&scene.world, NO_DRAIN));
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows("Plan: 0 to add, 0 to change, 1 to destroy.");
    desk.run(&["--yes"]).await.expect(0);
    assert!(
        protection().await.as_object().unwrap().values().all(Value::is_null),
        "nothing protects it"
    );
    no_changes(&desk).await;
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

/// A certificate for all names of the zone, made by hand.
const WILDCARD: &str = r#"
arn = acm.request_certificate(DomainName="example.com", SubjectAlternativeNames=["*.example.com"], ValidationMethod="DNS")["CertificateArn"]
def look(): return acm.describe_certificate(CertificateArn=arn)["Certificate"]
while not all("ResourceRecord" in o for o in look().get("DomainValidationOptions") or [{}]): time.sleep(0.05)
record = look()["DomainValidationOptions"][0]["ResourceRecord"]
r53.change_resource_record_sets(HostedZoneId=given, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {
    "Name": record["Name"], "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": record["Value"]}]}}]})
while look()["Status"] != "ISSUED": time.sleep(0.05)
show(arn)
"#;

/// The certificates of the account, the default one of the listener and those that it chooses by name.
const CERTIFICATES: &str = r#"
[arn] = balancers().values()
listener = next(l["ListenerArn"] for l in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"] if l["Port"] == 443)
told = elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
show({"all": sorted(c["CertificateArn"] for c in acm.list_certificates()["CertificateSummaryList"]),
      "default": next(c["CertificateArn"] for c in told if c["IsDefault"]),
      "by_name": sorted(c["CertificateArn"] for c in told if not c["IsDefault"])})
"#;

#[tokio::test]
async fn a_certificate_is_named_for_one_site_then_for_both_and_stays_when_the_stack_is_done_with_it() {
    let wanted = Seed {
        further_sites: vec![SeedSite::of("shop.example.com")],
        ..quick_dns()
    };
    let (scene, desk) = scene_of(&wanted, NO_DRAIN).await;
    let shop = &scene.world.site("shop.example.com").unwrap().instances[0].id;
    let arn = ask(&scene, WILDCARD, &json!(scene.world.zone)).await;
    let configure = |www: &str, shop_certificate: &str| {
        let lines = format!(
            "{www}[site.shop]\ndomain = \"shop.example.com\"\ninstance = \"{shop}\"\nhealth = {{ path = \"/\" }}\n\
             {shop_certificate}{NO_DRAIN}"
        );
        desk.configure(&format!("name = \"www-example-com\"\n{}", config(&scene.world, &lines)));
    };
    let named = format!("certificate = {arn}\n");
    configure("", "");
    let plan = desk.run(&["plan"]).await.expect(0);
    for site in ["certificate.www: ", "certificate.shop: "] {
        let told = plan
            .stdout
            .lines()
            .find(|line| line.contains("note") && line.contains(site));
        assert!(
            told.is_some_and(|line| line.contains(arn.as_str().unwrap())),
            "{site}\n{}",
            plan.stdout
        );
    }

    let visitor = scene.visit("shop.example.com").unwrap();
    configure(&named, "");
    desk.run(&["--yes"]).await.expect(0);
    no_changes(&desk).await;
    comes(&visitor, |report| report.through_load_balancer).await;
    let look = async || ask(&scene, CERTIFICATES, &Value::Null).await;
    let seen = look().await;
    assert_eq!(seen["all"].as_array().unwrap().len(), 2, "one is requested: {seen}");
    assert_ne!(seen["default"], arn);
    assert_eq!(seen["by_name"], json!([arn]));

    configure(&named, &named);
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["--yes"]).await.expect(0);
    no_changes(&desk).await;
    let seen = look().await;
    assert_eq!(seen["default"], arn, "{seen}");
    assert_eq!(seen["all"], json!([arn]), "the one that was requested is gone");

    desk.age_state();
    configure("", "");
    desk.run(&["--yes"]).await.expect(0);
    no_changes(&desk).await;
    let seen = look().await;
    assert!(
        seen["all"].as_array().unwrap().len() == 3 && seen["all"].as_array().unwrap().contains(&arn),
        "{seen}"
    );
    assert!(seen["default"] != arn && seen["by_name"] != json!([arn]), "{seen}");
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

#[tokio::test]
async fn the_web_acl_is_before_a_new_load_balancer_before_visitors_come_there() {
    let (scene, desk) = scene_of(&quick_dns(), NO_DRAIN).await;
    let acl = ask(&scene, "show(web_acl('first'))", &Value::Null).await;
    let configure = |scheme: &str, web_acl: &str| {
        let lines = format!("{NO_DRAIN}[load_balancer]\nscheme = \"{scheme}\"\n{web_acl}");
        desk.configure(&config(&scene.world, &lines));
    };
    let managed = format!("web_acl = {acl}\n");
    configure("internal", &managed);
    // Nobody comes to an internal one from here, so it stays without visitors.
    desk.run(&["--yes", "--until", "prepare"]).await.expect(0);
    let visitor = scene.visit(&scene.world.domain).unwrap();
    comes(&visitor, |report| report.directly).await;

    // One that the configuration does not name does not come along, which is told.
    configure("internet-facing", "");
    desk.run(&["plan"]).await.expect(0).shows("does not come along");

    configure("internet-facing", &managed);
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["--yes"]).await.expect(0);
    let actions = mutating_actions(&scene.emulator).await;
    let at = |wanted: &str| {
        actions
            .iter()
            .position(|action| action == wanted)
            .unwrap_or_else(|| panic!("{wanted} is not among {actions:?}"))
    };
    assert!(at("CreateLoadBalancer") < at("AssociateWebACL"), "{actions:?}");
    assert!(at("AssociateWebACL") < at("ChangeResourceRecordSets"), "{actions:?}");
    assert!(at("ChangeResourceRecordSets") < at("DisassociateWebACL"), "{actions:?}");
    comes(&visitor, |report| report.through_load_balancer).await;
    desk.pass_drain();
    desk.run(&["--yes"]).await.expect(0);
    no_changes(&desk).await;
    let look = "show({name: protection(arn) for name, arn in balancers().items()})";
    let found = ask(&scene, look, &Value::Null).await;
    let protections = found.as_object().unwrap();
    assert!(
        protections.len() == 1 && protections.values().all(|name| name == "first"),
        "{found}"
    );
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}
