//! What the emulated DNS says about a name: pure lookups in the emulated zones.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::model::{RecordSet, World, Zone};

/// The TTL of a name server's address; Route 53's own.
const NAME_SERVER_TTL: u32 = 172_800;
/// Chains of CNAMEs and aliases longer than this are given up.
const MAXIMUM_CHAIN: usize = 8;

/// One answered record, in the notation of zone files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) ttl: u32,
    pub(crate) value: String,
}

/// The answer to one question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Whether the name does not exist at all.
    pub(crate) no_such_name: bool,
    pub(crate) records: Vec<Answered>,
    /// For an empty answer: the start of authority that says how long it holds.
    pub(crate) authority: Option<Answered>,
}

/// Where a load balancer answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) ipv4: Vec<Ipv4Addr>,
    /// Whether it answers by IPv6 too. Loopback has one address of IPv6 only, so the IPv4 addresses stand for more, in
    /// the form for sockets of IPv6 (RFC 4291, 2.5.5.2): whoever connects there reaches the same listeners.
    pub(crate) dualstack: bool,
}

impl Addresses {
    fn of_kind(&self, kind: &str) -> Vec<String> {
        let addresses = self.ipv4.iter();
        match kind {
            "A" => addresses.map(Ipv4Addr::to_string).collect(),
            "AAAA" if self.dualstack => addresses.map(|it| it.to_ipv6_mapped().to_string()).collect(),
            _ => Vec::new(),
        }
    }
}

/// Everything that names are looked up in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory<'a> {
    pub(crate) world: &'a World,
    /// The load balancers by their DNS names, in lower case and without a trailing dot.
    pub(crate) load_balancers: &'a HashMap<String, Addresses>,
    /// The TTL of a load balancer's addresses, under its own name and through an alias.
    pub(crate) load_balancer_ttl: u32,
    /// The DNS server's own address, which all name servers of Route 53 have here.
    pub(crate) name_server: Ipv4Addr,
}

impl Directory<'_> {
    /// Answers a question, following CNAMEs and aliases as far as the emulated world goes.
    pub(crate) fn answer(&self, name: &str, kind: &str) -> Answer {
        self.lookup(&normal(name), kind, 0)
    }

    fn lookup(&self, name: &str, kind: &str, depth: usize) -> Answer {
        if depth > MAXIMUM_CHAIN {
            return Answer::default();
        }
        if is_load_balancer_name(name) {
            return self.load_balancer(name, kind);
        }
        if name.contains(".awsdns-") {
            return self.name_server_address(name, kind);
        }
        let Some(zone) = self.zone(name) else {
            return Answer {
                no_such_name: true,
                ..Answer::default()
            };
        };
        let Some(records) = records_at(zone, name) else {
            return Answer {
                no_such_name: true,
                records: Vec::new(),
                authority: Some(start_of_authority(zone)),
            };
        };

        let cname = records.iter().find(|set| set.kind == "CNAME");
        if let Some(cname) = cname.filter(|_| kind != "CNAME") {
            let mut answer = Answer {
                records: self.plain(cname, name),
                ..Answer::default()
            };
            if let Some(target) = cname.values.first() {
                let rest = self.lookup(&normal(target), kind, depth + 1);
                answer.no_such_name = rest.no_such_name;
                answer.records.extend(rest.records);
                answer.authority = rest.authority;
            }
            return answer;
        }

        let mut found = Vec::new();
        // Of weighted and similar sets one is answered, as a single resolver would see it.
        if let Some(set) = records.iter().find(|set| set.kind == kind) {
            found = match &set.alias {
                None => self.plain(set, name),
                Some(alias) => {
                    let target = self.lookup(&normal(&alias.name), kind, depth + 1);
                    let of_kind = target.records.into_iter().filter(|it| it.kind == kind);
                    of_kind
                        .map(|record| Answered {
                            name: name.to_owned(),
                            ..record
                        })
                        .collect()
                }
            };
        } else if kind == "SOA" && normal(&zone.name) == name {
            found.push(start_of_authority(zone));
        }
        let authority = found.is_empty().then(|| start_of_authority(zone));
        Answer {
            no_such_name: false,
            records: found,
            authority,
        }
    }

    /// The records of a set. An AAAA record of an instance's address leads to its IPv4 address in the form for IPv6, as
    /// with load balancers: the address itself belongs to somebody out in the world.
    fn plain(&self, set: &RecordSet, name: &str) -> Vec<Answered> {
        let mut records = plain(set, name);
        for record in records.iter_mut().filter(|record| record.kind == "AAAA") {
            let beside = record
                .value
                .parse()
                .ok()
                .and_then(|it| self.world.public_address_beside(it));
            if let Some(address) = beside {
                record.value = address.to_ipv6_mapped().to_string();
            }
        }
        records
    }

    /// The public zone that is authoritative for a name: the one with the longest name above it.
    fn zone(&self, name: &str) -> Option<&Zone> {
        self.world
            .zones
            .iter()
            .filter(|zone| !zone.private && lies_in(name, &normal(&zone.name)))
            // The first of several zones of one name; `max_by_key` alone would take the last.
            .rev()
            .max_by_key(|zone| zone.name.len())
    }

    fn load_balancer(&self, name: &str, kind: &str) -> Answer {
        let own_name = name.strip_prefix("dualstack.").unwrap_or(name);
        let Some(addresses) = self.load_balancers.get(own_name) else {
            return Answer {
                no_such_name: true,
                ..Answer::default()
            };
        };
        let values = addresses.of_kind(kind).into_iter();
        let records = values
            .map(|value| Answered {
                name: name.to_owned(),
                kind: kind.to_owned(),
                ttl: self.load_balancer_ttl,
                value,
            })
            .collect();
        Answer {
            records,
            ..Answer::default()
        }
    }

    fn name_server_address(&self, name: &str, kind: &str) -> Answer {
        let record = Answered {
            name: name.to_owned(),
            kind: "A".to_owned(),
            ttl: NAME_SERVER_TTL,
            value: self.name_server.to_string(),
        };
        Answer {
            records: if kind == "A" { vec![record] } else { Vec::new() },
            ..Answer::default()
        }
    }
}

/// A name in lower case, without a trailing dot, and with a star as a star: Route 53 writes it `\052`.
pub(crate) fn normal(name: &str) -> String {
    name.trim_end_matches('.').replace("\\052", "*").to_ascii_lowercase()
}

fn is_load_balancer_name(name: &str) -> bool {
    [".elb.amazonaws.com", ".elb.amazonaws.com.cn"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

fn lies_in(name: &str, ancestor: &str) -> bool {
    name.strip_suffix(ancestor)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The record sets that answer for a name, by wildcard if need be; none if the name does not exist, an empty list if
/// only names below it do.
fn records_at<'a>(zone: &'a Zone, name: &str) -> Option<Vec<&'a RecordSet>> {
    let at = |wanted: &str| -> Vec<&'a RecordSet> {
        let sets = zone.records.iter();
        sets.filter(|set| normal(&set.name) == wanted).collect()
    };
    let apex = normal(&zone.name);
    let exists = |wanted: &str| wanted == apex || zone.records.iter().any(|set| lies_in(&normal(&set.name), wanted));
    if exists(name) {
        return Some(at(name));
    }
    // A wildcard counts only directly below the closest name that exists (RFC 4592).
    let mut encloser = name;
    while let Some((_, parent)) = encloser.split_once('.') {
        encloser = parent;
        if exists(encloser) {
            break;
        }
    }
    let wildcard = at(&format!("*.{encloser}"));
    (!wildcard.is_empty()).then_some(wildcard)
}

fn plain(set: &RecordSet, name: &str) -> Vec<Answered> {
    set.values
        .iter()
        .map(|value| Answered {
            name: name.to_owned(),
            kind: set.kind.clone(),
            ttl: set.ttl.unwrap_or_default(),
            value: value.clone(),
        })
        .collect()
}

fn start_of_authority(zone: &Zone) -> Answered {
    let apex = normal(&zone.name);
    let own = zone
        .records
        .iter()
        .find(|set| set.kind == "SOA" && normal(&set.name) == apex)
        .and_then(|set| plain(set, &apex).pop());
    own.unwrap_or_else(|| {
        let server = zone.name_servers.first().map_or("ns-1.awsdns-01.com", |it| it);
        Answered {
            name: apex,
            kind: "SOA".to_owned(),
            ttl: 900,
            value: format!("{server}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn world() -> World {
        serde_json::from_value(json!({ "zones": [
            { "id": "Z1", "name": "example.com.", "private": false, "name_servers": ["ns-1.awsdns-01.com"],
              "records": [
                { "name": "www.example.com.", "type": "A", "ttl": 300, "values": ["127.1.2.10"] },
                { "name": "six.example.com.", "type": "AAAA", "ttl": 5, "values": ["2001:db8:0::5", "2001:db8::6"] },
                { "name": "www.example.com.", "type": "TXT", "ttl": 60, "values": ["\"hello\""] },
                { "name": "example.com.", "type": "A", "ttl": null, "values": [],
                  "alias": { "name": "dualstack.Web-1.ap-northeast-1.elb.amazonaws.com.", "zone_id": "Z" } },
                { "name": "copy.example.com.", "type": "A", "ttl": null, "values": [],
                  "alias": { "name": "www.example.com.", "zone_id": "Z1" } },
                { "name": "lost.example.com.", "type": "A", "ttl": null, "values": [],
                  "alias": { "name": "gone.ap-northeast-1.elb.amazonaws.com.", "zone_id": "Z" } },
                { "name": "old.example.com.", "type": "CNAME", "ttl": 120, "values": ["www.example.com"] },
                { "name": "away.example.com.", "type": "CNAME", "ttl": 120, "values": ["elsewhere.net."] },
                { "name": "loop.example.com.", "type": "CNAME", "ttl": 1, "values": ["loop.example.com."] },
                { "name": "\\052.w.example.com.", "type": "A", "ttl": 5, "values": ["127.1.2.11"] },
                { "name": "a.b.w.example.com.", "type": "A", "ttl": 5, "values": ["127.1.2.12"] },
                { "name": "weighted.example.com.", "type": "A", "ttl": 5, "values": ["127.1.2.13"], "set_identifier": "1" },
                { "name": "weighted.example.com.", "type": "A", "ttl": 5, "values": ["127.1.2.14"], "set_identifier": "2" },
              ] },
            { "id": "Z2", "name": "sub.example.com.", "private": false, "name_servers": [], "records": [
                { "name": "x.sub.example.com.", "type": "A", "ttl": 7, "values": ["127.1.2.15"] } ] },
            { "id": "Z3", "name": "private.example.com.", "private": true, "name_servers": [], "records": [
                { "name": "private.example.com.", "type": "A", "ttl": 7, "values": ["10.0.0.1"] } ] },
        ], "instances": [{ "id": "i-1", "public_address": "127.1.2.10", "ipv6_addresses": ["2001:db8::5"] }] }))
        .unwrap()
    }

    fn ask(name: &str, kind: &str) -> Answer {
        let world = world();
        let addresses = |dualstack| Addresses {
            ipv4: vec![Ipv4Addr::new(127, 1, 2, 100), Ipv4Addr::new(127, 1, 2, 101)],
            dualstack,
        };
        let load_balancers = [("web-1", false), ("both-1", true)]
            .map(|(name, dualstack)| (format!("{name}.ap-northeast-1.elb.amazonaws.com"), addresses(dualstack)))
            .into();
        let directory = Directory {
            world: &world,
            load_balancers: &load_balancers,
            load_balancer_ttl: super::super::LOAD_BALANCER_TTL,
            name_server: Ipv4Addr::new(127, 1, 2, 53),
        };
        directory.answer(name, kind)
    }

    fn lines(answer: &Answer) -> Vec<String> {
        let line = |it: &Answered| format!("{} {} {} {}", it.name, it.ttl, it.kind, it.value);
        answer.records.iter().map(line).collect()
    }

    #[test]
    fn plain_records_answer_in_any_case() {
        assert_eq!(
            lines(&ask("WWW.Example.com.", "A")),
            ["www.example.com 300 A 127.1.2.10"]
        );
        assert_eq!(
            lines(&ask("www.example.com.", "TXT")),
            ["www.example.com 60 TXT \"hello\""]
        );
        assert_eq!(
            lines(&ask("x.sub.example.com.", "A")),
            ["x.sub.example.com 7 A 127.1.2.15"]
        );
        assert_eq!(
            lines(&ask("weighted.example.com.", "A")),
            ["weighted.example.com 5 A 127.1.2.13"]
        );
    }

    #[test]
    fn an_alias_answers_with_the_load_balancers_addresses() {
        assert_eq!(
            lines(&ask("example.com.", "A")),
            ["example.com 60 A 127.1.2.100", "example.com 60 A 127.1.2.101"]
        );
        assert_eq!(
            lines(&ask("copy.example.com.", "A")),
            ["copy.example.com 300 A 127.1.2.10"]
        );
        let lost = ask("lost.example.com.", "A");
        assert!(lost.records.is_empty() && !lost.no_such_name && lost.authority.is_some());
        let no_ipv6 = ask("example.com.", "AAAA");
        assert!(no_ipv6.records.is_empty() && !no_ipv6.no_such_name);
    }

    #[test]
    fn a_dualstack_load_balancer_has_addresses_of_both_kinds() {
        let name = "dualstack.both-1.ap-northeast-1.elb.amazonaws.com";
        assert_eq!(ask(name, "A").records.len(), 2);
        assert_eq!(
            lines(&ask(name, "AAAA")),
            [
                format!("{name} 60 AAAA ::ffff:127.1.2.100"),
                format!("{name} 60 AAAA ::ffff:127.1.2.101")
            ]
        );
        assert!(lines(&ask(&name.replace("both", "web"), "AAAA")).is_empty());
    }

    #[test]
    fn ipv6_addresses_of_instances_stay_on_loopback() {
        assert_eq!(
            lines(&ask("six.example.com", "AAAA")),
            [
                "six.example.com 5 AAAA ::ffff:127.1.2.10",
                "six.example.com 5 AAAA 2001:db8::6"
            ]
        );
    }

    #[test]
    fn load_balancers_have_names_of_their_own() {
        let own = ask("Web-1.ap-northeast-1.elb.amazonaws.com.", "A");
        assert_eq!(own.records.len(), 2);
        assert!(own.records.iter().all(|it| it.ttl == 60));
        assert_eq!(
            ask("dualstack.web-1.ap-northeast-1.elb.amazonaws.com.", "A")
                .records
                .len(),
            2
        );
        assert!(ask("other.ap-northeast-1.elb.amazonaws.com.", "A").no_such_name);
    }

    #[test]
    fn cnames_are_followed() {
        assert_eq!(
            lines(&ask("old.example.com.", "A")),
            [
                "old.example.com 120 CNAME www.example.com",
                "www.example.com 300 A 127.1.2.10"
            ]
        );
        assert_eq!(lines(&ask("old.example.com.", "CNAME")).len(), 1);
        let away = ask("away.example.com.", "A");
        assert_eq!(away.records.len(), 1);
        assert!(away.no_such_name);
        assert!(ask("loop.example.com.", "A").records.len() < 20);
    }

    #[test]
    fn wildcards_answer_below_the_closest_encloser() {
        assert_eq!(lines(&ask("z.w.example.com.", "A")), ["z.w.example.com 5 A 127.1.2.11"]);
        assert_eq!(
            lines(&ask("y.z.w.example.com.", "A")),
            ["y.z.w.example.com 5 A 127.1.2.11"]
        );
        let empty = ask("b.w.example.com.", "A");
        assert!(!empty.no_such_name && empty.records.is_empty());
        assert!(ask("c.b.w.example.com.", "A").no_such_name);
    }

    #[test]
    fn what_is_not_there_says_for_how_long() {
        let missing = ask("nothing.example.com.", "A");
        assert!(missing.no_such_name);
        assert_eq!(missing.authority.unwrap().ttl, 900);
        assert_eq!(lines(&ask("example.com.", "SOA")).len(), 1);
        assert!(ask("private.example.com.", "A").no_such_name);
        assert!(ask("elsewhere.net.", "A").no_such_name);
        assert!(ask("notexample.com.", "A").no_such_name);
    }
}
