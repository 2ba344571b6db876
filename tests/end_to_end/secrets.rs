//! Credentials are in nothing that is written, and what others wrote cannot steer the terminal.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use reconcile_emulator::{Fault, FaultKind};
use serde_json::json;

use crate::support::{Desk, NO_DRAIN, Run, config, scene};

const KEY_ID: &str = "AKIACANARY0000000001";
const SECRET: &str = "canarySECRET/K7MDENG+bPxRfiCYEXAMPLEKEY00";
const TOKEN: &str = "canaryTOKENIQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQ";

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Asserts that none of `secrets` is in what a run printed or left.
#[track_caller]
fn holds_none(desk: &Desk, run: &Run, secrets: &[&str]) {
    let holds = |text: &str| secrets.iter().any(|secret| text.contains(secret));
    assert!(!holds(&run.stdout), "stdout:\n{}", run.stdout);
    assert!(!holds(&run.stderr), "stderr:\n{}", run.stderr);
    for file in files(desk.folder.path()) {
        let content = fs::read(&file).unwrap();
        assert!(!holds(&String::from_utf8_lossy(&content)), "{}", file.display());
    }
}

#[tokio::test]
async fn credentials_are_in_no_output_and_no_file_however_verbose() {
    let canaries = [KEY_ID, SECRET, TOKEN];
    let (scene, mut desk) = scene(1, NO_DRAIN).await;
    desk.set("AWS_ACCESS_KEY_ID", KEY_ID);
    desk.set("AWS_SECRET_ACCESS_KEY", SECRET);
    desk.set("AWS_SESSION_TOKEN", TOKEN);
    // The SDK's own logs hold headers; nothing in the environment may switch them on.
    for variable in ["RUST_LOG", "RUST_LOG_STYLE", "AWS_LOG"] {
        desk.set(variable, "trace");
    }
    let plan = desk.run(&["plan", "-vv"]).await.expect(0).says("calling");
    assert!(
        !plan.stderr.contains("aws_smithy") && !plan.stderr.contains("hyper"),
        "{}",
        plan.stderr
    );
    holds_none(&desk, &plan, &canaries);

    // AWS repeats what it was sent, where it refuses.
    let signed = format!(
        "The request signature we calculated does not match. The Canonical String for this request should have been \
         'POST\n/\n\nx-amz-security-token:{TOKEN}\n' with Credential={KEY_ID}/20260101 and {SECRET}"
    );
    for (code, message, told) in [
        (
            "SignatureDoesNotMatch",
            signed.as_str(),
            "x-amz-security-token:[withheld]",
        ),
        (
            "IncompleteSignature",
            &format!("Authorization: Credential={KEY_ID}"),
            "Credential=[withheld]",
        ),
        (
            "ExpiredToken",
            &format!("The security token {TOKEN} is expired"),
            "[withheld] is expired",
        ),
        (
            "AccessDenied",
            &format!("{KEY_ID} is not authorized"),
            "[withheld] is not authorized",
        ),
    ] {
        for (service, action) in [("sts", "GetCallerIdentity"), ("elbv2", "CreateTargetGroup")] {
            let fault = Fault::new(service, action, FaultKind::Error)
                .status(403)
                .code(code, message);
            scene.emulator.control().inject(&fault).await.unwrap();
            let run = desk.run(&["--yes", "-vv"]).await.expect(1).says(told).says(code);
            holds_none(&desk, &run, &canaries);
            scene.emulator.control().clear_faults().await.unwrap();
        }
    }

    for command in [
        &["--yes", "-vv"][..],
        &["status", "--format", "json", "-vv"],
        &["verify", "--format", "json", "-vv"],
        &["state", "list", "--format", "json", "-vv"],
        &["rollback", "--yes", "-vv"],
        &["state", "rm", "--yes", "target.www.*", "-vv"],
        &["destroy", "--dry-run", "-vv"],
    ] {
        let run = desk.run(command).await;
        holds_none(&desk, &run, &canaries);
    }
    assert!(desk.state_file().exists());
}

#[tokio::test]
async fn credentials_of_profiles_processes_and_roles_are_told_nowhere() {
    let (scene, mut desk) = scene(1, NO_DRAIN).await;
    let home = tempfile::tempdir().unwrap();
    let process = home.path().join("process");
    fs::write(
        &process,
        format!(
            "#!/bin/sh\necho '{{\"Version\": 1, \"AccessKeyId\": \"{KEY_ID}\", \"SecretAccessKey\": \"{SECRET}\", \
             \"SessionToken\": \"{TOKEN}\"}}'\n"
        ),
    )
    .unwrap();
    fs::set_permissions(&process, fs::Permissions::from_mode(0o755)).unwrap();
    let broken = home.path().join("broken");
    fs::write(
        &broken,
        format!("#!/bin/sh\necho '{{\"Version\": 1, \"SecretAccessKey\": \"{SECRET}\" {TOKEN}'\n"),
    )
    .unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let files = home.path().join("config");
    let profiles = format!(
        "[profile keys]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n\
         [profile process]\ncredential_process = {}\n[profile broken]\ncredential_process = {}\n\
         [profile half]\naws_access_key_id = {KEY_ID}\naws_session_token = {TOKEN}\n",
        process.display(),
        broken.display()
    );
    fs::write(&files, &profiles).unwrap();
    desk.set("AWS_CONFIG_FILE", files.to_str().unwrap());
    desk.set("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    desk.unset("AWS_ACCESS_KEY_ID");
    desk.unset("AWS_SECRET_ACCESS_KEY");
    let canaries = [KEY_ID, SECRET, TOKEN];
    let refuses = format!("the token {TOKEN} of {KEY_ID} is not valid");
    for (profile, code) in [("keys", 0), ("process", 0), ("broken", 1), ("half", 1)] {
        desk.set("AWS_PROFILE", profile);
        let run = desk.run(&["plan", "-vv"]).await;
        println!(
            "{profile}: {}",
            run.stderr
                .lines()
                .filter(|line| line.starts_with("error"))
                .collect::<String>()
        );
        holds_none(&desk, &run, &canaries);
        let run = run.expect(code);
        if code == 0 {
            let fault = Fault::new("sts", "*", FaultKind::Error)
                .status(403)
                .code("InvalidClientTokenId", &refuses);
            scene.emulator.control().inject(&fault).await.unwrap();
            let run = desk
                .run(&["plan", "-vv"])
                .await
                .expect(1)
                .says("[withheld] of [withheld]");
            holds_none(&desk, &run, &canaries);
            scene.emulator.control().clear_faults().await.unwrap();
        } else {
            run.says("error: ");
        }
    }
    // A file that is none.
    fs::write(
        &files,
        format!("{profiles}\n[profile\naws_secret_access_key {SECRET}\n{TOKEN}\n"),
    )
    .unwrap();
    desk.set("AWS_PROFILE", "keys");
    let run = desk.run(&["plan", "-vv"]).await.expect(1);
    println!("no file: {}", run.stderr);
    holds_none(&desk, &run, &canaries);
}

#[tokio::test]
async fn the_credentials_of_an_assumed_role_are_told_nowhere() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/reconcile-dns";
    let (scene, desk) = scene(1, "").await;
    desk.configure(&config(&scene.world, &format!("{NO_DRAIN}[dns]\nrole = \"{ROLE}\"\n")));
    let run = desk.run(&["--yes", "-vv"]).await.expect(0);
    let requests = scene.emulator.control().requests().await.unwrap();
    assert!(requests.iter().any(|request| request.action == "AssumeRole"));
    // The emulated STS makes them up with these beginnings.
    holds_none(&desk, &run, &["ASIA", "FQoGZXIvYXdzE", "AQoDYXdzE"]);
}

#[tokio::test]
async fn passwords_in_addresses_are_told_nowhere() {
    let (scene, mut desk) = scene(1, "").await;
    let address = scene.emulator.endpoint_url().replace("http://", "");
    for endpoint in [
        format!("http://canaryuser:canarypassword@{address}"),
        "http://canaryuser:canarypassword@127.0.0.1:9".to_owned(),
    ] {
        desk.set("AWS_ENDPOINT_URL", &endpoint);
        let run = desk.run(&["plan", "-vv"]).await;
        println!(
            "{endpoint}: {:?} {}",
            run.code,
            run.stderr.lines().last().unwrap_or_default()
        );
        holds_none(&desk, &run, &["canaryuser", "canarypassword"]);
    }
    desk.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"] {
        desk.set(variable, "http://canaryuser:canarypassword@127.0.0.1:9");
    }
    let run = desk.run(&["plan", "-vv"]).await.expect(1);
    holds_none(&desk, &run, &["canaryuser", "canarypassword"]);
}

/// What a terminal would obey, or what hides or turns the text beside it.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{200b}\u{7f}\r\nerror: forged";

/// The same without what XML cannot carry.
const HOSTILE_TAG: &str = "\u{9b}31m\u{202e}\u{200b}\u{7f}\nerror: forged";

/// Only lines, and the colours of this program where they are wanted.
#[track_caller]
fn is_tame(run: &Run, what: &str) {
    for (stream, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        let odd = text.chars().find(|&c| {
            c != '\n' && c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(odd, None, "{what}, {stream}:\n{text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("error: forged")),
            "{what}, {stream}:\n{text}"
        );
    }
}

#[tokio::test]
async fn what_others_wrote_does_not_steer_the_terminal() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    desk.run(&["--yes"]).await.expect(0);

    // Tags and records by another client, as hostile as an answer in XML can carry.
    let write = r#"
elb, ec2, r53 = client("elbv2"), client("ec2"), client("route53")
hostile = given["hostile"]
balancer = elb.describe_load_balancers()["LoadBalancers"][0]
group = elb.describe_target_groups()["TargetGroups"][0]
tags = [{"Key": "team", "Value": hostile}, {"Key": "reconcile:resource", "Value": hostile}]
elb.add_tags(ResourceArns=[balancer["LoadBalancerArn"], group["TargetGroupArn"]], Tags=tags)
ec2.create_tags(Resources=balancer["SecurityGroups"] + [given["instance"]], Tags=tags + [{"Key": "Name", "Value": hostile}])
certificate = client("acm").list_certificates()["CertificateSummaryList"][0]["CertificateArn"]
client("acm").add_tags_to_certificate(CertificateArn=certificate, Tags=tags)
r53.change_resource_record_sets(HostedZoneId=given["zone"], ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {
    "Name": given["domain"], "Type": "TXT", "TTL": 5, "ResourceRecords": [{"Value": '"' + hostile.replace("\n", "") + '"'}]}}]})
show(True)
"#;
    let given = json!({
        "hostile": HOSTILE_TAG, "zone": scene.world.zone, "domain": scene.world.domain, "instance": scene.world.instance().id,
    });
    scene.emulator.boto3_with(write, &given).await.unwrap();
    let fault = |service: &str, action: &str| {
        Fault::new(service, action, FaultKind::Error)
            .status(400)
            .code("ValidationError", HOSTILE)
    };
    for command in [
        &["plan", "-vv"][..],
        &["plan", "--color", "never"],
        &["status"],
        &["status", "--format", "json"],
        &["verify"],
        &["verify", "--format", "json"],
        &["state", "list"],
        &["--yes", "-vv"],
        &["--yes"],
    ] {
        is_tame(&desk.run(command).await, &command.join(" "));
    }

    // The messages of errors.
    for (service, action) in [
        ("sts", "*"),
        ("elbv2", "DescribeLoadBalancers"),
        ("acm", "ListCertificates"),
        ("acm", "DescribeCertificate"),
    ] {
        scene.emulator.control().inject(&fault(service, action)).await.unwrap();
        for command in [
            &["plan"][..],
            &["status"],
            &["--yes", "-vv"],
            &["state", "rebuild", "--yes"],
        ] {
            is_tame(
                &desk.run(command).await,
                &format!("{} with {service} {action}", command.join(" ")),
            );
        }
        scene.emulator.control().clear_faults().await.unwrap();
    }

    // The state and the configuration, which a pull request may bring along.
    let mut state = desk.state();
    state["resources"]["target_group.www"]["id"] = json!(HOSTILE);
    state["lineage"] = json!(HOSTILE);
    fs::write(desk.state_file(), state.to_string()).unwrap();
    for command in [
        &["state", "list"][..],
        &["state", "list", "--format", "json"],
        &["state", "show", "target_group.www"],
        &["plan"],
    ] {
        is_tame(&desk.run(command).await, &command.join(" "));
    }
    state["stack"] = json!(HOSTILE);
    fs::write(desk.state_file(), state.to_string()).unwrap();
    is_tame(&desk.run(&["plan"]).await.expect(1), "the stack of a state");
    for text in [
        format!(
            "name = \"{}\"\n",
            HOSTILE
                .escape_default()
                .to_string()
                .replace("\\u{", "\\u00")
                .replace('}', "")
        ),
        format!(
            "name = \"a\u{202e}b\u{200b}\" # {}\n",
            HOSTILE.replace(['\r', '\n'], "")
        ),
        format!("# {}\nnmae = 1\n", HOSTILE.replace(['\r', '\n'], "")),
        format!("[site.\"{}\"]\n", "a\u{202e}\u{9b}"),
    ] {
        desk.configure(&text);
        for command in [&["validate"][..], &["plan"]] {
            is_tame(&desk.run(command).await.expect(1), &text);
        }
    }
}
