//! The state as text and as JSON.

use jiff::Timestamp;
use reconcile_core::{
    diff,
    rebuild::{By, Rebuilt},
    resource::{Address, Spec},
    state::{Cutover, Operation, Origin, Retired, State},
};
use serde_json::{Value, json};

use super::{settings, text, time};
use crate::output::Paint;

/// The version of the JSON forms here.
const FORMAT_VERSION: u32 = 1;

/// Everything that is recorded, on one line each.
pub(crate) fn listed(state: &State, paint: Paint) -> String {
    let mut page = Page::new(state, paint);
    let objects = state.resources.iter().map(|(address, entry)| {
        let since = time::local(entry.recorded_at);
        [
            address.to_string(),
            origin(entry.origin).to_owned(),
            since,
            entry.id.clone(),
        ]
    });
    page.section("objects", objects.collect());
    let retired = state.retired.iter().map(|retired| {
        let since = time::local(retired.retired_at);
        [
            retired.address.to_string(),
            "retired".to_owned(),
            since,
            retired.id.clone(),
        ]
    });
    page.section("on their way out, to be deleted by the next run", retired.collect());
    let intents = state.intents.iter().map(|(address, intent)| {
        let begun = time::local(intent.begun_at);
        [
            address.to_string(),
            operation(intent.operation).to_owned(),
            begun,
            String::new(),
        ]
    });
    page.section(
        "begun, with an unknown result: the next run finds out",
        intents.collect(),
    );
    let cutovers = state.cutovers.iter().map(|(address, cutover)| {
        let (what, when) = moved(cutover);
        let ttl = format!("old TTL {}", cutover.old_ttl);
        [address.to_string(), what.to_owned(), when, ttl]
    });
    page.section("names that were moved", cutovers.collect());
    let saved = state.saved.iter().map(|(address, saved)| {
        let since = time::local(saved.saved_at);
        [address.to_string(), "saved".to_owned(), since, summary(&saved.spec)]
    });
    page.section("saved, for going back", saved.collect());
    if page.sections == 0 {
        page.lines.push("Nothing is recorded.".to_owned());
    }
    page.lines.join("\n").trim_end().to_owned() + "\n"
}

/// The same for programs.
pub(crate) fn listed_json(state: &State) -> Value {
    json!({
        "format_version": FORMAT_VERSION,
        "stack": state.stack,
        "account": state.account,
        "region": state.region,
        "lineage": state.lineage,
        "serial": state.serial,
        "objects": state.resources.iter().map(|(address, entry)| with_address(address, json!(entry))).collect::<Vec<_>>(),
        "retired": state.retired,
        "intents": state.intents.iter().map(|(address, intent)| with_address(address, json!(intent))).collect::<Vec<_>>(),
        "cutovers": state.cutovers.iter().map(|(address, cutover)| with_address(address, json!(cutover))).collect::<Vec<_>>(),
        "saved": state.saved.iter().map(|(address, saved)| with_address(address, json!(saved))).collect::<Vec<_>>(),
    })
}

fn with_address(address: &Address, value: Value) -> Value {
    let mut fields = json!({ "address": address });
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), value) {
        fields.extend(more);
    }
    fields
}

/// Everything that is recorded of one address; `None` if nothing is.
pub(crate) fn shown(state: &State, address: &Address) -> Option<String> {
    let mut lines = vec![format!(
        "# {} of the stack {}",
        text::clean(&address.to_string()),
        state.stack
    )];
    let mut table = |header: &str, rows: Vec<(&str, String)>, more: Vec<String>| {
        lines.push(String::new());
        lines.push(header.to_owned());
        let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
        lines.extend(rows.iter().map(|(key, value)| format!("{key:width$} = {value}")));
        lines.extend(more);
    };
    let moment = |at: Timestamp| at.to_string();
    if let Some(entry) = state.resources.get(address) {
        let rows = vec![
            ("id", text::quoted(&entry.id)),
            ("origin", text::quoted(origin(entry.origin))),
            ("recorded_at", moment(entry.recorded_at)),
        ];
        table("[object]", rows, Vec::new());
        if !entry.outputs.is_empty() {
            let keys: Vec<(String, String)> = entry
                .outputs
                .iter()
                .map(|(output, value)| (text::key(&output.to_string()), text::quoted(value)))
                .collect();
            let rows = keys.iter().map(|(key, value)| (key.as_str(), value.clone()));
            table("[object.outputs]", rows.collect(), Vec::new());
        }
    }
    for retired in state.retired.iter().filter(|retired| retired.address == *address) {
        let Retired {
            address: _,
            id,
            spec,
            retired_at,
        } = retired;
        let rows = vec![("id", text::quoted(id)), ("retired_at", moment(*retired_at))];
        table("[[retired]]", rows, with_header("[retired.settings]", spec));
    }
    if let Some(intent) = state.intents.get(address) {
        let mut rows = vec![
            ("operation", text::quoted(operation(intent.operation))),
            ("begun_at", moment(intent.begun_at)),
        ];
        rows.extend(intent.token.as_ref().map(|token| ("token", text::quoted(token))));
        table("[intent]", rows, Vec::new());
    }
    if let Some(cutover) = state.cutovers.get(address) {
        let Cutover {
            dns_change,
            old_ttl,
            in_sync_at,
            found,
        } = cutover;
        let mut rows = vec![("old_ttl", text::quoted(&old_ttl.to_string()))];
        rows.extend(in_sync_at.map(|at| ("in_sync_at", moment(at))));
        rows.extend(dns_change.as_ref().map(|change| ("dns_change", text::quoted(change))));
        rows.push(("found", found.to_string()));
        table("[cutover]", rows, Vec::new());
    }
    if let Some(saved) = state.saved.get(address) {
        let rows = vec![("saved_at", moment(saved.saved_at))];
        table("[saved]", rows, with_header("[saved.settings]", &saved.spec));
    }
    (lines.len() > 1).then(|| lines.join("\n") + "\n")
}

/// The same for programs.
pub(crate) fn shown_json(state: &State, address: &Address) -> Value {
    let retired = state.retired.iter().filter(|retired| retired.address == *address);
    json!({
        "format_version": FORMAT_VERSION,
        "stack": state.stack,
        "address": address,
        "object": state.resources.get(address),
        "retired": retired.collect::<Vec<_>>(),
        "intent": state.intents.get(address),
        "cutover": state.cutovers.get(address),
        "saved": state.saved.get(address),
    })
}

/// What was found for a new state, and what was not.
pub(crate) fn rebuilt(rebuilt: &Rebuilt, paint: Paint) -> String {
    let Rebuilt {
        state,
        found,
        missing,
        strays,
    } = rebuilt;
    let mut page = Page::new(state, paint);
    let rows = found.iter().map(|found| {
        let by = match found.by {
            By::Tags => "by its tags",
            By::Adoption => "adopted",
            By::Content => "by its content",
        };
        [
            found.address.to_string(),
            by.to_owned(),
            found.id.clone(),
            String::new(),
        ]
    });
    page.section("found", rows.collect());
    let rows = missing
        .iter()
        .map(|address| [address.to_string(), String::new(), String::new(), String::new()]);
    page.section(
        "not found, or not the stack's yet: the next plan says what becomes of it",
        rows.collect(),
    );
    let rows = strays.iter().map(|stray| {
        let tagged = stray.resource.as_deref().unwrap_or("no address");
        [
            stray.kind.to_string(),
            format!("tagged {tagged}"),
            stray.id.clone(),
            String::new(),
        ]
    });
    page.section(
        "carries the stack's tags and has no place in it, so it is left alone",
        rows.collect(),
    );
    page.lines.join("\n").trim_end().to_owned() + "\n"
}

struct Page {
    lines: Vec<String>,
    sections: usize,
    paint: Paint,
}

impl Page {
    fn new(state: &State, paint: Paint) -> Self {
        let place = match (&state.region, &state.account) {
            (Some(region), Some(account)) => format!("{region}, account {account}"),
            _ => "nowhere yet".to_owned(),
        };
        let mut head = format!("stack {} ({place})", state.stack);
        if state.serial > 0 {
            // One that was never written has none.
            head += &[", serial ", &state.serial.to_string()].concat();
        }
        Self {
            lines: vec![paint.bold(&head), String::new()],
            sections: 0,
            paint,
        }
    }

    /// Rows under a heading, each column as wide as its widest cell; nothing if there are none.
    fn section<const COLUMNS: usize>(&mut self, heading: &str, rows: Vec<[String; COLUMNS]>) {
        if rows.is_empty() {
            return;
        }
        self.sections += 1;
        self.lines.push(self.paint.bold(&format!("{heading}:")));
        self.lines.extend(text::aligned(rows));
        self.lines.push(String::new());
    }
}

fn with_header(header: &str, spec: &Spec) -> Vec<String> {
    let settings = settings::lines(&diff::creation(spec));
    [String::new(), header.to_owned()]
        .into_iter()
        .chain(settings.into_iter().map(|line| line.text))
        .collect()
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Created => "created",
        Origin::FoundByTags => "found by tags",
        Origin::Adopted => "adopted",
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "change",
        Operation::Delete => "destroy",
    }
}

fn moved(cutover: &Cutover) -> (&'static str, String) {
    match (cutover.found, cutover.in_sync_at) {
        (true, Some(at)) => ("found moved", time::local(at)),
        (false, Some(at)) => ("moved", time::local(at)),
        (_, None) => ("on its way", String::new()),
    }
}

/// What was saved, in a few words.
fn summary(spec: &Spec) -> String {
    match spec {
        Spec::AliasRecord(record) => {
            let records = record.records.iter().map(|(record_type, data)| {
                let content = match &data.alias {
                    Some(alias) => format!("alias of {}", alias.name),
                    None => data.values.join(" "),
                };
                format!("{} {content}", record_type.as_str())
            });
            records.collect::<Vec<_>>().join(", ")
        }
        Spec::PortClosure(closure) => {
            let rules: Vec<String> = closure.open.values().map(ToString::to_string).collect();
            rules.join(", ")
        }
        Spec::Certificate(_)
        | Spec::ValidationRecord(_)
        | Spec::SecurityGroup(_)
        | Spec::InstanceIngress(_)
        | Spec::TargetGroup(_)
        | Spec::LoadBalancer(_)
        | Spec::Listener(_)
        | Spec::ListenerCertificate(_)
        | Spec::ListenerRule(_)
        | Spec::WebAclAssociation(_)
        | Spec::Target(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let text = serde_json::json!({
            "format_version": 1,
            "lineage": "0b7c",
            "serial": 27,
            "stack": "www-example-com",
            "account": "123456789012",
            "region": "ap-northeast-1",
            "resources": {
                "load_balancer.main": {
                    "id": "arn:lb",
                    "outputs": { "dns_name": "lb.example", "zone_id": "Z1" },
                    "origin": "created",
                    "recorded_at": "2026-11-24T16:30:01Z"
                },
                "target_group.www": { "id": "arn:tg\u{1b}[2J", "origin": "adopted", "recorded_at": "2026-11-24T16:31:00Z" }
            },
            "retired": [{
                "address": "target_group.www",
                "id": "arn:old",
                "spec": { "kind": "port_closure", "settings": { "group": "sg-1", "open": {} } },
                "retired_at": "2026-11-25T00:00:00Z"
            }],
            "intents": { "listener.443": { "operation": "create", "token": "t1", "begun_at": "2026-11-25T00:00:00Z" } },
            "cutovers": { "alias_record.www.example.com": { "old_ttl": "5m", "in_sync_at": "2026-11-24T17:00:00Z" } },
            "saved": { "alias_record.www.example.com": {
                "spec": { "kind": "alias_record", "settings": { "zone": "Z1", "name": "www.example.com",
                    "records": { "A": { "ttl": 300, "values": ["203.0.113.10"] } } } },
                "saved_at": "2026-11-24T16:59:00Z"
            } }
        });
        State::read(&text.to_string()).unwrap()
    }

    #[test]
    fn everything_is_listed_aligned_and_harmless() {
        let state = state();
        // The time zone is that of the machine.
        let at = |text: &str| time::local(text.parse().unwrap());
        let list = listed(&state, Paint::PLAIN);
        let list = list
            .replace(&at("2026-11-24T16:30:01Z"), "(one)")
            .replace(&at("2026-11-24T16:31:00Z"), "(two)");
        let list = list.replace(&at("2026-11-25T00:00:00Z"), "(next)");
        let list = list
            .replace(&at("2026-11-24T17:00:00Z"), "(sync)")
            .replace(&at("2026-11-24T16:59:00Z"), "(save)");
        insta::assert_snapshot!(list, @r"
        stack www-example-com (ap-northeast-1, account 123456789012), serial 27

        objects:
          target_group.www    adopted  (two)  arn:tg\u001B[2J
          load_balancer.main  created  (one)  arn:lb

        on their way out, to be deleted by the next run:
          target_group.www  retired  (next)  arn:old

        begun, with an unknown result: the next run finds out:
          listener.443  create  (next)

        names that were moved:
          alias_record.www.example.com  moved  (sync)  old TTL 5m

        saved, for going back:
          alias_record.www.example.com  saved  (save)  A 203.0.113.10
        ");
    }

    #[test]
    fn a_state_without_anything_says_so() {
        let mut state = state();
        state.resources.clear();
        state.retired.clear();
        state.intents.clear();
        state.cutovers.clear();
        state.saved.clear();
        assert!(listed(&state, Paint::PLAIN).ends_with("Nothing is recorded.\n"));
    }

    #[test]
    fn one_address_is_shown_as_toml() {
        let state = state();
        let of = |address: &str| shown(&state, &address.parse().unwrap());
        insta::assert_snapshot!(of("load_balancer.main").unwrap(), @r#"
        # load_balancer.main of the stack www-example-com

        [object]
        id          = "arn:lb"
        origin      = "created"
        recorded_at = 2026-11-24T16:30:01Z

        [object.outputs]
        dns_name = "lb.example"
        zone_id  = "Z1"
        "#);
        insta::assert_snapshot!(of("alias_record.www.example.com").unwrap(), @r#"
        # alias_record.www.example.com of the stack www-example-com

        [cutover]
        old_ttl    = "5m"
        in_sync_at = 2026-11-24T17:00:00Z
        found      = false

        [saved]
        saved_at = 2026-11-24T16:59:00Z

        [saved.settings]
        zone = "Z1"
        name = "www.example.com"
        records.A.ttl = 300
        records.A.values = ["203.0.113.10"]
        "#);
        assert!(
            of("target_group.www")
                .unwrap()
                .contains("[[retired]]\nid         = \"arn:old\"")
        );
        assert!(of("listener.443").unwrap().contains("[intent]\noperation = \"create\""));
        assert_eq!(of("listener.80"), None);
    }

    #[test]
    fn programs_get_a_versioned_form() {
        let state = state();
        let list = listed_json(&state);
        assert_eq!(list["format_version"], 1);
        assert_eq!(list["objects"][0]["address"], "target_group.www");
        assert_eq!(list["cutovers"][0]["old_ttl"], "5m");
        let shown = shown_json(&state, &"load_balancer.main".parse().unwrap());
        assert_eq!(shown["object"]["outputs"]["dns_name"], "lb.example");
        assert_eq!(shown["saved"], Value::Null);
    }
}
