//! Several sites behind one load balancer.

use super::{
    assert_converges, lines, mutating, planned, settled,
    world::{CONFIG, apply, now, record},
};
use crate::{
    config::Config,
    observed::Actual,
    plan::Stage,
    resource::{Kind, Spec},
    state::{Intent, Operation, State},
};

const SHOP: &str = r#"
[site.shop]
domain   = "shop.example.com"
aliases  = ["*.shop.example.com"]
instance = "i-0a"
health   = { path = "/" }
"#;

fn both() -> String {
    format!("{CONFIG}{SHOP}")
}

fn rules(found: &[Actual]) -> Vec<(u16, Vec<String>)> {
    let mut rules: Vec<_> = found
        .iter()
        .filter_map(|actual| match &actual.spec {
            Spec::ListenerRule(rule) => Some((rule.priority, rule.conditions["host-header"].iter().cloned().collect())),
            _ => None,
        })
        .collect();
    rules.sort();
    rules
}

#[test]
fn each_site_has_a_certificate_a_target_group_and_rules_of_its_own() {
    let (_, observed, _) = settled(&both());
    let count = |kind: Kind| {
        observed
            .found
            .iter()
            .filter(|actual| actual.spec.kind() == kind)
            .count()
    };
    assert_eq!(
        (
            count(Kind::LoadBalancer),
            count(Kind::SecurityGroup),
            count(Kind::Listener)
        ),
        (1, 1, 1)
    );
    assert_eq!(
        (
            count(Kind::Certificate),
            count(Kind::TargetGroup),
            count(Kind::ListenerCertificate)
        ),
        (2, 2, 1)
    );
    assert_eq!(
        rules(&observed.found),
        [
            (1000, vec!["shop.example.com".to_owned()]),
            (1001, vec!["www.example.com".to_owned()]),
            (48_000, vec!["*.shop.example.com".to_owned()]),
        ]
    );
    let Some(Spec::Listener(listener)) = observed
        .found
        .iter()
        .map(|actual| &actual.spec)
        .find(|spec| spec.kind() == Kind::Listener)
    else {
        panic!()
    };
    assert!(listener.fixed_response.as_deref().unwrap().starts_with("404 "));
}

#[test]
fn a_second_site_takes_nothing_from_the_first() {
    let (_, mut observed, mut state) = settled(CONFIG);
    observed
        .record_sets
        .push(record("shop.example.com", "A", 300, &["203.0.113.10"]));
    let config = super::config(&both());
    let plan = assert_converges(&config, &mut observed, &mut state);
    let shown = mutating(&plan);
    let about_www: Vec<&String> = shown.iter().filter(|line| line.contains("www")).collect();
    assert_eq!(about_www, ["prepare create listener_rule.443.www"], "{shown:#?}");
    // The default answer changes when the rule of the first site is there, and no certificate changes its place.
    let position = |text: &str| shown.iter().position(|line| line.contains(text)).unwrap();
    assert!(position("create listener_rule.443.www") < position("cutover update listener.443"));
    let listener = plan
        .steps
        .iter()
        .find(|step| step.address.key() == "443" && step.action.is_mutating())
        .unwrap();
    assert!(
        listener.changes.iter().all(|change| change.path != "certificate"),
        "{:?}",
        listener.changes
    );
}

#[test]
fn a_site_that_leaves_takes_only_its_own_along() {
    let (_, mut observed, mut state) = settled(&both());
    let one = super::config(CONFIG);
    let refused = super::plan(&one, &observed, &state, now()).unwrap_err().to_string();
    assert!(
        refused.contains("its record still leads visitors to the load balancer"),
        "{refused}"
    );
    // Visitors go elsewhere first.
    observed.record_sets.retain(|set| !set.name.as_str().contains("shop"));
    observed
        .record_sets
        .push(record("shop.example.com", "A", 300, &["198.51.100.1"]));
    let plan = assert_converges(&one, &mut observed, &mut state);
    let shown = mutating(&plan);
    assert!(
        shown.contains(&"cleanup delete target_group.shop".to_owned()),
        "{shown:#?}"
    );
    assert!(
        shown
            .iter()
            .all(|line| line.contains("shop") || line.contains("listener")),
        "{shown:#?}"
    );
    assert!(
        state.resources.keys().all(|address| !address.key().contains("shop")),
        "{:?}",
        state.resources
    );
}

fn priority_of(state: &State, observed: &crate::observed::Observed, address: &str) -> u16 {
    let id = state.id(&address.parse().unwrap()).unwrap();
    match &observed.by_id(id).unwrap().spec {
        Spec::ListenerRule(rule) => rule.priority,
        _ => panic!("another kind"),
    }
}

#[test]
fn priorities_stay_when_sites_come_and_others_have_rules_too() {
    let (_, mut observed, mut state) = settled(&both());
    let before = priority_of(&state, &observed, "listener_rule.443.www");
    // Somebody else's rule has the next number.
    let listener = state.id(&"listener.443".parse().unwrap()).unwrap().to_owned();
    let mut foreign = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::ListenerRule)
        .cloned()
        .unwrap();
    "arn:foreign".clone_into(&mut foreign.id);
    foreign.tags.clear();
    if let Spec::ListenerRule(rule) = &mut foreign.spec {
        rule.priority = 1002;
        rule.tags.clear();
        rule.listener = crate::resource::Ref::Known(listener);
        rule.conditions = [("path-pattern".to_owned(), ["/admin/*".to_owned()].into())].into();
    }
    observed.found.push(foreign);
    let third = SHOP.replace("shop", "blog");
    let config: Config = super::config(&format!("{}{third}", both()));
    let plan = assert_converges(&config, &mut observed, &mut state);
    assert_eq!(priority_of(&state, &observed, "listener_rule.443.www"), before);
    assert_eq!(priority_of(&state, &observed, "listener_rule.443.blog"), 1003);
    assert!(
        plan.findings.iter().any(|finding| finding.subject == "arn:foreign"),
        "{:?}",
        plan.findings
    );
    assert!(observed.by_id("arn:foreign").is_some());
}

#[test]
fn many_names_of_a_site_share_as_many_rules_as_it_takes() {
    let names: Vec<String> = (1..=7).map(|number| format!("\"n{number}.example.com\"")).collect();
    let more = format!("aliases = [{}]\nhealth ", names.join(", "));
    let (_, observed, _) = settled(&format!("{}{SHOP}", CONFIG.replace("health ", &more)));
    let exact: Vec<usize> = rules(&observed.found)
        .into_iter()
        .filter(|(priority, hosts)| *priority < 30_000 && hosts.iter().all(|host| !host.contains("shop")))
        .map(|(_, hosts)| hosts.len())
        .collect();
    assert_eq!(exact.iter().sum::<usize>(), 8);
    assert!(exact.iter().all(|hosts| *hosts <= 5), "{exact:?}");
}

#[test]
fn a_site_is_added_while_another_gets_a_new_target_group() {
    let (_, mut observed, mut state) = settled(CONFIG);
    let text = both().replacen("health ", "backend = { protocol = \"HTTP\" }\nhealth ", 1);
    for name in ["shop.example.com", "*.shop.example.com"] {
        observed.record_sets.push(record(name, "A", 300, &["203.0.113.10"]));
    }
    let plan = assert_converges(&super::config(&text), &mut observed, &mut state);
    let shown = lines(&plan);
    let at = |text: &str| shown.iter().position(|line| line.contains(text)).unwrap();
    // The rule that leads to the new target group waits for its proof; the default answer changes after it.
    assert!(at("create listener_rule.443.www.proof") < at("wait answers listener.443"));
    assert!(at("wait answers listener.443") < at("cutover create listener_rule.443.www "));
    assert!(at("cutover create listener_rule.443.www ") < at("cutover update listener.443"));
}

#[test]
fn a_rule_that_still_stands_on_the_old_listener_moves_visitors_on_the_new_one_when_that_is_proven() {
    let (_, mut observed, mut state) = settled(&both());
    observed.record_sets.retain(|set| !set.name.as_str().contains("shop"));
    for name in ["shop.example.com", "*.shop.example.com"] {
        observed.record_sets.push(record(name, "A", 300, &["203.0.113.10"]));
    }
    // Visitors have come to another load balancer, whose listener needs no rules; the old one is not deleted yet.
    let internal = "[load_balancer]\nscheme = \"internal\"\n";
    let one = super::config(&format!("{CONFIG}{internal}"));
    let begun = planned(&one, &observed, &state).until(Stage::Cutover);
    apply(&begun, &mut observed, &mut state);
    let text = both().replacen("health ", "backend = { protocol = \"HTTP\" }\nhealth ", 1);
    let other = super::config(&format!("{text}{internal}"));
    let shown = lines(&assert_converges(&other, &mut observed, &mut state));
    let at = |text: &str| {
        let found = shown.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no `{text}` in {shown:#?}"))
    };
    assert!(at("create listener_rule.443.www.proof") < at("wait answers listener.443"));
    assert!(at("wait answers listener.443") < at("cutover replace listener_rule.443.www "));
}

#[test]
fn a_name_is_proven_where_it_will_be_served_although_a_rule_of_a_site_that_left_still_has_it() {
    let (_, mut observed, mut state) = settled(CONFIG);
    for name in ["shop.example.com", "*.shop.example.com"] {
        observed.record_sets.push(record(name, "A", 300, &["203.0.113.10"]));
    }
    // The second site was begun, and no visitor has come to it by the load balancer.
    let begun = planned(&super::config(&both()), &observed, &state).until(Stage::Prepare);
    apply(&begun, &mut observed, &mut state);
    let one = CONFIG.replace("health ", "aliases = [\"shop.example.com\"]\nhealth ");
    let plan = assert_converges(&super::config(&one), &mut observed, &mut state);
    let shown = lines(&plan);
    let at = |text: &str| {
        let found = shown.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no `{text}` in {shown:#?}"))
    };
    assert!(at("create listener_rule.443.www.proof") < at("wait answers listener.443"));
    let gives_way = at("cutover delete listener_rule.443.shop");
    let moves = at("cutover update alias_record.shop.example.com");
    assert!(gives_way < moves && plan.steps[moves].after.contains(&plan.steps[gives_way].id));
}

#[test]
fn a_certificate_that_was_listed_and_not_recorded_is_taken_off_when_another_one_takes_its_place() {
    let (_, mut observed, mut state) = settled(&both());
    let is_listed = |actual: &&Actual| actual.spec.kind() == Kind::ListenerCertificate;
    let id = observed.found.iter().find(is_listed).unwrap().id.clone();
    let (address, _) = state.resources.iter().find(|(_, entry)| entry.id == id).unwrap();
    let (address, begun_at) = (address.clone(), "2026-01-01T00:00:00Z".parse().unwrap());
    state.resources.remove(&address);
    let intent = Intent {
        operation: Operation::Create,
        token: None,
        id: Some(id.clone()),
        begun_at,
    };
    state.intents.insert(address.clone(), intent);
    // Both sites get other certificates, so that whichever is listed gets another one.
    let text = both().replace("domain ", "key_algorithm = \"EC_prime256v1\"\ndomain ");
    let plan = planned(&super::config(&text), &observed, &state);
    apply(&plan, &mut observed, &mut state);
    let shown = lines(&plan);
    assert!(
        shown.iter().any(|line| line.contains(&format!("replace {address}"))),
        "{shown:#?}"
    );
    assert!(observed.found.iter().filter(is_listed).all(|actual| actual.id != id));
}
