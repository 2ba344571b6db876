//! Plans made by hand, and what they look like.

use jiff::Timestamp;
use reconcile_core::{
    config::{Protocol, RequestProof},
    diff,
    observed::Identity,
    plan::{
        Action, Condition, Consequence, DirectPath, FORMAT_VERSION, Finding, Plan, Purpose, Severity, SiteRequest,
        Stage, Step, StepId, Through,
    },
    resource::{Address, Kind, Ref, Spec},
    state::{Cutover, State},
    value::Seconds,
};
use serde_json::{Value, json};

use super::*;
use crate::output::Paint;

/// A plan of these steps.
pub(crate) fn plan_of(steps: Vec<Step>) -> Plan {
    Plan {
        purpose: Purpose::Apply,
        format_version: FORMAT_VERSION,
        stack: serde_json::from_value(json!("www-example-com")).unwrap(),
        steps,
        unchanged: Vec::new(),
        findings: Vec::new(),
    }
}

/// A step that makes the load balancer's group.
pub(crate) fn create(id: u32) -> Step {
    let desired = spec(
        "security_group",
        &json!({
            "name": "www-example-load-balancer-0a1b2c3d", "description": "reconcile: load balancer of www-example-com",
            "vpc": "vpc-0a", "ingress": ["tcp 443 0.0.0.0/0"], "egress": ["tcp 443 sg-0c", "tcp 8443 sg-0c"],
            "tags": { "reconcile:resource": "security_group.load_balancer", "reconcile:stack": "www-example-com", "team": "web" },
        }),
    );
    step(id, Kind::SecurityGroup, "load_balancer", Action::Create { desired })
}

/// A step that waits for a certificate.
pub(crate) fn wait(id: u32) -> Step {
    let certificate = Address::new(Kind::Certificate, "www");
    let condition = Condition::CertificateIssued { certificate };
    let mut step = step(
        id,
        Kind::Certificate,
        "www",
        Action::Wait {
            condition,
            deadline: Seconds::new(1800),
        },
    );
    step.reason = "a listener takes an issued certificate only".to_owned();
    step
}

pub(crate) fn spec(kind: &str, settings: &Value) -> Spec {
    serde_json::from_value(json!({ "kind": kind, "settings": settings })).unwrap()
}

fn step(id: u32, kind: Kind, key: &str, action: Action) -> Step {
    let changes = match &action {
        Action::Create { desired } => diff::creation(desired),
        Action::Update { observed, desired, .. } | Action::Replace { observed, desired, .. } => {
            diff::changes(observed, desired)
        }
        Action::Delete { observed, .. } => diff::deletion(observed),
        Action::Record { .. } | Action::Reinstate { .. } | Action::Forget { .. } | Action::Wait { .. } => Vec::new(),
    };
    let reason = match &action {
        Action::Create { .. } => "it does not exist yet",
        Action::Update { .. } => "it differs from the configuration",
        Action::Replace { .. } => "AWS cannot change port in place",
        _ => "",
    };
    Step {
        id: StepId(id),
        address: Address::new(kind, key),
        action,
        changes,
        stage: Stage::Prepare,
        consequence: Consequence::None,
        reason: reason.to_owned(),
        after: Vec::new(),
    }
}

fn at(mut step: Step, stage: Stage, consequence: Consequence) -> Step {
    step.stage = stage;
    step.consequence = consequence;
    step
}

fn shown(plan: &Plan, cut: Option<(Stage, usize)>) -> String {
    let state = State::empty(plan.stack.clone(), "lineage".to_owned());
    shown_with(&state, plan, cut)
}

fn shown_with(state: &State, plan: &Plan, cut: Option<(Stage, usize)>) -> String {
    let identity = Identity {
        account: "123456789012".parse().unwrap(),
        region: "ap-northeast-1".parse().unwrap(),
        partition: "aws".to_owned(),
    };
    super::plan(
        plan,
        &Header {
            stack: &plan.stack,
            identity: &identity,
            cut,
            state,
            now: Timestamp::UNIX_EPOCH,
        },
        Paint::PLAIN,
    )
}

fn record(records: &Value) -> Spec {
    spec(
        "alias_record",
        &json!({ "zone": "Z0A", "name": "www.example.com", "records": records }),
    )
}

fn target_group(port: u16, path: &str) -> Spec {
    spec(
        "target_group",
        &json!({
            "name": format!("www-{port}"), "protocol": "HTTPS", "port": port, "vpc": "vpc-0a", "tags": {},
            "health": { "protocol": "HTTPS", "port": "traffic-port", "path": path, "codes": "200", "interval": "30s",
                        "timeout": "5s", "healthy": 5, "unhealthy": 2 },
        }),
    )
}

#[test]
fn the_whole_way_from_the_instance_to_the_load_balancer() {
    let alias = json!({
        "name": "${load_balancer.main#dns_name}", "zone": "${load_balancer.main#zone_id}", "evaluate_target_health": false
    });
    let load_balancer = Address::new(Kind::LoadBalancer, "main");
    let name = Address::new(Kind::AliasRecord, "www.example.com");
    let request = SiteRequest {
        name: "www.example.com".parse().unwrap(),
        through: Through::LoadBalancer(load_balancer),
        protocol: Protocol::Https,
        port: 443,
        path: "/".to_owned(),
        headers: [].into(),
        as_answered_by: Some(DirectPath {
            instance: "i-0123456789abcdef0".parse().unwrap(),
            address: "203.0.113.10".parse().unwrap(),
            port: 443,
            protocol: Protocol::Https,
        }),
    };
    let answers = Condition::SiteAnswers {
        request,
        proof: RequestProof::Require,
    };
    let drained = Condition::Drained {
        record: name,
        old_ttl: Seconds::new(300),
        margin: Seconds::new(600),
    };
    let group = |open: &Value| spec("port_closure", &json!({ "group": "sg-0c", "open": open }));
    let mut plan = plan_of(vec![
        create(1),
        wait(2),
        at(
            step(
                3,
                Kind::Listener,
                "443",
                Action::Wait {
                    condition: answers,
                    deadline: Seconds::new(120),
                },
            ),
            Stage::Prove,
            Consequence::None,
        ),
        at(
            step(
                4,
                Kind::AliasRecord,
                "www.example.com",
                Action::Update {
                    id: "Z0A www.example.com".to_owned(),
                    observed: record(&json!({ "A": { "ttl": 300, "values": ["203.0.113.10"] } })),
                    desired: record(&json!({ "A": { "alias": alias } })),
                },
            ),
            Stage::Cutover,
            Consequence::VisitorsNotice,
        ),
        at(
            step(
                5,
                Kind::AliasRecord,
                "www.example.com",
                Action::Wait {
                    condition: drained,
                    deadline: Seconds::new(120),
                },
            ),
            Stage::Drain,
            Consequence::None,
        ),
        at(
            step(
                6,
                Kind::PortClosure,
                "sg-0c",
                Action::Update {
                    id: "sg-0c".to_owned(),
                    observed: group(&json!({ "sgr-01": "tcp 443 0.0.0.0/0", "sgr-02": "tcp 80 0.0.0.0/0" })),
                    desired: group(&json!({})),
                },
            ),
            Stage::Lockdown,
            Consequence::VisitorsNotice,
        ),
    ]);
    plan.findings.push(Finding {
        severity: Severity::Warning,
        subject: "example.com A".to_owned(),
        message: "the name leads to the instance".to_owned(),
        remedy: "add it to `aliases` if it is a web site".to_owned(),
    });
    insta::assert_snapshot!(shown(&plan, None), @r#"
    stack www-example-com (ap-northeast-1, account 123456789012)

    prepare: builds the new path beside the old one; nobody notices
      + create  security_group.load_balancer  # it does not exist yet
          + name = "www-example-load-balancer-0a1b2c3d"
          + description = "reconcile: load balancer of www-example-com"
          + vpc = "vpc-0a"
          + ingress = ["tcp 443 0.0.0.0/0"]
          + egress = [
          +   "tcp 443 sg-0c",
          +   "tcp 8443 sg-0c",
          + ]
          + tags.team = "web"
      … wait    certificate.www  # a listener takes an issued certificate only
          until ACM has issued it; this run waits 30m at most

    prove: proves the new path before anybody is sent there; nobody notices
      … wait    listener.443
          until https://www.example.com/ answers through load_balancer.main as i-0123456789abcdef0 does now; this run waits 2m at most

    cutover: moves the names to the load balancer; visitors move over within the old TTL
      ~ change  alias_record.www.example.com  # it differs from the configuration
          ! visitors move
          - records.A.ttl = 300
          - records.A.values = ["203.0.113.10"]
          + records.A.alias.name = (known after apply)
          + records.A.alias.zone = (known after apply)
          + records.A.alias.evaluate_target_health = false

    drain: waits until the old address is forgotten; nobody notices
      … wait    alias_record.www.example.com
          until the old TTL (5m) and 10m more have passed since the change; longer than the 2m that a run waits, so what follows is left to a later run

    lockdown: closes the instance to all but the load balancer; visitors of the old address are turned away
      ~ change  port_closure.sg-0c  # it differs from the configuration
          ! visitors of the old address are turned away
          - open.sgr-01 = "tcp 443 0.0.0.0/0"
          - open.sgr-02 = "tcp 80 0.0.0.0/0"

    warning: example.com A: the name leads to the instance
      hint: add it to `aliases` if it is a web site

    Plan: 1 to add, 2 to change, 0 to destroy.
    "#);
}

#[test]
fn replacements_deletions_and_what_is_only_recorded() {
    let plan = plan_of(vec![
        step(
            1,
            Kind::TargetGroup,
            "www",
            Action::Replace {
                retire: "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/www-443/0a".to_owned(),
                observed: target_group(443, "/"),
                desired: target_group(8443, "/healthz"),
            },
        ),
        step(
            2,
            Kind::Target,
            "www.i-0a",
            Action::Record {
                id: "i-0a:443".to_owned(),
            },
        ),
        at(
            step(
                3,
                Kind::InstanceIngress,
                "i-0a.443",
                Action::Delete {
                    id: Ref::Known("sgr-09".to_owned()),
                    observed: spec(
                        "instance_ingress",
                        &json!({ "group": "sg-0c", "port": 443, "source": "sg-0d",
                                "tags": { "reconcile:stack": "www-example-com" } }),
                    ),
                },
            ),
            Stage::Cleanup,
            Consequence::VisitorsNotice,
        ),
    ]);
    insta::assert_snapshot!(shown(&plan, None), @r#"
    stack www-example-com (ap-northeast-1, account 123456789012)

    prepare: builds the new path beside the old one; nobody notices
      ± replace target_group.www  # AWS cannot change port in place
          arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/www-443/0a
          - name = "www-443"  # forces replacement
          + name = "www-8443"
          - port = 443  # forces replacement
          + port = 8443
          - health.path = "/"
          + health.path = "/healthz"
      = record  target.www.i-0a
          i-0a:443

    cleanup: deletes what is no longer needed; visitors notice
      - destroy instance_ingress.i-0a.443
          ! visitors notice
          sgr-09
          - group = "sg-0c"
          - port = 443
          - source = "sg-0d"

    Plan: 1 to add, 0 to change, 1 to destroy.
    "#);
}

#[test]
fn a_plan_that_changes_nothing_in_aws_says_so() {
    let plan = plan_of(vec![wait(1)]);
    let text = shown(&plan, None);
    assert!(
        text.ends_with("Nothing changes in AWS: the run only waits.\nPlan: 0 to add, 0 to change, 0 to destroy.\n"),
        "{text}"
    );
}

#[test]
fn a_drain_that_has_begun_says_when_it_is_over() {
    let record = Address::new(Kind::AliasRecord, "www.example.com");
    let condition = Condition::Drained {
        record: record.clone(),
        old_ttl: Seconds::new(300),
        margin: Seconds::new(600),
    };
    let deadline = Seconds::new(1000);
    let plan = plan_of(vec![step(
        1,
        Kind::AliasRecord,
        "www.example.com",
        Action::Wait { condition, deadline },
    )]);
    let mut state = State::empty(plan.stack.clone(), "lineage".to_owned());
    let cutover = Cutover {
        dns_change: None,
        old_ttl: Seconds::new(300),
        in_sync_at: Some(Timestamp::UNIX_EPOCH),
        found: false,
    };
    state.cutovers.insert(record, cutover);
    let then = local(Timestamp::from_second(900).unwrap());
    let text = shown_with(&state, &plan, None);
    assert!(
        text.contains(&format!("until {then} (in 15m 0s); this run waits 16m40s at most")),
        "{text}"
    );
}

#[test]
fn an_empty_plan_and_one_that_is_cut_off() {
    insta::assert_snapshot!(shown(&plan_of(Vec::new()), None), @"
    stack www-example-com (ap-northeast-1, account 123456789012)

    No changes.
    ");
    insta::assert_snapshot!(shown(&plan_of(Vec::new()), Some((Stage::Prove, 3))), @r#"
    stack www-example-com (ap-northeast-1, account 123456789012)

    3 steps after the stage `prove` left out (--until prove)

    No changes.
    "#);
}

#[test]
fn nothing_from_aws_reaches_the_terminal_raw() {
    let mut step = create(1);
    step.reason = "it is gone\u{1b}[2J".to_owned();
    step.changes.push(diff::Change {
        path: "description".to_owned(),
        before: Some(json!("a\u{1b}[31mb")),
        after: None,
        forces_replacement: false,
    });
    let mut plan = plan_of(vec![step]);
    plan.findings.push(Finding {
        severity: Severity::Note,
        subject: "sg\u{7}".to_owned(),
        message: "\u{202e}".to_owned(),
        remedy: "\r".to_owned(),
    });
    let text = shown(&plan, None);
    assert!(
        text.chars()
            .all(|character| character == '\n' || !character.is_control()),
        "{text:?}"
    );
    assert!(!text.contains('\u{202e}'));
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plan = plan_of(vec![create(1), wait(2)]);
    let identity = Identity {
        account: "123456789012".parse().unwrap(),
        region: "ap-northeast-1".parse().unwrap(),
        partition: "aws".to_owned(),
    };
    let header = Header {
        stack: &plan.stack,
        identity: &identity,
        cut: None,
        state: &State::empty(plan.stack.clone(), "lineage".to_owned()),
        now: Timestamp::UNIX_EPOCH,
    };
    let coloured = super::plan(&plan, &header, Paint::COLOUR);
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((text, code)) = rest.split_once('\u{1b}') {
        plain.push_str(text);
        rest = code.split_once('m').unwrap().1;
    }
    assert_eq!(plain + rest, shown(&plan, None));
}
