//! The state on S3, shared by all machines: locks, compare-and-swap, and the ways in and out.

use std::{process::Stdio, time::Duration};

use reconcile_emulator::{Emulator, Fault, FaultKind, Scene, Settings};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::{Desk, NO_DRAIN, config, inventory, mutating_actions, no_changes, scene, until_requested};

pub(crate) const ON_S3: &str = "[state]\nbackend = \"s3\"\nbucket = \"my-states\"\n";
const KEY: &str = "reconcile/www-example-com.json";

/// Drift, in a target group and in the bucket itself.
const DRIFT: &str = r#"
elb = client("elbv2")
group = elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
elb.modify_target_group(TargetGroupArn=group, HealthCheckPath="/other")
client("s3").put_bucket_versioning(Bucket="my-states", VersioningConfiguration={"Status": "Suspended"})
"#;

/// Another run, which writes the state that it read.
const WRITE: &str = r#"
s3 = client("s3")
while True:
    got = s3.get_object(Bucket="my-states", Key=given["key"])
    state = json.loads(got["Body"].read())
    state["serial"] += 1
    try:
        s3.put_object(Bucket="my-states", Key=given["key"], Body=json.dumps(state).encode(), IfMatch=got["ETag"])
        break
    except s3.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "PreconditionFailed", error
show(state)
"#;

/// A scene with a bucket that keeps versions, and a desk whose state is in it.
async fn shared() -> (Scene, Desk) {
    let (scene, desk) = scene(1, &format!("{NO_DRAIN}{ON_S3}")).await;
    make_bucket(&scene.emulator).await;
    (scene, desk)
}

/// The bucket that `ON_S3` names.
pub(crate) async fn make_bucket(emulator: &Emulator) {
    const MAKE: &str = r#"
s3 = client("s3")
s3.create_bucket(Bucket="my-states", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
s3.put_bucket_versioning(Bucket="my-states", VersioningConfiguration={"Status": "Enabled"})
"#;
    emulator.boto3(MAKE).await.unwrap();
}

/// The objects of the bucket with their contents, as another client sees them.
async fn objects(emulator: &Emulator) -> Value {
    const LOOK: &str = r#"
s3 = client("s3")
found = {}
for item in s3.list_objects_v2(Bucket="my-states").get("Contents", []):
    got = s3.get_object(Bucket="my-states", Key=item["Key"])
    found[item["Key"]] = {"content": json.loads(got["Body"].read()), "encryption": got.get("ServerSideEncryption")}
show(found)
"#;
    emulator.boto3(LOOK).await.unwrap()
}

async fn put_object(emulator: &Emulator, key: &str, content: &Value) {
    const PUT: &str = r#"
client("s3").put_object(Bucket="my-states", Key=given["key"], Body=json.dumps(given["content"]).encode())
"#;
    let given = json!({ "key": key, "content": content });
    emulator.boto3_with(PUT, &given).await.unwrap();
}

/// One of everything, and a state that lists exactly that.
async fn assert_one_stack(scene: &Scene, state: &Value) {
    let seen = inventory(&scene.emulator, &scene.world).await;
    for what in ["balancers", "groups", "certificates", "listeners", "targets"] {
        assert_eq!(seen[what].as_array().unwrap().len(), 1, "{what}: {}", seen[what]);
    }
    let id = |address: &str| state["resources"][address]["id"].clone();
    assert_eq!(id("load_balancer.main"), seen["balancers"][0]["LoadBalancerArn"]);
    assert_eq!(id("target_group.www"), seen["groups"][0]["TargetGroupArn"]);
    assert_eq!(id("certificate.www"), seen["certificates"][0]["CertificateArn"]);
    assert_eq!(id("listener.443"), seen["listeners"][0]["ListenerArn"]);
    assert_eq!(state["intents"], json!({}));
    assert_eq!(state["retired"], json!([]));
}

/// A line of the program's progress that holds `text`.
async fn says(child: &mut Child, text: &str) -> String {
    let stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(text) {
                return Some(line);
            }
        }
        None
    };
    let found = tokio::time::timeout(Duration::from_mins(1), found).await;
    let line = found
        .expect("in time")
        .unwrap_or_else(|| panic!("it ended without `{text}`"));
    // What follows is read on, so that the program is not kept waiting for a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    line
}

#[tokio::test]
async fn the_whole_story_with_the_state_on_s3() {
    let (scene, desk) = shared().await;
    desk.run(&["plan"]).await.expect(0);
    assert_eq!(
        objects(&scene.emulator).await,
        json!({}),
        "a look leaves nothing behind"
    );
    let first = desk.run(&["--yes"]).await.expect(0);
    assert!(!first.stderr.contains("warning"), "{}", first.stderr);
    assert!(!desk.folder.path().join("state").exists(), "nothing is kept here");
    let found = objects(&scene.emulator).await;
    assert_eq!(found.as_object().unwrap().len(), 1, "the lock is gone: {found}");
    assert_eq!(found[KEY]["encryption"], "AES256");
    assert_one_stack(&scene, &found[KEY]["content"]).await;

    scene.emulator.control().clear_requests().await.unwrap();
    no_changes(&desk).await;
    desk.run(&["verify"]).await.expect(0);
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    desk.run(&["--yes"]).await.expect(0).shows("No changes.");
    let actions = mutating_actions(&scene.emulator).await;
    assert_eq!(actions, ["PutObject", "DeleteObject"], "the lock and nothing else");

    scene.emulator.boto3(DRIFT).await.unwrap();
    desk.run(&["--yes"]).await.expect(0).says("keeps no versions");
    no_changes(&desk).await;

    // A file of states is no business of a run whose state is elsewhere; looking into it is.
    desk.run(&["plan", "--state", "x.json"])
        .await
        .expect(1)
        .says("`--state` names a file");
    desk.run(&["state", "pull", "x.json"]).await.expect(0);
    desk.run(&["state", "list", "--state", "x.json"])
        .await
        .expect(0)
        .shows("target_group.www");

    desk.run(&["destroy", "--yes"]).await.expect(0);
    let found = objects(&scene.emulator).await;
    assert_eq!(found[KEY]["content"]["resources"], json!({}));
    assert_eq!(found.as_object().unwrap().len(), 1);
}

/// What is put in front of the program so that it runs as on another machine: it sees other processes than this one does.
fn elsewhere() -> Option<&'static [&'static str]> {
    const APART: &[&str] = &[
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    let mut tried = std::process::Command::new(APART[0]);
    let tried = tried.args(&APART[1..]).arg("true").stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success()).then_some(APART)
}

/// Runs the program eight times at once, and gives the exit codes, and how many of the runs changed something.
async fn at_once(desks: &[&Desk], arguments: &[&str], apart: Option<&[&str]>) -> (Vec<Option<i32>>, usize) {
    let runs = desks.iter().enumerate().map(|(index, desk)| {
        let wrapper = if index % 2 == 0 { None } else { apart };
        let mut command = wrapper.map_or_else(|| desk.command(arguments), |wrapper| behind(wrapper, desk, arguments));
        async move { command.output().await.unwrap() }
    });
    let runs = futures_util::future::join_all(runs);
    let outputs = tokio::time::timeout(Duration::from_mins(4), runs)
        .await
        .expect("in time");
    let worked = outputs
        .iter()
        .filter(|output| !String::from_utf8_lossy(&output.stdout).contains("No changes."))
        .count();
    for output in outputs.iter().filter(|output| !output.status.success()) {
        tell(&String::from_utf8_lossy(&output.stderr));
    }
    (outputs.iter().map(|output| output.status.code()).collect(), worked)
}

fn behind(wrapper: &[&str], desk: &Desk, arguments: &[&str]) -> Command {
    let inner = desk.command(arguments);
    let inner = inner.as_std();
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.current_dir(desk.folder.path());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Figures, past the test harness.
fn tell(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[tokio::test]
async fn eight_processes_at_once_on_one_file_end_with_one_stack() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let path = desk.state_file();
    let (reading, ended) = (
        path.clone(),
        std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)),
    );
    let until = std::sync::Arc::clone(&ended);
    // Somebody who looks at the file all the time never sees a part of a state.
    let reader = std::thread::spawn(move || {
        let mut serials = std::collections::BTreeSet::new();
        while !until.load(std::sync::atomic::Ordering::Relaxed) {
            if let Ok(text) = std::fs::read_to_string(&reading) {
                let state: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("torn: {error}: {text}"));
                serials.insert(state["serial"].as_u64().unwrap());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        serials.len()
    });
    let desks = [&desk; 8];
    let (codes, worked) = at_once(&desks, &["--yes", "--lock-timeout", "4m"], None).await;
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    let seen = reader.join().unwrap();
    assert_eq!(codes, [Some(0); 8]);
    assert_one_stack(&scene, &desk.state()).await;
    no_changes(&desk).await;
    tell(&format!(
        "local: 8 processes at once, 8 ended well, {worked} changed something, 1 stack; {seen} states seen while they wrote, 0 torn"
    ));
    assert_eq!(worked, 1);
}

#[tokio::test]
async fn eight_processes_of_two_machines_at_once_on_s3_end_with_one_stack() {
    let (scene, desk) = shared().await;
    let settings = format!("{NO_DRAIN}{ON_S3}");
    let another = || {
        let mut arguments = scene.data_plane.arguments();
        arguments.extend(["--poll-interval".to_owned(), "1s".to_owned()]);
        Desk::new(
            scene.emulator.environment(),
            arguments,
            &config(&scene.world, &settings),
        )
    };
    let others: Vec<Desk> = (1..8).map(|_| another()).collect();
    let desks: Vec<&Desk> = std::iter::once(&desk).chain(&others).collect();
    let apart = elsewhere();
    let looking = another();
    let race = at_once(&desks, &["--yes", "--lock-timeout", "4m"], apart);
    let looks = async {
        let mut serials = std::collections::BTreeSet::new();
        loop {
            let run = looking.run(&["state", "pull"]).await;
            if run.code == Some(0) {
                let state: Value = serde_json::from_str(&run.stdout).unwrap();
                serials.insert(state["serial"].as_u64().unwrap());
                if state["intents"] == json!({}) && state["resources"]["load_balancer.main"].is_object() {
                    return serials.len();
                }
            } else {
                run.says("there is no state in");
            }
        }
    };
    let ((codes, worked), seen) = tokio::join!(race, looks);
    assert_eq!(codes, [Some(0); 8]);
    let found = objects(&scene.emulator).await;
    assert_eq!(found.as_object().unwrap().len(), 1, "no lock is left: {found}");
    assert_one_stack(&scene, &found[KEY]["content"]).await;
    no_changes(&desk).await;
    tell(&format!(
        "S3: 8 processes at once in 8 folders{}, 8 ended well, {worked} changed something, 1 stack; {seen} states seen, 0 torn",
        if apart.is_some() {
            ", 4 of them in process namespaces of their own"
        } else {
            ""
        }
    ));
    assert_eq!(worked, 1);
}

#[tokio::test]
async fn who_holds_the_state_is_told_waited_for_and_unlocked() {
    let (scene, desk) = shared().await;
    let key = format!("{KEY}.lock");
    let lock = json!({
        "id": "0f0e0d0c", "pid": 4711, "host": "builder-7", "since": "2026-11-24T10:00:00Z", "command": "reconcile apply",
        "process": { "boot": "another", "namespace": "pid:[1]", "started": 1 },
    });
    put_object(&scene.emulator, &key, &lock).await;
    desk.run(&["--yes"])
        .await
        .expect(1)
        .says("`reconcile apply`, process 4711 on builder-7, since ")
        .says("state unlock 0f0e0d0c");
    desk.run(&["plan"]).await.expect(0);
    desk.run(&["--yes", "--lock-timeout", "300ms"])
        .await
        .expect(1)
        .says("Waiting up to ")
        .says("waited 300ms");

    // Ctrl-C ends the wait.
    let mut child = desk.start(&["--yes", "--lock-timeout", "10m"]);
    says(&mut child, "builder-7").await;
    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await;
    assert_eq!(ended.expect("at once").unwrap().code(), Some(1));

    desk.run(&["state", "unlock", "wrong", "--yes"])
        .await
        .expect(1)
        .says("0f0e0d0c");
    desk.run(&["state", "unlock", "0f0e0d0c"]).await.expect(1).says("--yes");
    assert_eq!(objects(&scene.emulator).await[&key]["content"], lock);

    // The wait ends when the lock goes.
    let mut child = desk.start(&["--yes", "--lock-timeout", "4m"]);
    says(&mut child, "builder-7").await;
    desk.run(&["state", "unlock", "0f0e0d0c", "--yes"])
        .await
        .expect(0)
        .shows("Removed the lock");
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    desk.run(&["state", "unlock", "0f0e0d0c"])
        .await
        .expect(0)
        .shows("Nothing holds the state");
}

#[tokio::test]
async fn the_lock_of_a_killed_run_is_taken_over_on_the_same_machine() {
    let (scene, desk) = shared().await;
    let late = Fault::new("elbv2", "CreateLoadBalancer", FaultKind::Latency).delay(Duration::from_secs(30));
    scene.emulator.control().inject(&late).await.unwrap();
    let mut child = desk.start(&["--yes"]);
    until_requested(&scene.emulator, "RequestCertificate").await;
    // As long as it lives, the lock is its own.
    let refused = desk.run(&["--yes"]).await.expect(1).says("another run holds the state");
    let id = refused
        .stderr
        .split("(lock ")
        .nth(1)
        .unwrap()
        .split(')')
        .next()
        .unwrap()
        .to_owned();
    desk.run(&["state", "unlock", &id, "--yes"])
        .await
        .expect(1)
        .says("is alive");
    child.kill().await.unwrap();
    scene.emulator.control().clear_faults().await.unwrap();
    desk.run(&["--yes"])
        .await
        .expect(0)
        .says("The run that held the state is dead");
    let found = objects(&scene.emulator).await;
    assert_eq!(found.as_object().unwrap().len(), 1);
    assert_one_stack(&scene, &found[KEY]["content"]).await;
}

#[tokio::test]
async fn a_state_that_moved_is_not_written_over_and_one_that_cannot_be_written_is_kept() {
    let (scene, desk) = shared().await;
    let unsaved = desk.folder.path().join("state/www-example-com.json.unsaved");
    // The lock is broken and another run writes while this one waits for a certificate.
    let control = scene.emulator.control();
    let issued_after = |seconds| Settings {
        issue_after: Some(seconds),
        ..Settings::default()
    };
    control.change_settings(issued_after(600.0)).await.unwrap();
    let run = async { desk.run(&["--yes"]).await };
    let meddle = async {
        until_requested(&scene.emulator, "DescribeCertificate").await;
        let state = scene.emulator.boto3_with(WRITE, &json!({ "key": KEY })).await.unwrap();
        control.change_settings(issued_after(0.3)).await.unwrap();
        state
    };
    let (run, theirs) = tokio::join!(run, meddle);
    run.expect(1)
        .says("another run has written the state")
        .says("reconcile plan");
    assert_eq!(
        objects(&scene.emulator).await[KEY]["content"],
        theirs,
        "nobody's work is lost"
    );
    assert!(unsaved.exists());
    desk.run(&["state", "push", "state/www-example-com.json.unsaved"])
        .await
        .expect(1)
        .says("is not older");
    std::fs::remove_file(&unsaved).unwrap();

    // S3 refuses in the middle of the run.
    let late = Fault::new("elbv2", "CreateListener", FaultKind::Latency).delay(Duration::from_secs(3));
    scene.emulator.control().clear_requests().await.unwrap();
    scene.emulator.control().inject(&late.times(1)).await.unwrap();
    let run = async { desk.run(&["--yes"]).await };
    let deny = async {
        until_requested(&scene.emulator, "CreateListener").await;
        let denied = Fault::new("s3", "PutObject", FaultKind::Deny);
        scene.emulator.control().inject(&denied).await.unwrap();
    };
    let (run, ()) = tokio::join!(run, deny);
    run.expect(1).says("s3:PutObject").says("reconcile state push");
    scene.emulator.control().clear_faults().await.unwrap();
    assert!(unsaved.exists());
    desk.run(&["--yes"]).await.expect(1).says("state push");
    desk.run(&["state", "push", "state/www-example-com.json.unsaved"])
        .await
        .expect(0);
    assert!(!unsaved.exists());
    desk.run(&["--yes"]).await.expect(0);
    let found = objects(&scene.emulator).await;
    assert_one_stack(&scene, &found[KEY]["content"]).await;
    no_changes(&desk).await;
}

#[tokio::test]
async fn a_state_moves_to_s3_and_back_and_nothing_is_lost_on_the_way() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    desk.run(&["--yes"]).await.expect(0);
    let state = desk.state();
    desk.configure(&config(&scene.world, &format!("{NO_DRAIN}{ON_S3}")));
    desk.run(&["plan"])
        .await
        .expect(1)
        .says("NoSuchBucket")
        .says("`state.bucket`");
    make_bucket(&scene.emulator).await;
    desk.run(&["plan"]).await.expect(1).says("state migrate --from local");
    desk.run(&["state", "migrate", "--from", "local"])
        .await
        .expect(0)
        .shows("json.migrated-");
    assert!(!desk.state_file().exists());
    assert_eq!(objects(&scene.emulator).await[KEY]["content"], state);
    no_changes(&desk).await;
    desk.run(&["state", "migrate", "--from", "local"])
        .await
        .expect(1)
        .says("there is no state in");

    // Out and in.
    desk.run(&["state", "pull", "old.json"]).await.expect(0);
    desk.run(&["state", "pull", "old.json"])
        .await
        .expect(1)
        .says("not there yet");
    desk.run(&["state", "push", "old.json"])
        .await
        .expect(0)
        .shows("holds this state already");
    let mut other = state.clone();
    other["lineage"] = json!("another");
    std::fs::write(desk.folder.path().join("other.json"), other.to_string()).unwrap();
    desk.run(&["state", "push", "other.json"])
        .await
        .expect(1)
        .says("is another one")
        .says("--force");
    other["stack"] = json!("another");
    std::fs::write(desk.folder.path().join("stack.json"), other.to_string()).unwrap();
    desk.run(&["state", "push", "stack.json", "--force"])
        .await
        .expect(1)
        .says("`another`");
    assert_eq!(objects(&scene.emulator).await[KEY]["content"], state);
    desk.run(&["state", "push", "other.json", "--force"]).await.expect(0);
    let forced = objects(&scene.emulator).await[KEY]["content"].clone();
    assert_eq!(forced["serial"], json!(state["serial"].as_u64().unwrap() + 1));

    // Back.
    desk.configure(&config(&scene.world, NO_DRAIN));
    desk.run(&["state", "migrate", "--from", &format!("s3://my-states/{KEY}")])
        .await
        .expect(0);
    assert_eq!(desk.state(), forced);
    let found = objects(&scene.emulator).await;
    let left: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert!(left.len() == 1 && left[0].contains(".migrated-"), "{left:?}");
    no_changes(&desk).await;
}
