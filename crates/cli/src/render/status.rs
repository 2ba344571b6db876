//! How a stack is, as text: groups of lines, one for each thing that was looked at.

use reconcile_core::{
    check::{Check, Verdict},
    status::{Group, Report},
};

use super::text::{clean, counted};
use crate::output::Paint;

/// What messages are not pushed further to the right for.
const WIDEST_LABEL: usize = 44;
/// The longest verdict.
const VERDICT: usize = 7;

/// The whole report.
pub(crate) fn status(report: &Report, paint: Paint) -> String {
    let mut lines = vec![format!(
        "Stack {} in account {}, {}: {}",
        paint.bold(&clean(report.stack.as_str())),
        report.account,
        report.region,
        summary(report, paint)
    )];
    for group in &report.groups {
        lines.push(String::new());
        lines.push(paint.bold(&clean(&group.title)));
        lines.extend(checks(group, paint));
    }
    lines.join("\n") + "\n"
}

fn summary(report: &Report, paint: Paint) -> String {
    let count = |verdict| report.checks().filter(|check| check.verdict == verdict).count();
    let (failures, warnings, unknown) = (
        count(Verdict::Failure),
        count(Verdict::Warning),
        count(Verdict::Unknown),
    );
    let mut parts = Vec::new();
    if failures > 0 {
        parts.push(paint.red(&counted(failures, "failure")));
    }
    if warnings > 0 {
        parts.push(paint.yellow(&counted(warnings, "warning")));
    }
    if unknown > 0 {
        parts.push(format!("{unknown} unknown"));
    }
    if parts.is_empty() {
        paint.green("all is well")
    } else {
        parts.join(", ")
    }
}

fn checks(group: &Group, paint: Paint) -> Vec<String> {
    let one_subject = group.checks.windows(2).all(|pair| match pair {
        [first, second] => first.subject == second.subject,
        _ => true,
    });
    // What the heading says already is not repeated on every line.
    let one_subject = one_subject && group.checks.iter().all(|check| group.title.contains(&check.subject));
    let label = |check: &Check| clean(if one_subject { &check.name } else { &check.subject });
    let width = group
        .checks
        .iter()
        .map(|check| label(check).chars().count())
        .filter(|width| *width <= WIDEST_LABEL)
        .max()
        .unwrap_or_default();
    let mut lines = Vec::new();
    for check in &group.checks {
        let word = check.verdict.name();
        let padding = " ".repeat(VERDICT.saturating_sub(word.len()));
        let word = painted(check.verdict, paint, word);
        lines.push(format!(
            "  {word}{padding}  {:width$}  {}",
            label(check),
            clean(&check.message)
        ));
        if !check.remedy.is_empty() {
            let indent = " ".repeat(VERDICT + 4);
            lines.push(format!("{indent}{} {}", paint.cyan("hint:"), clean(&check.remedy)));
        }
    }
    lines
}

fn painted(verdict: Verdict, paint: Paint, word: &str) -> String {
    match verdict {
        Verdict::Ok => paint.green(word),
        Verdict::Unknown => paint.dim(word),
        Verdict::Warning => paint.yellow(word),
        Verdict::Failure => paint.red(word),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn report(groups: Vec<Group>) -> Report {
        Report {
            format_version: reconcile_core::status::FORMAT_VERSION,
            stack: serde_json::from_str("\"www\"").unwrap(),
            account: "123456789012".parse().unwrap(),
            region: "ap-northeast-1".parse().unwrap(),
            looked_at: Timestamp::UNIX_EPOCH,
            verdict: Verdict::Ok,
            groups,
        }
    }

    fn group(title: &str, checks: Vec<Check>) -> Group {
        Group {
            title: title.to_owned(),
            checks,
        }
    }

    #[test]
    fn lines_are_aligned_and_say_what_to_do() {
        let text = status(
            &report(vec![
                group(
                    "Resources",
                    vec![
                        Check::ok("load_balancer.main", "health", "active; as configured"),
                        Check::ok("target.www.i-0a", "health", "unhealthy").but(Verdict::Failure, "start it"),
                    ],
                ),
                group(
                    "Certificate certificate.www of www",
                    vec![
                        Check::ok("certificate.www", "days left", "197"),
                        Check::ok("certificate.www", "served for www", "not\u{1b}asked").but(Verdict::Unknown, ""),
                        Check::ok("certificate.www", "renewal", "slow").but(Verdict::Warning, ""),
                    ],
                ),
            ]),
            Paint::PLAIN,
        );
        insta::assert_snapshot!(text, @r"
        Stack www in account 123456789012, ap-northeast-1: 1 failure, 1 warning, 1 unknown

        Resources
          ok       load_balancer.main  active; as configured
          failure  target.www.i-0a     unhealthy
                   hint: start it

        Certificate certificate.www of www
          ok       days left       197
          unknown  served for www  not\u001Basked
          warning  renewal         slow
        ");
    }

    #[test]
    fn a_healthy_stack_is_told_in_three_words() {
        let checks = vec![Check::ok("a", "health", "there"), Check::ok("b", "health", "there")];
        let text = status(&report(vec![group("Resources", checks)]), Paint::PLAIN);
        assert!(text.contains("ap-northeast-1: all is well\n"), "{text}");
        let coloured = status(&report(Vec::new()), Paint::COLOUR);
        assert!(coloured.contains("\u{1b}[32mall is well"), "{coloured}");
    }
}
