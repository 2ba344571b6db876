//! The whole story on the emulator: a web site moves behind a load balancer while a visitor keeps asking for it.
//!
//! Everything shown is real: the tool runs as a user would run it, the time is the clock's, and the visitor counts.

use std::{
    io::Write,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    time::{Duration, Instant},
};

use reconcile_emulator::{
    Error, Options, PythonEnvironment, Report, Scene, Seed, SeedSite, SeededSite, Settings, Visitor,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// Seconds that resolvers may remember the site's address.
const TTL: u32 = 2;
/// Seconds that they may remember the load balancer's; on AWS 60.
const LOAD_BALANCER_TTL: u32 = 1;
/// The site that comes later.
const SECOND: &str = "api.example.com";
/// How many answers more say that a visitor comes by a way.
const SETTLED: u64 = 40;
/// How long a visitor may take to get there.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exit code of `--detailed-exitcode` for pending changes.
const PENDING: i32 = 2;

/// Somebody changes things by hand: another security policy, another health check, and the back door opened again.
const BY_HAND: &str = r#"
elb, ec2 = client("elbv2"), client("ec2")
balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
for listener in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]:
    if listener["Port"] == 443:
        elb.modify_listener(ListenerArn=listener["ListenerArn"], SslPolicy="ELBSecurityPolicy-2016-08")
group = elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
elb.modify_target_group(TargetGroupArn=group, HealthCheckPath="/somewhere-else")
ec2.authorize_security_group_ingress(GroupId=given["group"], IpPermissions=[
    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
"#;

#[tokio::main]
async fn main() -> ExitCode {
    match story().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

fn chapter(number: u8, title: &str) {
    let line = format!("{number}. {title}");
    say(&format!("\n{line}\n{}", "=".repeat(line.chars().count())));
}

fn failed(action: &'static str, path: PathBuf) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::File { action, path, source }
}

/// A folder with a configuration, and the program that is run in it.
struct Desk {
    folder: tempfile::TempDir,
    program: PathBuf,
    environment: Vec<(String, String)>,
    network: Vec<String>,
}

impl Desk {
    fn new(scene: &Scene) -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(failed("cannot make a folder in", std::env::temp_dir()))?;
        let here =
            std::env::current_exe().map_err(failed("cannot find", PathBuf::from("the folder of this program")))?;
        let program = here
            .with_file_name("reconcile")
            .with_extension(std::env::consts::EXE_EXTENSION);
        Ok(Self {
            folder,
            program,
            environment: scene.emulator.environment(),
            network: scene.data_plane.arguments(),
        })
    }

    /// Writes the configuration with these sites. The stack is called after the first site's name all along.
    fn configure(&self, scene: &Scene, sites: &[SeededSite]) -> Result<(), Error> {
        let file = self.folder.path().join("reconcile.toml");
        std::fs::write(&file, configuration(scene, sites)).map_err(failed("cannot write", file))
    }

    /// Writes into the state file that resolvers have forgotten everything.
    fn pass_time(&self) -> Result<(), Error> {
        let file = self.folder.path().join("state/www-example-com.json");
        let text = std::fs::read_to_string(&file).map_err(failed("cannot read", file.clone()))?;
        let mut state: Value = serde_json::from_str(&text).map_err(Error::unreadable("the state", &text))?;
        let cutovers = state.get_mut("cutovers").and_then(Value::as_object_mut);
        for cutover in cutovers.into_iter().flat_map(serde_json::Map::values_mut) {
            if cutover.get("in_sync_at").is_some() {
                cutover["in_sync_at"] = json!("2026-01-01T00:00:00Z");
            }
        }
        std::fs::write(&file, state.to_string()).map_err(failed("cannot write", file))
    }

    async fn run(&self, arguments: &[&str]) -> Result<ExitStatus, Error> {
        say(&format!("\n$ reconcile {}", arguments.join(" ")));
        let started = Instant::now();
        let status = Command::new(&self.program)
            .args(arguments)
            .args(["--poll-interval", "1s"])
            .args(&self.network)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .status()
            .await
            .map_err(|source| Error::File {
                action: "cannot run",
                path: self.program.clone(),
                source,
            })?;
        let code = status
            .code()
            .map_or_else(|| "by a signal".to_owned(), |code| format!("exit code {code}"));
        say(&format!("({code}, {:.1} s)", started.elapsed().as_secs_f64()));
        Ok(status)
    }
}

/// Waits until a visitor has come some times more by the way that `count` counts, and tells what it saw.
async fn comes(visitor: &Visitor, count: impl Fn(&Report) -> u64) -> Result<(), Error> {
    let before = count(&visitor.report());
    let report = visitor
        .wait_until(PATIENCE, |report| {
            report.failed > 0 || count(report) >= before + SETTLED
        })
        .await?;
    say(&format!("\nThe visitor so far: {report}"));
    Ok(())
}

async fn story() -> Result<bool, Error> {
    let started = Instant::now();
    chapter(1, "A web site on one instance");
    if !PythonEnvironment::is_prepared() {
        say("Making the Python environment of the emulator (once, about a minute) ...");
    }
    let seed = Seed {
        ttl: TTL,
        load_balancer_ttl: LOAD_BALANCER_TTL,
        further_sites: vec![SeedSite::of(SECOND)],
        ..Seed::default()
    };
    let scene = Scene::start(Options::default(), &seed).await?;
    let settings = Settings {
        validation_records_after: Some(1.0),
        issue_after: Some(2.0),
        load_balancer_active_after: Some(4.0),
        registration_after: Some(1.0),
        change_in_sync_after: Some(1.0),
        interfaces_linger_for: Some(2.0),
        ..Settings::default()
    };
    scene.emulator.control().change_settings(settings).await?;
    let before = scene.emulator.inventory(&scene.world).await?;
    let desk = Desk::new(&scene)?;
    let first = &scene.world.sites[0];
    desk.configure(&scene, std::slice::from_ref(first))?;
    let instance = scene.world.instance();
    say(&format!(
        "{domain} is an A record (TTL {TTL} s) with {address}, the public address of {id}.\n\
         The instance terminates TLS itself; its security group {group} admits 22, 80 and 443 from the world.\n\
         From now on a visitor asks for https://{domain}/ twenty times a second.",
        domain = scene.world.domain,
        address = instance.public,
        id = instance.id,
        group = scene.world.security_group,
    ));
    let visitor = scene.visit(&scene.world.domain)?;
    visitor
        .wait_until(Duration::from_secs(20), |report| report.answered >= 10)
        .await?;
    say("\nThis is all that the user writes, in reconcile.toml:\n");
    say(&configuration(&scene, std::slice::from_ref(first)));

    chapter(2, "What would happen: reconcile plan");
    let planned = desk.run(&["plan", "--detailed-exitcode"]).await?.code() == Some(PENDING);

    chapter(3, "It happens, and is verified from outside: reconcile --yes");
    let applied = desk.run(&["--yes"]).await?.success();
    comes(&visitor, |report| report.through_load_balancer).await?;

    chapter(4, "The same command again changes nothing");
    scene.emulator.control().clear_requests().await?;
    let again = desk.run(&["--yes"]).await?.success();
    let mutating = scene.emulator.control().mutating_requests().await?.len();
    say(&format!("Requests to AWS that change something: {mutating}"));

    chapter(5, "Somebody changes things by hand");
    scene
        .emulator
        .boto3_with(BY_HAND, &json!({ "group": scene.world.security_group }))
        .await?;
    say(
        "In the console: the listener gets a security policy with TLS 1.0, the health check another path, and the \
         instance's group admits 443 from the world again.",
    );
    let found = desk.run(&["plan", "--detailed-exitcode"]).await?.code() == Some(PENDING);
    let repaired = desk.run(&["--yes"]).await?.success();
    let settled = desk.run(&["plan", "--detailed-exitcode"]).await?.code() == Some(0);

    chapter(6, "A second site behind the same load balancer");
    say(&format!(
        "{SECOND} stands on an instance of its own. Four lines more in reconcile.toml, and a second visitor, who asks for \
         it twenty times a second from now on."
    ));
    let second_visitor = scene.visit(SECOND)?;
    desk.configure(&scene, &scene.world.sites)?;
    let joined = desk.run(&["--yes"]).await?.success();
    comes(&second_visitor, |report| report.through_load_balancer).await?;

    chapter(7, "Back to the instances, and forward again");
    let back = desk.run(&["rollback", "--yes"]).await?.success();
    comes(&visitor, |report| report.directly).await?;
    desk.pass_time()?;
    say(
        "\nOn AWS resolvers may remember a load balancer for a minute. Here they do for a second, so the demo does not wait: \
         it writes into the state file that the minute has passed.",
    );
    let forward = desk.run(&["--yes"]).await?.success();
    comes(&visitor, |report| report.through_load_balancer).await?;

    chapter(8, "Everything is taken away: reconcile destroy");
    let led_back = desk.run(&["destroy", "--yes", "--purge-validation"]).await?.success();
    comes(&visitor, |report| report.directly).await?;
    desk.pass_time()?;
    say("\nThat minute is written into the state file, too; the next run carries on.");
    let destroyed = led_back && desk.run(&["destroy", "--yes", "--purge-validation"]).await?.success();
    let after = scene.emulator.inventory(&scene.world).await?;

    chapter(9, "What the visitors saw");
    let reports = [
        (scene.world.domain.as_str(), visitor.stop().await),
        (SECOND, second_visitor.stop().await),
    ];
    for (domain, report) in &reports {
        say(&format!("{domain}: {report}"));
    }
    let all = |holds: fn(&Report) -> bool| reports.iter().all(|(_, report)| holds(report));
    let checks = [
        ("the plan found changes to make", planned),
        ("the apply came to its end, verified from outside", applied),
        ("the second run changed nothing", again && mutating == 0),
        (
            "the change by hand was found and repaired",
            found && repaired && settled,
        ),
        ("the second site was added", joined),
        (
            "visitors went back to the instances, and forward again",
            back && forward,
        ),
        (
            "the stack was destroyed, and AWS is as it was before",
            destroyed && after == before,
        ),
        (
            "the visitors moved to the load balancer",
            all(|report| report.through_load_balancer > 0),
        ),
        ("no request of the visitors failed", all(|report| report.failed == 0)),
    ];
    say("");
    for (what, holds) in checks {
        say(&format!("  {} {what}", if holds { "ok    " } else { "FAILED" }));
    }
    say(&format!(
        "\nDone in {:.0} s. Read on in README.md (real use), config.example.toml (every setting) and docs/ (how it works).\n\
         `cargo emulator` starts the same world for playing by hand.",
        started.elapsed().as_secs_f64()
    ));
    Ok(checks.iter().all(|(_, holds)| *holds))
}

fn configuration(scene: &Scene, sites: &[SeededSite]) -> String {
    let sites: Vec<String> = sites.iter().map(site).collect();
    format!(
        "region = \"{}\"\n\n{}\
         [lockdown]           # for this demo; the defaults are ten minutes and two\n\
         drain_margin = \"1s\"\nwait         = \"20s\"\n",
        scene.emulator.region(),
        sites.concat(),
    )
}

fn site(site: &SeededSite) -> String {
    let name = site.domain.split('.').next().unwrap_or(&site.domain);
    let instance = site.instances.first().map(|it| it.id.as_str()).unwrap_or_default();
    format!(
        "[site.{name}]\ndomain   = \"{}\"\ninstance = \"{instance}\"\nhealth   = {{ path = \"/\" }}\n\n",
        site.domain,
    )
}
