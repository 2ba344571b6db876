//! What AWS cannot change in place is replaced while a visitor keeps asking.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reconcile_emulator::{Report, Scene, Seed, SeedSite, Visitor, WebServer};
use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, comes, config, inventory, quick_dns, scene_of};

/// A run waits for no drain: the test lets the time pass.
fn no_wait(more: &str) -> String {
    format!("{NO_DRAIN}wait = \"0s\"\n{more}")
}

async fn moved(scene: &Scene, desk: &Desk) -> Visitor {
    desk.run(&["--yes"]).await.expect(0);
    desk.pass_drain();
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let visitor = scene.visit(&scene.world.domain).unwrap();
    comes(&visitor, |report| report.through_load_balancer).await;
    visitor
}

/// Carries the change out, in two runs if there is something to be forgotten, and proves that nothing is left to do.
async fn change(desk: &Desk, config: &str) {
    desk.configure(config);
    desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);
    desk.run(&["--yes"]).await.expect(0);
    desk.pass_drain();
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    assert_eq!(desk.state()["retired"], json!([]), "nothing is on its way out any more");
}

fn ids(seen: &Value, list: &str, id: &str) -> BTreeSet<String> {
    let items = seen[list].as_array().unwrap().iter();
    items.map(|item| item[id].as_str().unwrap().to_owned()).collect()
}

async fn end(visitor: Visitor) {
    comes(&visitor, |report| report.through_load_balancer).await;
    let report = visitor.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

#[tokio::test]
async fn a_target_group_is_replaced_while_visitors_come() {
    let (scene, desk) = scene_of(&quick_dns(), &no_wait("")).await;
    let visitor = moved(&scene, &desk).await;
    let before = inventory(&scene.emulator, &scene.world).await;
    // Plain HTTP to port 80 in place of HTTPS to 443.
    let http = "deregistration_delay = \"1s\"\nbackend = { protocol = \"HTTP\" }\nports.backend = 80\nhealth ";
    let text = config(&scene.world, &no_wait("")).replacen("health ", http, 1);
    desk.configure(&text);
    desk.run(&["plan"]).await.expect(0).shows("listener_rule.443.www.proof");
    change(&desk, &text).await;
    let after = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(after["groups"].as_array().unwrap().len(), 1);
    assert_eq!(after["groups"][0]["Protocol"], "HTTP");
    assert_ne!(
        ids(&after, "groups", "TargetGroupArn"),
        ids(&before, "groups", "TargetGroupArn")
    );
    assert_eq!(
        ids(&after, "listeners", "ListenerArn"),
        ids(&before, "listeners", "ListenerArn")
    );
    end(visitor).await;
}

/// A second VPC with two public subnets and a group for web servers, and an instance in it.
const OTHER_VPC: &str = r#"
ec2 = client("ec2")
vpc = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
subnets = []
for index, zone in enumerate(given["zones"]):
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.30.%d.0/24" % index, AvailabilityZone=zone)["Subnet"]["SubnetId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    subnets.append(subnet)
group = ec2.create_security_group(GroupName="web-2", Description="Web server", VpcId=vpc)["GroupId"]
for port in (80, 443):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
made = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnets[0], SecurityGroupIds=[group])
show(made["Instances"][0]["InstanceId"])
"#;

/// An instance in another VPC takes everything along: load balancer, its security group, listener and target group.
#[tokio::test]
async fn everything_in_the_vpc_is_replaced_while_visitors_come() {
    let (scene, desk) = scene_of(&quick_dns(), &no_wait("")).await;
    let visitor = moved(&scene, &desk).await;
    let before = inventory(&scene.emulator, &scene.world).await;
    let zones: Vec<&str> = scene
        .world
        .public_subnets
        .iter()
        .map(|subnet| subnet.zone.as_str())
        .collect();
    let other = scene
        .emulator
        .boto3_with(OTHER_VPC, &json!({ "zones": zones }))
        .await
        .unwrap();
    let (old, other) = (scene.world.instance(), other.as_str().unwrap());
    let addresses = BTreeMap::from([
        (old.id.clone(), old.public),
        (other.to_owned(), scene.data_plane.address(40)),
    ]);
    scene.emulator.control().set_public_addresses(&addresses).await.unwrap();
    let server = WebServer::for_site(&scene.world.domain);
    scene.data_plane.serve(other, server).await.unwrap();
    scene.data_plane.settled().await.unwrap();

    desk.configure(&config(&scene.world, &no_wait("")).replace(&old.id, other));
    // The old load balancer stays until resolvers have forgotten it.
    desk.run(&["--yes"]).await.expect(0).shows("not before");
    let between = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(between["balancers"].as_array().unwrap().len(), 2);
    let both = |report: &Report| report.failed > 0 || report.load_balancers.len() == 2;
    let report = visitor.wait_until(Duration::from_secs(30), both).await.unwrap();
    assert_eq!(report.failed, 0, "{report}");
    comes(&visitor, |report| {
        report.instances.get(other).copied().unwrap_or_default()
    })
    .await;
    desk.pass_drain();
    desk.run(&["--yes"]).await.expect(0);
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    assert_eq!(desk.state()["retired"], json!([]));
    let after = inventory(&scene.emulator, &scene.world).await;
    for (list, id) in [
        ("balancers", "LoadBalancerArn"),
        ("listeners", "ListenerArn"),
        ("groups", "TargetGroupArn"),
    ] {
        assert_eq!(after[list].as_array().unwrap().len(), 1, "{list}");
        assert!(ids(&after, list, id).is_disjoint(&ids(&before, list, id)), "{list}");
    }
    let rules = after["rules"].to_string();
    assert!(
        !rules.contains("alb"),
        "the old group and the rule for it are gone: {rules}"
    );
    end(visitor).await;
}

/// Nobody outside reaches an internal load balancer, so visitors from outside are not sent there.
#[tokio::test]
async fn visitors_are_not_sent_where_they_find_nothing() {
    let (scene, desk) = scene_of(&quick_dns(), &no_wait("")).await;
    let visitor = moved(&scene, &desk).await;
    let before = inventory(&scene.emulator, &scene.world).await;
    let more = "\n[load_balancer]\nscheme = \"internal\"\n[prove]\ndeadlines.request = \"3s\"\n";
    desk.configure(&config(&scene.world, &no_wait(more)));
    desk.run(&["--yes"]).await.expect(1).says("cannot connect to internal-");
    comes(&visitor, |report| report.through_load_balancer).await;
    // Taken back, what was begun is given up, and the old parts stay what they were.
    desk.configure(&config(&scene.world, &no_wait("")));
    desk.run(&["--yes"]).await.expect(0).shows("put back");
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
    let after = inventory(&scene.emulator, &scene.world).await;
    for (list, id) in [
        ("balancers", "LoadBalancerArn"),
        ("listeners", "ListenerArn"),
        ("groups", "TargetGroupArn"),
    ] {
        assert_eq!(ids(&after, list, id), ids(&before, list, id));
    }
    end(visitor).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_while_visitors_come() {
    let (scene, desk) = scene_of(&quick_dns(), &no_wait("")).await;
    let visitor = moved(&scene, &desk).await;
    let text = config(&scene.world, &no_wait(""));
    change(
        &desk,
        &text.replacen("health ", "aliases = [\"example.com\"]\nhealth ", 1),
    )
    .await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    let names = seen["certificates"][0]["SubjectAlternativeNames"].as_array().unwrap();
    assert_eq!(
        (seen["certificates"].as_array().unwrap().len(), names.len()),
        (1, 2),
        "{names:?}"
    );
    let elliptic = "aliases = [\"example.com\"]\nkey_algorithm = \"EC_prime256v1\"\nhealth ";
    change(&desk, &text.replacen("health ", elliptic, 1)).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    // Lists without a filter hide certificates with elliptic curves, so what they show is the old one.
    assert_eq!(seen["certificates"], json!([]));
    end(visitor).await;
}

#[tokio::test]
async fn another_instance_then_both_then_another_port_serve_the_site() {
    let wanted = Seed {
        instances: 2,
        ..quick_dns()
    };
    let (scene, desk) = scene_of(&wanted, &no_wait("")).await;
    let [first, second] = [0, 1].map(|index| scene.world.instances[index].id.clone());
    let text = config(&scene.world, &no_wait(""));
    let both = format!("instances = [\"{first}\", \"{second}\"]");
    let one = format!("instance = \"{first}\"");
    // The record holds the addresses of both, so both have to be the site's at first.
    desk.configure(&text.replace(&one, &both));
    let visitor = moved(&scene, &desk).await;
    let served_by = |report: &Report, id: &str| report.instances.get(id).copied().unwrap_or_default();

    change(&desk, &text.replace(&one, &format!("instance = \"{second}\""))).await;
    let targets = inventory(&scene.emulator, &scene.world).await["targets"].clone();
    assert_eq!(targets, json!([{ "id": second, "port": 443, "state": "healthy" }]));
    comes(&visitor, |report| served_by(report, &second)).await;

    change(&desk, &text).await;
    comes(&visitor, |report| served_by(report, &first)).await;

    let plain = "backend = { protocol = \"HTTP\" }\nports.backend = 80\nhealth ";
    change(&desk, &text.replace(&one, &both).replacen("health ", plain, 1)).await;
    comes(&visitor, |report| {
        served_by(report, &first).min(served_by(report, &second))
    })
    .await;
    end(visitor).await;
}

#[tokio::test]
async fn sites_come_and_go_and_the_others_notice_nothing() {
    let wanted = Seed {
        further_sites: vec![SeedSite::of("shop.example.com"), SeedSite::of("blog.example.com")],
        ..quick_dns()
    };
    let (scene, desk) = scene_of(&wanted, &no_wait("")).await;
    let www = moved(&scene, &desk).await;
    let shop = scene.visit("shop.example.com").unwrap();
    let blog = scene.visit("blog.example.com").unwrap();
    comes(&shop, |report| report.directly).await;
    let before = inventory(&scene.emulator, &scene.world).await;

    let site = |name: &str| {
        let site = scene.world.site(&format!("{name}.example.com")).unwrap();
        format!(
            "\n[site.{name}]\ndomain = \"{}\"\ninstance = \"{}\"\nhealth = {{ path = \"/\" }}\n",
            site.domain, site.instances[0].id
        )
    };
    let text = config(&scene.world, &no_wait(""));
    change(&desk, &format!("{text}{}", site("shop"))).await;
    comes(&shop, |report| report.through_load_balancer).await;
    change(&desk, &format!("{text}{}{}", site("shop"), site("blog"))).await;
    comes(&blog, |report| report.through_load_balancer).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(
        ids(&seen, "balancers", "LoadBalancerArn"),
        ids(&before, "balancers", "LoadBalancerArn")
    );
    assert_eq!(
        (
            seen["balancers"].as_array().unwrap().len(),
            seen["groups"].as_array().unwrap().len()
        ),
        (1, 3)
    );
    assert_eq!(seen["listeners"][0]["DefaultActions"][0]["Type"], "fixed-response");
    assert!(ids(&seen, "groups", "TargetGroupArn").is_superset(&ids(&before, "groups", "TargetGroupArn")));

    // A site leaves: its visitors are led back first, then its line is taken out.
    desk.run(&["--yes"]).await.expect(0);
    desk.configure(&text);
    desk.run(&["plan"]).await.expect(1).says("reconcile rollback");
    let all = format!("{text}{}{}", site("shop"), site("blog"));
    desk.configure(&all);
    desk.run(&["rollback", "--site", "shop", "--yes"]).await.expect(0);
    comes(&shop, |report| report.directly).await;
    desk.pass_drain();
    change(&desk, &format!("{text}{}", site("blog"))).await;
    comes(&shop, |report| report.directly).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["groups"].as_array().unwrap().len(), 2);
    for visitor in [www, blog] {
        end(visitor).await;
    }
    let report = shop.stop().await;
    assert_eq!(report.failed, 0, "{report}");
}

#[tokio::test]
async fn a_name_goes_to_another_site_and_its_visitors_notice_nothing() {
    let wanted = Seed {
        further_sites: vec![SeedSite::of("shop.example.com")],
        ..quick_dns()
    };
    let (scene, desk) = scene_of(&wanted, &no_wait("")).await;
    let served_by = |report: &Report, id: &str| report.instances.get(id).copied().unwrap_or_default();
    let front = scene.world.instances[0].id.clone();
    let shop = scene.world.site("shop.example.com").unwrap().instances[0].id.clone();
    let text = format!(
        "{}\n[site.shop]\ndomain = \"shop.example.com\"\ninstance = \"{shop}\"\nhealth = {{ path = \"/\" }}\n",
        config(&scene.world, &no_wait("")),
    );
    desk.configure(&text);
    let www = moved(&scene, &desk).await;
    let visitor = scene.visit("shop.example.com").unwrap();
    comes(&visitor, |report| report.through_load_balancer).await;

    // The table of the site gets another name, without a word to the state.
    change(&desk, &text.replace("[site.shop]", "[site.store]")).await;
    comes(&visitor, |report| report.through_load_balancer).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["groups"].as_array().unwrap().len(), 2, "{seen}");

    // Only an instance that serves the name gets it. The one of the other site refuses what is not its own.
    let alias = "aliases = [\"shop.example.com\"]\nhealth ";
    let joined = config(&scene.world, &no_wait("")).replacen("health ", alias, 1);
    desk.configure(&format!("{joined}\n[prove.deadlines]\nrequest = \"2s\"\n"));
    desk.run(&["--yes"]).await.expect(1).says("421 Misdirected Request");
    comes(&visitor, |report| served_by(report, &shop)).await;

    let server = WebServer::for_site(&scene.world.domain).alias("shop.example.com");
    scene.data_plane.serve(&front, server).await.unwrap();
    change(&desk, &joined).await;
    comes(&visitor, |report| served_by(report, &front)).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(seen["groups"].as_array().unwrap().len(), 1, "{seen}");
    end(www).await;
    end(visitor).await;
}
