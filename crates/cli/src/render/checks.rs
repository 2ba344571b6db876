//! What was looked at, as lines for people and as JSON for programs.

use std::io;

use reconcile_core::{
    check::{Check, Verdict, worst},
    config::StackName,
};
use serde::Serialize;

use super::text::{self, clean, counted};
use crate::output::Paint;

/// The version of the JSON form.
const FORMAT_VERSION: u32 = 1;
/// As long as the longest verdict.
const VERDICT_WIDTH: usize = 7;

/// Every check under its subject, with what to do about it, and how many there are of each verdict.
pub(crate) fn checks(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| clean(&check.name).chars().count()).max();
    let width = width.unwrap_or_default();
    let mut lines = Vec::new();
    let mut subject = None;
    for check in checks {
        if subject != Some(&check.subject) {
            if subject.is_some() {
                lines.push(String::new());
            }
            subject = Some(&check.subject);
            lines.push(paint.bold(&clean(&check.subject)));
        }
        // Colour must not count for the width of a column.
        let verdict = painted(
            check.verdict,
            &format!("{:VERDICT_WIDTH$}", check.verdict.name()),
            paint,
        );
        lines.push(format!(
            "  {verdict}  {:width$}  {}",
            clean(&check.name),
            clean(&check.message)
        ));
        if !check.remedy.is_empty() {
            let indent = " ".repeat(VERDICT_WIDTH + 4);
            lines.push(format!("{indent}{} {}", paint.cyan("hint:"), clean(&check.remedy)));
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(summary(checks));
    lines.join("\n") + "\n"
}

fn painted(verdict: Verdict, text: &str, paint: Paint) -> String {
    match verdict {
        Verdict::Ok => paint.green(text),
        Verdict::Unknown => paint.dim(text),
        Verdict::Warning => paint.yellow(text),
        Verdict::Failure => paint.red(text),
    }
}

fn summary(checks: &[Check]) -> String {
    let count = |verdict: Verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let others = [
        (count(Verdict::Unknown), format!("{} unknown", count(Verdict::Unknown))),
        (count(Verdict::Warning), counted(count(Verdict::Warning), "warning")),
        (count(Verdict::Failure), counted(count(Verdict::Failure), "failure")),
    ];
    let parts: Vec<String> = std::iter::once(format!("{} ok", count(Verdict::Ok)))
        .chain(others.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text))
        .collect();
    format!("Checks: {}.", parts.join(", "))
}

/// The same as JSON.
///
/// # Errors
/// The serialiser's; never for checks.
pub(crate) fn checks_as_json(stack: &StackName, checks: &[Check]) -> io::Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        format_version: u32,
        stack: &'a StackName,
        verdict: Verdict,
        checks: &'a [Check],
    }
    let report = Report {
        format_version: FORMAT_VERSION,
        stack,
        verdict: worst(checks),
        checks,
    };
    text::json(&report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Check> {
        vec![
            Check::ok("www.example.com", "https", "TLS 1.3 with 192.0.2.1"),
            Check::ok("www.example.com", "certificate lifetime", "9 days left\u{1b}[2J")
                .but(Verdict::Warning, "look at it"),
            Check::ok("i-0a", "back door 443", "203.0.113.10:443 answers").but(Verdict::Failure, "run `reconcile`"),
            Check::ok("i-0a", "back door 80", "cannot be tried").but(Verdict::Unknown, ""),
        ]
    }

    #[test]
    fn checks_are_aligned_under_their_subjects() {
        insta::assert_snapshot!(checks(&some(), Paint::PLAIN), @r"
        www.example.com
          ok       https                 TLS 1.3 with 192.0.2.1
          warning  certificate lifetime  9 days left\u001B[2J
                   hint: look at it

        i-0a
          failure  back door 443         203.0.113.10:443 answers
                   hint: run `reconcile`
          unknown  back door 80          cannot be tried

        Checks: 1 ok, 1 unknown, 1 warning, 1 failure.
        ");
        assert_eq!(checks(&[], Paint::PLAIN), "Checks: 0 ok.\n");
        let coloured = checks(&some(), Paint::COLOUR);
        assert!(coloured.contains("\u{1b}[31mfailure\u{1b}[0m"), "{coloured}");
    }

    #[test]
    fn programs_get_a_version_and_the_worst_verdict() {
        let config = reconcile_core::config::Config::read(
            "test",
            "name = \"web\"\n[site.www]\ndomain = \"www.example.com\"\ninstance = \"i-0123456789abcdef0\"\nhealth = { path = \"/\" }\n",
        )
        .unwrap();
        let text = checks_as_json(&config.name, &some()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&json["format_version"], &json["verdict"]),
            (&1.into(), &"failure".into())
        );
        assert_eq!(json["stack"], "web");
        assert_eq!(json["checks"][1]["verdict"], "warning");
        assert!(json["checks"][0].get("remedy").is_none(), "nothing has to be done");
    }
}
