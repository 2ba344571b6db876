//! What others made: taken over as it is asked for, and left alone otherwise.

use std::time::Duration;

use reconcile_emulator::{Report, Scene, Seed, Visitor};
use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, config, inventory, mutating_actions, records, scene_of};

/// A load balancer that somebody made by hand and that serves the site already: the names are led to it.
const BY_HAND: &str = r#"
import time
acm, elb, ec2, r53 = client("acm"), client("elbv2"), client("ec2"), client("route53")
def until(ready):
    for _ in range(400):
        value = ready()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit("waited too long")
certificate = acm.request_certificate(DomainName=given["name"], ValidationMethod="DNS")["CertificateArn"]
def described(): return acm.describe_certificate(CertificateArn=certificate)["Certificate"]
cname = until(lambda: (described().get("DomainValidationOptions") or [{}])[0].get("ResourceRecord"))
def change(record): r53.change_resource_record_sets(HostedZoneId=given["zone"],
    ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]})
change({"Name": cname["Name"], "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": cname["Value"]}]})
until(lambda: described()["Status"] == "ISSUED")
https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
firewall = ec2.create_security_group(GroupName="legacy-alb", Description="made by hand", VpcId=given["vpc"])["GroupId"]
ec2.authorize_security_group_ingress(GroupId=firewall, IpPermissions=[{**https, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
ec2.authorize_security_group_ingress(GroupId=given["web"], IpPermissions=[{**https, "UserIdGroupPairs": [{"GroupId": firewall}]}])
theirs = [{"Key": "theirs", "Value": "stays"}]
group = elb.create_target_group(Name="legacy-web", Protocol="HTTPS", Port=443, VpcId=given["vpc"], TargetType="instance",
    HealthCheckPath="/", Tags=theirs)["TargetGroups"][0]["TargetGroupArn"]
elb.register_targets(TargetGroupArn=group, Targets=[{"Id": given["instance"], "Port": 443}])
balancer = elb.create_load_balancer(Name="legacy", Subnets=given["subnets"], SecurityGroups=[firewall], Tags=theirs)["LoadBalancers"][0]
arn = balancer["LoadBalancerArn"]
listener = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": certificate}],
    SslPolicy="ELBSecurityPolicy-2016-08", DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])["Listeners"][0]["ListenerArn"]
until(lambda: elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["State"]["Code"] == "active")
until(lambda: all(t["TargetHealth"]["State"] == "healthy" for t in elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]))
change({"Name": given["name"], "Type": "A", "AliasTarget": {"HostedZoneId": balancer["CanonicalHostedZoneId"],
    "DNSName": "dualstack." + balancer["DNSName"], "EvaluateTargetHealth": False}})
show({"load_balancer": arn, "target_group": group, "security_group": firewall, "certificate": certificate, "listener": listener})
"#;

const TAGS: &str = r#"
show([{t["Key"]: t["Value"] for t in told["Tags"]} for told in client("elbv2").describe_tags(ResourceArns=given)["TagDescriptions"]])
"#;

/// A world in which resolvers forget everything within a second.
fn quick_dns() -> Seed {
    Seed {
        ttl: 1,
        load_balancer_ttl: 1,
        ..Seed::default()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn ask(scene: &Scene, script: &str, given: &Value) -> Value {
    scene.emulator.boto3_with(script, given).await.unwrap()
}

async fn no_changes(desk: &Desk) {
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

/// Until the visitor has come this many times more by the way that `count` counts.
async fn comes(visitor: &Visitor, count: impl Fn(&Report) -> u64) {
    let before = count(&visitor.report());
    visitor
        .wait_until(Duration::from_secs(30), |report| {
            report.failed > 0 || count(report) >= before + 20
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", visitor.report()));
    assert_eq!(visitor.report().failed, 0, "{}", visitor.report());
}

/// A site behind a load balancer that was made by hand, and a visitor of it.
async fn made_by_hand() -> (Scene, Desk, Value, Visitor) {
    let (scene, desk) = scene_of(&quick_dns(), NO_DRAIN).await;
    let world = &scene.world;
    let subnets: Vec<&str> = world.public_subnets.iter().map(|subnet| subnet.id.as_str()).collect();
    let given = json!({
        "name": world.domain, "zone": world.zone, "vpc": world.vpc, "web": world.security_group,
        "instance": world.instance().id, "subnets": subnets,
    });
    let made = ask(&scene, BY_HAND, &given).await;
    scene.data_plane.settled().await.unwrap();
    let visitor = scene.visit(&world.domain).unwrap();
    comes(&visitor, |report| report.through_load_balancer).await;
    scene.emulator.control().clear_requests().await.unwrap();
    (scene, desk, made, visitor)
}

/// What holds once a stack consists of the objects that were made by hand.
async fn is_taken_over(scene: &Scene, desk: &Desk, made: &Value, visitor: Visitor) {
    comes(&visitor, |report| report.through_load_balancer).await;
    no_changes(desk).await;
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
    let made_anew: Vec<String> = mutating_actions(&scene.emulator)
        .await
        .into_iter()
        .filter(|action| {
            action.starts_with("Create") && action != "CreateTags"
                || action == "RequestCertificate"
                || action.starts_with("Delete") && action != "DeleteTags"
                || action == "ChangeResourceRecordSets"
        })
        .collect();
    assert_eq!(made_anew, Vec::<String>::new(), "nothing is made, deleted or moved");
    let seen = inventory(&scene.emulator, &scene.world).await;
    for (kind, count) in [("balancers", 1), ("groups", 1), ("listeners", 1), ("certificates", 1)] {
        assert_eq!(seen[kind].as_array().unwrap().len(), count, "{kind}");
    }
    assert_eq!(seen["balancers"][0]["LoadBalancerName"], "legacy");
    assert_eq!(seen["balancers"][0]["groups"], json!(["legacy-alb"]));
    assert_eq!(
        seen["listeners"][0]["SslPolicy"],
        "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    );
    let rules = seen["rules"].as_array().unwrap();
    assert!(
        !rules.contains(&json!("web in tcp 443..443 0.0.0.0/0")),
        "the back door is closed: {rules:?}"
    );
    assert!(rules.contains(&json!("web in tcp 443..443 legacy-alb")), "{rules:?}");
    let record = records(&seen, &scene.world.domain, "A")[0];
    assert!(
        text(&record["AliasTarget"]["DNSName"]).starts_with("dualstack."),
        "the spelling stays: {record}"
    );
    let arns = [&made["load_balancer"], &made["target_group"], &made["listener"]];
    let tags = ask(scene, TAGS, &json!(arns)).await;
    for tags in tags.as_array().unwrap() {
        assert_eq!(tags["reconcile:stack"], "www-example-com");
    }
    assert_eq!(
        (&tags[0]["theirs"], &tags[1]["theirs"]),
        (&json!("stays"), &json!("stays"))
    );
    let state = desk.state();
    for (address, id) in [
        ("load_balancer.main", "load_balancer"),
        ("target_group.www", "target_group"),
        ("security_group.load_balancer", "security_group"),
        ("certificate.www", "certificate"),
        ("listener.443", "listener"),
    ] {
        assert_eq!(state["resources"][address]["id"], made[id], "{address}");
    }
}

#[tokio::test]
async fn a_load_balancer_that_serves_the_site_already_is_taken_over_whole() {
    let (scene, desk, made, visitor) = made_by_hand().await;
    let ids: Vec<&str> = ["load_balancer", "target_group", "security_group", "certificate"]
        .map(|kind| text(&made[kind]))
        .into();
    // Without being asked to, the stack leads nobody away from it.
    desk.run(&["plan"]).await.expect(1).says("leads elsewhere");
    desk.configure(&format!("adopt = {}\n{}", json!(ids), config(&scene.world, NO_DRAIN)));
    let plan = desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);
    assert!(plan.stdout.contains("Plan: 0 to add"), "{}", plan.stdout);
    assert!(plan.stdout.contains("0 to destroy"), "{}", plan.stdout);
    desk.run(&["--yes"]).await.expect(0);
    is_taken_over(&scene, &desk, &made, visitor).await;
}

#[tokio::test]
async fn a_load_balancer_that_serves_the_site_already_is_imported_piece_by_piece() {
    let (scene, desk, made, visitor) = made_by_hand().await;
    for kind in [
        "certificate",
        "security_group",
        "load_balancer",
        "target_group",
        "listener",
    ] {
        desk.run(&["import", kind, text(&made[kind]), "--yes"])
            .await
            .expect(0)
            .shows("Took over");
    }
    desk.run(&["import", "alias_record", &scene.world.domain, "--yes"])
        .await
        .expect(0);
    desk.run(&["--yes"]).await.expect(0);
    is_taken_over(&scene, &desk, &made, visitor).await;
}
