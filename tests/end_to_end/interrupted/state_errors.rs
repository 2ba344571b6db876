//! State files that cannot be used: told before anything is changed.

use serde_json::{Value, json};

use crate::support::{Desk, NO_DRAIN, mutating_actions, no_changes, scene};

/// A state of the stack as it was before its first change.
fn empty() -> Value {
    json!({
        "format_version": 1, "lineage": "a", "serial": 1, "stack": "www-example-com",
        "account": "123456789012", "region": "ap-northeast-1",
        "resources": {}, "retired": [], "intents": {}, "cutovers": {}, "saved": {},
    })
}

fn with(key: &str, value: Value) -> Vec<u8> {
    let mut state = empty();
    state[key] = value;
    state.to_string().into_bytes()
}

fn put(desk: &Desk, content: &[u8]) {
    std::fs::create_dir_all(desk.state_file().parent().unwrap()).unwrap();
    std::fs::write(desk.state_file(), content).unwrap();
}

#[tokio::test]
async fn a_state_that_cannot_be_used_stops_every_run_before_any_change() {
    const PATH: &str = "state/www-example-com.json";
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let whole = empty().to_string().into_bytes();
    let cases: Vec<(&str, Vec<u8>, Vec<&str>)> = vec![
        (
            "corrupted",
            b"{ not json".to_vec(),
            vec![PATH, "damaged at line 1, column 3", "state rebuild"],
        ),
        (
            "truncated",
            whole[..whole.len() / 2].to_vec(),
            vec![PATH, "damaged at line 1", "state rebuild"],
        ),
        ("empty", Vec::new(), vec![PATH, "damaged at line 1", "state rebuild"]),
        (
            "zeros",
            vec![0; 4096],
            vec![PATH, "damaged at line 1, column 1", "state rebuild"],
        ),
        (
            "not text",
            b"\xff\xfe{\0}\0".to_vec(),
            vec![PATH, "it is not text", "state rebuild"],
        ),
        (
            "another document",
            b"[1, 2]".to_vec(),
            vec![PATH, "damaged", "state rebuild"],
        ),
        (
            "a newer version",
            with("format_version", json!(99)),
            vec![
                PATH,
                "format version 99",
                "knows up to 1",
                "use the version of reconcile that wrote it",
            ],
        ),
        (
            "no version",
            with("format_version", json!(0)),
            vec![PATH, "format version 0", "state rebuild"],
        ),
        (
            "another stack",
            with("stack", json!("shop")),
            vec![
                PATH,
                "is of the stack `shop`",
                "of `www-example-com`",
                "`--state`",
                "nothing was changed",
            ],
        ),
        (
            "another account",
            with("account", json!("999999999999")),
            vec![
                PATH,
                "account 999999999999",
                "account 123456789012",
                "AWS_PROFILE",
                "nothing was changed",
            ],
        ),
        (
            "another region",
            with("region", json!("eu-west-1")),
            vec![
                PATH,
                "in eu-west-1",
                "in ap-northeast-1",
                "correct `region`",
                "nothing was changed",
            ],
        ),
        (
            "a name that leads elsewhere",
            with("stack", json!("../../etc/shop")),
            vec![PATH, "is no name", "state rebuild"],
        ),
    ];
    for (what, content, expected) in &cases {
        put(&desk, content);
        for command in [&["--yes"][..], &["rollback", "--yes"], &["destroy", "--yes"], &["plan"]] {
            let run = desk.run(command).await;
            println!("{what}, {command:?}: {}", run.stderr);
            let mut run = run.expect(1);
            for text in expected {
                run = run.says(text);
            }
        }
        assert_eq!(
            &std::fs::read(desk.state_file()).unwrap(),
            content,
            "{what} is left as it was"
        );
    }
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());

    put(&desk, &whole);
    desk.run(&["--yes"]).await.expect(0);
    no_changes(&desk).await;
}

#[tokio::test]
async fn an_account_can_be_demanded() {
    let (scene, desk) = scene(1, NO_DRAIN).await;
    let config = std::fs::read_to_string(desk.folder.path().join("reconcile.toml")).unwrap();
    desk.configure(&format!("account = \"210987654321\"\n{config}"));
    for command in [
        &["--yes"][..],
        &["rollback", "--yes"],
        &["destroy", "--yes"],
        &["plan"],
        &["status"],
    ] {
        desk.run(command)
            .await
            .expect(1)
            .says("the credentials are of account 123456789012, the configuration demands 210987654321")
            .says("nothing was changed");
    }
    assert_eq!(mutating_actions(&scene.emulator).await, Vec::<String>::new());
    desk.configure(&format!("account = \"123456789012\"\n{config}"));
    desk.run(&["--yes"]).await.expect(0);
}
