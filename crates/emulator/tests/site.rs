//! The whole story without the tool: a site on an instance, moved behind a load balancer through boto3, visited all along.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::time::Duration;

use reconcile_emulator::{Emulator, Options, Report, Scene, Seed, Visitor, VisitorOptions, seed};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

/// Everything of the new path up to a healthy target, as a person would make it.
const BUILD: &str = r#"
import time
acm, elb, ec2, route53 = client("acm"), client("elbv2"), client("ec2"), client("route53")

certificate = acm.request_certificate(DomainName=given["domain"], ValidationMethod="DNS")["CertificateArn"]
def until(ready):
    for _ in range(400):
        value = ready()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit("waited too long")
def validation():
    options = acm.describe_certificate(CertificateArn=certificate)["Certificate"].get("DomainValidationOptions")
    return options and options[0].get("ResourceRecord")
cname = until(validation)
route53.change_resource_record_sets(HostedZoneId=given["zone"], ChangeBatch={"Changes": [{
    "Action": "UPSERT", "ResourceRecordSet": {"Name": cname["Name"], "Type": "CNAME", "TTL": 300,
    "ResourceRecords": [{"Value": cname["Value"]}]}}]})

group = ec2.create_security_group(GroupName="alb", Description="alb", VpcId=given["vpc"])["GroupId"]
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443,
    "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
ec2.authorize_security_group_ingress(GroupId=given["instance_group"], IpPermissions=[{"IpProtocol": "tcp",
    "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": group}]}])
targets = elb.create_target_group(Name="web", Protocol="HTTPS", Port=443, VpcId=given["vpc"],
    HealthCheckProtocol="HTTPS", HealthCheckPath="/")["TargetGroups"][0]["TargetGroupArn"]
elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": id, "Port": 443} for id in given["instances"]])
balancer = elb.create_load_balancer(Name="web", Subnets=given["subnets"], SecurityGroups=[group])["LoadBalancers"][0]
until(lambda: acm.describe_certificate(CertificateArn=certificate)["Certificate"]["Status"] == "ISSUED")
listener = elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTPS", Port=443,
    Certificates=[{"CertificateArn": certificate}], SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
    DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}])["Listeners"][0]["ListenerArn"]
until(lambda: elb.describe_load_balancers()["LoadBalancers"][0]["State"]["Code"] == "active")
until(lambda: all(it["TargetHealth"]["State"] == "healthy" for it in
    elb.describe_target_health(TargetGroupArn=targets)["TargetHealthDescriptions"]))
show({"dns": balancer["DNSName"], "zone": balancer["CanonicalHostedZoneId"], "targets": targets, "listener": listener})
"#;

const CUT_OVER: &str = r#"
client("route53").change_resource_record_sets(HostedZoneId=given["zone"], ChangeBatch={"Changes": [{
    "Action": "UPSERT", "ResourceRecordSet": {"Name": given["domain"], "Type": "A", "AliasTarget": {
    "HostedZoneId": given["alb_zone"], "DNSName": given["alb"], "EvaluateTargetHealth": False}}}]})
"#;

const CLOSE_TO_THE_WORLD: &str = r#"
ec2 = client("ec2")
rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [given]}])["SecurityGroupRules"]
ids = [it["SecurityGroupRuleId"] for it in rules if it.get("CidrIpv4") == "0.0.0.0/0" and not it["IsEgress"]]
ec2.revoke_security_group_ingress(GroupId=given, SecurityGroupRuleIds=ids)
"#;

async fn build(scene: &Scene) -> Value {
    let world = &scene.world;
    let ids = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let given = json!({
        "domain": world.domain, "zone": world.zone, "vpc": world.vpc,
        "instance_group": world.security_group,
        "instances": ids(world.instances.iter().map(|it| it.id.as_str()).collect()),
        "subnets": ids(world.public_subnets.iter().map(|it| it.id.as_str()).collect()),
    });
    scene.emulator.boto3_with(BUILD, &given).await.unwrap()
}

async fn visit_once(scene: &Scene, options: VisitorOptions) -> Report {
    let visitor = Visitor::start(&scene.data_plane, options).unwrap();
    let seen = |report: &Report| report.answered + report.failed > 0;
    visitor.wait_until(DEADLINE, seen).await.unwrap();
    visitor.stop().await
}

#[tokio::test]
async fn the_site_moves_behind_a_load_balancer_and_no_visitor_notices() {
    let seed = Seed {
        ttl: 1,
        ..Seed::default()
    };
    let scene = Scene::start(Options::default(), &seed).await.unwrap();
    let domain = scene.world.domain.clone();
    assert!(scene.emulator.control().requests().await.unwrap().is_empty());

    // Only a visitor who trusts the instance's own certificate is content before the move.
    let stranger = visit_once(&scene, VisitorOptions::of(&domain)).await;
    assert_eq!(stranger.answered, 0);
    assert!(stranger.failures[0].reason.contains("TLS"), "{stranger}");

    let certificates = scene.instance_certificates();
    let visitor = Visitor::start(&scene.data_plane, VisitorOptions::of(&domain).trusting(certificates)).unwrap();
    let direct = |report: &Report| report.directly > 2;
    visitor.wait_until(DEADLINE, direct).await.unwrap();

    let built = build(&scene).await;
    assert_eq!(visitor.report().through_load_balancer, 0);
    scene
        .emulator
        .boto3_with(
            CUT_OVER,
            &json!({ "zone": scene.world.zone, "domain": domain,
                     "alb": built["dns"], "alb_zone": built["zone"] }),
        )
        .await
        .unwrap();
    let moved = |report: &Report| report.through_load_balancer > 2;
    visitor.wait_until(DEADLINE, moved).await.unwrap();

    scene
        .emulator
        .boto3_with(CLOSE_TO_THE_WORLD, &json!(scene.world.security_group))
        .await
        .unwrap();
    scene.data_plane.settled().await.unwrap();
    let before = visitor.report().answered;
    let more = |report: &Report| report.answered > before + 5;
    visitor.wait_until(DEADLINE, more).await.unwrap();
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
    assert!(report.addresses.contains_key(&scene.world.instance().public));

    // Now the chain is Amazon's, and the back door is shut.
    let stranger = visit_once(&scene, VisitorOptions::of(&domain)).await;
    assert_eq!(stranger.failed, 0, "{stranger}");
    assert!(stranger.through_load_balancer > 0);
    let port = scene.data_plane.real_port(443).unwrap();
    let direct = tokio::net::TcpStream::connect((scene.world.instance().public, port)).await;
    assert_eq!(
        direct.map(drop).map_err(|error| error.kind()),
        Err(std::io::ErrorKind::ConnectionRefused)
    );
}

#[tokio::test]
async fn plain_moto_answers_too() {
    let options = Options {
        plain: true,
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.unwrap();
    let show = "show(client('sts').get_caller_identity()['Account'])";
    assert_eq!(emulator.boto3(show).await.unwrap(), json!("123456789012"));
    let logged = emulator.control().requests().await.unwrap();
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].action, "GetCallerIdentity");
    assert!(!logged[0].mutating);

    let world = seed(&emulator, None, &Seed::default()).await.unwrap();
    let inventory = emulator.inventory(&world).await.unwrap();
    assert_eq!(inventory["zones"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_ended_emulator_leaves_nothing_running() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let control = emulator.control().clone();
    assert!(control.is_healthy().await);
    drop(emulator);
    assert!(!control.is_healthy().await);
}
