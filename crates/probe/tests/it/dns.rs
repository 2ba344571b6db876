//! Names, their addresses and their other records.

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{CAA, CNAME, NS, TXT};
use hickory_resolver::proto::rr::{Name, RData};
use reconcile_probe::{
    AddressFailureReason, DnsFailure, DnsServer, Network, NetworkOptions, ProbeError, RecordKind, Request, Scheme,
};

use crate::support::{DnsTable, SITE, Site, Zone, hello, offline};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

async fn failure(dns: &DnsTable, name: &str) -> (DnsFailure, String) {
    let error = dns.network().resolve(name).await.unwrap_err();
    let text = error.to_string();
    match error {
        ProbeError::Dns { reason, .. } => (reason, text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_families_are_resolved_ipv4_first() {
    let dns = DnsTable::start().await;
    dns.set_addresses(SITE, &["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
    let found = dns.network().resolve(SITE).await.unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
}

#[tokio::test]
async fn address_needs_no_dns() {
    let dns = DnsTable::start().await;
    let found = dns.network().resolve("192.0.2.7").await.unwrap();
    assert_eq!(found, ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(dns.questions(), 0);
}

#[tokio::test]
async fn alias_is_followed_and_shown() {
    let dns = DnsTable::start().await;
    let alias = RData::CNAME(CNAME(name("LB.example.net.")));
    dns.set(SITE, Zone::Records(vec![alias]));
    dns.set_addresses("lb.example.net", &["192.0.2.9"]);
    let network = dns.network();
    assert_eq!(network.resolve(SITE).await.unwrap()[0].to_string(), "192.0.2.9");
    let target = network.resolve_cname(SITE).await.unwrap();
    assert_eq!(target.as_deref(), Some("lb.example.net"));
    assert_eq!(network.resolve_cname("lb.example.net").await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_remembered_between_calls() {
    let dns = DnsTable::start().await;
    let network = dns.network();
    dns.set_addresses(SITE, &["192.0.2.1"]);
    assert_eq!(network.resolve(SITE).await.unwrap()[0].to_string(), "192.0.2.1");
    dns.set_addresses(SITE, &["192.0.2.2"]);
    assert_eq!(network.resolve(SITE).await.unwrap()[0].to_string(), "192.0.2.2");
    // Nor is it remembered that a name did not exist.
    assert!(network.resolve("new.example.com").await.is_err());
    dns.set_addresses("new.example.com", &["192.0.2.3"]);
    assert_eq!(
        network.resolve("new.example.com").await.unwrap()[0].to_string(),
        "192.0.2.3"
    );
}

#[tokio::test]
async fn failures_are_told_apart() {
    let dns = DnsTable::start().await;
    dns.set(
        "mail.example.com",
        Zone::Records(vec![RData::TXT(TXT::new(vec!["x".to_owned()]))]),
    );
    dns.set("refused.example.com", Zone::Code(ResponseCode::Refused));
    dns.set("broken.example.com", Zone::Code(ResponseCode::ServFail));
    dns.set("silent.example.com", Zone::Silence);

    let (reason, text) = failure(&dns, "missing.example.com").await;
    assert_eq!(reason, DnsFailure::NoSuchName);
    assert!(
        text.contains("`missing.example.com`") && text.contains("NXDOMAIN"),
        "{text}"
    );
    assert!(text.contains(&dns.address.to_string()), "{text}");

    assert_eq!(failure(&dns, "mail.example.com").await.0, DnsFailure::NoAddress);
    assert_eq!(failure(&dns, "silent.example.com").await.0, DnsFailure::TimedOut);
    for name in ["refused.example.com", "broken.example.com"] {
        let (reason, text) = failure(&dns, name).await;
        assert!(matches!(reason, DnsFailure::ServerError { .. }), "{name}: {text}");
    }
    let (reason, text) = failure(&dns, "a..example.com").await;
    assert!(matches!(reason, DnsFailure::InvalidName { .. }), "{text}");
}

#[tokio::test]
async fn absent_server_is_named() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let options = NetworkOptions {
        dns_server: Some(DnsServer(address)),
        ..offline()
    };
    let error = Network::new(&options).unwrap().resolve(SITE).await.unwrap_err();
    let ProbeError::Dns { reason, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(reason, DnsFailure::Unreachable { .. } | DnsFailure::TimedOut),
        "{error}"
    );
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.hint().unwrap().contains("--dns-server"));
}

#[tokio::test]
async fn other_records_come_in_their_usual_notation() {
    let dns = DnsTable::start().await;
    let caa = CAA::new_issue(false, Some(name("amazon.com")), Vec::new());
    dns.set(
        "example.com",
        Zone::Records(vec![
            RData::NS(NS(name("NS-1.AWSDNS-00.com."))),
            RData::NS(NS(name("ns-2.awsdns-00.net."))),
            RData::CAA(caa),
            RData::TXT(TXT::new(vec!["v=spf1 ".to_owned(), "-all".to_owned()])),
        ]),
    );
    let network = dns.network();
    let records = async |kind| network.records("example.com", kind).await.unwrap();
    assert_eq!(
        records(RecordKind::Ns).await,
        ["ns-1.awsdns-00.com", "ns-2.awsdns-00.net"]
    );
    assert_eq!(records(RecordKind::Caa).await, ["0 issue \"amazon.com\""]);
    assert_eq!(records(RecordKind::Txt).await, ["v=spf1 -all"]);
    assert!(records(RecordKind::Cname).await.is_empty());
    let missing = network
        .records("missing.example.com", RecordKind::Ns)
        .await
        .unwrap_err();
    assert!(matches!(
        missing,
        ProbeError::Dns {
            reason: DnsFailure::NoSuchName,
            ..
        }
    ));
}

#[tokio::test]
async fn site_is_asked_where_its_name_leads() {
    let dns = DnsTable::start().await;
    let site = Site::plain(|_| hello()).await;
    dns.set_addresses(SITE, &["127.0.0.1"]);
    let request = Request::new(Scheme::Http, SITE).port(site.address.port());
    let answer = dns.network().ask(&request).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.address, site.address);
}

#[tokio::test]
async fn one_name_server_is_asked_by_its_own_name() {
    let resolver = DnsTable::start().await;
    let (one, other) = (DnsTable::start().await, DnsTable::start().await);
    resolver.set_addresses("ns-1.example.net", &["192.0.2.53"]);
    resolver.set_addresses("ns-2.example.net", &["192.0.2.54"]);
    resolver.set_addresses(SITE, &["192.0.2.1"]);
    one.set_addresses(SITE, &["192.0.2.2", "2001:db8::2"]);
    let options = NetworkOptions {
        connect_to: vec![
            // What is about web servers is not about name servers.
            "::127.0.0.1:1".parse().unwrap(),
            format!("192.0.2.53:53:127.0.0.1:{}", one.address.port())
                .parse()
                .unwrap(),
            format!("192.0.2.54:53:127.0.0.1:{}", other.address.port())
                .parse()
                .unwrap(),
        ],
        dns_server: Some(DnsServer(resolver.address)),
        ..offline()
    };
    let network = Network::new(&options).unwrap();
    let ask = async |server, kind| network.records_at(server, SITE, kind).await;
    assert_eq!(ask("ns-1.example.net", RecordKind::A).await.unwrap(), ["192.0.2.2"]);
    assert_eq!(
        ask("ns-1.example.net", RecordKind::Aaaa).await.unwrap(),
        ["2001:db8::2"]
    );
    let error = ask("ns-2.example.net", RecordKind::A).await.unwrap_err().to_string();
    assert!(
        error.contains("NXDOMAIN") && error.contains(&other.address.to_string()),
        "{error}"
    );
    let error = ask("ns-3.example.net", RecordKind::A).await.unwrap_err().to_string();
    assert!(error.contains("`ns-3.example.net`"), "{error}");
}

#[tokio::test]
async fn given_addresses_take_the_place_of_dns() {
    let dns = DnsTable::start().await;
    let site = Site::plain(|_| hello()).await;
    let port = site.address.port();
    let options = NetworkOptions {
        resolve: vec![
            format!("*:{port}:192.0.2.1").parse().unwrap(),
            format!("{SITE}:{port}:127.0.0.1").parse().unwrap(),
        ],
        dns_server: Some(DnsServer(dns.address)),
        ..offline()
    };
    let network = Network::new(&options).unwrap();
    let request = Request::new(Scheme::Http, SITE).port(port);
    assert_eq!(network.ask(&request).await.unwrap().address, site.address);
    assert_eq!(dns.questions(), 0);
    assert_eq!(
        network.given_addresses("other.example.com", port).unwrap()[0].to_string(),
        "192.0.2.1"
    );
    assert!(network.given_addresses(SITE, 1).is_none());
}

#[tokio::test]
async fn a_door_is_tried_where_it_stands() {
    let site = Site::plain(|_| hello()).await;
    let within = std::time::Duration::from_secs(5);
    let options = NetworkOptions {
        // Everybody else is sent to the site.
        connect_to: vec![format!("::127.0.0.1:{}", site.address.port()).parse().unwrap()],
        ..offline()
    };
    let network = Network::new(&options).unwrap();
    assert_eq!(network.connects(site.address, within).await, Ok(()));
    let closed = std::net::SocketAddr::new(site.address.ip(), 1);
    assert_eq!(
        network.connects(closed, within).await,
        Err(AddressFailureReason::Refused)
    );
}
