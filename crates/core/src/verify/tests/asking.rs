//! What is asked of a world.

use std::collections::BTreeMap;

use super::now;
use crate::{
    observed::{GroupFacts, GroupRule, Identity, Instance, RecordSet},
    resource::{LoadBalancer, Outputs, Ref, Tags},
    state::Cutover,
    value::Seconds,
    verify::*,
};

const CONFIG: &str = r#"
name = "web"
[site.www]
domain = "www.example.com"
aliases = ["*.example.com"]
instance = "i-0a"
health = { path = "/health" }
"#;

fn config(more: &str) -> Config {
    Config::read("test", &format!("{CONFIG}{more}")).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn observed(config: &Config) -> Observed {
    let instance = Instance {
        state: "running".to_owned(),
        vpc: "vpc-1".parse().unwrap(),
        subnet: "subnet-a".parse().unwrap(),
        availability_zone: "ap-northeast-1a".to_owned(),
        public_address: Some("203.0.113.10".parse().unwrap()),
        elastic: true,
        ipv6_addresses: BTreeSet::from(["2001:db8::10".parse().unwrap()]),
        private_address: Some("10.0.0.5".parse().unwrap()),
        primary_interface: "eni-a".to_owned(),
        security_groups: BTreeSet::from(["sg-a".parse().unwrap()]),
    };
    let rule = |text: &str| GroupRule {
        rule: text.parse().unwrap(),
        description: None,
        tags: Tags::new(),
    };
    let group = GroupFacts {
        name: "web".to_owned(),
        vpc: "vpc-1".parse().unwrap(),
        owner: "123456789012".parse().unwrap(),
        ingress: BTreeMap::from([
            ("sgr-1".to_owned(), rule("tcp 443 0.0.0.0/0")),
            ("sgr-2".to_owned(), rule("tcp 22 ::/0")),
            ("sgr-3".to_owned(), rule("tcp 80 198.51.100.0/24")),
        ]),
        tags: Tags::new(),
    };
    let balancer = Actual {
        id: "arn:lb".to_owned(),
        spec: crate::resource::Spec::LoadBalancer(LoadBalancer {
            name: "web-alb".to_owned(),
            scheme: Scheme::InternetFacing,
            vpc: "vpc-1".parse().unwrap(),
            ip_address_type: IpAddressType::Ipv4,
            subnets: BTreeSet::new(),
            security_group: Ref::Known("sg-lb".to_owned()),
            attributes: BTreeMap::new(),
            tags: Tags::new(),
        }),
        outputs: Outputs::from([(Output::DnsName, "lb.example.net".to_owned())]),
        status: Status::LoadBalancer {
            state: "active".to_owned(),
            reason: None,
        },
        tags: naming::ownership(&config.name, &load_balancer_address()),
    };
    Observed {
        identity: Identity {
            account: "123456789012".parse().unwrap(),
            region: "ap-northeast-1".parse().unwrap(),
            partition: "aws".to_owned(),
        },
        instances: BTreeMap::from([("i-0a".parse().unwrap(), instance)]),
        subnets: Vec::new(),
        security_groups: BTreeMap::from([("sg-a".parse().unwrap(), group)]),
        interfaces: Vec::new(),
        zones: vec![HostedZone {
            id: "Z1".parse().unwrap(),
            name: "example.com".parse().unwrap(),
            private: false,
            linked_service: None,
        }],
        record_sets: vec![RecordSet {
            zone: "Z1".parse().unwrap(),
            name: "example.com".parse().unwrap(),
            record_type: "NS".to_owned(),
            ttl: Some(172_800),
            values: vec!["NS-1.awsdns-01.com.".to_owned()],
            alias: None,
            set_identifier: None,
            traffic_policy_instance: None,
        }],
        tls_policies: BTreeSet::new(),
        found: vec![balancer],
    }
}

fn moved(config: &Config, hours_ago: i64) -> State {
    let mut state = State::empty(config.name.clone(), "lineage".to_owned());
    for name in config.sites.values().flat_map(Site::names) {
        let ago = jiff::SignedDuration::from_hours(hours_ago);
        let cutover = Cutover {
            dns_change: None,
            old_ttl: Seconds::new(300),
            in_sync_at: Some(now().checked_sub(ago).unwrap()),
            found: false,
        };
        state.cutovers.insert(record_address(name), cutover);
    }
    state
}

fn lines(questions: &[Question]) -> Vec<String> {
    questions
        .iter()
        .map(|question| match question {
            Question::Settled(check) => format!("{}: {}", check.subject, check.message),
            Question::Delegation(probe) => format!("delegation of {}", probe.zone),
            Question::Addresses(it) => {
                let place = match &it.place {
                    Place::NameServers(servers) => list(servers),
                    Place::Resolver => "the resolver".to_owned(),
                };
                format!("{} of {} at {place}, {:?}", it.family.name(), it.name, it.phase)
            }
            Question::Visit(it) => {
                let paths = it.pages.iter().map(|page| page.path.as_str());
                format!("visit {}:{} {}", it.name, it.port, list(paths))
            }
            Question::PlainHttp(it) => format!("http {} {:?}", it.name, it.mode),
            Question::Door(it) => format!("door {} [{}]", it.at(), list(&it.open_rules)),
        })
        .collect()
}

#[test]
fn every_name_is_asked_for_in_every_place() {
    let config = config("");
    let questions = questions(&config, None, &observed(&config), &moved(&config, 24), now());
    assert_eq!(
        lines(&questions),
        [
            "delegation of example.com",
            "A of www.example.com at ns-1.awsdns-01.com, Done",
            "A of www.example.com at the resolver, Done",
            "visit www.example.com:443 /, /health",
            "http www.example.com Closed",
            // Nobody visits a wildcard itself.
            "A of *.example.com at ns-1.awsdns-01.com, Done",
            "A of *.example.com at the resolver, Done",
            "door 203.0.113.10:80 []",
            "door 203.0.113.10:443 [sgr-1 in sg-a (tcp 443 0.0.0.0/0)]",
            "door [2001:db8::10]:80 []",
            "door [2001:db8::10]:443 []",
        ]
    );
}

#[test]
fn sites_share_a_load_balancer_and_can_be_chosen() {
    let more = "[site.shop]\ndomain = \"shop.example.com\"\ninstance = \"i-0b\"\nports = { listen = 8443, backend = 8080 }\n\
                health = { path = \"/\" }\n[load_balancer]\nip_address_type = \"dualstack\"\n";
    let config = config(more);
    let shop = config.sites.keys().find(|name| name.as_str() == "shop");
    let questions = questions(&config, shop, &observed(&config), &moved(&config, 24), now());
    assert_eq!(
        lines(&questions),
        [
            "delegation of example.com",
            "A of shop.example.com at ns-1.awsdns-01.com, Done",
            "A of shop.example.com at the resolver, Done",
            "AAAA of shop.example.com at ns-1.awsdns-01.com, Done",
            "AAAA of shop.example.com at the resolver, Done",
            "visit shop.example.com:8443 /",
            "http shop.example.com Closed",
            "i-0b: AWS does not know this instance",
        ]
    );
}

#[test]
fn a_door_stays_open_as_long_as_any_name_drains() {
    let config = config("");
    let (observed, mut state) = (observed(&config), moved(&config, 24));
    let phases = |state: &State| -> Vec<Phase> {
        let questions = questions(&config, None, &observed, state, now());
        let doors = questions.into_iter().filter_map(|question| match question {
            Question::Door(door) => Some(door.phase),
            _ => None,
        });
        doors.collect()
    };
    assert_eq!(phases(&state), [Phase::Done; 4]);
    let wildcard = record_address(&"*.example.com".parse().unwrap());
    state.cutovers.get_mut(&wildcard).unwrap().in_sync_at = Some(now());
    // The old time to live, and at least ten minutes.
    let until: Timestamp = "2026-06-01T00:15:00Z".parse().unwrap();
    assert_eq!(phases(&state), [Phase::Draining(Some(until)); 4]);
    state.cutovers.get_mut(&wildcard).unwrap().in_sync_at = None;
    assert_eq!(phases(&state), [Phase::OnTheWay; 4]);
    state.cutovers.remove(&wildcard);
    assert_eq!(phases(&state), [Phase::Before; 4]);
}

#[test]
fn a_name_without_a_zone_is_asked_at_the_resolver_only() {
    let config = config("");
    let mut observed = observed(&config);
    observed.zones[0].private = true;
    let questions = questions(&config, None, &observed, &moved(&config, 24), now());
    assert_eq!(
        lines(&questions)[..2],
        [
            "www.example.com: no public hosted zone of this account is known to hold the name, so its name servers are not \
             asked",
            "A of www.example.com at the resolver, Done",
        ]
    );
}

#[test]
fn without_a_load_balancer_nothing_is_asked() {
    let config = config("");
    let mut observed = observed(&config);
    observed.found.clear();
    let questions = questions(&config, None, &observed, &moved(&config, 24), now());
    assert_eq!(
        lines(&questions),
        ["load_balancer.main: the stack has no load balancer: nothing was set up yet"]
    );
}
