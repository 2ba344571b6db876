//! What differs, as lines in the configuration's own terms.

use reconcile_core::{
    diff::Change,
    naming::{RESOURCE_TAG, STACK_TAG},
    resource::Ref,
    value::Seconds,
};
use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::text;

const UNKNOWN: &str = "(known after apply)";

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It is so now, and will not be.
    Removed,
    /// It will be so.
    Added,
    /// It is and stays so; shown to say what the lines around it belong to.
    Around,
}

/// One line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// What it says.
    pub(crate) sign: Sign,
    /// The line without its sign.
    pub(crate) text: String,
}

/// The changes as lines. Lists have one line per item, so that one changed item is one line each.
pub(crate) fn lines(changes: &[Change]) -> Vec<Line> {
    changes.iter().flat_map(change_lines).collect()
}

/// The changes without the tags that mark what belongs to the stack: all that is made has them.
pub(crate) fn without_ownership(changes: &[Change]) -> Vec<Change> {
    let ours = [STACK_TAG, RESOURCE_TAG].map(|tag| format!("tags.{}", text::key(tag)));
    changes
        .iter()
        .filter(|change| !ours.contains(&change.path))
        .cloned()
        .collect()
}

fn change_lines(change: &Change) -> Vec<Line> {
    let before = change
        .before
        .as_ref()
        .map(|value| leaves(&change.path, value))
        .unwrap_or_default();
    let after = change
        .after
        .as_ref()
        .map(|value| leaves(&change.path, value))
        .unwrap_or_default();
    let mut paths: Vec<&String> = before.iter().map(|(path, _)| path).collect();
    for (path, _) in &after {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let find = |leaves: &[(String, Value)], wanted: &String| {
        leaves
            .iter()
            .find(|(path, _)| path == wanted)
            .map(|(_, value)| value.clone())
    };
    let mut lines: Vec<Line> = paths
        .into_iter()
        .flat_map(|path| leaf_lines(path, find(&before, path).as_ref(), find(&after, path).as_ref()))
        .collect();
    if change.forces_replacement
        && let Some(line) = lines.iter_mut().find(|line| line.sign != Sign::Around)
    {
        line.text.push_str("  # forces replacement");
    }
    lines
}

/// The settings below `path`, each with its own path.
fn leaves(path: &str, value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(entries) if !entries.is_empty() => entries
            .iter()
            .flat_map(|(key, value)| leaves(&format!("{path}.{}", text::key(key)), value))
            .collect(),
        _ => vec![in_terms_of_the_configuration(path, value)],
    }
}

/// A setting as the configuration names and writes it, where AWS has a key of its own for it (`aws-facts.md` 2.5, 3, 4.4).
fn in_terms_of_the_configuration(path: &str, value: &Value) -> (String, Value) {
    let is_true = || value.as_str().and_then(|text| text.parse().ok()).map(Value::Bool);
    let seconds = || {
        let seconds = value.as_str()?.parse().ok()?;
        Some(Value::String(Seconds::new(seconds).to_string()))
    };
    let key = path.strip_prefix("attributes.").unwrap_or_default();
    let (name, written) = match key.trim_matches('"') {
        "idle_timeout.timeout_seconds" => ("idle_timeout", seconds()),
        "deletion_protection.enabled" => ("deletion_protection", is_true()),
        "routing.http.drop_invalid_header_fields.enabled" => ("drop_invalid_headers", is_true()),
        "access_logs.s3.enabled" => ("access_logs.enabled", is_true()),
        "access_logs.s3.bucket" => ("access_logs.bucket", None),
        "access_logs.s3.prefix" => ("access_logs.prefix", None),
        "routing.http.response.strict_transport_security.header_value" => ("hsts", None),
        "deregistration_delay.timeout_seconds" => ("deregistration_delay", seconds()),
        "stickiness.lb_cookie.duration_seconds" => ("stickiness", seconds()),
        "slow_start.duration_seconds" => ("slow_start", seconds()),
        _ => (path, None),
    };
    (name.to_owned(), written.unwrap_or_else(|| value.clone()))
}

fn leaf_lines(path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Line> {
    let items = |value: Option<&Value>| value.and_then(Value::as_array).map_or(0, Vec::len);
    let is_spread = items(before) > 1 || items(after) > 1;
    let written = |value: Option<&Value>| value.map(|value| write(path, value, is_spread)).unwrap_or_default();
    let (before, after) = (written(before), written(after));
    let mut lines = Vec::new();
    let mut push = |sign, texts: &[String]| lines.extend(texts.iter().cloned().map(|text| Line { sign, text }));
    for operation in capture_diff_slices(Algorithm::Myers, &before, &after) {
        let old = before.get(operation.old_range()).unwrap_or_default();
        let new = after.get(operation.new_range()).unwrap_or_default();
        match operation {
            DiffOp::Equal { .. } => {
                // Of what stays only the brackets are shown.
                let brackets: Vec<String> = old.iter().filter(|line| !line.starts_with(' ')).cloned().collect();
                push(Sign::Around, &brackets);
            }
            DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => {
                push(Sign::Removed, old);
                push(Sign::Added, new);
            }
        }
    }
    if lines.iter().all(|line| line.sign == Sign::Around) {
        Vec::new()
    } else {
        lines
    }
}

fn write(path: &str, value: &Value, is_spread: bool) -> Vec<String> {
    let path = text::clean(path);
    match value {
        Value::Array(items) if is_spread => std::iter::once(format!("{path} = ["))
            .chain(items.iter().map(|item| format!("  {},", inline(item))))
            .chain(["]".to_owned()])
            .collect(),
        _ => vec![format!("{path} = {}", inline(value))],
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) if matches!(text.parse(), Ok(Ref::Of(..))) => UNKNOWN.to_owned(),
        Value::String(text) => text::quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{} = {}", text::key(key), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(path: &str, before: Value, after: Value) -> Change {
        let present = |value: Value| Some(value).filter(|value| !value.is_null());
        Change {
            path: path.to_owned(),
            before: present(before),
            after: present(after),
            forces_replacement: false,
        }
    }

    fn shown(change: &Change) -> String {
        let sign = |sign| match sign {
            Sign::Removed => '-',
            Sign::Added => '+',
            Sign::Around => ' ',
        };
        let lines = lines(std::slice::from_ref(change));
        lines
            .iter()
            .map(|line| format!("{} {}", sign(line.sign), line.text))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_value_is_one_line_before_and_one_after() {
        insta::assert_snapshot!(shown(&change("health.path", json!("/"), json!("/healthz"))), @r#"
        - health.path = "/"
        + health.path = "/healthz"
        "#);
        insta::assert_snapshot!(shown(&change("health.unhealthy", json!(2), Value::Null)), @"- health.unhealthy = 2");
    }

    #[test]
    fn one_changed_item_of_a_list_is_one_line_each() {
        let before = json!(["tcp 443 0.0.0.0/0", "tcp 443 ::/0", "tcp 80 0.0.0.0/0"]);
        let after = json!(["tcp 443 0.0.0.0/0", "tcp 443 10.0.0.0/8", "tcp 80 0.0.0.0/0"]);
        insta::assert_snapshot!(shown(&change("ingress", before, after)), @r#"
          ingress = [
        -   "tcp 443 ::/0",
        +   "tcp 443 10.0.0.0/8",
          ]
        "#);
        insta::assert_snapshot!(shown(&change("subnets", json!(["subnet-1"]), json!(["subnet-1", "subnet-2"]))), @r#"
          subnets = [
        +   "subnet-2",
          ]
        "#);
        insta::assert_snapshot!(shown(&change("names", Value::Null, json!(["www.example.com"]))), @r#"+ names = ["www.example.com"]"#);
    }

    #[test]
    fn tables_are_dotted_lines_and_what_is_not_there_yet_is_unknown() {
        let before = json!({ "A": { "ttl": 300, "values": ["203.0.113.10"] } });
        let after =
            json!({ "A": { "alias": { "name": "${load_balancer.main#dns_name}", "evaluate_target_health": false } } });
        insta::assert_snapshot!(shown(&change("records", before, after)), @r#"
        - records.A.ttl = 300
        - records.A.values = ["203.0.113.10"]
        + records.A.alias.name = (known after apply)
        + records.A.alias.evaluate_target_health = false
        "#);
        insta::assert_snapshot!(
            shown(&change("sources", json!(["sg-1", "sg-2"]), json!(["sg-1", "${security_group.load_balancer#id}"]))),
            @r#"
              sources = [
            -   "sg-2",
            +   (known after apply),
              ]
            "#
        );
    }

    #[test]
    fn a_change_that_forces_a_replacement_says_so() {
        let mut change = change("port", json!(80), json!(8080));
        change.forces_replacement = true;
        insta::assert_snapshot!(shown(&change), @r"
        - port = 80  # forces replacement
        + port = 8080
        ");
    }

    #[test]
    fn attributes_are_called_as_in_the_configuration() {
        insta::assert_snapshot!(
            shown(&change("attributes.\"idle_timeout.timeout_seconds\"", json!("60"), json!("90"))),
            @r#"
        - idle_timeout = "1m"
        + idle_timeout = "1m30s"
        "#
        );
        let all = json!({
            "access_logs.s3.bucket": "my-logs", "access_logs.s3.enabled": "true", "access_logs.s3.prefix": "",
            "deletion_protection.enabled": "true", "routing.http.drop_invalid_header_fields.enabled": "false",
            "routing.http2.enabled": "true",
        });
        insta::assert_snapshot!(shown(&change("attributes", Value::Null, all)), @r#"
        + access_logs.bucket = "my-logs"
        + access_logs.enabled = true
        + access_logs.prefix = ""
        + deletion_protection = true
        + drop_invalid_headers = false
        + attributes."routing.http2.enabled" = "true"
        "#);
        let all = json!({
            "deregistration_delay.timeout_seconds": "300",
            "routing.http.response.strict_transport_security.header_value": "max-age=86400",
            "slow_start.duration_seconds": "0", "stickiness.lb_cookie.duration_seconds": "3600",
        });
        insta::assert_snapshot!(shown(&change("attributes", Value::Null, all)), @r#"
        + deregistration_delay = "5m"
        + hsts = "max-age=86400"
        + slow_start = "0s"
        + stickiness = "1h"
        "#);
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        let change = change("tags.\"a\u{1b}:b\"", Value::Null, json!("x\u{1b}]0;pwned\u{7}"));
        insta::assert_snapshot!(shown(&change), @r#"+ tags."a\u001B:b" = "x\u001B]0;pwned\u0007""#);
    }
}
