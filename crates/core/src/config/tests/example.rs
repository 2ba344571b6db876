//! The example file documents every key and tells the truth about its default.

use super::{super::read::known_keys, *};

const EXAMPLE: &str = include_str!("../../../../../config.example.toml");

/// The example with every line that states a default activated.
fn with_defaults() -> String {
    let activate = |line: &str| match line.strip_prefix('#') {
        Some(default) if default.starts_with(|first: char| first.is_ascii_lowercase()) => default.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(activate).collect::<Vec<_>>().join("\n")
}

/// The examples of what is not set by itself, without their mark: single lines, and tables with all of theirs.
fn additions() -> Vec<String> {
    let mut additions: Vec<String> = Vec::new();
    let mut in_table = false;
    for line in EXAMPLE.lines() {
        let Some(text) = line.strip_prefix("#+ ") else {
            in_table = false;
            continue;
        };
        match additions.last_mut() {
            Some(table) if in_table => *table += &["\n", text].concat(),
            _ => additions.push(text.to_owned()),
        }
        in_table |= text.starts_with('[');
    }
    additions
}

/// The example with one of them activated, in place of a line that says something else about the same thing.
fn with_addition(addition: &str) -> String {
    if addition.starts_with('[') {
        let marked: Vec<String> = addition.lines().map(|line| format!("#+ {line}")).collect();
        return EXAMPLE.replace(&marked.join("\n"), addition);
    }
    EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("#+ ") {
            // A prefix is nothing without its bucket, an external id nothing without its role.
            Some(text) if text == addition || addition.contains("prefix") && text.starts_with("access_logs.bucket") => {
                text
            }
            Some(text) if addition.starts_with("external_id") && text.starts_with("role") => text,
            // What is said of a state on S3 is nothing without the rest.
            Some(text) if is_of_s3(addition) && is_of_s3(text) => text,
            _ if addition.starts_with("instances") && line.starts_with("instance ") => "",
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_of_s3(line: &str) -> bool {
    [
        "backend = \"s3",
        "bucket = ",
        "key = ",
        "region = ",
        "bucket_owner = ",
        "kms_key = ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

#[test]
fn the_example_is_the_smallest_file_with_explanations() {
    assert_eq!(read(EXAMPLE), read(SMALLEST));
}

#[test]
fn every_default_that_the_example_states_is_the_default() {
    let activated = with_defaults();
    let count = activated.lines().zip(EXAMPLE.lines()).filter(|(a, b)| a != b).count();
    assert!(count >= 24, "only {count} defaults were found");
    assert_eq!(read(&activated), read(EXAMPLE));
}

#[test]
fn every_addition_that_the_example_shows_makes_a_difference() {
    assert!(additions().len() >= 20);
    for addition in additions() {
        assert_ne!(read(&with_addition(&addition)), read(EXAMPLE), "{addition}");
    }
}

#[test]
fn every_key_is_in_the_example() {
    let known = known_keys(EXAMPLE);
    for key in &known {
        // `site.NAME.health.path` stands in `[site.www]` as `health.path`.
        let (table, rest) = match key.split_once('.') {
            Some(("site", rest)) => ("site.www", rest.trim_start_matches("NAME.")),
            Some((table, rest)) => (table, rest),
            None => ("", key.as_str()),
        };
        let stands = lines_of(table).iter().any(|line| {
            let line = line.trim_start_matches(['#', '+', ' ']);
            line.strip_prefix(rest).is_some_and(|line| line.starts_with([' ', '.']))
        });
        let header = table.is_empty() && EXAMPLE.contains(&format!("\n[{key}"));
        assert!(stands || header, "`{key}` is not in the example");
    }
}

/// The lines below the header of `table`.
fn lines_of(table: &str) -> Vec<&'static str> {
    let mut here = String::new();
    EXAMPLE
        .lines()
        .filter(|line| {
            if line.starts_with('[') {
                here = line.trim_matches(['[', ']']).to_owned();
            }
            here == table
        })
        .collect()
}

#[test]
fn the_example_shows_a_second_site() {
    let table = additions()
        .into_iter()
        .find(|addition| addition.starts_with('['))
        .unwrap();
    let config = read(&with_addition(&table));
    let names: Vec<&str> = config.sites.keys().map(SiteName::as_str).collect();
    assert_eq!(names, ["api", "www"]);
}
