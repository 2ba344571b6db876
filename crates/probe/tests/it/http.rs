//! Requests and answers without TLS, connecting, detours, limits, comparing.

use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::{ACCEPT, HeaderName, USER_AGENT};
use reconcile_probe::{
    AddressFailureReason, BodyEnd, NetworkOptions, ProbeError, Request, Scheme, Severity, Stage, differences,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{DnsTable, SITE, Site, closed_port, hello, network, offline, response};

#[tokio::test]
async fn answer_shows_what_came_back() {
    let site = Site::plain(|_| hello()).await;
    let request = site.request(Scheme::Http).path("/page?x=1");
    let answer = network().ask(&request).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.url(), "http://www.example.com/page?x=1");
    assert_eq!(answer.server(), Some("test"));
    assert_eq!(answer.media_type().as_deref(), Some("text/html"));
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.body_end, BodyEnd::Complete);
    assert_eq!(answer.address, site.address);
    assert!(answer.tls.is_none());
    let head = &site.heads()[0].to_lowercase();
    assert!(head.starts_with("get /page?x=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("host: www.example.com\r\n"), "{head}");
    assert!(head.contains("user-agent: reconcile/"), "{head}");
}

#[tokio::test]
async fn host_names_the_port_that_a_visitor_sees() {
    let site = Site::plain(|_| hello()).await;
    let mut request = site.request(Scheme::Http);
    network().ask(&request.clone().site_port(8080)).await.unwrap();
    request.site_port = None;
    network().ask(&request).await.unwrap();
    let heads = site.heads();
    assert!(heads[0].contains("host: www.example.com:8080\r\n"), "{}", heads[0]);
    let own = format!("host: www.example.com:{}\r\n", site.address.port());
    assert!(heads[1].contains(&own), "{}", heads[1]);
}

#[tokio::test]
async fn headers_are_added_and_replaced() {
    let site = Site::plain(|_| hello()).await;
    let request = site
        .request(Scheme::Http)
        .header(
            HeaderName::from_static("x-forwarded-proto"),
            HeaderValue::from_static("https"),
        )
        .header(USER_AGENT, HeaderValue::from_static("visitor"));
    network().ask(&request).await.unwrap();
    let head = &site.heads()[0];
    assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
    assert!(head.contains("user-agent: visitor\r\n"), "{head}");
    assert!(!head.contains("reconcile/"), "{head}");
    assert!(head.contains(ACCEPT.as_str()), "{head}");
}

#[tokio::test]
async fn detour_by_host_changes_the_connection_only() {
    let site = Site::plain(|_| hello()).await;
    let detour = format!("www.EXAMPLE.com:80:127.0.0.1:{}", site.address.port());
    let other = "api.example.com:80:127.0.0.1:9".to_owned();
    let connect_to = [other, detour].iter().map(|text| text.parse().unwrap()).collect();
    let network = reconcile_probe::Network::new(&NetworkOptions {
        connect_to,
        ..offline()
    })
    .unwrap();
    let answer = network.ask(&Request::new(Scheme::Http, SITE)).await.unwrap();
    assert_eq!(answer.address, site.address);
    assert_eq!(answer.url(), "http://www.example.com/");
    assert!(site.heads()[0].contains("host: www.example.com\r\n"));
}

#[tokio::test]
async fn detour_by_port_keeps_the_host() {
    let dns = DnsTable::start().await;
    dns.set_addresses("lb.example.net", &["127.0.0.1"]);
    let site = Site::plain(|_| hello()).await;
    let connect_to = vec![format!(":80::{}", site.address.port()).parse().unwrap()];
    let network = reconcile_probe::Network::new(&NetworkOptions {
        connect_to,
        ..dns.options()
    })
    .unwrap();
    let request = Request::new(Scheme::Http, SITE).via("lb.example.net");
    let answer = network.ask(&request).await.unwrap();
    assert_eq!(answer.address, site.address);
    assert!(site.heads()[0].contains("host: www.example.com\r\n"));
}

#[tokio::test]
async fn next_address_is_tried_when_one_refuses() {
    let dns = DnsTable::start().await;
    dns.set_addresses(SITE, &["127.0.0.2", "127.0.0.1"]);
    let site = Site::plain(|_| hello()).await;
    let request = Request::new(Scheme::Http, SITE).port(site.address.port());
    assert_eq!(dns.network().ask(&request).await.unwrap().address, site.address);

    // Asked one by one, each address has its own outcome.
    let outcomes = dns.network().ask_each(&request).await.unwrap();
    let reached: Vec<(String, bool)> = outcomes
        .iter()
        .map(|(address, outcome)| (address.ip().to_string(), outcome.is_ok()))
        .collect();
    assert_eq!(
        reached,
        [("127.0.0.2".to_owned(), false), ("127.0.0.1".to_owned(), true)]
    );
}

#[tokio::test]
async fn refusal_names_every_address() {
    let dns = DnsTable::start().await;
    dns.set_addresses(SITE, &["127.0.0.1", "127.0.0.2"]);
    let port = closed_port().await;
    let request = Request::new(Scheme::Http, SITE).port(port);
    let error = dns.network().ask(&request).await.unwrap_err();
    assert!(error.is_unreachable());
    let text = error.to_string();
    assert!(text.contains(&format!("{SITE}:{port}")), "{text}");
    assert!(
        text.contains(&format!("127.0.0.1:{port}: connection refused")),
        "{text}"
    );
    assert!(
        text.contains(&format!("127.0.0.2:{port}: connection refused")),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("nothing listens"));
    let ProbeError::Connect { failures, .. } = error else {
        panic!("{error:?}")
    };
    assert!(
        failures
            .iter()
            .all(|failure| failure.reason == AddressFailureReason::Refused)
    );
}

#[tokio::test]
async fn address_that_drops_packets_costs_only_its_own_time() {
    // A full accept queue makes the kernel drop SYN packets, as a security group would.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let silent = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    let short = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(short, TcpStream::connect(silent)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "the accept queue never fills");
    }
    let dns = DnsTable::start().await;
    dns.set_addresses(SITE, &["127.0.0.2"]);
    let request = Request::new(Scheme::Http, SITE)
        .port(silent.port())
        .connect_timeout(short);
    let error = dns.network().ask(&request).await.unwrap_err();
    let ProbeError::Connect { failures, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(failures[0].reason, AddressFailureReason::TimedOut { after: short });
    assert!(error.hint().unwrap().contains("security group"));
}

#[tokio::test]
async fn silence_after_connecting_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let after = Duration::from_millis(200);
    for (scheme, expected) in [(Scheme::Http, Stage::Response), (Scheme::Https, Stage::TlsHandshake)] {
        let request = Request::new(scheme, SITE).via("127.0.0.1").port(port).within(after);
        let started = Instant::now();
        let error = network().ask(&request).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5));
        let ProbeError::Deadline { stage, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*stage, expected);
        assert!(error.to_string().contains("within 200ms"), "{error}");
        assert!(!error.is_unreachable());
    }
}

#[tokio::test]
async fn huge_body_is_cut() {
    let site = Site::plain(|_| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        bytes.resize(8 * 1024 * 1024, b'x');
        bytes
    })
    .await;
    let answer = network()
        .ask(&site.request(Scheme::Http).body_limit(1000))
        .await
        .unwrap();
    assert_eq!(answer.body_start, vec![b'x'; 1000]);
    assert_eq!(answer.body_end, BodyEnd::Cut);
}

#[tokio::test]
async fn body_that_breaks_off_is_still_an_answer() {
    let site = Site::plain(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhel".to_vec()).await;
    let answer = network().ask(&site.request(Scheme::Http)).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.text(), "hel");
    assert!(matches!(answer.body_end, BodyEnd::Broken(_)), "{:?}", answer.body_end);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200 * 1024));
    for (bytes, expected) in [
        (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "invalid HTTP"),
        (Vec::new(), "closed before the response"),
        (huge.into_bytes(), "larger than 64 KiB"),
    ] {
        let site = Site::plain(move |_| bytes.clone()).await;
        let error = network().ask(&site.request(Scheme::Http)).await.unwrap_err();
        assert!(matches!(error, ProbeError::Http { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(&site.address.to_string()), "{text}");
    }
}

#[tokio::test]
async fn request_that_cannot_be_sent_is_refused_before_connecting() {
    let site = Site::plain(|_| hello()).await;
    for path in ["page", "/a b", ""] {
        let error = network().ask(&site.request(Scheme::Http).path(path)).await.unwrap_err();
        assert!(matches!(error, ProbeError::InvalidRequest { .. }), "{path}: {error:?}");
    }
    assert!(site.heads().is_empty());
}

#[tokio::test]
async fn differences_are_those_a_visitor_notices() {
    let site = Site::plain(|head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path {
            "/relative" => response("302 Found", &[("Location", "/login")], ""),
            "/absolute" => response("302 Found", &[("Location", "http://WWW.example.com:80/login")], ""),
            "/elsewhere" => response("302 Found", &[("Location", "https://example.com/")], ""),
            "/created" => response("201 Created", &[], ""),
            "/unavailable" => response("503 Service Unavailable", &[("Server", "awselb/2.0")], ""),
            "/json" => response("200 OK", &[("Content-Type", "application/json")], "{}"),
            _ => hello(),
        }
    })
    .await;
    let ask = async |path: &str| network().ask(&site.request(Scheme::Http).path(path)).await.unwrap();
    let compare = async |before: &str, after: &str| {
        let found = differences(&ask(before).await, &ask(after).await);
        let worst = found.iter().map(reconcile_probe::Difference::severity).max();
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        (text.join("; "), worst)
    };
    assert_eq!(compare("/", "/").await, (String::new(), None));
    assert_eq!(compare("/relative", "/absolute").await, (String::new(), None));

    let (text, severity) = compare("/relative", "/elsewhere").await;
    assert_eq!(severity, Some(Severity::Breaking));
    assert!(text.contains("`http://www.example.com/login`"), "{text}");
    assert!(text.contains("`https://example.com/`"), "{text}");

    let (text, severity) = compare("/", "/unavailable").await;
    assert_eq!(severity, Some(Severity::Breaking));
    assert!(
        text.contains("200 OK") && text.contains("503 Service Unavailable"),
        "{text}"
    );
    assert!(text.contains("load balancer"), "{text}");

    assert_eq!(compare("/", "/created").await.1, Some(Severity::Minor));
    let (text, severity) = compare("/", "/json").await;
    assert_eq!(severity, Some(Severity::Minor));
    assert!(
        text.contains("`text/html`") && text.contains("`application/json`"),
        "{text}"
    );
}
