//! Several sites behind one load balancer, built and taken down again through boto3, and seen from all sides.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::time::Duration;

use reconcile_emulator::{Options, Renewal, Report, Scene, Seed, SeedSite, Settings, Visitor};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

/// One load balancer for all sites: a certificate, a target group and a rule for each, and 404 for the rest.
const BUILD: &str = r#"
import time
acm, elb, ec2, route53 = client("acm"), client("elbv2"), client("ec2"), client("route53", **role(given["role"]))
def until(ready):
    for _ in range(400):
        value = ready()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit("waited too long")
def certificate_for(site):
    arn = acm.request_certificate(DomainName=site["domain"], ValidationMethod="DNS")["CertificateArn"]
    def described():
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]
    cname = until(lambda: (described().get("DomainValidationOptions") or [{}])[0].get("ResourceRecord"))
    route53.change_resource_record_sets(HostedZoneId=site["zone"], ChangeBatch={"Changes": [{
        "Action": "UPSERT", "ResourceRecordSet": {"Name": cname["Name"], "Type": "CNAME", "TTL": 300,
        "ResourceRecords": [{"Value": cname["Value"]}]}}]})
    until(lambda: described()["Status"] == "ISSUED")
    return arn
https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
group = ec2.create_security_group(GroupName="alb", Description="alb", VpcId=given["vpc"])["GroupId"]
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{**https, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
balancer = elb.create_load_balancer(Name="web", Subnets=given["subnets"], SecurityGroups=[group],
    IpAddressType=given["address_type"])["LoadBalancers"][0]
certificates = [certificate_for(site) for site in given["sites"]]
listener = elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTPS", Port=443,
    Certificates=[{"CertificateArn": certificates[0]}], SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
    DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}])
listener = listener["Listeners"][0]["ListenerArn"]
targets = []
for priority, (site, certificate) in enumerate(zip(given["sites"], certificates), 1):
    ec2.authorize_security_group_ingress(GroupId=site["group"],
        IpPermissions=[{**https, "UserIdGroupPairs": [{"GroupId": group}]}])
    made = elb.create_target_group(Name=f"web-{priority}", Protocol="HTTPS", Port=443, VpcId=given["vpc"],
        HealthCheckProtocol="HTTPS", HealthCheckPath="/")["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=made, Targets=[{"Id": id, "Port": 443} for id in site["instances"]])
    if priority > 1:
        elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": certificate}])
    elb.create_rule(ListenerArn=listener, Priority=priority,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [site["domain"]]}}],
        Actions=[{"Type": "forward", "TargetGroupArn": made}])
    targets.append(made)
for made in targets:
    until(lambda: all(it["TargetHealth"]["State"] == "healthy" for it in
        elb.describe_target_health(TargetGroupArn=made)["TargetHealthDescriptions"]))
for site in given["sites"]:
    route53.change_resource_record_sets(HostedZoneId=site["zone"], ChangeBatch={"Changes": [{
        "Action": "UPSERT", "ResourceRecordSet": {"Name": site["domain"], "Type": "A", "AliasTarget": {
        "HostedZoneId": balancer["CanonicalHostedZoneId"], "DNSName": balancer["DNSName"],
        "EvaluateTargetHealth": False}}}]})
show({"balancer": balancer["LoadBalancerArn"], "group": group, "targets": targets, "certificates": certificates,
      "listener": listener})
"#;

/// All of it away again, in the right order.
const TAKE_DOWN: &str = r#"
import time
acm, elb, ec2, route53 = client("acm"), client("elbv2"), client("ec2"), client("route53", **role(given["role"]))
def insist(call, **parameters):
    for _ in range(200):
        try:
            return call(**parameters)
        except Exception as error:
            code = error.response["Error"]["Code"]
            if code not in ("ResourceInUse", "DependencyViolation", "ResourceInUseException"):
                raise
            time.sleep(0.05)
    raise SystemExit("never free")
made = given["made"]
for site in given["sites"]:
    records = route53.list_resource_record_sets(HostedZoneId=site["zone"])["ResourceRecordSets"]
    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in records if record["Type"] == "CNAME"]
    changes.append({"Action": "UPSERT", "ResourceRecordSet": {"Name": site["domain"], "Type": "A", "TTL": 1,
        "ResourceRecords": [{"Value": address} for address in site["addresses"]]}})
    route53.change_resource_record_sets(HostedZoneId=site["zone"], ChangeBatch={"Changes": changes})
    ec2.revoke_security_group_ingress(GroupId=site["group"], IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443,
        "ToPort": 443, "UserIdGroupPairs": [{"GroupId": made["group"]}]}])
elb.delete_load_balancer(LoadBalancerArn=made["balancer"])
for targets in made["targets"]:
    insist(elb.delete_target_group, TargetGroupArn=targets)
for certificate in made["certificates"]:
    insist(acm.delete_certificate, CertificateArn=certificate)
insist(ec2.delete_security_group, GroupId=made["group"])
"#;

fn seed() -> Seed {
    Seed {
        ttl: 1,
        load_balancer_ttl: 1,
        further_sites: vec![
            SeedSite {
                instances: 2,
                ..SeedSite::of("shop.example.com")
            },
            SeedSite::of("www.example.net"),
        ],
        ..Seed::default()
    }
}

fn given(scene: &Scene, address_type: &str) -> Value {
    let world = &scene.world;
    let sites: Vec<Value> = world
        .sites
        .iter()
        .map(|site| {
            json!({
                "domain": site.domain, "zone": site.zone, "group": site.security_group,
                "instances": site.instances.iter().map(|it| &it.id).collect::<Vec<_>>(),
                "addresses": site.instances.iter().map(|it| it.public).collect::<Vec<_>>(),
            })
        })
        .collect();
    let subnets: Vec<&String> = world.public_subnets.iter().map(|it| &it.id).collect();
    json!({ "role": world.zone_role, "vpc": world.vpc, "subnets": subnets, "sites": sites,
            "address_type": address_type })
}

async fn all_seen(visitors: &[Visitor], condition: impl Fn(&Report) -> bool + Copy) {
    for visitor in visitors {
        visitor.wait_until(DEADLINE, condition).await.unwrap();
    }
}

#[tokio::test]
async fn three_sites_share_a_load_balancer_and_leave_nothing_behind() {
    let scene = Scene::start(Options::default(), &seed()).await.unwrap();
    let before = scene.emulator.inventory(&scene.world).await.unwrap();
    assert_eq!(before, scene.emulator.inventory(&scene.world).await.unwrap());

    let sites = &scene.world.sites;
    let visitors: Vec<Visitor> = sites.iter().map(|site| scene.visit(&site.domain).unwrap()).collect();
    all_seen(&visitors, |report| report.directly > 2).await;
    let mut given = given(&scene, "ipv4");
    let made = scene.emulator.boto3_with(BUILD, &given).await.unwrap();
    all_seen(&visitors, |report| report.through_load_balancer > 5).await;
    for visitor in &visitors {
        let report = visitor.report();
        assert_eq!(report.failed, 0, "{report}");
        assert_eq!(report.load_balancers["web"], report.through_load_balancer);
    }

    let during = scene.emulator.inventory(&scene.world).await.unwrap();
    assert_ne!(before, during);
    let rules = during.pointer("/load_balancers/0/Listeners/0/Rules").unwrap();
    assert_eq!(rules.as_array().unwrap().len(), 4);
    assert!(
        during["zones"].to_string().contains("web-N.ap-northeast-1.elb"),
        "names that AWS numbers are told without the number"
    );

    given["made"] = made;
    scene.emulator.boto3_with(TAKE_DOWN, &given).await.unwrap();
    for visitor in &visitors {
        let seen = visitor.report().directly;
        visitor
            .wait_until(DEADLINE, |report| report.directly > seen + 2)
            .await
            .unwrap();
    }
    for (visitor, site) in visitors.into_iter().zip(sites) {
        let report = visitor.stop().await;
        for instance in &site.instances {
            assert!(report.instances.contains_key(&instance.id), "{} {report}", site.domain);
        }
        assert_eq!(report.instances.len(), site.instances.len(), "{}", site.domain);
    }
    assert_eq!(before, scene.emulator.inventory(&scene.world).await.unwrap());
}

#[tokio::test]
async fn zones_may_belong_to_another_account_and_subnets_have_ipv6() {
    let seed = Seed {
        zone_account: Some("210987654321".to_owned()),
        ipv6: true,
        ttl: 1,
        ..Seed::default()
    };
    let scene = Scene::start(Options::default(), &seed).await.unwrap();
    assert!(scene.world.instance().ipv6.is_some());
    let own = "show(client('route53').list_hosted_zones()['HostedZones'])";
    assert_eq!(scene.emulator.boto3(own).await.unwrap(), json!([]));
    let who = "show(client('sts', **role(given)).get_caller_identity()['Account'])";
    let role = json!(scene.world.zone_role);
    assert_eq!(
        scene.emulator.boto3_with(who, &role).await.unwrap(),
        json!("210987654321")
    );

    // DNS serves the zone, and a certificate of the first account is validated in it.
    let visitor = scene.visit(&scene.world.domain).unwrap();
    visitor.wait_until(DEADLINE, |it| it.directly > 2).await.unwrap();
    let given = given(&scene, "dualstack");
    scene.emulator.boto3_with(BUILD, &given).await.unwrap();
    visitor
        .wait_until(DEADLINE, |it| it.through_load_balancer > 2)
        .await
        .unwrap();
    assert_eq!(visitor.stop().await.failed, 0);
    let inventory = scene.emulator.inventory(&scene.world).await.unwrap();
    assert!(inventory["zones"].to_string().contains("www.example.com."));
    assert_eq!(inventory["load_balancers"][0]["IpAddressType"], "dualstack");

    // A renewal is ordered by domain.
    let renewal = Renewal {
        status: Some("PENDING_VALIDATION".to_owned()),
        days_left: Some(20.0),
        ..Renewal::default()
    };
    let control = scene.emulator.control();
    control.order_renewal(&scene.world.domain, &renewal).await.unwrap();
    let told = "acm = client('acm')\narn = acm.list_certificates()['CertificateSummaryList'][0]['CertificateArn']\n\
                show(acm.describe_certificate(CertificateArn=arn)['Certificate']['RenewalSummary']['RenewalStatus'])";
    assert_eq!(scene.emulator.boto3(told).await.unwrap(), "PENDING_VALIDATION");

    let settings = Settings {
        draining_for: Some(1.5),
        ..Settings::default()
    };
    control.change_settings(settings).await.unwrap();
    assert_eq!(control.settings().await.unwrap().draining_for, Some(1.5));
}
