//! The way back, the way forward again, and the way out, cut off anywhere.

use super::{
    End, Strict,
    any_to_any::{SiteWish, Wish, settled, world},
    first, last,
};
use crate::{
    config::Config,
    observed::{Observed, RecordSet},
    plan::Plan,
    planner::{DestroyOptions, destroy, rollback},
    resource::Kind,
};

fn wishes() -> Vec<Wish> {
    let site = |change: fn(&mut SiteWish)| {
        let mut site = SiteWish::default();
        change(&mut site);
        site
    };
    let shop = site(|site| {
        site.aliases = vec!["*.shop.example.com".to_owned(), "moved.example.com".to_owned()];
        site.instances = &["i-0a", "i-0b"];
    });
    let mut both = Wish::of(&[("www", SiteWish::default()), ("shop", shop)]);
    both.redirect = true;
    both.dual = true;
    let existing = site(|site| site.existing = true);
    vec![
        Wish::of(&[("www", SiteWish::default())]),
        both,
        Wish::of(&[
            ("www", existing.clone()),
            ("shop", existing.clone()),
            ("blog", existing),
        ]),
    ]
}

/// What somebody sees who knows nothing of the stack: address records and rules that are open to the world.
fn seen(observed: &Observed) -> (Vec<RecordSet>, Vec<String>) {
    let mut records: Vec<RecordSet> = observed
        .record_sets
        .iter()
        .filter(|set| set.record_type != "CNAME" || !set.name.as_str().starts_with('_'))
        .cloned()
        .collect();
    records.sort_by_key(|set| (set.name.to_string(), set.record_type.clone()));
    let mut rules: Vec<String> = observed
        .security_groups
        .iter()
        .flat_map(|(group, facts)| facts.ingress.values().map(move |rule| format!("{group} {}", rule.rule)))
        .collect();
    rules.sort();
    (records, rules)
}

fn back(strict: &mut Strict, config: &Config) -> Plan {
    strict.remembered.clear();
    rollback(config, &strict.observed, &strict.state, None).unwrap_or_else(|refused| strict.fail(&refused.to_string()))
}

fn away(strict: &mut Strict, config: &Config) -> Plan {
    strict.remembered.clear();
    let options = DestroyOptions::default();
    destroy(config, &strict.observed, &strict.state, options, super::now())
        .unwrap_or_else(|refused| strict.fail(&refused.to_string()))
}

fn finish(strict: &mut Strict, config: &Config, next: fn(&mut Strict, &Config) -> Plan) {
    for _ in 0..3 {
        let plan = next(strict, config);
        if plan.is_empty() {
            return;
        }
        strict.carry_out(&plan, End::Done, &mut last);
    }
    let plan = next(strict, config);
    if !plan.is_empty() {
        strict.fail(&format!("still to do: {:#?}", super::lines(&plan)));
    }
}

fn nothing_is_left(strict: &Strict, before: &Strict) {
    let made: Vec<_> = strict
        .observed
        .found
        .iter()
        .filter(|actual| actual.spec.kind() != Kind::Certificate || !actual.tags.is_empty())
        .collect();
    if !made.is_empty() {
        strict.fail(&format!("left over: {made:#?}"));
    }
    if seen(&strict.observed) != seen(&before.observed) {
        strict.fail(&format!(
            "{:#?} is not {:#?}",
            seen(&strict.observed),
            seen(&before.observed)
        ));
    }
    let state = &strict.state;
    if !state.resources.is_empty() || !state.retired.is_empty() || !state.saved.is_empty() {
        strict.fail(&format!("the state is not empty: {state:#?}"));
    }
}

#[test]
fn back_and_forward_and_back_again_serve_everybody() {
    for wish in wishes() {
        let (config, mut strict) = (wish.config(), settled(&wish));
        let before = seen(&start(&wish).observed);
        for _ in 0..2 {
            let whole = back(&mut strict, &config);
            for cut in 0..=whole.steps.len() {
                for end in [End::After(cut), End::Unrecorded(cut)] {
                    let mut other = strict.clone();
                    other.carry_out(&whole, end, &mut first);
                    finish(&mut other, &config, back);
                    let (records, _) = seen(&other.observed);
                    assert_eq!(records, before.0);
                    other.converge(&config, &mut first);
                }
            }
            finish(&mut strict, &config, back);
            strict.converge(&config, &mut last);
        }
    }
}

/// The world before the first run.
fn start(wish: &Wish) -> Strict {
    let config = wish.config();
    let mut strict = world(&config);
    super::any_to_any::lead_by_hand(&mut strict, &config);
    strict
}

#[test]
fn a_destruction_that_is_cut_off_anywhere_is_carried_on() {
    for wish in wishes() {
        let (config, strict, before) = (wish.config(), settled(&wish), start(&wish));
        let whole = away(&mut strict.clone(), &config);
        for cut in 0..=whole.steps.len() {
            for end in [End::After(cut), End::Unrecorded(cut)] {
                let mut strict = strict.clone();
                strict.carry_out(&whole, end, &mut first);
                finish(&mut strict, &config, away);
                nothing_is_left(&strict, &before);
            }
        }
    }
}

#[test]
fn what_a_first_run_that_was_killed_anywhere_has_made_is_destroyed() {
    for wish in wishes() {
        let (config, before) = (wish.config(), start(&wish));
        let mut strict = before.clone();
        let whole = strict.plan(&config).unwrap();
        for cut in 0..=whole.steps.len() {
            for end in [End::After(cut), End::Unrecorded(cut)] {
                let mut strict = before.clone();
                strict.carry_out(&whole, end, &mut last);
                finish(&mut strict, &config, away);
                nothing_is_left(&strict, &before);
            }
        }
    }
}

#[test]
fn a_replacement_that_was_killed_anywhere_is_destroyed() {
    let old = Wish::of(&[("www", SiteWish::default())]);
    let mut internal = old.clone();
    internal.internal = true;
    let mut plain = old.clone();
    plain.sites.get_mut("www").unwrap().plain = true;
    plain.sites.get_mut("www").unwrap().elliptic = true;
    let (from, before) = (settled(&old), start(&old));
    for new in [internal, plain] {
        let config = new.config();
        let whole = from.clone().plan(&config).unwrap();
        for cut in 0..=whole.steps.len() {
            for end in [End::After(cut), End::Unrecorded(cut)] {
                let mut strict = from.clone();
                strict.carry_out(&whole, end, &mut last);
                finish(&mut strict, &config, away);
                nothing_is_left(&strict, &before);
            }
        }
    }
}

#[test]
fn a_state_that_was_lost_in_the_middle_of_a_replacement_is_found_again() {
    let old = Wish::of(&[("www", SiteWish::default())]);
    let mut internal = old.clone();
    internal.internal = true;
    let mut plain = old.clone();
    plain.sites.get_mut("www").unwrap().plain = true;
    let mut elliptic = old.clone();
    elliptic.sites.get_mut("www").unwrap().elliptic = true;
    let from = settled(&old);
    for new in [internal, plain, elliptic] {
        let config = new.config();
        let whole = from.clone().plan(&config).unwrap();
        for cut in 0..=whole.steps.len() {
            let mut strict = from.clone();
            strict.served.clear();
            strict.carry_out(&whole, End::After(cut), &mut last);
            strict.served.clone_from(&settled(&new).served);
            strict.state = super::world::state(&config);
            strict.story.push("the state is lost".to_owned());
            strict.converge(&config, &mut first);
        }
    }
}

#[test]
fn whatever_records_stood_there_come_back_as_often_as_it_takes() {
    let record = super::world::record;
    let (a, aaaa) = ("203.0.113.10", "2001:db8::10");
    let stood = [
        vec![record(
            "www.example.com",
            "CNAME",
            120,
            &["ec2-203-0-113-10.compute-1.amazonaws.com"],
        )],
        vec![
            record("www.example.com", "A", 60, &[a]),
            record("www.example.com", "AAAA", 600, &[aaaa]),
        ],
        vec![record("www.example.com", "A", 60, &[a, "203.0.113.11"])],
    ];
    for sets in stood {
        let mut wish = Wish::of(&[("www", SiteWish::default())]);
        wish.sites.get_mut("www").unwrap().instances = &["i-0a", "i-0b"];
        let config = wish.config();
        let mut strict = world(&config);
        let observed = &mut strict.observed;
        let instance = observed.instances.get_mut(&"i-0a".parse().unwrap()).unwrap();
        instance.ipv6_addresses.insert(aaaa.parse().unwrap());
        observed.record_sets.clone_from(&sets);
        let before = strict.clone();
        for _ in 0..3 {
            strict.converge(&config, &mut first);
            finish(&mut strict, &config, back);
            assert_eq!(seen(&strict.observed).0, seen(&before.observed).0);
        }
        strict.converge(&config, &mut first);
        finish(&mut strict, &config, away);
        nothing_is_left(&strict, &before);
    }
}
