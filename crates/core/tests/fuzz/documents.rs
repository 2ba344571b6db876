//! Documents of the right sort with anything in them.

use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

/// Texts that somebody could write as a name, an id or a time, and some that nobody should.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "", "www", "www.example.com", "*.example.com", "i-0123456789abcdef0", "/", "200", "90s", "1h30m",
            "ap-northeast-1", "HTTPS", "443", "arn:aws:acm:ap-northeast-1:123456789012:certificate/a", "2026-01-01T00:00:00Z",
            "../../etc/passwd", "/etc/passwd", "-rf", "a\0b", "..", "CON", "ｗｗｗ", "www\u{202e}", "xn--a", "99999999999999999999s",
        ]).prop_map(str::to_owned),
        1 => ".{0,40}",
        1 => ("[a-z.\u{0}-\u{20}é🙂]", 1..300_usize).prop_map(|(letter, count)| letter.repeat(count)),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "name", "account", "region", "profile", "tags", "adopt", "site", "www", "domain", "aliases", "instance",
            "instances", "zone", "ports", "listen", "backend", "protocol", "health", "path", "codes", "interval", "timeout",
            "certificate", "load_balancer", "http", "dns", "role", "prove", "request", "lockdown", "wait", "drain_margin",
            "format_version", "lineage", "serial", "stack", "resources", "retired", "intents", "cutovers", "saved", "spec",
            "steps", "action", "findings", "stage", "purpose",
        ]).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Fractions that survive being written in decimal: no setting of a resource is a fraction at all.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        (0..3_u32).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..8).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

/// Any JSON document.
pub(crate) fn json() -> impl Strategy<Value = String> {
    prop_oneof![
        value().prop_map(|value| value.to_string()),
        (value(), value()).prop_map(|(resources, saved)| {
            json!({
                "format_version": 1, "lineage": "a", "serial": 1, "stack": "www", "account": null, "region": null,
                "resources": resources, "retired": [], "intents": {}, "cutovers": {}, "saved": saved,
            })
            .to_string()
        }),
    ]
}

/// Any TOML document: tables and settings that mostly exist, with values that mostly fit nowhere.
pub(crate) fn toml() -> impl Strategy<Value = String> {
    let header = prop_oneof![
        Just(String::new()),
        prop::sample::select(vec![
            "[site.www]",
            "[site.api]",
            "[load_balancer]",
            "[prove]",
            "[lockdown]",
            "[dns]"
        ])
        .prop_map(str::to_owned),
        (key(), key()).prop_map(|(one, other)| format!("[{one:?}.{other:?}]")),
    ];
    let setting = (key(), value()).prop_map(|(key, value)| format!("{} = {}", quoted(&key), in_toml(&value)));
    let table = (header, prop::collection::vec(setting, 0..8))
        .prop_map(|(header, settings)| format!("{header}\n{}\n", settings.join("\n")));
    prop::collection::vec(table, 0..6).prop_map(|tables| tables.concat())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn in_toml(value: &Value) -> String {
    match value {
        Value::Null => "nan".to_owned(),
        Value::String(text) => quoted(text),
        Value::Array(values) => format!("[{}]", values.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{} = {}", quoted(key), in_toml(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Puts a value in the place of one of the document's.
pub(crate) fn replace(document: &mut Value, place: Index, value: &str) {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(values) => values.iter().map(count).sum(),
            Value::Object(entries) => entries.values().map(count).sum(),
            _ => 0,
        }
    }
    fn nth(value: &mut Value, mut left: usize, new: &Value) -> Option<usize> {
        if left == 0 {
            *value = new.clone();
            return None;
        }
        left -= 1;
        match value {
            Value::Array(values) => values.iter_mut().try_fold(left, |left, value| nth(value, left, new)),
            Value::Object(entries) => entries.values_mut().try_fold(left, |left, value| nth(value, left, new)),
            _ => Some(left),
        }
    }
    let new: Value = serde_json::from_str(value).unwrap();
    let which = place.index(count(document));
    nth(document, which, &new);
}
