//! A plan as one comment of a pull request: a marker by which the next run finds it, what matters, then the details folded.
//!
//! Names and texts come from AWS and from files of others. None of it may end a code block, open a tag or call people.

use reconcile_core::{
    observed::Identity,
    plan::{Action, Consequence, Finding, Plan, Purpose, Severity, Stage, Step},
};

use super::{
    Header,
    document::gravest,
    plan::{left_out_after, noticed, purpose},
    settings::{self, Sign},
    step,
    text::{clean, counted},
};
use crate::output::Paint;

/// The most bytes of a comment. GitHub takes 65,536 characters.
const LARGEST: usize = 65_000;
/// The most bytes of the findings that stand above the details.
const LARGEST_FINDINGS: usize = 20_000;
/// The most characters of one line.
const LONGEST_LINE: usize = 1_000;
/// What is kept free for saying that something was left out, and for closing what is open.
const RESERVE: usize = 500;

/// The comment.
pub(crate) fn markdown(plan: &Plan, header: &Header<'_>) -> String {
    let Identity { account, region, .. } = header.identity;
    let mut page = vec![
        format!("<!-- reconcile:plan:{} -->", header.stack),
        format!("### `reconcile`: {}", headline(plan, header)),
        String::new(),
        format!(
            "Stack {} in {}, account {}.{}",
            code(header.stack.as_str()),
            code(region.as_str()),
            code(account.as_str()),
            consequence(plan)
        ),
    ];
    if let Some((stage, left_out)) = header.cut
        && left_out > 0
    {
        page.push(String::new());
        page.push(format!("{}.", escaped(&left_out_after(stage, left_out))));
    }
    page.extend(stages(plan));
    page.extend(findings(&plan.findings));
    let mut size = page.iter().map(|line| line.len() + 1).sum::<usize>();
    let mut left_out = 0;
    for stage in Stage::ALL {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.stage == stage).collect();
        if steps.is_empty() {
            continue;
        }
        let (folded, cut) = details(stage, &steps, header, plan, LARGEST.saturating_sub(size + RESERVE));
        left_out += cut;
        size += folded.iter().map(|line| line.len() + 1).sum::<usize>();
        page.extend(folded);
    }
    if left_out > 0 {
        page.push(String::new());
        page.push(format!(
            "**{} of the details left out**: a comment has no room for more. `reconcile plan` shows all.",
            counted(left_out, "line")
        ));
    }
    page.push(String::new());
    page.push(format!("<sub>reconcile {}</sub>", env!("CARGO_PKG_VERSION")));
    page.join("\n") + "\n"
}

fn headline(plan: &Plan, header: &Header<'_>) -> String {
    let counts = plan.counts();
    let what = match plan.purpose {
        Purpose::Apply => "",
        Purpose::Rollback => "rollback: ",
        Purpose::Destroy => "destroy: ",
    };
    if plan.is_empty() {
        return format!("{what}no changes in {}", code(header.stack.as_str()));
    }
    if !plan.steps.iter().any(|step| step.action.is_mutating()) {
        return format!(
            "{what}nothing to change in AWS, {} to go",
            counted(plan.steps.len(), "step")
        );
    }
    let (add, change, destroy) = (counts.add, counts.change, counts.destroy);
    format!("{what}{add} to add, {change} to change, {destroy} to destroy")
}

/// What people notice of the whole.
fn consequence(plan: &Plan) -> &'static str {
    if plan.is_empty() {
        return "";
    }
    match gravest(&plan.steps) {
        Consequence::None => " Nobody notices.",
        Consequence::Brief => " **A short disturbance is possible.**",
        Consequence::VisitorsNotice => " **Visitors notice.**",
        Consequence::HardToUndo => " **It cannot simply be undone.**",
    }
}

/// The stages as a table.
fn stages(plan: &Plan) -> Vec<String> {
    let mut rows = Vec::new();
    for stage in Stage::ALL {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.stage == stage).collect();
        if steps.is_empty() {
            continue;
        }
        rows.push(format!(
            "| {stage} | {} | {} | {} |",
            steps.len(),
            purpose(plan.purpose, stage, &steps),
            noticed(plan.purpose, stage, &steps)
        ));
    }
    if !rows.is_empty() {
        let head = [
            "",
            "| stage | steps | what happens | who notices |",
            "|---|---:|---|---|",
        ];
        rows.splice(0..0, head.map(str::to_owned));
    }
    rows
}

/// Warnings in the open, notes folded.
fn findings(all: &[Finding]) -> Vec<String> {
    let item = |finding: &Finding| {
        let remedy = match finding.remedy.as_str() {
            "" => String::new(),
            remedy => format!(" — *{}*", escaped(remedy)),
        };
        format!("{}: {}{remedy}", code(&finding.subject), escaped(&finding.message))
    };
    let of = |severity: Severity| all.iter().filter(move |finding| finding.severity == severity).map(item);
    let warnings = fitting(of(Severity::Warning).map(|text| format!("> - {text}")), "> - ");
    let notes = fitting(of(Severity::Note).map(|text| format!("- {text}")), "- ");
    let mut lines = Vec::new();
    if !warnings.is_empty() {
        lines.extend([String::new(), "> [!WARNING]".to_owned()]);
        lines.extend(warnings);
    }
    if !notes.is_empty() {
        let count = all.iter().filter(|finding| finding.severity == Severity::Note).count();
        lines.extend([
            String::new(),
            format!("<details><summary>{}</summary>", counted(count, "note")),
            String::new(),
        ]);
        lines.extend(notes);
        lines.extend([String::new(), "</details>".to_owned()]);
    }
    lines
}

/// As many of the lines as there is room for.
fn fitting(lines: impl Iterator<Item = String>, bullet: &str) -> Vec<String> {
    let (mut kept, mut size, mut left_out) = (Vec::new(), 0, 0);
    for line in lines {
        size += line.len() + 1;
        if size > LARGEST_FINDINGS {
            left_out += 1;
        } else {
            kept.push(line);
        }
    }
    if left_out > 0 {
        kept.push(format!("{bullet}**and {left_out} more**: `reconcile plan` shows all."));
    }
    kept
}

/// The steps of a stage, folded, in at most `room` bytes; with how many lines that left out.
fn details(stage: Stage, steps: &[&Step], header: &Header<'_>, plan: &Plan, room: usize) -> (Vec<String>, usize) {
    let mut diff: Vec<String> = Vec::new();
    for step in steps {
        diff.extend(step_lines(step, header, plan));
    }
    let all = diff.len();
    let mut size = 0;
    diff.retain(|line| {
        size += line.len() + 1;
        size <= room
    });
    let left_out = all - diff.len();
    if diff.is_empty() {
        return (Vec::new(), left_out);
    }
    let fence = "`".repeat(longest_run(&diff).saturating_add(1).max(3));
    let mut lines = vec![
        String::new(),
        format!("<details><summary>{stage}: {}</summary>", counted(steps.len(), "step")),
        String::new(),
        format!("{fence}diff"),
    ];
    lines.extend(diff);
    lines.extend([fence, String::new(), "</details>".to_owned()]);
    (lines, left_out)
}

/// A step with signs that GitHub colours: `+` and `-`, and `!` for what changes in place.
fn step_lines(step: &Step, header: &Header<'_>, plan: &Plan) -> Vec<String> {
    let sign = match step.action {
        Action::Create { .. } => '+',
        Action::Delete { .. } => '-',
        Action::Update { .. } | Action::Replace { .. } => '!',
        Action::Record { .. } | Action::Reinstate { .. } | Action::Forget { .. } | Action::Wait { .. } => ' ',
    };
    let changes = match &step.action {
        Action::Create { .. } | Action::Delete { .. } => settings::without_ownership(&step.changes),
        _ => step.changes.clone(),
    };
    let diff = settings::lines(&changes).len();
    let text = step::lines(step, header.drained_at(plan, step), header.now, Paint::PLAIN);
    // The last lines are the diff; they get their signs at the very left, where GitHub looks for them.
    let head = text.len().saturating_sub(diff);
    let head = text.into_iter().take(head).enumerate().map(|(number, line)| {
        let line = line.trim_start();
        match (number, line.split_once(' ')) {
            // The sign says what the symbol says.
            (0, Some((_, rest))) if sign != ' ' => format!("{sign} {rest}"),
            (0, _) => format!("  {line}"),
            (_, Some(("!", rest))) => format!("!     {rest}"),
            _ => format!("      {line}"),
        }
    });
    let diff = settings::lines(&changes).into_iter().map(|line| {
        let sign = match line.sign {
            Sign::Removed => '-',
            Sign::Added => '+',
            Sign::Around => ' ',
        };
        format!("{sign}     {}", line.text)
    });
    head.chain(diff).map(|line| shortened(&line)).collect()
}

/// Untrusted text as code: nothing in it means anything to Markdown.
fn code(text: &str) -> String {
    let text = clean(text);
    let fence = "`".repeat(longest_run(std::slice::from_ref(&text)) + 1);
    // Backticks at the ends would join those of the fence.
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{}{space}{fence}", shortened(&text))
}

/// Untrusted text as text: every character that means something to Markdown or HTML stands for itself, and nobody is
/// called by their name.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in shortened(&clean(text)).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => escaped.push_str("@<!-- -->"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((at, _)) => format!("{} ... (shortened)", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    }
}

fn longest_run(lines: &[String]) -> usize {
    let runs = lines
        .iter()
        .flat_map(|line| line.split(|character| character != '`').map(str::len));
    runs.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use reconcile_core::state::State;
    use serde_json::json;

    use super::*;
    use crate::render::tests::{create, plan_of, wait};

    fn shown(plan: &Plan) -> String {
        let identity = Identity {
            account: "123456789012".parse().unwrap(),
            region: "ap-northeast-1".parse().unwrap(),
            partition: "aws".to_owned(),
        };
        let state = State::empty(plan.stack.clone(), String::new());
        let header = Header {
            stack: &plan.stack,
            identity: &identity,
            cut: Some((Stage::Prove, 3)),
            state: &state,
            now: Timestamp::UNIX_EPOCH,
        };
        markdown(plan, &header)
    }

    fn finding(severity: Severity, subject: &str, message: &str) -> Finding {
        Finding {
            severity,
            subject: subject.to_owned(),
            message: message.to_owned(),
            remedy: "do that".to_owned(),
        }
    }

    #[test]
    fn what_matters_stands_first_and_the_rest_is_folded() {
        let mut plan = plan_of(vec![create(1), wait(2)]);
        plan.findings = vec![
            finding(Severity::Warning, "sg-0c", "it is open"),
            finding(Severity::Note, "load_balancer.main", "it costs"),
        ];
        insta::assert_snapshot!(shown(&plan).replace(env!("CARGO_PKG_VERSION"), "0.1.0"), @r#"
        <!-- reconcile:plan:www-example-com -->
        ### `reconcile`: 1 to add, 0 to change, 0 to destroy

        Stack `www-example-com` in `ap-northeast-1`, account `123456789012`. Nobody notices.

        3 steps after the stage \`prove\` left out \(--until prove\).

        | stage | steps | what happens | who notices |
        |---|---:|---|---|
        | prepare | 2 | builds the new path beside the old one | nobody notices |

        > [!WARNING]
        > - `sg-0c`: it is open — *do that*

        <details><summary>1 note</summary>

        - `load_balancer.main`: it costs — *do that*

        </details>

        <details><summary>prepare: 2 steps</summary>

        ```diff
        + create  security_group.load_balancer  # it does not exist yet
        +     name = "www-example-load-balancer-0a1b2c3d"
        +     description = "reconcile: load balancer of www-example-com"
        +     vpc = "vpc-0a"
        +     ingress = ["tcp 443 0.0.0.0/0"]
        +     egress = [
        +       "tcp 443 sg-0c",
        +       "tcp 8443 sg-0c",
        +     ]
        +     tags.team = "web"
          … wait    certificate.www  # a listener takes an issued certificate only
              until ACM has issued it; this run waits 30m at most
        ```

        </details>

        <sub>reconcile 0.1.0</sub>
        "#);
    }

    #[test]
    fn nothing_to_do_is_said_in_one_line() {
        let text = shown(&plan_of(Vec::new()));
        assert!(
            text.contains("### `reconcile`: no changes in `www-example-com`\n"),
            "{text}"
        );
        assert!(text.starts_with("<!-- reconcile:plan:www-example-com -->\n"), "{text}");
    }

    #[test]
    fn nothing_hostile_gets_out_of_its_place() {
        let hostile =
            "`````\n</details>\n<script>@octocat | [x](https://evil.example) ![i](y) <!-- reconcile:plan:other -->";
        let mut step = create(1);
        step.changes[0].after = Some(json!(hostile));
        step.reason = hostile.to_owned();
        let mut plan = plan_of(vec![step]);
        plan.findings = vec![
            finding(Severity::Warning, hostile, hostile),
            finding(Severity::Note, hostile, hostile),
        ];
        let text = shown(&plan);
        // Outside of code no tag but this program's own, no link, no picture, and nobody is called.
        let (mut outside, mut fence) = (String::new(), None::<String>);
        for line in text.lines() {
            match &fence {
                Some(end) if line == end => fence = None,
                Some(_) => {}
                None if line.starts_with("```") => fence = Some(line.trim_end_matches("diff").to_owned()),
                None => outside.extend([line, "\n"]),
            }
        }
        assert!(fence.is_none(), "every block ends: {text}");
        let inline = format!("`````` {}", &clean(hostile)[..5]);
        assert!(
            outside.contains(&inline),
            "the subject is fenced by more than it has: {outside}"
        );
        let (before, after) = (outside.matches("``````").count(), outside.matches("<script>").count());
        assert_eq!(
            (before, after),
            (4, 2),
            "hostile text stands within code only: {outside}"
        );
        assert_eq!(
            outside.matches("</details>").count(),
            2 + 2,
            "those of two folds and within code: {outside}"
        );
        assert!(
            !outside
                .replace("@<!-- -->octocat", "")
                .replace("<script>@octocat", "")
                .contains("@octocat"),
            "{outside}"
        );
        assert!(
            outside.contains("\\[x\\]\\(https://evil.example\\) \\!\\[i\\]"),
            "{outside}"
        );
        assert_eq!(
            text.lines().filter(|line| line.starts_with("<!-- ")).count(),
            1,
            "one marker: {text}"
        );
    }

    #[test]
    fn a_comment_is_never_too_large_and_says_what_it_leaves_out() {
        let long = "`x".repeat(40_000);
        let steps = (1..400).map(|id| {
            let mut step = create(id);
            step.changes[0].after = Some(json!(long));
            step
        });
        let mut plan = plan_of(steps.collect());
        plan.findings = (0..500)
            .map(|number| {
                finding(
                    if number % 2 == 0 {
                        Severity::Warning
                    } else {
                        Severity::Note
                    },
                    &long,
                    &long,
                )
            })
            .collect();
        let text = shown(&plan);
        assert!(text.len() < 65_536, "{}", text.len());
        assert!(text.contains("of the details left out**") && text.contains("more**: `reconcile plan` shows all."));
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
        assert!(text.trim_end().ends_with("</sub>"));
    }
}
