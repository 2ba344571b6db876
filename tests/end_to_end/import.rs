//! What others made is taken over: seen before it is done, marked at once, brought into line by the next run.

use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, mutating_actions, scene};

const ELB: &str = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012";

/// A target group and a load balancer's group that somebody made by hand.
const BY_HAND: &str = r#"
elb, ec2 = client("elbv2"), client("ec2")
group = elb.create_target_group(Name="made-by-hand", Protocol="HTTPS", Port=443, VpcId=given["vpc"], TargetType="instance",
    HealthCheckPath="/other", Tags=[{"Key": "theirs", "Value": "stays"}])["TargetGroups"][0]["TargetGroupArn"]
firewall = ec2.create_security_group(GroupName="by-hand", Description="by hand", VpcId=given["vpc"])["GroupId"]
show({"group": group, "firewall": firewall})
"#;

const TAGS: &str = r#"
show({t["Key"]: t["Value"] for t in client("elbv2").describe_tags(ResourceArns=[given])["TagDescriptions"][0]["Tags"]})
"#;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn assert_no_changes(desk: &Desk) {
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_refused_before_aws_is_asked() {
    let desk = Desk::alone(
        "region = \"ap-northeast-1\"\n[site.www]\ndomain = \"www.example.com\"\ninstance = \"i-1\"\n\
         [site.api]\ndomain = \"api.example.com\"\ninstance = \"i-1\"\n",
    );
    let group = format!("{ELB}:targetgroup/web/0123456789abcdef");
    for (place, id, said, hint) in [
        (
            "target_group",
            group.as_str(),
            "several addresses",
            "`target_group.api` or `target_group.www`",
        ),
        (
            "target_group.web",
            &group,
            "asks for no `target_group.web`",
            "`target_group.www`",
        ),
        (
            "certificate.www",
            &group,
            "is a target group, not a certificate",
            "check the id",
        ),
        ("target", "i-1", "cannot be taken over", "`target_group`"),
        (
            "alias_record",
            "mail.example.com",
            "asks for no `alias_record.mail.example.com`",
            "`alias_record.www.example.com`",
        ),
        (
            "listener_rule",
            &format!("{ELB}:listener-rule/app/a/1/2/3"),
            "several addresses",
            "reconcile plan",
        ),
    ] {
        desk.run(&["import", place, id, "--yes"])
            .await
            .expect(1)
            .says(said)
            .says(hint);
    }
    desk.run(&["import", "tg", &group])
        .await
        .expect(64)
        .says("neither a kind nor the address");
    assert!(!desk.folder.path().join("state").exists());
}

#[tokio::test]
async fn an_object_made_by_hand_becomes_the_stacks() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let made = scene
        .emulator
        .boto3_with(BY_HAND, &json!({ "vpc": scene.world.vpc }))
        .await
        .unwrap();
    scene.emulator.control().clear_requests().await.unwrap();
    let group = text(&made["group"]);
    desk.run(&["import", "target_group", group])
        .await
        .expect(1)
        .shows("target_group.www of the stack www-example-com becomes")
        .shows("- health.path = \"/other\"")
        .says("--yes");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    assert!(!desk.state_file().exists());
    desk.run(&["import", "target_group", group, "--yes"])
        .await
        .expect(0)
        .shows("Took over target_group.www");
    assert_eq!(
        mutating_actions(&scene.emulator).await,
        ["AddTags"],
        "nothing but the tags changes"
    );
    let tags = scene.emulator.boto3_with(TAGS, &made["group"]).await.unwrap();
    assert_eq!(tags["reconcile:stack"], "www-example-com");
    assert_eq!(tags["reconcile:resource"], "target_group.www");
    assert_eq!(tags["theirs"], "stays");
    let entry = &desk.state()["resources"]["target_group.www"];
    assert_eq!((&entry["id"], &entry["origin"]), (&made["group"], &json!("adopted")));
    desk.run(&["import", "target_group.www", group, "--yes"])
        .await
        .expect(1)
        .says("is the stack's already");

    let firewall = text(&made["firewall"]);
    desk.run(&["import", "security_group", firewall, "--yes"])
        .await
        .expect(0);
    desk.run(&["plan"])
        .await
        .expect(0)
        .shows("~ change  target_group.www")
        .shows("~ change  security_group.load_balancer");
    desk.run(&["--yes"]).await.expect(0);
    assert_no_changes(&desk).await;
    assert_eq!(desk.state()["resources"]["target_group.www"]["id"], made["group"]);
}

#[tokio::test]
async fn what_is_not_there_or_somebody_elses_is_left_alone() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let made = scene
        .emulator
        .boto3_with(BY_HAND, &json!({ "vpc": scene.world.vpc }))
        .await
        .unwrap();
    let group = text(&made["group"]);
    let tagged =
        r#"client("elbv2").add_tags(ResourceArns=[given], Tags=[{"Key": "reconcile:stack", "Value": "other"}])"#;
    scene.emulator.boto3_with(tagged, &made["group"]).await.unwrap();
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["import", "target_group", group, "--yes"])
        .await
        .expect(1)
        .says("the stack `other`");
    let gone = group.replace("made-by-hand", "gone");
    desk.run(&["import", "target_group", &gone, "--yes"])
        .await
        .expect(1)
        .says("there is no");
    desk.run(&["import", "security_group", &scene.world.security_group, "--yes"])
        .await
        .expect(1)
        .says("group of an instance");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_leads_elsewhere_is_moved_once_it_is_taken_over() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let script = r#"
client("route53").change_resource_record_sets(HostedZoneId=given, ChangeBatch={"Changes": [{"Action": "UPSERT",
    "ResourceRecordSet": {"Name": "www.example.com.", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "198.51.100.7"}]}}]})
"#;
    scene
        .emulator
        .boto3_with(script, &json!(scene.world.zone))
        .await
        .unwrap();
    desk.run(&["plan"]).await.expect(1).says("leads elsewhere");
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["import", "alias_record", "www.example.com", "--yes"])
        .await
        .expect(0)
        .shows("198.51.100.7")
        .shows("AWS is not changed");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    desk.run(&["plan"])
        .await
        .expect(0)
        .shows("~ change  alias_record.www.example.com");
}
