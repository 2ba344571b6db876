//! The state file is looked into, mended and made anew, and AWS is not changed by any of it.

use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, inventory, mutating_actions, scene};

const REDIRECT: &str = "[load_balancer]\nhttp = \"redirect\"\n";

async fn assert_no_changes(desk: &Desk) {
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(0)
        .shows("No changes.");
}

/// The newest of the states that were kept.
fn newest(backups: &std::path::Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(backups).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_is_recorded_is_listed_forgotten_found_again_and_renamed() {
    let (scene, desk) = scene(1, &format!("{NO_DRAIN}{REDIRECT}")).await;
    let backups = desk.folder.path().join("state/www-example-com.json.backups");
    for command in [["state", "list"], ["state", "rm"]] {
        let more: &[&str] = if command[1] == "rm" {
            &["target_group.www", "--yes"]
        } else {
            &[]
        };
        let arguments = [&command[..], more].concat();
        desk.run(&arguments).await.expect(1).says("there is no state in");
        assert!(
            !desk.folder.path().join("state").exists(),
            "a look leaves nothing behind"
        );
    }
    desk.run(&["--yes"]).await.expect(0);
    scene.emulator.control().clear_requests().await.unwrap();

    // list
    let list = desk.run(&["state", "list"]).await.expect(0).stdout;
    let row = |start: &str| list.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
    assert!(row("target_group.www").contains("created"), "{list}");
    assert!(row("target_group.www").contains(":targetgroup/"), "{list}");
    let saved = list.split("saved, for going back:").nth(1).unwrap();
    let public = scene.world.instance().public.to_string();
    assert!(
        saved.contains("alias_record.www.example.com") && saved.contains(&public),
        "{list}"
    );
    let json: Value =
        serde_json::from_str(&desk.run(&["state", "list", "--format", "json"]).await.expect(0).stdout).unwrap();
    assert_eq!(json["format_version"], 1);
    let addresses: Vec<&str> = json["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["address"].as_str().unwrap())
        .collect();
    assert!(
        addresses.contains(&"listener.443") && addresses.contains(&"load_balancer.main"),
        "{addresses:?}"
    );

    // show
    desk.run(&["state", "show", "load_balancer.main"])
        .await
        .expect(0)
        .shows("id          = \"arn:aws:elasticloadbalancing:")
        .shows("[object.outputs]\n")
        .shows("dns_name = ");
    desk.run(&["state", "show", "alias_record.www.example.com"])
        .await
        .expect(0)
        .shows("[cutover]\nold_ttl    = \"1s\"")
        .shows("[saved.settings]\n")
        .shows(&public);
    let shown = desk
        .run(&["state", "show", "listener.443", "--format", "json"])
        .await
        .expect(0)
        .stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["object"]["origin"], "created");
    desk.run(&["state", "show", "listener.9"])
        .await
        .expect(1)
        .says("no object at `listener.9`")
        .says("state list");
    // With the file named, no configuration is needed.
    let path = desk.state_file().display().to_string();
    desk.run(&["state", "list", "--state", &path, "--config", "none.toml"])
        .await
        .expect(0)
        .shows("target_group.www");

    // rm
    desk.run(&["state", "rm", "target_group.www"])
        .await
        .expect(1)
        .says("--yes");
    assert!(!backups.exists());
    let before = std::fs::read(desk.state_file()).unwrap();
    let serial = desk.state()["serial"].as_u64().unwrap();
    desk.run(&["state", "rm", "target_group.www", "instance_ingress.none"])
        .await
        .expect(1)
        .says("no object");
    desk.run(&[
        "state",
        "rm",
        "target_group.www",
        "alias_record.www.example.com",
        "--yes",
    ])
    .await
    .expect(0)
    .shows("AWS is not changed")
    .shows("is kept")
    .says("json.backups/");
    let backup = newest(&backups);
    assert_eq!(std::fs::read(&backup).unwrap(), before);
    assert_eq!((mode(&backup), mode(&desk.state_file())), (0o600, 0o600));
    assert_eq!(mode(&backups), 0o700);
    assert_eq!(desk.state()["serial"], json!(serial + 1));
    assert_eq!(desk.state()["resources"]["target_group.www"], Value::Null);
    assert!(!desk.state()["saved"]["alias_record.www.example.com"].is_null());
    desk.run(&["plan", "--detailed-exitcode"])
        .await
        .expect(2)
        .shows("= record  target_group.www")
        .shows("= record  alias_record.www.example.com")
        .shows("0 to add, 0 to change, 0 to destroy");
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    desk.run(&["--yes"]).await.expect(0);
    assert_no_changes(&desk).await;
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());

    // mv
    desk.run(&["state", "mv", "target_group.www", "certificate.web"])
        .await
        .expect(1)
        .says("of the kind `certificate`");
    desk.run(&["state", "mv", "www", "web"]).await.expect(1).says("--site");
    desk.run(&["state", "mv", "target_group.www", "target_group.web"])
        .await
        .expect(0)
        .says("does not ask for target_group.web");
    desk.run(&["state", "mv", "target_group.web", "target_group.www"])
        .await
        .expect(0);
    assert_no_changes(&desk).await;
    let seen = inventory(&scene.emulator, &scene.world).await;
    desk.run(&["state", "mv", "--site", "www", "web"])
        .await
        .expect(0)
        .shows("certificate.www")
        .shows("is now")
        .shows("target_group.web");
    let config = std::fs::read_to_string(desk.folder.path().join("reconcile.toml")).unwrap();
    desk.configure(&config.replace("[site.www]", "[site.web]"));
    desk.run(&["plan"])
        .await
        .expect(0)
        .shows("- tags.\"reconcile:resource\" = \"target_group.www\"")
        .shows("+ tags.\"reconcile:resource\" = \"target_group.web\"")
        .shows("0 to add, 2 to change, 0 to destroy");
    desk.run(&["--yes"]).await.expect(0);
    assert_no_changes(&desk).await;
    let after = inventory(&scene.emulator, &scene.world).await;
    assert_eq!(after, seen, "only tags changed");
}

#[tokio::test]
async fn a_lost_or_damaged_state_is_made_anew_of_what_is_in_aws() {
    let (scene, desk) = scene(1, &format!("{NO_DRAIN}{REDIRECT}")).await;
    let backups = desk.folder.path().join("state/www-example-com.json.backups");
    // Before there is anything, nothing is written.
    desk.run(&["state", "rebuild", "--yes"])
        .await
        .expect(0)
        .shows("Nothing of the stack was found");
    assert!(!desk.state_file().exists());
    desk.run(&["--yes"]).await.expect(0);
    let old = desk.state();
    scene.emulator.control().clear_requests().await.unwrap();
    desk.run(&["state", "rebuild", "--yes"])
        .await
        .expect(1)
        .says("is in order")
        .says("what was saved for going back")
        .says("--force");

    // Lost.
    std::fs::remove_file(desk.state_file()).unwrap();
    desk.run(&["state", "rebuild"])
        .await
        .expect(1)
        .shows("found:")
        .shows("by its tags")
        .says("--yes");
    assert!(!desk.state_file().exists());
    desk.run(&["state", "rebuild", "--yes"])
        .await
        .expect(0)
        .shows("by its tags")
        .shows("by its content")
        .says("rollback");
    assert!(!backups.exists());
    let new = desk.state();
    assert_ne!(new["lineage"], old["lineage"]);
    let ids = |state: &Value| -> Vec<(String, Value)> {
        let resources = state["resources"].as_object().unwrap();
        let closure = |address: &str| address.starts_with("port_closure.");
        let mut ids: Vec<_> = resources
            .iter()
            .filter(|(address, _)| !closure(address))
            .map(|(address, entry)| (address.clone(), entry["id"].clone()))
            .collect();
        ids.sort_by(|one, other| one.0.cmp(&other.0));
        ids
    };
    assert_eq!(ids(&new), ids(&old));
    assert_no_changes(&desk).await;

    // Damaged, with a stray object beside the stack.
    let script = r#"
acm = client("acm")
arn = acm.request_certificate(DomainName="www.example.com", ValidationMethod="DNS", Tags=[
    {"Key": "reconcile:stack", "Value": "www-example-com"}, {"Key": "reconcile:resource", "Value": "certificate.old"}])["CertificateArn"]
show(arn)
"#;
    let stray = scene.emulator.boto3_with(script, &json!(null)).await.unwrap();
    std::fs::write(desk.state_file(), "{ \"format_version\": 1, \"lin").unwrap();
    desk.run(&["plan"]).await.expect(1).says("state rebuild");
    desk.run(&["state", "rebuild", "--yes"])
        .await
        .expect(0)
        .shows("has no place")
        .shows(stray.as_str().unwrap())
        .says("damaged at line 1")
        .says("json.backups/");
    assert_eq!(
        std::fs::read_to_string(newest(&backups)).unwrap(),
        "{ \"format_version\": 1, \"lin"
    );
    assert_eq!(ids(&desk.state()), ids(&old));
    assert_no_changes(&desk).await;

    // In order, and made anew all the same.
    desk.run(&["state", "rebuild", "--force", "--yes"])
        .await
        .expect(0)
        .says("in order");
    assert_no_changes(&desk).await;
    let asked = mutating_actions(&scene.emulator).await;
    assert_eq!(asked, ["RequestCertificate"], "only the test itself changed AWS");
}
