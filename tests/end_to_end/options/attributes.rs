//! Attributes of the load balancer, its listener and the target group.

use serde_json::json;

use super::{ONE_CHANGE, ask, object};
use crate::support::{NO_DRAIN, config, no_changes, quick_dns, scene_of};

/// What one option asks for, by AWS's keys, and how somebody changes it by hand.
struct Setting {
    /// Lines of the configuration; those that belong to the site come first.
    site: &'static str,
    load_balancer: &'static str,
    /// Whose attributes: `load_balancer`, `listener` or `target_group`.
    of: &'static str,
    attributes: &'static [(&'static str, &'static str)],
    by_hand: &'static [(&'static str, &'static str)],
    /// The lines of the plan that finds it.
    shown: &'static [&'static str],
}

const SETTINGS: &[Setting] = &[
    Setting {
        site: "",
        load_balancer: "access_logs = { bucket = \"my-logs\", prefix = \"www\" }",
        of: "load_balancer",
        attributes: &[
            ("access_logs.s3.enabled", "true"),
            ("access_logs.s3.bucket", "my-logs"),
            ("access_logs.s3.prefix", "www"),
        ],
        by_hand: &[("access_logs.s3.enabled", "false")],
        shown: &["- access_logs.enabled = false", "+ access_logs.enabled = true"],
    },
    Setting {
        site: "",
        load_balancer: "deletion_protection = true",
        of: "load_balancer",
        attributes: &[("deletion_protection.enabled", "true")],
        by_hand: &[("deletion_protection.enabled", "false")],
        shown: &["+ deletion_protection = true"],
    },
    Setting {
        site: "",
        load_balancer: "idle_timeout = \"90s\"",
        of: "load_balancer",
        attributes: &[("idle_timeout.timeout_seconds", "90")],
        by_hand: &[("idle_timeout.timeout_seconds", "60")],
        shown: &["- idle_timeout = \"1m\"", "+ idle_timeout = \"1m30s\""],
    },
    Setting {
        site: "",
        load_balancer: "attributes.\"routing.http.preserve_host_header.enabled\" = \"true\"",
        of: "load_balancer",
        attributes: &[("routing.http.preserve_host_header.enabled", "true")],
        by_hand: &[("routing.http.preserve_host_header.enabled", "false")],
        shown: &["+ attributes.\"routing.http.preserve_host_header.enabled\" = \"true\""],
    },
    Setting {
        site: "",
        load_balancer: "listener_attributes.\"routing.http.response.server.enabled\" = \"false\"",
        of: "listener",
        attributes: &[("routing.http.response.server.enabled", "false")],
        by_hand: &[("routing.http.response.server.enabled", "true")],
        shown: &["+ attributes.\"routing.http.response.server.enabled\" = \"false\""],
    },
    Setting {
        site: "stickiness = \"1h\"",
        load_balancer: "",
        of: "target_group",
        attributes: &[
            ("stickiness.enabled", "true"),
            ("stickiness.type", "lb_cookie"),
            ("stickiness.lb_cookie.duration_seconds", "3600"),
        ],
        by_hand: &[("stickiness.lb_cookie.duration_seconds", "60")],
        shown: &["- stickiness = \"1m\"", "+ stickiness = \"1h\""],
    },
    Setting {
        site: "deregistration_delay = \"30s\"",
        load_balancer: "",
        of: "target_group",
        attributes: &[("deregistration_delay.timeout_seconds", "30")],
        by_hand: &[("deregistration_delay.timeout_seconds", "300")],
        shown: &["- deregistration_delay = \"5m\"", "+ deregistration_delay = \"30s\""],
    },
    Setting {
        site: "slow_start = \"45s\"",
        load_balancer: "",
        of: "target_group",
        attributes: &[("slow_start.duration_seconds", "45")],
        by_hand: &[("slow_start.duration_seconds", "0")],
        shown: &["- slow_start = \"0s\"", "+ slow_start = \"45s\""],
    },
];

/// Changes attributes of one thing if asked to, and tells them all.
pub(super) const ATTRIBUTES: &str = r#"
arn = list(balancers().values())[0]
listener = next(l["ListenerArn"] for l in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"] if l["Port"] == 443)
group = elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
change, look, key, id = {
    "load_balancer": (elb.modify_load_balancer_attributes, elb.describe_load_balancer_attributes, "LoadBalancerArn", arn),
    "listener": (elb.modify_listener_attributes, elb.describe_listener_attributes, "ListenerArn", listener),
    "target_group": (elb.modify_target_group_attributes, elb.describe_target_group_attributes, "TargetGroupArn", group),
}[given["of"]]
if given["change"]: change(**{key: id, "Attributes": pairs(given["change"])})
show(attributes(look(**{key: id})))
"#;

#[tokio::test]
async fn every_attribute_of_the_load_balancer_is_one_change_and_is_kept() {
    keeps_attributes("load_balancer").await;
}

#[tokio::test]
async fn every_attribute_of_the_listener_is_one_change_and_is_kept() {
    keeps_attributes("listener").await;
}

#[tokio::test]
async fn every_attribute_of_the_target_group_is_one_change_and_is_kept() {
    keeps_attributes("target_group").await;
}

async fn keeps_attributes(of: &str) {
    let (scene, desk) = scene_of(&quick_dns(), NO_DRAIN).await;
    desk.run(&["--yes"]).await.expect(0);
    desk.age_state();
    let (mut site, mut load_balancer) = (String::new(), "[load_balancer]\n".to_owned());
    for setting in SETTINGS.iter().filter(|setting| setting.of == of) {
        let add = |lines: &mut String, more: &str| {
            if !more.is_empty() {
                lines.push_str(more);
                lines.push('\n');
            }
        };
        add(&mut site, setting.site);
        add(&mut load_balancer, setting.load_balancer);
        desk.configure(&config(&scene.world, &format!("{site}{NO_DRAIN}{load_balancer}")));
        let name = format!("{}{}", setting.site, setting.load_balancer);
        let plan = desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);
        assert!(plan.stdout.contains(ONE_CHANGE), "{name}\n{}", plan.stdout);
        desk.run(&["--yes"]).await.expect(0);
        no_changes(&desk).await;
        let holds = async || {
            let seen = ask(&scene, ATTRIBUTES, &json!({ "of": setting.of, "change": null })).await;
            for (key, value) in setting.attributes {
                assert_eq!(seen[key], *value, "{name}: {key}");
            }
        };
        holds().await;
        let change = json!({ "of": setting.of, "change": object(setting.by_hand) });
        ask(&scene, ATTRIBUTES, &change).await;
        let plan = desk.run(&["plan", "--detailed-exitcode"]).await.expect(2);
        assert!(plan.stdout.contains(ONE_CHANGE), "{name}\n{}", plan.stdout);
        for line in setting.shown {
            assert!(plan.stdout.contains(line), "{name}: expected `{line}`\n{}", plan.stdout);
        }
        desk.run(&["--yes"]).await.expect(0);
        holds().await;
    }
    no_changes(&desk).await;
}
