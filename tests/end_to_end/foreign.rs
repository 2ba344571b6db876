//! What others made: taken over as it is asked for, and left alone otherwise.

use reconcile_emulator::{Scene, Visitor};
use serde_json::{Value, json};

use crate::support::{
    Desk, NO_DRAIN, comes, config, inventory, mutating_actions, no_changes, quick_dns, records, scene_of,
};

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

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn ask(scene: &Scene, script: &str, given: &Value) -> Value {
    scene.emulator.boto3_with(script, given).await.unwrap()
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

/// What others add to the objects of a stack and around them.
const FOREIGN: &str = r#"
from datetime import datetime, timedelta, timezone
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
acm, elb, ec2, r53 = client("acm"), client("elbv2"), client("ec2"), client("route53")
def imported(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90)).sign(key, hashes.SHA256()))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return acm.import_certificate(Certificate=made.public_bytes(pem), PrivateKey=private)["CertificateArn"]
balancer = elb.describe_load_balancers()["LoadBalancers"][0]
arn, firewall = balancer["LoadBalancerArn"], balancer["SecurityGroups"][0]
group = elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
listener = next(l for l in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"] if l["Port"] == 443)
ours = listener["Certificates"][0]["CertificateArn"]
theirs = [{"Key": "theirs", "Value": "stays"}]
answer = lambda code: [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": code}}]
elb.add_tags(ResourceArns=[arn, group, listener["ListenerArn"]], Tags=theirs)
acm.add_tags_to_certificate(CertificateArn=ours, Tags=theirs)
rule = next(r["SecurityGroupRuleId"] for r in ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [given["web"]]}])["SecurityGroupRules"]
    if r.get("ReferencedGroupInfo"))
ec2.create_tags(Resources=[firewall, rule], Tags=theirs)
ec2.authorize_security_group_ingress(GroupId=given["web"], IpPermissions=[{"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080,
    "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "office"}]}])
for priority, field in ((10, {"Field": "host-header", "HostHeaderConfig": {"Values": ["admin.example.com"]}}),
                        (40000, {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/their-path"]}})):
    elb.create_rule(ListenerArn=listener["ListenerArn"], Priority=priority, Conditions=[field], Actions=answer("410"))
elb.add_listener_certificates(ListenerArn=listener["ListenerArn"], Certificates=[{"CertificateArn": imported("other.example.com")}])
elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=8080, DefaultActions=answer("503"))
elb.register_targets(TargetGroupArn=group, Targets=[{"Id": given["instance"], "Port": 8443}])
def change(name, kind, value): r53.change_resource_record_sets(HostedZoneId=given["zone"], ChangeBatch={"Changes": [{"Action": "UPSERT",
    "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": 300, "ResourceRecords": [{"Value": value}]}}]})
change("www.example.com", "TXT", '"theirs"')
change("www.example.com", "MX", "10 mail.example.com.")
change("mail.example.com", "A", "198.51.100.9")
"#;

/// All of it as it stands: what is in the account, and what hangs on the stack's objects.
const THEIRS: &str = r#"
acm, elb, ec2, r53 = client("acm"), client("elbv2"), client("ec2"), client("route53")
def tagged(tags): return any(t["Key"] == "theirs" and t["Value"] == "stays" for t in tags)
apart = {
    "rules": [[r["FromPort"], r["CidrIpv4"], r.get("Description")] for r in ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [given["web"]]}])["SecurityGroupRules"] if r.get("FromPort") == 8080],
    "records": sorted([r["Name"], r["Type"], r["ResourceRecords"][0]["Value"]] for r in
        r53.list_resource_record_sets(HostedZoneId=given["zone"])["ResourceRecordSets"]
        if r["Type"] in ("TXT", "MX") or r["Name"].startswith("mail.")),
    "certificates": sorted(c["DomainName"] for c in acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]),
}
hanging = {}
for balancer in elb.describe_load_balancers()["LoadBalancers"]:
    arn = balancer["LoadBalancerArn"]
    listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    main = next(l for l in listeners if l["Port"] == 443)["ListenerArn"]
    groups = [g["TargetGroupArn"] for g in elb.describe_target_groups()["TargetGroups"]]
    hanging = {
        "listeners": sorted(l["Port"] for l in listeners),
        "rules": sorted(r["Priority"] for r in elb.describe_rules(ListenerArn=main)["Rules"] if not r["IsDefault"]),
        "certificates": sorted(c["CertificateArn"] for c in elb.describe_listener_certificates(ListenerArn=main)["Certificates"] if not c["IsDefault"]),
        "targets": sorted(t["Target"]["Port"] for g in groups for t in elb.describe_target_health(TargetGroupArn=g)["TargetHealthDescriptions"]),
        "tags": [tagged(d["Tags"]) for d in elb.describe_tags(ResourceArns=[arn, main, *groups])["TagDescriptions"]],
        "groups": sorted(g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"] if tagged(g.get("Tags", []))),
        "ingress": [tagged(r["Tags"]) for r in ec2.describe_security_group_rules(
            Filters=[{"Name": "group-id", "Values": [given["web"]]}])["SecurityGroupRules"] if r.get("ReferencedGroupInfo")],
    }
show({"apart": apart, "hanging": hanging})
"#;

/// What the plan and the status tell of it.
const TOLD: [&str; 5] = [
    "a rule of somebody else with priority 10 (host-header admin.example.com) answers by itself",
    "a rule of somebody else with priority 40000 (path-pattern /their-path) answers by itself, and may take requests for \
     www.example.com",
    "which somebody else added to the listener, is left alone",
    "a listener of somebody else on port 8080 is left alone",
    "is registered on port 8443 beside what the configuration asks for",
];

#[tokio::test]
async fn what_others_added_is_told_and_stays() {
    let (scene, desk) = scene_of(&quick_dns(), NO_DRAIN).await;
    let world = &scene.world;
    desk.run(&["--yes"]).await.expect(0);
    let given = json!({ "web": world.security_group, "zone": world.zone, "instance": world.instance().id });
    ask(&scene, FOREIGN, &given).await;
    let theirs = async || ask(&scene, THEIRS, &given).await;
    let before = theirs().await;
    assert_eq!(before["hanging"]["rules"], json!(["10", "40000"]), "{before}");

    let plan = desk.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let status = desk.run(&["status"]).await.expect(0);
    for text in TOLD {
        for shown in [&plan.stdout, &status.stdout] {
            assert!(shown.contains(text), "expected `{text}` in\n{shown}");
        }
    }
    assert!(plan.stdout.contains("No changes."), "{}", plan.stdout);

    // A change of everything that has settings, and another certificate.
    let site = config(world, NO_DRAIN).replace("health ", "aliases = [\"example.com\"]\nhealth ");
    let more = "tags = { team = \"web\" }\n";
    desk.configure(&format!("{more}{site}[load_balancer]\nidle_timeout = \"90s\"\n"));
    desk.run(&["--yes"]).await.expect(0);
    no_changes(&desk).await;
    assert_eq!(theirs().await, before);

    // A target group that is replaced loses what others registered, and a destroyed load balancer everything on it.
    let http = "backend = { protocol = \"HTTP\" }\nports = { backend = 80 }\nhealth ";
    desk.configure(&format!("{more}{}", site.replace("health ", http)));
    desk.run(&["plan"])
        .await
        .expect(0)
        .shows("on port 8443, which somebody else registered, goes away with");
    desk.configure(&format!("{more}{site}"));
    let plan = desk.run(&["destroy"]).await.expect(1);
    for text in [
        "a rule of somebody else with priority 10 goes away with",
        "a rule of somebody else with priority 40000 goes away with",
        "which somebody else added to the listener, goes away with",
        "a listener of somebody else on port 8080 goes away with",
        "on port 8443, which somebody else registered, goes away with",
    ] {
        assert!(plan.stdout.contains(text), "expected `{text}` in\n{}", plan.stdout);
    }
    let impatient = site.replace("drain_margin", "wait = \"0s\"\ndrain_margin");
    desk.configure(&format!("{more}{impatient}"));
    let destroy = ["destroy", "--yes", "--delete-records"];
    desk.run(&destroy).await.expect(0).shows("not before");
    desk.pass_drain();
    desk.run(&destroy).await.expect(0).shows("The stack is gone.");
    let after = theirs().await;
    assert_eq!(after["apart"], before["apart"]);
    assert_eq!(after["hanging"], json!({}), "nothing of the stack is left");
}
