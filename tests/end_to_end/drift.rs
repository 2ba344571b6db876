//! What somebody changes by hand in AWS is exactly what the next plan shows, and apply repairs it.

use reconcile_emulator::{Scene, Seed, SeedSite};
use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, scene, scene_of};

/// What the snippets of this file can use.
const PRELUDE: &str = r#"
import time
elb, ec2, acm, r53 = client("elbv2"), client("ec2"), client("acm"), client("route53")
balancer = elb.describe_load_balancers()["LoadBalancers"][0]
arn = balancer["LoadBalancerArn"]
group = elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
listeners = {l["Port"]: l["ListenerArn"] for l in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]}
certificate = next(c["CertificateArn"] for c in acm.list_certificates()["CertificateSummaryList"]
    if any(t["Key"] == "reconcile:stack" for t in acm.list_tags_for_certificate(CertificateArn=c["CertificateArn"])["Tags"]))
own = balancer["SecurityGroups"][0]
web, zone, subnets = given["web"], given["zone"], given["subnets"]
def world(port): return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
def change(action, record): r53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]})
def at(name, kind): return next(r for r in r53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] if r["Name"] == name and r["Type"] == kind)
def rules(group): return ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
"#;

/// The change by hand, and the lines that the plan then shows, without colour and indentation. Nothing else may change.
const CASES: &[(&str, &[&str])] = &[
    (
        r#"elb.modify_target_group(TargetGroupArn=group, HealthCheckPath="/x")"#,
        &["- health.path = \"/x\"", "+ health.path = \"/\""],
    ),
    (
        r#"elb.modify_target_group(TargetGroupArn=group, HealthCheckProtocol="HTTP")"#,
        &["- health.protocol = \"HTTP\"", "+ health.protocol = \"HTTPS\""],
    ),
    (
        r#"elb.modify_target_group(TargetGroupArn=group, HealthCheckPort="8443")"#,
        &["- health.port = \"8443\"", "+ health.port = \"traffic-port\""],
    ),
    (
        r#"elb.modify_target_group(TargetGroupArn=group, Matcher={"HttpCode": "200-299"})"#,
        &["- health.codes = \"200-299\"", "+ health.codes = \"200\""],
    ),
    (
        r#"elb.modify_target_group(TargetGroupArn=group, HealthCheckIntervalSeconds=60)"#,
        &["- health.interval = \"1m\"", "+ health.interval = \"30s\""],
    ),
    (
        r#"elb.modify_target_group(TargetGroupArn=group, HealthCheckTimeoutSeconds=9)"#,
        &["- health.timeout = \"9s\"", "+ health.timeout = \"5s\""],
    ),
    (
        r#"elb.modify_target_group(TargetGroupArn=group, HealthyThresholdCount=3)"#,
        &["- health.healthy = 3", "+ health.healthy = 5"],
    ),
    (
        r#"elb.modify_target_group(TargetGroupArn=group, UnhealthyThresholdCount=7)"#,
        &["- health.unhealthy = 7", "+ health.unhealthy = 2"],
    ),
    (
        r#"elb.modify_listener(ListenerArn=listeners[443], SslPolicy="ELBSecurityPolicy-2016-08")"#,
        &[
            "- tls_policy = \"ELBSecurityPolicy-2016-08\"",
            "+ tls_policy = \"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09\"",
        ],
    ),
    (
        r#"elb.modify_listener(ListenerArn=listeners[443], DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}])"#,
        &[
            "- default_action = \"fixed-response\"",
            "+ default_action = \"forward\"",
        ],
    ),
    (
        r#"elb.modify_listener(ListenerArn=listeners[80], DefaultActions=[{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_302"}}])"#,
        &[
            "- redirect_to = \"HTTP_302 HTTPS://#{host}:443/#{path}?#{query}\"",
            "+ redirect_to = \"HTTP_301 HTTPS://#{host}:443/#{path}?#{query}\"",
        ],
    ),
    (
        r#"elb.delete_listener(ListenerArn=listeners[80])"#,
        &["+ redirect_to = \"HTTP_301 HTTPS://#{host}:443/#{path}?#{query}\""],
    ),
    (
        r#"elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "99"}])"#,
        &["- idle_timeout = "],
    ),
    (
        r#"elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "false"}])"#,
        &["+ drop_invalid_headers = true"],
    ),
    (
        r#"elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[web])"#,
        &["security_group = "],
    ),
    (
        r#"elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": given["instance"], "Port": 443}])"#,
        &["+ port = 443"],
    ),
    (
        r#"elb.add_tags(ResourceArns=[arn], Tags=[{"Key": "team", "Value": "mail"}, {"Key": "theirs", "Value": "stays"}])"#,
        &["- tags.team = \"mail\"", "+ tags.team = \"web\""],
    ),
    (
        r#"elb.remove_tags(ResourceArns=[group], TagKeys=["team"])"#,
        &["+ tags.team = \"web\""],
    ),
    (
        r#"elb.add_tags(ResourceArns=[listeners[443]], Tags=[{"Key": "team", "Value": "mail"}])"#,
        &["- tags.team = \"mail\"", "+ tags.team = \"web\""],
    ),
    (
        r#"acm.add_tags_to_certificate(CertificateArn=certificate, Tags=[{"Key": "team", "Value": "mail"}])"#,
        &["- tags.team = \"mail\"", "+ tags.team = \"web\""],
    ),
    (
        r#"ec2.create_tags(Resources=[own], Tags=[{"Key": "team", "Value": "mail"}])"#,
        &["- tags.team = \"mail\"", "+ tags.team = \"web\""],
    ),
    (
        r#"ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=world(8080))"#,
        &["tcp 8080 0.0.0.0/0"],
    ),
    (
        r#"ec2.revoke_security_group_ingress(GroupId=own, IpPermissions=world(443))"#,
        &["tcp 443 0.0.0.0/0"],
    ),
    (
        r#"ec2.revoke_security_group_egress(GroupId=own, SecurityGroupRuleIds=[r["SecurityGroupRuleId"] for r in rules(own) if r["IsEgress"]])"#,
        &["tcp 443 sg-"],
    ),
    (
        r#"ec2.authorize_security_group_egress(GroupId=own, IpPermissions=world(25))"#,
        &["tcp 25 0.0.0.0/0"],
    ),
    (
        r#"ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=world(443))"#,
        &["tcp 443 0.0.0.0/0"],
    ),
    (
        r#"ec2.revoke_security_group_ingress(GroupId=web, SecurityGroupRuleIds=[r["SecurityGroupRuleId"] for r in rules(web) if r.get("ReferencedGroupInfo")])"#,
        &["+ port = 443"],
    ),
    (
        r#"
record = at("www.example.com.", "A")
change("UPSERT", {"Name": "www.example.com.", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "198.51.100.7"}]})"#,
        &["198.51.100.7"],
    ),
    (
        r#"
record = at("www.example.com.", "A")
record["AliasTarget"]["EvaluateTargetHealth"] = True
change("UPSERT", record)"#,
        &["evaluate_target_health = true"],
    ),
    (
        r#"
record = next(r for r in r53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] if r["Type"] == "CNAME")
change("DELETE", record)"#,
        &["acm-validations.aws"],
    ),
    (
        r#"
record = next(r for r in r53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] if r["Type"] == "CNAME")
record["ResourceRecords"] = [{"Value": "_other.acm-validations.aws."}]
change("UPSERT", record)"#,
        &["- value = \"_other.acm-validations.aws\""],
    ),
];

#[tokio::test]
async fn every_change_by_hand_is_shown_and_repaired() {
    let more = format!(
        "{NO_DRAIN}\n[load_balancer]\nhttp = \"redirect\"\nidle_timeout = \"30s\"\ndrop_invalid_headers = true\n"
    );
    let (scene, desk) = scene(1, "").await;
    let config = crate::support::config(&scene.world, &more);
    desk.configure(&format!("tags = {{ team = \"web\" }}\n{config}"));
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    desk.age_state();
    let given = json!({
        "web": scene.world.security_group,
        "zone": scene.world.zone,
        "instance": scene.world.instance().id,
        "private": scene.world.private_subnet.id,
        "subnets": scene.world.public_subnets.iter().map(|subnet| subnet.id.clone()).collect::<Vec<_>>(),
    });
    each_is_repaired(&scene, &desk, PRELUDE, CASES, &given).await;
}

/// Changes one thing by hand after the other, and has each shown and repaired.
async fn each_is_repaired(scene: &Scene, desk: &Desk, prelude: &str, cases: &[(&str, &[&str])], given: &Value) {
    for (by_hand, expected) in cases {
        scene
            .emulator
            .boto3_with(&format!("{prelude}{by_hand}"), given)
            .await
            .unwrap();
        let plan = desk.run(&["plan", "--detailed-exitcode"]).await;
        assert_eq!(plan.code, Some(2), "after {by_hand}\n{}{}", plan.stdout, plan.stderr);
        for text in *expected {
            assert!(
                plan.stdout.contains(text),
                "expected `{text}` after {by_hand}\n{}",
                plan.stdout
            );
        }
        let counts = [
            "0 to add, 1 to change, 0 to destroy",
            "1 to add, 0 to change, 0 to destroy",
            "1 to add, 0 to change, 1 to destroy",
            // With a rule for the proof, which comes and goes: nobody knows how the target group is that nothing used.
            "1 to add, 1 to change, 1 to destroy",
        ];
        assert!(
            counts.iter().any(|count| plan.stdout.contains(count)),
            "exactly one thing changes after {by_hand}\n{}",
            plan.stdout
        );
        let apply = desk.run(&["--yes"]).await;
        assert_eq!(apply.code, Some(0), "after {by_hand}\n{}{}", apply.stdout, apply.stderr);
        let again = desk.run(&["plan", "--detailed-exitcode"]).await;
        assert_eq!(
            again.code,
            Some(0),
            "not repaired after {by_hand}\n{}{}",
            again.stdout,
            again.stderr
        );
    }
}

/// What the snippets about several sites can use. The first rule and the first target group are those of `www`.
const SITES_PRELUDE: &str = r#"
elb, acm, waf = client("elbv2"), client("acm"), client("wafv2")
arn = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
listener = next(l for l in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"] if l["Port"] == 443)["ListenerArn"]
rules = [r for r in elb.describe_rules(ListenerArn=listener)["Rules"] if not r["IsDefault"]]
rule = next(r for r in rules if r["Conditions"][0]["HostHeaderConfig"]["Values"] == ["www.example.com"])["RuleArn"]
groups = {g["TargetGroupName"]: g["TargetGroupArn"] for g in elb.describe_target_groups()["TargetGroups"]}
group, other = [next(a for n, a in groups.items() if site in n) for site in ("-www-", "-shop-")]
def attribute(change, key, value, **what): change(**what, Attributes=[{"Key": key, "Value": value}])
answer = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
"#;

const SITES_CASES: &[(&str, &[&str])] = &[
    (
        r#"elb.set_rule_priorities(RulePriorities=[{"RuleArn": rule, "Priority": 50}])"#,
        &["listener_rule.443.www", "- priority = 50"],
    ),
    (
        r#"elb.modify_rule(RuleArn=rule, Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["old.example.com"]}}])"#,
        &["listener_rule.443.www", "old.example.com"],
    ),
    (
        r#"elb.modify_rule(RuleArn=rule, Actions=answer)"#,
        &["- action = \"fixed-response\"", "+ action = \"forward\""],
    ),
    (
        r#"elb.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "TargetGroupArn": other}])"#,
        &["- target_group = ", "+ target_group = "],
    ),
    (
        r#"elb.add_tags(ResourceArns=[rule], Tags=[{"Key": "team", "Value": "mail"}])"#,
        &["- tags.team = \"mail\"", "+ tags.team = \"web\""],
    ),
    (
        r#"elb.delete_rule(RuleArn=rule)"#,
        &["+ create  listener_rule.443.www", "gone from AWS"],
    ),
    (
        r#"
for it in elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]:
    if not it["IsDefault"]: elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": it["CertificateArn"]}])"#,
        &["+ create  listener_certificate.443."],
    ),
    (
        r#"elb.modify_listener(ListenerArn=listener, DefaultActions=answer)"#,
        &["- fixed_response = \"503", "+ fixed_response = \"404 text/plain"],
    ),
    (
        r#"waf.associate_web_acl(WebACLArn=given["second"], ResourceArn=arn)"#,
        &["- web_acl = ", "+ web_acl = "],
    ),
    (
        r#"waf.disassociate_web_acl(ResourceArn=arn)"#,
        &["+ create  web_acl_association.main"],
    ),
    (
        r#"attribute(elb.modify_target_group_attributes, "deregistration_delay.timeout_seconds", "100", TargetGroupArn=group)"#,
        &["- deregistration_delay = \"1m40s\"", "+ deregistration_delay = \"30s\""],
    ),
    (
        r#"attribute(elb.modify_target_group_attributes, "stickiness.enabled", "false", TargetGroupArn=group)"#,
        &["- attributes.\"stickiness.enabled\" = \"false\""],
    ),
    (
        r#"attribute(elb.modify_listener_attributes, "routing.http.response.server.enabled", "true", ListenerArn=listener)"#,
        &["- attributes.\"routing.http.response.server.enabled\" = \"true\""],
    ),
];

#[tokio::test]
async fn every_change_by_hand_between_sites_is_shown_and_repaired() {
    let wanted = Seed {
        ttl: 1,
        further_sites: vec![SeedSite::of("shop.example.com")],
        ..Seed::default()
    };
    let (scene, desk) = scene_of(&wanted, "").await;
    let acls = r#"
def web_acl(name):
    visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": name}
    return client("wafv2").create_web_acl(Name=name, Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility)["Summary"]["ARN"]
show({name: web_acl(name) for name in ("first", "second")})"#;
    let acls = scene.emulator.boto3(acls).await.unwrap();
    let shop = &scene.world.site("shop.example.com").unwrap().instances[0].id;
    let more = format!(
        "deregistration_delay = \"30s\"\nstickiness = \"1h\"\n[site.shop]\ndomain = \"shop.example.com\"\n\
         instance = \"{shop}\"\nhealth = {{ path = \"/\" }}\n{NO_DRAIN}[load_balancer]\nweb_acl = {}\n\
         listener_attributes.\"routing.http.response.server.enabled\" = \"false\"\n",
        acls["first"]
    );
    let config = crate::support::config(&scene.world, &more);
    desk.configure(&format!(
        "name = \"www-example-com\"\ntags = {{ team = \"web\" }}\n{config}"
    ));
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    desk.age_state();
    each_is_repaired(&scene, &desk, SITES_PRELUDE, SITES_CASES, &acls).await;
}
