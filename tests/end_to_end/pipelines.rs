//! What pipelines do: plans are saved and applied or refused, programs read what the schemas promise, examples work.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use reconcile_emulator::{Emulator, Fault, FaultKind, Scene, Seeded, Settings};
use serde_json::{Value, json};

use crate::support::{
    Desk, NO_DRAIN, Run, config, inventory, mutating_actions, no_changes, quick_dns, records, scene, scene_of,
};

const WORKFLOW: &str = include_str!("../../examples/github-actions/reconcile.yml");

/// Which jobs of the workflow may ask for a token, and how often they ask for credentials.
const LOOK: &str = r#"
import yaml
workflow = yaml.safe_load(given)
show({name: [job["permissions"]["id-token"], sum("aws-actions/" in step.get("uses", "") for step in job["steps"])]
      for name, job in workflow["jobs"].items()})
"#;

/// Asserts that a document is what the binary's own schema says.
async fn assert_valid(desk: &Desk, schema: &str, documents: &[Value]) {
    let schema: Value = serde_json::from_str(&desk.run(&["schema", schema]).await.expect(0).stdout).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    assert!(!documents.is_empty());
    for document in documents {
        let errors: Vec<String> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    }
}

fn document(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
}

/// The lines of a run that is told by events; each a document, the last one the outcome.
async fn events(desk: &Desk, run: &Run) -> Vec<Value> {
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_valid(desk, "events", &lines).await;
    let outcomes = lines.iter().filter(|line| line["type"] == "outcome").count();
    assert_eq!((outcomes, &lines[lines.len() - 1]["type"]), (1, &json!("outcome")));
    assert_eq!(
        lines[lines.len() - 1]["exit_code"],
        json!(run.code.unwrap()),
        "{lines:#?}"
    );
    lines
}

fn of_type<'a>(events: &'a [Value], wanted: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == wanted).collect()
}

async fn by_hand(emulator: &Emulator, world: &Seeded, change: &str) {
    const PRELUDE: &str = r#"
elb, r53 = client("elbv2"), client("route53")
def listener(port):
    balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    return next(l["ListenerArn"] for l in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] if l["Port"] == port)
def ttl(seconds):
    r53.change_resource_record_sets(HostedZoneId=given["zone"], ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet":
        {"Name": given["domain"], "Type": "A", "TTL": seconds, "ResourceRecords": [{"Value": given["address"]}]}}]})
"#;
    let given = json!({ "zone": world.zone, "domain": world.domain, "address": world.instance().public });
    let script = format!("{PRELUDE}{change}\nshow(None)\n");
    emulator.boto3_with(&script, &given).await.unwrap();
    emulator.control().clear_requests().await.unwrap();
}

#[tokio::test]
async fn a_saved_plan_is_carried_out_or_refused_with_what_moved() {
    let (
        Scene {
            emulator,
            world,
            data_plane: _data_plane,
        },
        desk,
    ) = scene_of(&quick_dns(), NO_DRAIN).await;
    let shown = desk.run(&["plan", "--format", "json"]).await.expect(0);
    let pending = desk
        .run(&["plan", "--out", "plan.json", "--detailed-exitcode"])
        .await
        .expect(2);
    let path = desk.folder.path().join("plan.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_valid(&desk, "plan-file", &[serde_json::from_str(&text).unwrap()]).await;
    assert!(
        !text.contains("AWS_SECRET") && !text.contains("testing"),
        "no credentials"
    );

    // Somebody changes the record.
    by_hand(&emulator, &world, "ttl(77)").await;
    let refused = desk.run(&["apply", "plan.json"]).await.expect(1);
    let refused = refused.says("what is in AWS moved since the plan was made");
    let refused = refused.says(&format!("record {} A: ttl was 1 and is 77", world.domain));
    refused.says(&format!(
        "a plan that is made now would update alias_record.{} otherwise",
        world.domain
    ));
    // A file that orders something else, of another version, or none at all.
    for (from, to, said) in [
        ("\"format_version\": 1", "\"format_version\": 2", "format version 2"),
        ("203.0.113", "198.51.100", "damaged"),
        ("\"account\": \"", "\"account\": \"9", "damaged"),
    ] {
        let other = if said == "damaged" {
            text[..text.len() / 2].replace(from, to)
        } else {
            text.replacen(from, to, 1)
        };
        std::fs::write(desk.folder.path().join("other.json"), other).unwrap();
        desk.run(&["apply", "other.json"])
            .await
            .expect(1)
            .says(said)
            .says("hint: ");
    }
    assert_eq!(mutating_actions(&emulator).await, Vec::<String>::new());
    assert!(!desk.state_file().exists(), "nothing was changed");

    // It is put back: nothing moved, and nobody is asked.
    by_hand(&emulator, &world, "ttl(1)").await;
    let applied = desk.run(&["apply", "plan.json", "--format", "json"]).await.expect(0);
    let told = events(&desk, &applied).await;
    assert_eq!(told[0]["type"], "plan");
    assert_eq!(
        told[0]["plan"]["steps"],
        document(&shown)["steps"],
        "what was shown is what is done"
    );
    let outcome = &told[told.len() - 1];
    let steps = told[0]["plan"]["steps"].as_array().unwrap().len();
    assert_eq!(
        (&outcome["result"], &outcome["steps_done"]),
        (&json!("complete"), &json!(steps))
    );
    assert_eq!(
        (of_type(&told, "step_finished").len(), of_type(&told, "checks").len()),
        (steps, 1)
    );
    assert!(
        pending.stdout.contains("certificate.www") && applied.stderr.is_empty(),
        "{}",
        applied.stderr
    );
    no_changes(&desk).await;
    desk.run(&["apply", "plan.json"])
        .await
        .expect(1)
        .says("the state moved on since the plan was made");

    // What programs read of a stack that is as it should be.
    assert_valid(
        &desk,
        "plan",
        &[
            document(&shown),
            document(&desk.run(&["plan", "--format", "json"]).await),
        ],
    )
    .await;
    assert_valid(
        &desk,
        "status",
        &[document(&desk.run(&["status", "--format", "json"]).await)],
    )
    .await;
    assert_valid(
        &desk,
        "verify",
        &[document(&desk.run(&["verify", "--format", "json"]).await)],
    )
    .await;
    let comment = desk
        .run(&["plan", "--format", "markdown", "--detailed-exitcode"])
        .await
        .expect(0);
    comment.shows("<!-- reconcile:plan:www-example-com -->\n### `reconcile`: no changes");

    // The configuration moves, then the world.
    let old = config(&world, NO_DRAIN);
    let new = old.replace("path = \"/\"", "path = \"/health\"");
    desk.configure(&new);
    desk.run(&["plan", "--out", "plan.json", "--detailed-exitcode"])
        .await
        .expect(2);
    desk.configure(&old);
    desk.run(&["apply", "plan.json"])
        .await
        .expect(1)
        .says("`site.www.health.path` changed");
    desk.configure(&format!("# a comment does not count\n{new}"));
    by_hand(
        &emulator,
        &world,
        "elb.modify_listener(ListenerArn=listener(443), SslPolicy='ELBSecurityPolicy-2016-08')",
    )
    .await;
    let refused = desk.run(&["apply", "plan.json", "--format", "json"]).await.expect(1);
    let told = events(&desk, &refused).await;
    let details = told[0]["error"]["details"].to_string();
    assert_eq!(told[told.len() - 1]["result"], "error");
    assert!(
        details.contains("listener.443: tls_policy was") && details.contains("would also update listener.443"),
        "{details}"
    );
    assert_eq!(mutating_actions(&emulator).await, Vec::<String>::new());

    // The way back, and the end, are saved and carried out alike.
    desk.configure(&old);
    desk.run(&["rollback", "--dry-run", "--out", "back.json"])
        .await
        .expect(0);
    desk.run(&["apply", "back.json"])
        .await
        .expect(0)
        .shows("go forward again");
    let seen = inventory(&emulator, &world).await;
    assert_eq!(
        records(&seen, &world.domain, "A")[0]["ResourceRecords"][0]["Value"],
        json!(world.instance().public)
    );
    desk.run(&["destroy", "--dry-run", "--out", "end.json"]).await.expect(0);
    let ended = desk.run(&["apply", "end.json", "--format", "json"]).await.expect(0);
    assert_eq!(events(&desk, &ended).await[0]["plan"]["purpose"], "destroy");
}

#[tokio::test]
async fn a_run_shows_life_and_says_how_it_ended() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let told = events(&desk, &desk.run(&["apply", "--format", "json"]).await.expect(1)).await;
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        (kinds, &told[2]["result"]),
        (vec!["plan", "error", "outcome"], &json!("declined"))
    );

    let slow = Settings {
        issue_after: Some(3.0),
        ..Settings::default()
    };
    scene.emulator.control().change_settings(slow).await.unwrap();
    let late = Fault::new("elbv2", "CreateLoadBalancer", FaultKind::Latency).delay(Duration::from_secs(2));
    scene.emulator.control().inject(&late.times(1)).await.unwrap();
    let denied = Fault::new("elbv2", "CreateListener", FaultKind::Deny);
    scene.emulator.control().inject(&denied.times(1)).await.unwrap();
    let quick = ["--yes", "--format", "json", "--heartbeat", "250ms"];
    let failed = desk.run(&quick).await.expect(1);
    let told = events(&desk, &failed).await;
    let beats = of_type(&told, "heartbeat");
    let runs = |address: &str, with_answer: bool| {
        let mut running = beats.iter().flat_map(|beat| beat["running"].as_array().unwrap());
        running.any(|step| step["address"] == address && step.get("last_answer").is_some() == with_answer)
    };
    assert!(runs("load_balancer.main", false), "a long call shows life: {beats:#?}");
    assert!(
        runs("certificate.www", true),
        "a long wait shows life, and the last answer: {beats:#?}"
    );
    let waiting = of_type(&told, "step_waiting");
    let issued = waiting
        .iter()
        .find(|event| event["address"] == "certificate.www")
        .unwrap();
    assert!(issued["deadline"].is_string() && issued["last_answer"].as_str().is_some_and(|said| !said.is_empty()));
    let error = &of_type(&told, "step_failed")[0]["error"];
    assert!(
        error["code"].is_string() && error["request_id"].is_string() && error["remedy"].is_string(),
        "{error:#}"
    );
    let outcome = &told[told.len() - 1];
    assert_eq!(outcome["result"], "failed");
    assert!(
        outcome["steps_left"]
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["address"] == "listener.443")
    );
    assert!(
        failed.stderr.contains("error: ") && !failed.stderr.contains("prepare:"),
        "{}",
        failed.stderr
    );

    let told = events(&desk, &desk.run(&quick).await.expect(0)).await;
    assert_eq!(told[told.len() - 1]["result"], "complete");
    let told = events(&desk, &desk.run(&quick).await.expect(0)).await;
    assert_eq!(told[told.len() - 1]["result"], "no_changes");
    desk.configure("region = \"tokyo\"\n");
    let told = events(&desk, &desk.run(&quick).await.expect(1)).await;
    assert_eq!(told[0]["type"], "error", "also before the plan: {told:#?}");
}

#[tokio::test]
async fn the_shell_example_keeps_a_site() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shell/reconcile.sh");
    let (
        Scene {
            emulator,
            world,
            data_plane: _data_plane,
        },
        desk,
    ) = scene(1, NO_DRAIN).await;
    desk.script(script, &["nonsense"]).await.expect(64);
    desk.script(script, &["apply"]).await.expect(0).says("nothing to do");
    desk.script(script, &["plan"]).await.expect(2).shows("certificate.www");
    let applied = desk.script(script, &["apply"]).await.expect(0);
    assert_eq!(events(&desk, &applied).await.last().unwrap()["result"], "complete");
    desk.script(script, &["plan"]).await.expect(0).shows("No changes.");
    desk.script(script, &["daily"]).await.expect(0);
    by_hand(
        &emulator,
        &world,
        "elb.modify_listener(ListenerArn=listener(443), SslPolicy='ELBSecurityPolicy-2016-08')",
    )
    .await;
    desk.script(script, &["daily"])
        .await
        .expect(1)
        .says("something differs");
    desk.script(script, &["plan"]).await.expect(2);
    by_hand(
        &emulator,
        &world,
        "elb.modify_listener(ListenerArn=listener(443), SslPolicy='ELBSecurityPolicy-TLS-1-2-2017-01')",
    )
    .await;
    desk.script(script, &["apply"])
        .await
        .expect(1)
        .says("the saved plan is not carried out");
    desk.script(script, &["plan"]).await.expect(2);
    desk.script(script, &["apply"]).await.expect(0);
    no_changes(&desk).await;

    // The workflow is YAML, and every job that talks to AWS may ask for a token.
    let jobs = emulator.boto3_with(LOOK, &json!(WORKFLOW)).await.unwrap();
    let asked = json!(["write", 1]);
    assert_eq!(
        jobs,
        json!({ "comment": asked, "plan": asked, "apply": asked, "daily": asked })
    );
}
