//! The visitor against real servers on loopback.

use std::sync::Arc;

use reconcile_core::resource::{Address, Kind};
use reconcile_probe::NetworkOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A web server on loopback that gives `respond` the head of each request and sends what it says.
async fn serve(respond: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let respond = Arc::new(respond);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let respond = Arc::clone(&respond);
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut buffer = [0; 1024];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
                        _ => return,
                    }
                }
                let response = respond(&String::from_utf8_lossy(&head));
                let _ = stream.write_all(response.as_bytes()).await;
            });
        }
    });
    port
}

fn response(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Nothing listens on port 1.
fn visitor(load_balancer: u16, instance: u16) -> SiteVisitor {
    visitor_of(load_balancer, instance, 1)
}

fn visitor_of(load_balancer: u16, instance: u16, by_name: u16) -> SiteVisitor {
    let options = NetworkOptions {
        connect_to: vec![
            format!("www.example.com:80:127.0.0.1:{by_name}").parse().unwrap(),
            format!("lb.example.net:80:127.0.0.1:{load_balancer}").parse().unwrap(),
            format!("203.0.113.10:80:127.0.0.1:{instance}").parse().unwrap(),
        ],
        ..NetworkOptions::default()
    };
    SiteVisitor::new(Network::new(&options).unwrap())
}

#[tokio::test]
async fn a_name_that_still_leads_to_the_instance_has_not_moved() {
    let port = serve(|_| response("200 OK", "")).await;
    let options = NetworkOptions {
        connect_to: vec![format!("www.example.com:80:127.0.0.1:{port}").parse().unwrap()],
        ..NetworkOptions::default()
    };
    let visitor = SiteVisitor::new(Network::new(&options).unwrap());
    let by_name = |instance: &str| SiteRequest {
        through: Through::NameNotAt([instance.parse().unwrap()].into()),
        ..request(false)
    };
    assert_eq!(visitor.ask(&by_name("203.0.113.10"), None).await, Progress::Met);
    let Progress::NotYet(said) = visitor.ask(&by_name("127.0.0.1"), None).await else {
        panic!("the instance answers")
    };
    assert!(said.contains("still leads to the instance (127.0.0.1)"), "{said}");
}

fn request(compared: bool) -> SiteRequest {
    SiteRequest {
        name: "www.example.com".parse().unwrap(),
        through: Through::LoadBalancer(Address::new(Kind::LoadBalancer, "main")),
        protocol: Protocol::Http,
        port: 80,
        path: "/".to_owned(),
        headers: [].into(),
        as_answered_by: compared.then(|| DirectPath {
            instance: "i-0a".parse().unwrap(),
            address: "203.0.113.10".parse().unwrap(),
            port: 80,
            protocol: Protocol::Http,
        }),
    }
}

async fn ask(load_balancer: u16, instance: Option<u16>) -> Progress {
    let visitor = visitor(load_balancer, instance.unwrap_or(1));
    visitor.ask(&request(instance.is_some()), Some("lb.example.net")).await
}

fn not_yet(progress: Progress) -> String {
    match progress {
        Progress::NotYet(said) => said,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_answer_on_both_ways_is_met() {
    let host_seen = |head: &str| {
        assert!(
            head.to_ascii_lowercase().contains("host: www.example.com\r\n"),
            "{head}"
        );
        response("404 Not Found", "")
    };
    let (load_balancer, instance) = (serve(host_seen).await, serve(host_seen).await);
    assert_eq!(
        ask(load_balancer, Some(instance)).await,
        Progress::Met,
        "a page that is missing today may be missing"
    );
}

#[tokio::test]
async fn another_status_than_today_is_told() {
    let load_balancer = serve(|_| response("404 Not Found", "")).await;
    let instance = serve(|_| response("200 OK", "")).await;
    let said = not_yet(ask(load_balancer, Some(instance)).await);
    assert!(
        said.contains("i-0a") && said.contains("the status was 200 OK, now it is 404 Not Found"),
        "{said}"
    );
}

#[tokio::test]
async fn without_the_direct_way_a_server_error_is_what_counts() {
    let page = serve(|_| response("200 OK", "")).await;
    let broken = serve(|_| response("500 Internal Server Error", "")).await;
    // Nothing listens on port 1: the direct way is closed.
    assert_eq!(ask(page, Some(1)).await, Progress::Met);
    assert_eq!(ask(page, None).await, Progress::Met);
    assert!(not_yet(ask(broken, Some(1)).await).contains("look at its log"));
}

#[tokio::test]
async fn a_page_that_visitors_have_now_is_not_taken_from_them() {
    let refuse = |_: &str| response("421 Misdirected Request", "");
    let (refusing, page) = (serve(refuse).await, serve(|_| response("200 OK", "")).await);
    let marked = SiteRequest {
        headers: [("x-reconcile-proof".to_owned(), "1".to_owned())].into(),
        ..request(true)
    };
    // The instance refuses the name when it is asked directly, too.
    let by_name = |port| visitor_of(refusing, refusing, port);
    let said = not_yet(by_name(page).ask(&marked, Some("lb.example.net")).await);
    assert!(said.contains("421") && said.contains("200 OK"), "{said}");
    let still = by_name(refusing).ask(&marked, Some("lb.example.net")).await;
    assert_eq!(still, Progress::Met, "it is refused now, too");
}

#[tokio::test]
async fn what_the_load_balancer_answers_itself_is_explained() {
    for (status, said) in [
        ("502 Bad Gateway", "TLS handshake"),
        ("503 Service Unavailable", "registered"),
        ("504 Gateway Timeout", "within 10 s"),
    ] {
        let load_balancer = serve(move |_| response(status, "Server: awselb/2.0\r\n")).await;
        let instance = serve(move |_| response(status, "")).await;
        let told = not_yet(ask(load_balancer, Some(instance)).await);
        assert!(told.contains(status) && told.contains(said), "{told}");
    }
}

#[tokio::test]
async fn an_endless_redirect_that_is_new_is_found() {
    let to_itself = |_: &str| response("302 Found", "Location: /\r\n");
    let page = serve(|_| response("200 OK", "")).await;
    let turning = serve(to_itself).await;
    assert!(not_yet(ask(turning, None).await).contains("redirect loop"));
    assert!(not_yet(ask(turning, Some(page)).await).contains("302 Found"));
    // A site that insists on a cookie redirects a visitor without one for ever today already.
    assert_eq!(ask(turning, Some(serve(to_itself).await)).await, Progress::Met);
}

#[tokio::test]
async fn a_redirect_elsewhere_than_today_is_told() {
    let load_balancer = serve(|_| response("302 Found", "Location: /new\r\n")).await;
    let instance = serve(|_| response("302 Found", "Location: /old\r\n")).await;
    let said = not_yet(ask(load_balancer, Some(instance)).await);
    assert!(said.contains("/old") && said.contains("/new"), "{said}");
}

#[tokio::test]
async fn a_closed_port_can_heal() {
    assert!(not_yet(ask(1, None).await).contains("nothing listens on this port"));
    let visitor = visitor(1, 1);
    assert!(not_yet(visitor.ask(&request(false), None).await).contains("no DNS name"));
}

#[test]
fn the_direct_request_is_what_the_load_balancer_would_send() {
    let mut site = request(true);
    site.protocol = Protocol::Https;
    site.port = 443;
    let mut direct = site.as_answered_by.clone().unwrap();
    direct.port = 8080;
    let ask = direct_request(&site, &direct);
    assert_eq!(ask.url(), "http://www.example.com/");
    assert_eq!((ask.connect_host.as_str(), ask.port), ("203.0.113.10", 8080));
    assert_eq!(ask.headers["x-forwarded-proto"], "https");
    assert_eq!(ask.headers["x-forwarded-port"], "443");
    direct.protocol = Protocol::Https;
    site.port = 8443;
    let ask = direct_request(&site, &direct);
    assert_eq!(ask.url(), "https://www.example.com:8443/");
    assert!(ask.headers.is_empty());
}

#[tokio::test]
async fn what_fails_is_asked_once_more_before_it_counts() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use reconcile_core::{
        check::Verdict,
        config::HttpMode,
        verify::{PlainHttp, Question, Reach},
    };

    let redirect = || response("301 Moved Permanently", "Location: https://www.example.com/\r\n");
    // A listener that is changed while it is looked at, and one that stays wrong.
    for (wrong_answers, verdict) in [(1, Verdict::Ok), (2, Verdict::Failure)] {
        let asked = AtomicUsize::new(0);
        let port = serve(move |_| {
            if asked.fetch_add(1, Ordering::SeqCst) < wrong_answers {
                response("200 OK", "")
            } else {
                redirect()
            }
        })
        .await;
        let options = NetworkOptions {
            connect_to: vec![format!("www.example.com:80:127.0.0.1:{port}").parse().unwrap()],
            ..NetworkOptions::default()
        };
        let visitor = SiteVisitor::new(Network::new(&options).unwrap());
        let question = Question::PlainHttp(PlainHttp {
            name: "www.example.com".parse().unwrap(),
            mode: HttpMode::Redirect,
            https_ports: [443].into(),
            reach: Reach::Everybody,
        });
        let checks = visitor.verify(&[question]).await;
        assert_eq!(checks[0].verdict, verdict, "{checks:?}");
    }
}
