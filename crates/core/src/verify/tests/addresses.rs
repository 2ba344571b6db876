//! What answers of DNS mean.

use std::collections::BTreeSet;

use super::now;
use crate::verify::*;

fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn addresses(place: Place, phase: Phase) -> Addresses {
    Addresses {
        name: "www.example.com".parse().unwrap(),
        family: Family::A,
        place,
        port: 443,
        load_balancer: Some("lb.example.net".to_owned()),
        instances: set(&["203.0.113.10"]),
        phase,
    }
}

fn answered(addresses: Result<&[&str], NoAddress>) -> AddressAnswer {
    AddressAnswer {
        server: "ns-1".to_owned(),
        addresses: addresses.map(set),
    }
}

fn name_servers() -> Place {
    Place::NameServers(BTreeSet::from(["ns-1".to_owned()]))
}

#[test]
fn a_name_leads_to_the_load_balancer_if_any_address_is_its() {
    let balancer = Ok(set(&["192.0.2.1", "192.0.2.2"]));
    let judge = |answers: &[AddressAnswer]| addresses(name_servers(), Phase::Done).judge(answers, &balancer);
    // Load balancers answer some of their addresses at a time.
    let check = judge(&[
        answered(Ok(&["192.0.2.2", "192.0.2.3"])),
        answered(Err(NoAddress::NotAsked("no answer in time".to_owned()))),
    ]);
    assert_eq!(check.verdict, Verdict::Ok);
    assert!(
        check.message.ends_with("not asked: ns-1: no answer in time"),
        "{check:?}"
    );
    assert_eq!(
        (check.subject.as_str(), check.name.as_str()),
        ("www.example.com", "A at the name servers")
    );
    for (answer, said) in [
        (Ok(&["192.0.2.9"][..]), "leads elsewhere (192.0.2.9)"),
        (Ok(&[][..]), "knows no IPv4 address"),
        (
            Ok(&["192.0.2.1", "203.0.113.10"][..]),
            "leads to the instance (203.0.113.10)",
        ),
        (Err(NoAddress::NoSuchName), "NXDOMAIN"),
        (
            Err(NoAddress::Refused("answers `Query Refused`".to_owned())),
            "Query Refused",
        ),
    ] {
        // One that is wrong is enough, whatever the others say.
        let check = judge(&[answered(Ok(&["192.0.2.1"])), answered(answer)]);
        assert_eq!(check.verdict, Verdict::Failure, "{check:?}");
        assert!(check.message.contains(said) && !check.remedy.is_empty(), "{check:?}");
    }
}

#[test]
fn a_resolver_may_remember_while_the_drain_is_under_way() {
    let balancer = Ok(set(&["192.0.2.1"]));
    let old = [answered(Ok(&["203.0.113.10"]))];
    let until = Some(now());
    for (place, phase, verdict, remedy) in [
        (Place::Resolver, Phase::Done, Verdict::Failure, "resolver"),
        (Place::Resolver, Phase::Draining(until), Verdict::Warning, "2026-06-01"),
        (Place::Resolver, Phase::OnTheWay, Verdict::Warning, "in a minute"),
        (Place::Resolver, Phase::Before, Verdict::Failure, "run `reconcile`"),
        (
            name_servers(),
            Phase::Draining(until),
            Verdict::Failure,
            "somebody changed",
        ),
        (name_servers(), Phase::OnTheWay, Verdict::Warning, "in a minute"),
    ] {
        let check = addresses(place, phase).judge(&old, &balancer);
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert!(check.remedy.contains(remedy), "{check:?}");
    }
}

#[test]
fn what_cannot_be_asked_is_unknown() {
    let balancer = Ok(set(&["192.0.2.1"]));
    let silent = answered(Err(NoAddress::NotAsked("no answer".to_owned())));
    let ask = addresses(name_servers(), Phase::Done);
    assert_eq!(
        ask.judge(&[silent.clone(), silent], &balancer).verdict,
        Verdict::Unknown
    );
    let given = [answered(Err(NoAddress::Given))];
    assert_eq!(ask.judge(&given, &balancer).verdict, Verdict::Unknown);
    // Without the load balancer's addresses only the instances can be told.
    let unknown = Err("no answer".to_owned());
    let check = ask.judge(&[answered(Ok(&["192.0.2.1"]))], &unknown);
    assert_eq!(check.verdict, Verdict::Unknown);
    let check = ask.judge(&[answered(Ok(&["203.0.113.10"]))], &unknown);
    assert_eq!(check.verdict, Verdict::Failure);
    // A load balancer that has just become dual stack.
    let check = ask.judge(&[answered(Ok(&[]))], &Ok(BTreeSet::new()));
    assert_eq!(check.verdict, Verdict::Warning);
}
