//! The whole story on the emulator: a web site moves behind a load balancer while a visitor keeps asking for it.
//!
//! Everything shown is real: the tool runs as a user would run it, the time is the clock's, and the visitor counts.

use std::{
    io::Write,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    time::{Duration, Instant},
};

use reconcile_emulator::{Error, Options, PythonEnvironment, Report, Scene, Seed, Settings, Visitor, VisitorOptions};
use serde_json::json;
use tokio::process::Command;

/// Seconds that resolvers may remember the site's address.
const TTL: u32 = 2;
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

/// A folder with a configuration, and the program that is run in it.
struct Desk {
    folder: tempfile::TempDir,
    program: PathBuf,
    environment: Vec<(String, String)>,
    network: Vec<String>,
}

impl Desk {
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

async fn story() -> Result<bool, Error> {
    let started = Instant::now();
    chapter(1, "A web site on one instance");
    if !PythonEnvironment::is_prepared() {
        say("Making the Python environment of the emulator (once, about a minute) ...");
    }
    let seed = Seed {
        ttl: TTL,
        ..Seed::default()
    };
    let scene = Scene::start(Options::default(), &seed).await?;
    let settings = Settings {
        validation_records_after: Some(1.0),
        issue_after: Some(2.0),
        load_balancer_active_after: Some(4.0),
        registration_after: Some(1.0),
        change_in_sync_after: Some(1.0),
        ..Settings::default()
    };
    scene.emulator.control().change_settings(settings).await?;
    let desk = desk(&scene)?;
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
    let options = VisitorOptions::of(&scene.world.domain).trusting(scene.instance_certificates());
    let visitor = Visitor::start(&scene.data_plane, options)?;
    visitor
        .wait_until(Duration::from_secs(20), |report| report.answered >= 10)
        .await?;
    say("\nThis is all that the user writes, in reconcile.toml:\n");
    say(&configuration(&scene));

    chapter(2, "What would happen: reconcile plan");
    let planned = desk.run(&["plan", "--detailed-exitcode"]).await?.code() == Some(PENDING);

    chapter(3, "It happens: reconcile --yes");
    let applied = desk.run(&["--yes"]).await?.success();
    let moved = visitor
        .wait_until(Duration::from_secs(30), |report| {
            report.failed > 0 || report.through_load_balancer >= 40
        })
        .await?;
    say(&format!("\nThe visitor so far: {moved}"));

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

    chapter(6, "What the visitor saw");
    let report: Report = visitor.stop().await;
    say(&report.to_string());
    let checks = [
        ("the plan found changes to make", planned),
        ("the apply came to its end", applied),
        ("the second run changed nothing", again && mutating == 0),
        (
            "the change by hand was found and repaired",
            found && repaired && settled,
        ),
        (
            "the visitor moved to the load balancer",
            report.through_load_balancer > 0,
        ),
        ("no request of the visitor failed", report.failed == 0),
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

fn configuration(scene: &Scene) -> String {
    format!(
        "region = \"{}\"\n\n[site.www]\ndomain   = \"{}\"\ninstance = \"{}\"\nhealth   = {{ path = \"/\" }}\n\n\
         [lockdown]\ndrain_margin = \"1s\"   # for this demo; the default is ten minutes\n",
        scene.emulator.region(),
        scene.world.domain,
        scene.world.instance().id,
    )
}

fn desk(scene: &Scene) -> Result<Desk, Error> {
    let failed = |action: &'static str, path: PathBuf| move |source| Error::File { action, path, source };
    let folder = tempfile::tempdir().map_err(failed("cannot make a folder in", std::env::temp_dir()))?;
    let file = folder.path().join("reconcile.toml");
    std::fs::write(&file, configuration(scene)).map_err(failed("cannot write", file.clone()))?;
    let here = std::env::current_exe().map_err(failed("cannot find", PathBuf::from("the folder of this program")))?;
    let program = here
        .with_file_name("reconcile")
        .with_extension(std::env::consts::EXE_EXTENSION);
    Ok(Desk {
        folder,
        program,
        environment: scene.emulator.environment(),
        network: scene.data_plane.arguments(),
    })
}
