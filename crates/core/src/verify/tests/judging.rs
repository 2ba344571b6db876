//! What answers of the sites and the instances mean.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::now;
use crate::{value::Seconds, verify::*};

fn told(check: &Check) -> (Verdict, &str) {
    (check.verdict, check.message.as_str())
}

fn session(organization: &str, days: i64) -> Session {
    Session {
        version: "TLS 1.3".to_owned(),
        certificate: Some(ServedCertificate {
            issuer: format!("O={organization}"),
            issuer_organization: Some(organization.to_owned()),
            serial: "8f0a".to_owned(),
            not_after: now().checked_add(SignedDuration::from_hours(24 * days)).unwrap(),
        }),
        trust: Ok(()),
    }
}

fn page(status: u16) -> Answered {
    Answered {
        status,
        by_load_balancer: false,
        followed: None,
        session: session("Amazon", 100),
    }
}

fn visit() -> Visit {
    Visit {
        name: "www.example.com".parse().unwrap(),
        port: 443,
        pages: vec![
            Page {
                path: "/".to_owned(),
                codes: None,
            },
            Page {
                path: "/health".to_owned(),
                codes: Some("200,204".to_owned()),
            },
        ],
        certificate: Expected {
            is_imported: false,
            serial: Some("00:8F:0A".to_owned()),
        },
        now: now(),
        reach: Reach::Everybody,
    }
}

fn node(address: &str, answer: Result<Answered, Unanswered>) -> Node {
    Node {
        address: address.parse().unwrap(),
        answer,
    }
}

fn unanswered(is_unreachable: bool) -> Unanswered {
    Unanswered {
        is_unreachable,
        is_unresolved: false,
        said: "cannot connect".to_owned(),
        hint: "look at it".to_owned(),
    }
}

/// The verdicts of the checks that are not ok.
fn troubles(checks: &[Check]) -> Vec<(&str, Verdict)> {
    let troubles = checks.iter().filter(|check| check.verdict != Verdict::Ok);
    troubles.map(|check| (check.name.as_str(), check.verdict)).collect()
}

fn judged(visit: &Visit, start: Answered, health: Answered) -> Vec<Check> {
    visit.judge(&[
        Ok(vec![node("192.0.2.1", Ok(start))]),
        Ok(vec![node("192.0.2.1", Ok(health))]),
    ])
}

#[test]
fn a_site_that_answers_is_ok_in_every_line() {
    let checks = judged(&visit(), page(200), page(204));
    assert_eq!(troubles(&checks), []);
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "https",
            "certificate chain",
            "certificate issuer",
            "certificate lifetime",
            "certificate served",
            "page /",
            "page /health"
        ]
    );
}

#[test]
fn certificates_are_judged_line_by_line() {
    let with = |session: Session| {
        let answer = Answered { session, ..page(200) };
        let checks = judged(&visit(), answer.clone(), answer);
        troubles(&checks)
            .into_iter()
            .map(|(name, verdict)| (name.to_owned(), verdict))
            .collect::<Vec<_>>()
    };
    let one = |name: &str, verdict| vec![(name.to_owned(), verdict)];
    assert_eq!(
        with(session("Let's Encrypt", 100)),
        one("certificate issuer", Verdict::Failure)
    );
    assert_eq!(with(session("Amazon", 15)), []);
    assert_eq!(
        with(session("Amazon", 13)),
        one("certificate lifetime", Verdict::Warning)
    );
    assert_eq!(
        with(session("Amazon", -1)),
        one("certificate lifetime", Verdict::Failure)
    );
    let untrusted = Session {
        trust: Err(("wrong name".to_owned(), "look".to_owned())),
        ..session("Amazon", 100)
    };
    assert_eq!(with(untrusted), one("certificate chain", Verdict::Failure));
    let mut other = session("Amazon", 100);
    other.certificate.as_mut().unwrap().serial = "8f0b".to_owned();
    assert_eq!(with(other), one("certificate served", Verdict::Failure));
}

#[test]
fn an_imported_certificate_of_another_authority_is_a_warning() {
    let mut visit = visit();
    visit.certificate = Expected {
        is_imported: true,
        serial: None,
    };
    let answer = Answered {
        session: session("Let's Encrypt", 100),
        ..page(200)
    };
    assert_eq!(
        troubles(&judged(&visit, answer.clone(), answer)),
        [
            ("certificate issuer", Verdict::Warning),
            ("certificate served", Verdict::Unknown)
        ]
    );
}

#[test]
fn the_worst_node_counts() {
    let good = || vec![node("192.0.2.1", Ok(page(200))), node("192.0.2.2", Ok(page(200)))];
    let mut old = page(200);
    old.session = session("Amazon", 3);
    let checks = visit().judge(&[
        Ok(vec![node("192.0.2.1", Ok(page(200))), node("192.0.2.2", Ok(old))]),
        Ok(good()),
    ]);
    assert_eq!(troubles(&checks), [("certificate lifetime", Verdict::Warning)]);
    let checks = visit().judge(&[
        Ok(good()),
        Ok(vec![node("192.0.2.1", Ok(page(200))), node("192.0.2.2", Ok(page(503)))]),
    ]);
    assert_eq!(troubles(&checks), [("page /health", Verdict::Failure)]);
}

#[test]
fn status_codes_mean_different_things() {
    let lines = |start: Answered| {
        let checks = judged(&visit(), start, page(200));
        let check = checks.into_iter().find(|check| check.name == "page /").unwrap();
        (check.verdict, check.message, check.remedy)
    };
    for (status, verdict) in [
        (200, Verdict::Ok),
        (401, Verdict::Ok),
        (404, Verdict::Warning),
        (500, Verdict::Failure),
    ] {
        assert_eq!(lines(page(status)).0, verdict, "{status}");
    }
    for (status, verdict, said) in [
        (403, Verdict::Warning, "AWS WAF"),
        (503, Verdict::Failure, "no instance is registered"),
        (504, Verdict::Failure, "within 10 s"),
    ] {
        let (found, message, remedy) = lines(Answered {
            by_load_balancer: true,
            ..page(status)
        });
        assert_eq!(found, verdict, "{status}");
        assert!(
            message.contains("itself") && remedy.contains(said),
            "{message} {remedy}"
        );
    }
    for (followed, verdict) in [
        (Followed::Endless("redirect loop".to_owned()), Verdict::Failure),
        (Followed::Broken("no answer".to_owned()), Verdict::Warning),
        (
            Followed::Page {
                url: "https://www.example.com/en".to_owned(),
                status: 200,
            },
            Verdict::Ok,
        ),
        (
            Followed::Page {
                url: "https://www.example.com/en".to_owned(),
                status: 502,
            },
            Verdict::Failure,
        ),
    ] {
        let answer = Answered {
            followed: Some(followed.clone()),
            ..page(302)
        };
        assert_eq!(lines(answer).0, verdict, "{followed:?}");
    }
    // Visitors may get another page than the health check.
    assert_eq!(
        troubles(&judged(&visit(), page(200), page(404))),
        [("page /health", Verdict::Warning)]
    );
}

#[test]
fn without_a_connection_only_that_line_fails() {
    let refused = || Ok(vec![node("192.0.2.1", Err(unanswered(true)))]);
    let checks = visit().judge(&[refused(), refused()]);
    assert_eq!(troubles(&checks)[0], ("https", Verdict::Failure));
    assert!(
        troubles(&checks)[1..]
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::Unknown)
    );
    assert_eq!(checks.len(), 7);
    let mut private = visit();
    private.reach = Reach::Some("the load balancer is internal");
    let checks = private.judge(&[refused(), refused()]);
    assert!(
        checks.iter().all(|check| check.verdict == Verdict::Unknown),
        "{checks:?}"
    );
    // Many machines have no IPv6.
    let mixed = || {
        Ok(vec![
            node("192.0.2.1", Ok(page(200))),
            node("2001:db8::1", Err(unanswered(true))),
        ])
    };
    let checks = visit().judge(&[mixed(), mixed()]);
    assert_eq!(troubles(&checks), []);
    assert!(checks[0].message.contains("not reachable from here: 2001:db8::1"));
}

fn http(mode: HttpMode) -> PlainHttp {
    PlainHttp {
        name: "www.example.com".parse().unwrap(),
        mode,
        https_ports: BTreeSet::from([443, 8443]),
        reach: Reach::Everybody,
    }
}

#[test]
fn plain_http_is_closed_or_redirects() {
    let closed = HttpAnswer::Closed("connection refused".to_owned());
    let redirect = |status, location: &str| HttpAnswer::Answered {
        status,
        location: Some(location.to_owned()),
    };
    let page = HttpAnswer::Answered {
        status: 200,
        location: None,
    };
    for (mode, answer, verdict) in [
        (HttpMode::Closed, closed.clone(), Verdict::Ok),
        (HttpMode::Closed, page.clone(), Verdict::Failure),
        (
            HttpMode::Closed,
            HttpAnswer::Unresolved("NXDOMAIN".to_owned()),
            Verdict::Unknown,
        ),
        (HttpMode::Redirect, closed, Verdict::Failure),
        (HttpMode::Redirect, page, Verdict::Failure),
        (
            HttpMode::Redirect,
            redirect(301, "https://www.example.com/"),
            Verdict::Ok,
        ),
        (
            HttpMode::Redirect,
            redirect(301, "https://www.example.com:8443/"),
            Verdict::Ok,
        ),
        (
            HttpMode::Redirect,
            redirect(301, "https://www.example.com:9443/"),
            Verdict::Failure,
        ),
        (
            HttpMode::Redirect,
            redirect(302, "https://www.example.com/"),
            Verdict::Failure,
        ),
        (
            HttpMode::Redirect,
            redirect(301, "http://www.example.com/"),
            Verdict::Failure,
        ),
        (
            HttpMode::Redirect,
            redirect(301, "https://elsewhere.example.net/"),
            Verdict::Failure,
        ),
        (
            HttpMode::Redirect,
            HttpAnswer::Odd("no HTTP".to_owned()),
            Verdict::Failure,
        ),
    ] {
        assert_eq!(http(mode).judge(&answer).verdict, verdict, "{mode:?} {answer:?}");
    }
}

#[test]
fn a_back_door_is_judged_by_rules_drain_and_configuration() {
    let door = |open: bool, is_wanted_closed, phase| Door {
        instance: "i-0a".parse().unwrap(),
        address: "203.0.113.10".parse().unwrap(),
        port: 443,
        open_rules: if open {
            vec!["sgr-1 in sg-a (tcp 443 0.0.0.0/0)".to_owned()]
        } else {
            Vec::new()
        },
        is_wanted_closed,
        phase,
    };
    let until = Phase::Draining(Some(now()));
    for (open, wanted_closed, phase, tried, verdict) in [
        (true, true, Phase::Done, Ok(()), Verdict::Failure),
        (true, true, until, Ok(()), Verdict::Warning),
        (true, true, Phase::Before, Ok(()), Verdict::Warning),
        (true, false, Phase::Done, Ok(()), Verdict::Ok),
        // This network is let in, and not everybody.
        (false, true, Phase::Done, Ok(()), Verdict::Warning),
        (false, true, Phase::Done, Err(Closed::Silent), Verdict::Ok),
        (false, true, Phase::Done, Err(Closed::Refused), Verdict::Ok),
        // Nothing listens, or something on the way from here is in between.
        (true, true, Phase::Done, Err(Closed::Refused), Verdict::Warning),
        (true, true, until, Err(Closed::Silent), Verdict::Ok),
        (
            false,
            true,
            Phase::Done,
            Err(Closed::NotTried("no route".to_owned())),
            Verdict::Unknown,
        ),
    ] {
        let check = door(open, wanted_closed, phase).judge(&tried);
        assert_eq!(
            check.verdict, verdict,
            "{open} {wanted_closed} {phase:?} {tried:?}: {check:?}"
        );
        assert!(check.verdict == Verdict::Ok || !check.remedy.is_empty(), "{check:?}");
    }
    let check = door(true, true, until).judge(&Ok(()));
    assert_eq!(
        told(&check),
        (
            Verdict::Warning,
            "203.0.113.10:443 still answers without the load balancer"
        )
    );
    assert!(check.remedy.contains("2026-06-01"), "{check:?}");
}

#[test]
fn a_zone_is_delegated_where_its_name_servers_are() {
    let probe = DelegationProbe {
        zone: "example.com".parse().unwrap(),
        name_servers: BTreeSet::from(["ns-1.awsdns-01.com".to_owned()]),
    };
    let servers = |name: &str| vec![name.to_owned()];
    assert_eq!(
        judge_delegation(&probe, Ok(&servers("NS-1.awsdns-01.com."))).verdict,
        Verdict::Ok
    );
    assert_eq!(
        judge_delegation(&probe, Ok(&servers("ns.example.net"))).verdict,
        Verdict::Failure
    );
    assert_eq!(judge_delegation(&probe, Ok(&[])).verdict, Verdict::Failure);
    assert_eq!(judge_delegation(&probe, Err("no answer")).verdict, Verdict::Unknown);
}

#[test]
fn moves_that_are_further_from_their_end_come_later() {
    let later = now().checked_add(Seconds::new(60).duration()).unwrap();
    let phases = [
        Phase::Done,
        Phase::Draining(Some(now())),
        Phase::Draining(Some(later)),
        Phase::Draining(None),
        Phase::OnTheWay,
        Phase::Before,
    ];
    assert!(phases.is_sorted_by_key(|phase| phase.distance()));
}
