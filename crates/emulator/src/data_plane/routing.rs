//! What a listener does with a request: which rule, which target, which redirect.

use http::{HeaderMap, Uri};

use super::admission::VISITOR;
use crate::model::{Action, Condition, Listener, Target, TargetGroup, WeightedGroup};

/// The part of a request that rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The Host header without a port.
    pub(crate) host: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// The listener's port.
    pub(crate) port: u16,
    /// The method.
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) uri: &'a Uri,
    /// All headers.
    pub(crate) headers: &'a HeaderMap,
}

/// The actions of the first rule that matches, or the default ones.
pub(crate) fn actions<'a>(listener: &'a Listener, asked: Asked<'_>) -> &'a [Action] {
    let mut rules: Vec<_> = listener.rules.iter().collect();
    rules.sort_by_key(|rule| rule.priority);
    rules
        .into_iter()
        .find(|rule| rule.conditions.iter().all(|it| holds(it, asked)))
        .map_or(&listener.default_actions, |rule| &rule.actions)
}

fn holds(condition: &Condition, asked: Asked<'_>) -> bool {
    let any = |test: &dyn Fn(&str) -> bool| condition.values.iter().any(|value| test(value));
    match condition.field.as_str() {
        "host-header" => {
            let host = asked.host.to_ascii_lowercase();
            any(&|value| matches(&value.to_ascii_lowercase(), &host))
        }
        "path-pattern" => any(&|value| matches(value, asked.uri.path())),
        // Neither the header's name nor its value is told apart by case.
        "http-header" => asked.headers.get_all(condition.header.as_str()).iter().any(|header| {
            let header = String::from_utf8_lossy(header.as_bytes()).to_ascii_lowercase();
            any(&|value| matches(&value.to_ascii_lowercase(), &header))
        }),
        "query-string" => asked.uri.query().unwrap_or_default().split('&').any(|pair| {
            let pair = pair.to_ascii_lowercase();
            let (key, text) = pair.split_once('=').unwrap_or((&pair, ""));
            any(&|wanted| {
                let wanted = wanted.to_ascii_lowercase();
                let (wanted_key, value) = wanted.split_once('=').unwrap_or(("", &wanted));
                (wanted_key.is_empty() || matches(wanted_key, key)) && matches(value, text)
            })
        }),
        "http-request-method" => any(&|value| value == asked.method),
        "source-ip" => any(&|value| {
            value
                .parse::<ipnet::Ipv4Net>()
                .is_ok_and(|network| network.contains(&VISITOR))
        }),
        _ => false,
    }
}

/// Matches `text` against a pattern in which `*` stands for any characters and `?` for one.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut reachable = vec![true];
    let text: Vec<char> = text.chars().collect();
    reachable.resize(text.len() + 1, false);
    for symbol in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            if symbol == '*' {
                next[at] = reachable[at] || (at > 0 && next[at - 1]);
            } else if at > 0 {
                next[at] = reachable[at - 1] && (symbol == '?' || symbol == text[at - 1]);
            }
        }
        reachable = next;
    }
    reachable[text.len()]
}

/// The target group for request number `turn`, by weight.
pub(crate) fn weighted(groups: &[WeightedGroup], turn: usize) -> Option<&WeightedGroup> {
    let weight = |group: &WeightedGroup| group.weight.unwrap_or(1) as usize;
    let total: usize = groups.iter().map(weight).sum();
    if total == 0 {
        return None;
    }
    let mut left = turn % total;
    groups.iter().find(|group| {
        let weight = weight(group);
        let chosen = left < weight;
        left = left.saturating_sub(weight);
        chosen
    })
}

/// The target for request number `turn`: a healthy one, or any registered one when none is healthy (fail-open).
pub(crate) fn target(group: &TargetGroup, turn: usize) -> Option<&Target> {
    let with = |wanted: &dyn Fn(&str) -> bool| -> Vec<&Target> {
        let found = group.targets.iter().filter(|it| wanted(&it.state));
        found.collect()
    };
    let mut candidates = with(&|state| state == "healthy");
    if candidates.is_empty() {
        candidates = with(&|state| !matches!(state, "draining" | "unused"));
    }
    if candidates.is_empty() {
        return None;
    }
    Some(candidates[turn % candidates.len()])
}

/// The `Location` of a redirect. As on AWS the port always stands in it.
pub(crate) fn location(action: &Action, asked: Asked<'_>) -> Option<String> {
    let Action::Redirect {
        protocol,
        port,
        host,
        path,
        query,
        status: _,
    } = action
    else {
        return None;
    };
    let fill = |part: &Option<String>, default: &str| {
        part.as_deref()
            .unwrap_or(default)
            .replace("#{protocol}", asked.scheme)
            .replace("#{port}", &asked.port.to_string())
            .replace("#{host}", asked.host)
            .replace("#{path}", asked.uri.path().trim_start_matches('/'))
            .replace("#{query}", asked.uri.query().unwrap_or_default())
    };
    let protocol = fill(protocol, "#{protocol}").to_ascii_lowercase();
    let (port, host) = (fill(port, "#{port}"), fill(host, "#{host}"));
    let (path, query) = (fill(path, "/#{path}"), fill(query, "#{query}"));
    let mark = if query.is_empty() { "" } else { "?" };
    Some(format!("{protocol}://{host}:{port}{path}{mark}{query}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_know_stars_and_question_marks() {
        let cases = [
            ("www.example.com", "www.example.com", true),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("/img/*", "/img/", true),
            ("/img/*", "/img", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("*", "", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbx", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    fn listener() -> Listener {
        serde_json::from_value(json!({
            "port": 443, "protocol": "HTTPS",
            "default_actions": [{ "type": "fixed-response", "status": "404" }],
            "rules": [
                { "priority": 20, "conditions": [{ "field": "host-header", "values": ["*.example.com"] }],
                  "actions": [{ "type": "fixed-response", "status": "220" }] },
                { "priority": 10, "conditions": [
                    { "field": "host-header", "values": ["a.example.com", "B.example.com"] },
                    { "field": "path-pattern", "values": ["/x/*"] }],
                  "actions": [{ "type": "fixed-response", "status": "210" }] },
                { "priority": 5, "conditions": [
                    { "field": "http-header", "header": "X-Probe", "values": ["s3cret", "on*"] }],
                  "actions": [{ "type": "fixed-response", "status": "205" }] },
                { "priority": 6, "conditions": [{ "field": "query-string", "values": ["v=1*", "=beta"] }],
                  "actions": [{ "type": "fixed-response", "status": "206" }] },
                { "priority": 7, "conditions": [{ "field": "colour", "values": ["*"] }],
                  "actions": [{ "type": "fixed-response", "status": "207" }] },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_lowest_priority_that_matches_wins() {
        let listener = listener();
        let with = |host: &str, uri: &str, probe: &[&'static str]| {
            let uri: Uri = uri.parse().unwrap();
            let mut headers = HeaderMap::new();
            for value in probe {
                headers.append("x-probe", HeaderValue::from_static(value));
            }
            let asked = Asked {
                host,
                scheme: "https",
                port: 443,
                method: "GET",
                uri: &uri,
                headers: &headers,
            };
            match &actions(&listener, asked)[0] {
                Action::FixedResponse { status, .. } => status.clone(),
                other => panic!("{other:?}"),
            }
        };
        let status = |host: &str, uri: &str| with(host, uri, &[]);
        assert_eq!(with("a.example.com", "/x/1", &["S3cret"]), "205");
        assert_eq!(with("example.org", "/", &["other", "once"]), "205");
        assert_eq!(with("example.org", "/", &["s3cret2"]), "404");
        assert_eq!(status("example.org", "/?a=b&V=12"), "206");
        assert_eq!(status("example.org", "/?a=BETA"), "206");
        assert_eq!(status("example.org", "/?v=2"), "404");
        assert_eq!(status("a.example.com", "/x/1"), "210");
        assert_eq!(status("b.EXAMPLE.com", "/x/1?q"), "210");
        assert_eq!(status("a.example.com", "/y"), "220");
        assert_eq!(status("c.example.com", "/x/1"), "220");
        assert_eq!(status("example.org", "/x/1"), "404");
    }

    #[test]
    fn targets_take_turns_and_fail_open() {
        let group = |states: &[&str]| TargetGroup {
            targets: states
                .iter()
                .enumerate()
                .map(|(i, state)| Target {
                    id: format!("i-{i}"),
                    state: (*state).to_owned(),
                    ..Target::default()
                })
                .collect(),
            ..TargetGroup::default()
        };
        let ids = |states: &[&str]| -> Vec<String> {
            let group = group(states);
            (0..4)
                .filter_map(|turn| target(&group, turn).map(|it| it.id.clone()))
                .collect()
        };
        assert_eq!(ids(&["healthy", "unhealthy", "healthy"]), ["i-0", "i-2", "i-0", "i-2"]);
        assert_eq!(ids(&["unhealthy", "draining", "initial"]), ["i-0", "i-2", "i-0", "i-2"]);
        assert_eq!(ids(&["draining"]), Vec::<String>::new());
        assert_eq!(ids(&[]), Vec::<String>::new());
    }

    #[test]
    fn weights_share_the_requests() {
        let groups: Vec<WeightedGroup> = serde_json::from_value(json!([
            { "arn": "a", "weight": 1 }, { "arn": "b", "weight": 0 }, { "arn": "c", "weight": 2 },
        ]))
        .unwrap();
        let turns: Vec<_> = (0..6)
            .filter_map(|turn| weighted(&groups, turn).map(|it| it.arn.as_str()))
            .collect();
        assert_eq!(turns, ["a", "c", "c", "a", "c", "c"]);
        assert!(weighted(&[], 0).is_none());
    }

    #[test]
    fn a_redirect_fills_in_what_was_asked() {
        let action: Action = serde_json::from_value(json!({
            "type": "redirect", "protocol": "HTTPS", "port": "443", "host": "#{host}",
            "path": "/#{path}", "query": "#{query}", "status": "HTTP_301",
        }))
        .unwrap();
        let at = |uri: &str| {
            let uri: Uri = uri.parse().unwrap();
            let asked = Asked {
                host: "www.example.com",
                scheme: "http",
                port: 80,
                method: "GET",
                uri: &uri,
                headers: &HeaderMap::new(),
            };
            location(&action, asked).unwrap()
        };
        assert_eq!(at("/a/b?c=d"), "https://www.example.com:443/a/b?c=d");
        assert_eq!(at("/"), "https://www.example.com:443/");
    }
}
