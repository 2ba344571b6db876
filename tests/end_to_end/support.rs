//! A folder with a configuration, an emulated AWS, and the program that is run between them.

use std::{path::PathBuf, process::Stdio, time::Duration};

use reconcile_emulator::{Emulator, Options, Report, Scene, Seed, Seeded, Settings, Visitor, seed};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// How long one run of the program may take in a test.
const DEADLINE: Duration = Duration::from_mins(2);

/// Where a test runs the program.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn shows(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "expected `{text}` in stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "expected `{text}` in stderr:\n{}\nstdout:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }
}

impl Desk {
    /// A desk without an AWS behind it: every request would fail.
    pub(crate) fn alone(config: &str) -> Self {
        let environment = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let environment = environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        Self::new(environment, Vec::new(), config)
    }

    pub(crate) fn new(environment: Vec<(String, String)>, arguments: Vec<String>, config: &str) -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            environment,
            arguments,
        };
        desk.configure(config);
        desk
    }

    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.folder.path().join("reconcile.toml"), config).unwrap();
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.folder.path().join("state/www-example-com.json")
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.state_file()).unwrap()).unwrap()
    }

    /// Lets an hour pass for the state: what was just made may be unknown to AWS for a moment, what is older is gone.
    pub(crate) fn age_state(&self) {
        let mut state = self.state();
        let now: jiff::Timestamp = jiff::Timestamp::now();
        let earlier = now.checked_sub(jiff::SignedDuration::from_hours(1)).unwrap();
        for entry in state["resources"].as_object_mut().unwrap().values_mut() {
            entry["recorded_at"] = json!(earlier.to_string());
        }
        std::fs::write(self.state_file(), state.to_string()).unwrap();
    }

    /// Lets all drains be over, as if the time had passed.
    pub(crate) fn pass_drain(&self) {
        let mut state = self.state();
        for cutover in state["cutovers"].as_object_mut().unwrap().values_mut() {
            if cutover.get("in_sync_at").is_some() {
                cutover["in_sync_at"] = json!("2026-01-01T00:00:00Z");
            }
        }
        std::fs::write(self.state_file(), state.to_string()).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(Command::new(env!("CARGO_BIN_EXE_reconcile")), arguments)
    }

    fn prepared(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .env_remove("AWS_PROFILE")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Starts the program in other circumstances, as `launch.py` says.
    pub(crate) fn start_in(&self, circumstances: &Value, arguments: &[&str]) -> Child {
        self.launched(circumstances, arguments).spawn().unwrap()
    }

    fn launched(&self, circumstances: &Value, arguments: &[&str]) -> Command {
        let python = std::env::var("RECONCILE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(python);
        command
            .args(["-c", include_str!("launch.py"), &circumstances.to_string()])
            .arg(env!("CARGO_BIN_EXE_reconcile"));
        self.prepared(command, arguments)
    }

    /// Runs a shell script that runs the program.
    pub(crate) async fn script(&self, script: &str, arguments: &[&str]) -> Run {
        let mut command = Command::new("sh");
        command.arg(script).env("RECONCILE", env!("CARGO_BIN_EXE_reconcile"));
        Self::ended(self.prepared(command, arguments), arguments).await
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        Self::ended(self.command(arguments), arguments).await
    }

    /// Runs the program in other circumstances, as `launch.py` says.
    pub(crate) async fn run_in(&self, circumstances: &Value, arguments: &[&str]) -> Run {
        Self::ended(self.launched(circumstances, arguments), arguments).await
    }

    /// Sets a variable of the environment for every run from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Has every run from now on be without a variable of the environment.
    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    async fn ended(mut command: Command, arguments: &[&str]) -> Run {
        let output = tokio::time::timeout(DEADLINE, command.output())
            .await
            .unwrap_or_else(|_| panic!("reconcile {} did not end", arguments.join(" ")))
            .unwrap();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The smallest configuration for the seeded site, with more behind it.
pub(crate) fn config(world: &Seeded, more: &str) -> String {
    format!(
        "region = \"ap-northeast-1\"\n\n[site.www]\ndomain   = \"{}\"\ninstance = \"{}\"\nhealth   = {{ path = \"/\" }}\n\n{more}",
        world.domain,
        world.instance().id
    )
}

/// Ends the drain at once, for tests that are about something else.
pub(crate) const NO_DRAIN: &str = "[lockdown]\ndrain_margin = \"0s\"\n";

/// A world in which resolvers forget everything within a second, so that the end of a drain is the end of the visits.
pub(crate) fn quick_dns() -> Seed {
    Seed {
        ttl: 1,
        load_balancer_ttl: 1,
        ..Seed::default()
    }
}

/// Asserts that the next plan is empty.
pub(crate) async fn no_changes(desk: &Desk) {
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

/// Until the visitor has come twenty times more by the way that `count` counts, without a failure.
pub(crate) async fn comes(visitor: &Visitor, count: impl Fn(&Report) -> u64) {
    let before = count(&visitor.report());
    visitor
        .wait_until(Duration::from_secs(30), |report| {
            report.failed > 0 || count(report) >= before + 20
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", visitor.report()));
    assert_eq!(visitor.report().failed, 0, "{}", visitor.report());
}

/// A scene with a desk in it: the seed's world with its data plane.
pub(crate) async fn scene(ttl: u32, more: &str) -> (Scene, Desk) {
    scene_of(&Seed { ttl, ..Seed::default() }, more).await
}

/// A scene with another world in it.
pub(crate) async fn scene_of(wanted: &Seed, more: &str) -> (Scene, Desk) {
    let scene = Scene::start(Options::default(), wanted).await.unwrap();
    quick(&scene.emulator).await;
    let mut arguments = scene.data_plane.arguments();
    arguments.extend(["--poll-interval".to_owned(), "1s".to_owned()]);
    let desk = Desk::new(scene.emulator.environment(), arguments, &config(&scene.world, more));
    (scene, desk)
}

/// moto as it is, without strict rules and without a data plane.
pub(crate) async fn plain(more: &str) -> (Emulator, Seeded, Desk) {
    let emulator = Emulator::start(Options {
        plain: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let world = seed(
        &emulator,
        None,
        &Seed {
            ttl: 1,
            ..Seed::default()
        },
    )
    .await
    .unwrap();
    let arguments = ["--poll-interval".to_owned(), "1s".to_owned()].to_vec();
    let desk = Desk::new(emulator.environment(), arguments, &config(&world, more));
    (emulator, world, desk)
}

async fn quick(emulator: &Emulator) {
    let settings = Settings {
        validation_records_after: Some(0.3),
        issue_after: Some(0.3),
        load_balancer_active_after: Some(0.5),
        registration_after: Some(0.2),
        change_in_sync_after: Some(0.2),
        ..Settings::default()
    };
    emulator.control().change_settings(settings).await.unwrap();
}

/// What another client sees of the stack.
pub(crate) async fn inventory(emulator: &Emulator, world: &Seeded) -> Value {
    const LOOK: &str = r#"
elb, ec2, acm, r53 = client("elbv2"), client("ec2"), client("acm"), client("route53")
balancers = elb.describe_load_balancers()["LoadBalancers"]
listeners = [l for b in balancers for l in elb.describe_listeners(LoadBalancerArn=b["LoadBalancerArn"])["Listeners"]]
groups = elb.describe_target_groups()["TargetGroups"]
targets = [t for g in groups for t in elb.describe_target_health(TargetGroupArn=g["TargetGroupArn"])["TargetHealthDescriptions"]]
names = {s["GroupId"]: s["GroupName"] for s in ec2.describe_security_groups()["SecurityGroups"]}
rules = []
for group in ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [given["vpc"]]}])["SecurityGroups"]:
    for sort, permissions in (("in", group["IpPermissions"]), ("out", group["IpPermissionsEgress"])):
        for p in permissions:
            peers = [r["CidrIp"] for r in p.get("IpRanges", [])] + [r["CidrIpv6"] for r in p.get("Ipv6Ranges", [])]
            peers += [names[r["GroupId"]] for r in p.get("UserIdGroupPairs", [])]
            for peer in peers:
                rules.append("%s %s %s %s..%s %s" % (group["GroupName"], sort, p["IpProtocol"], p.get("FromPort"), p.get("ToPort"), peer))
certificates = [acm.describe_certificate(CertificateArn=c["CertificateArn"])["Certificate"] for c in acm.list_certificates()["CertificateSummaryList"]]
records = r53.list_resource_record_sets(HostedZoneId=given["zone"])["ResourceRecordSets"]
show({
    "balancers": [{k: b.get(k) for k in ("LoadBalancerName", "LoadBalancerArn", "DNSName", "CanonicalHostedZoneId", "Scheme", "IpAddressType")}
                  | {"zones": sorted(z["SubnetId"] for z in b["AvailabilityZones"]), "groups": [names[g] for g in b["SecurityGroups"]]} for b in balancers],
    "listeners": listeners, "groups": groups,
    "targets": [{"id": t["Target"]["Id"], "port": t["Target"]["Port"], "state": t["TargetHealth"]["State"]} for t in targets],
    "rules": sorted(rules),
    "certificates": [{k: c.get(k) for k in ("CertificateArn", "DomainName", "SubjectAlternativeNames", "Status")} for c in certificates],
    "records": [r for r in records if r["Type"] not in ("NS", "SOA")],
})
"#;
    emulator
        .boto3_with(LOOK, &json!({ "vpc": world.vpc, "zone": world.zone }))
        .await
        .unwrap()
}

/// The record sets of a type at the site's name.
pub(crate) fn records<'a>(inventory: &'a Value, name: &str, record_type: &str) -> Vec<&'a Value> {
    let all = inventory["records"].as_array().unwrap();
    all.iter()
        .filter(|record| record["Name"] == format!("{name}.") && record["Type"] == record_type)
        .collect()
}

/// The actions of requests that changed something.
pub(crate) async fn mutating_actions(emulator: &Emulator) -> Vec<String> {
    let requests = emulator.control().mutating_requests().await.unwrap();
    requests.iter().map(|request| request.action.clone()).collect()
}

/// Until the emulator has got a request for this action.
pub(crate) async fn until_requested(emulator: &Emulator, action: &str) {
    let requested = async {
        loop {
            let requests = emulator.control().requests().await.unwrap();
            if requests.iter().any(|request| request.action == action) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), requested)
        .await
        .unwrap_or_else(|_| panic!("no {action}"));
}
