//! Conditions of rules in normal form: the values by the field that they are about.
//!
//! AWS tells the values of hosts and paths twice, in `Values` and in a configuration of the field's own; both are read,
//! and the latter is sent.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::{
    HostHeaderConditionConfig, HttpHeaderConditionConfig, HttpRequestMethodConditionConfig, PathPatternConditionConfig,
    QueryStringConditionConfig, QueryStringKeyValuePair, RuleCondition, SourceIpConditionConfig,
};
use reconcile_core::resource::ListenerRule;
use reconcile_engine::CloudError;

use crate::error::unexpected;

/// The values that match by field.
pub(super) type Conditions = BTreeMap<String, BTreeSet<String>>;

const PATH: &str = "path-pattern";
const METHOD: &str = "http-request-method";
const QUERY: &str = "query-string";
const SOURCE: &str = "source-ip";
const HEADER: &str = "http-header";

/// Reads the conditions of a rule. Conditions that this tool cannot say, such as two on the query string that both have
/// to hold, come under a field of another name, so that they never equal wanted ones.
pub(super) fn read(conditions: &[RuleCondition]) -> Conditions {
    let mut found = Conditions::new();
    for condition in conditions {
        let (field, values) = read_one(condition);
        // As many names as there are conditions before, and one more: one of them is free.
        let free = (1..=found.len() + 1)
            .map(|count| numbered(&field, count))
            .find(|name| !found.contains_key(name))
            .unwrap_or(field);
        found.insert(free, values);
    }
    found
}

fn numbered(field: &str, count: usize) -> String {
    match count {
        1 => field.to_owned(),
        _ => format!("{field} ({count})"),
    }
}

fn read_one(condition: &RuleCondition) -> (String, BTreeSet<String>) {
    let field = condition.field().unwrap_or_default();
    let mut values: Vec<String> = condition.values().to_vec();
    let mut patterns: Vec<String> = condition.regex_values().to_vec();
    let mut name = field.to_owned();
    if let Some(config) = condition.host_header_config() {
        values.extend_from_slice(config.values());
        patterns.extend_from_slice(config.regex_values());
    }
    if let Some(config) = condition.path_pattern_config() {
        values.extend_from_slice(config.values());
        patterns.extend_from_slice(config.regex_values());
    }
    if let Some(config) = condition.http_header_config() {
        name = ListenerRule::header(config.http_header_name().unwrap_or_default());
        values.extend_from_slice(config.values());
        patterns.extend_from_slice(config.regex_values());
    }
    if let Some(config) = condition.http_request_method_config() {
        values.extend_from_slice(config.values());
    }
    if let Some(config) = condition.source_ip_config() {
        values.extend_from_slice(config.values());
    }
    if let Some(config) = condition.query_string_config() {
        values.extend(config.values().iter().map(print_pair));
    }
    if field == ListenerRule::HOST {
        // Hosts are compared without regard to case.
        for value in &mut values {
            value.make_ascii_lowercase();
        }
    }
    if !patterns.is_empty() {
        name.push_str(" (regular expression)");
        values.extend(patterns);
    }
    (name, values.into_iter().collect())
}

fn print_pair(pair: &QueryStringKeyValuePair) -> String {
    let value = pair.value().unwrap_or_default();
    match pair.key() {
        Some(key) if !key.is_empty() => format!("{key}={value}"),
        _ => value.to_owned(),
    }
}

fn parse_pair(text: &str) -> QueryStringKeyValuePair {
    match text.split_once('=') {
        Some((key, value)) => QueryStringKeyValuePair::builder().key(key).value(value).build(),
        None => QueryStringKeyValuePair::builder().value(text).build(),
    }
}

/// The conditions in the shape that is sent.
pub(super) fn sdk(operation: &str, conditions: &Conditions) -> Result<Vec<RuleCondition>, CloudError> {
    conditions
        .iter()
        .map(|(field, values)| {
            let condition = sdk_one(field, values);
            condition.ok_or_else(|| unexpected(operation, format!("there are no conditions on `{field}`")))
        })
        .collect()
}

fn sdk_one(field: &str, values: &BTreeSet<String>) -> Option<RuleCondition> {
    let list = Some(values.iter().cloned().collect::<Vec<_>>());
    let (field, header) = match field.split_once(' ') {
        Some((HEADER, name)) if !name.contains(' ') => (HEADER, Some(name)),
        Some(_) => return None,
        None => (field, None),
    };
    let condition = RuleCondition::builder().field(field);
    let condition = match (field, header) {
        (ListenerRule::HOST, None) => {
            condition.host_header_config(HostHeaderConditionConfig::builder().set_values(list).build())
        }
        (PATH, None) => condition.path_pattern_config(PathPatternConditionConfig::builder().set_values(list).build()),
        (METHOD, None) => {
            let config = HttpRequestMethodConditionConfig::builder().set_values(list);
            condition.http_request_method_config(config.build())
        }
        (SOURCE, None) => condition.source_ip_config(SourceIpConditionConfig::builder().set_values(list).build()),
        (QUERY, None) => {
            let pairs = values.iter().map(|value| parse_pair(value)).collect();
            let config = QueryStringConditionConfig::builder().set_values(Some(pairs));
            condition.query_string_config(config.build())
        }
        (HEADER, Some(name)) => {
            let config = HttpHeaderConditionConfig::builder().http_header_name(name);
            condition.http_header_config(config.set_values(list).build())
        }
        _ => return None,
    };
    Some(condition.build())
}

/// The conditions in one line, for messages.
pub(super) fn text(conditions: &Conditions) -> String {
    let parts = conditions.iter().map(|(field, values)| {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        format!("{field} {}", values.join(" or "))
    });
    parts.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(pairs: &[(&str, &[&str])]) -> Conditions {
        pairs
            .iter()
            .map(|(field, values)| {
                let values = values.iter().map(ToString::to_string).collect();
                ((*field).to_owned(), values)
            })
            .collect()
    }

    #[test]
    fn every_field_survives_being_sent_and_read() {
        let wanted = conditions(&[
            ("host-header", &["a.example.com", "*.example.org"]),
            ("path-pattern", &["/Img/*"]),
            ("http-request-method", &["GET", "HEAD"]),
            ("query-string", &["version=v1", "beta"]),
            ("source-ip", &["192.0.2.0/24"]),
            ("http-header x-secret", &["Word"]),
        ]);
        let sent = sdk("x", &wanted).unwrap();
        assert_eq!(sent.len(), 6);
        assert_eq!(read(&sent), wanted);
        assert!(
            sent.iter()
                .all(|condition| !condition.field().unwrap_or_default().contains(' '))
        );
    }

    #[test]
    fn both_spellings_of_a_host_agree_and_case_does_not_count() {
        let short = RuleCondition::builder().field("host-header").values("A.example.com");
        let long = HostHeaderConditionConfig::builder().values("a.Example.com").build();
        let expected = conditions(&[("host-header", &["a.example.com"])]);
        assert_eq!(read(&[short.clone().build()]), expected);
        assert_eq!(read(&[short.host_header_config(long).build()]), expected);
        let header = HttpHeaderConditionConfig::builder()
            .http_header_name("X-Secret")
            .values("Word")
            .build();
        let header = RuleCondition::builder().field("http-header").http_header_config(header);
        assert_eq!(
            read(&[header.build()]),
            conditions(&[("http-header x-secret", &["Word"])])
        );
    }

    #[test]
    fn what_this_tool_cannot_say_equals_nothing_that_it_wants() {
        let query = |value: &str| {
            let pairs = QueryStringConditionConfig::builder().values(parse_pair(value));
            RuleCondition::builder()
                .field("query-string")
                .query_string_config(pairs.build())
                .build()
        };
        let both = read(&[query("a=1"), query("b=2")]);
        assert_eq!(
            both,
            conditions(&[("query-string", &["a=1"]), ("query-string (2)", &["b=2"])])
        );
        assert!(sdk("x", &both).is_err());
        let pattern = HostHeaderConditionConfig::builder().regex_values("^a[0-9]").build();
        let pattern = RuleCondition::builder()
            .field("host-header")
            .host_header_config(pattern)
            .build();
        assert!(!read(std::slice::from_ref(&pattern)).contains_key("host-header"));
        assert!(sdk("x", &read(&[pattern])).is_err());
    }

    #[test]
    fn conditions_are_told_in_one_line() {
        let told = conditions(&[("host-header", &["a", "b"]), ("path-pattern", &["/x"])]);
        assert_eq!(text(&told), "host-header a or b and path-pattern /x");
    }
}
