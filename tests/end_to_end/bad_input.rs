//! Mistakes in the configuration are told with their place, all at once, before any request.

use crate::support::Desk;

const GOOD: &str = "region = \"ap-northeast-1\"\n\n[site.www]\ndomain = \"www.example.com\"\n\
                    instance = \"i-0123456789abcdef0\"\nhealth = { path = \"/\" }\n";

#[tokio::test]
async fn every_sort_of_mistake_is_told_with_line_column_and_hint() {
    let long = format!("{}.{}.example.com", "a".repeat(40), "b".repeat(30));
    let cases: [(String, &[&str]); 9] = [
        (
            GOOD.replace("domain =", "domian ="),
            &["reconcile.toml:4", "domian", "domain"],
        ),
        (GOOD.replace("\"i-0123456789abcdef0\"", "12"), &["reconcile.toml:5:12"]),
        (GOOD.replace("www.example.com", &long), &["reconcile.toml:4:10", "64"]),
        (
            GOOD.replace("path = \"/\"", "path = \"/\", timeout = \"30s\", interval = \"30s\""),
            &["reconcile.toml:6", "interval"],
        ),
        (
            GOOD.replace("path = \"/\"", "path = \"/\", codes = \"500\""),
            &["reconcile.toml:6", "499"],
        ),
        (
            GOOD.replace("path = \"/\"", "path = \"/\", interval = 30"),
            &["reconcile.toml:6", "30s"],
        ),
        (
            format!("{GOOD}certificate = \"arn:aws:acm:us-east-1:123456789012:certificate/x\"\n"),
            &["reconcile.toml:7", "us-east-1", "ap-northeast-1"],
        ),
        (
            format!("{GOOD}\n[site.other]\ndomain = \"WWW.example.com\"\ninstance = \"i-0123456789abcdef0\"\n"),
            &["reconcile.toml:9", "www.example.com"],
        ),
        (
            "region = \"ap-northeast-1\"\n[site.www\n".to_owned(),
            &["reconcile.toml:2"],
        ),
    ];
    for (config, expected) in cases {
        let desk = Desk::alone(&config);
        for command in [&["validate"][..], &["plan"], &["--yes"]] {
            let run = desk.run(command).await.expect(1);
            for text in expected {
                assert!(
                    run.stderr.contains(text),
                    "expected `{text}` for\n{config}\nin\n{}",
                    run.stderr
                );
            }
            assert!(!run.stderr.contains("127.0.0.1"), "a request was made: {}", run.stderr);
        }
    }
}

#[tokio::test]
async fn all_mistakes_of_a_file_are_told_in_one_go() {
    let config = GOOD
        .replace("domain =", "domian =")
        .replace("path = \"/\"", "path = \"x\", codes = \"500\"");
    let run = Desk::alone(&config).run(&["validate"]).await.expect(1);
    for text in ["domian", "codes", "path"] {
        assert!(run.stderr.contains(text), "expected `{text}` in\n{}", run.stderr);
    }
}

#[tokio::test]
async fn a_good_file_is_valid_and_a_missing_one_is_named() {
    let desk = Desk::alone(GOOD);
    desk.run(&["validate"]).await.expect(0);
    desk.run(&["validate", "--config", "nowhere.toml"])
        .await
        .expect(1)
        .says("nowhere.toml");
}

#[tokio::test]
async fn wrong_usage_has_an_exit_code_of_its_own() {
    let desk = Desk::alone(GOOD);
    desk.run(&["plan", "--no-such-option"])
        .await
        .expect(64)
        .says("--no-such-option");
    desk.run(&["plan", "--until", "nowhere"])
        .await
        .expect(64)
        .says("cutover");
}

#[tokio::test]
async fn aws_that_cannot_be_reached_is_told_with_the_call_and_the_way_out() {
    let run = Desk::alone(GOOD).run(&["plan"]).await.expect(1);
    assert!(run.stderr.contains("hint:"), "{}", run.stderr);
}
