//! Following redirects.

use http::HeaderValue;
use http::header::AUTHORIZATION;
use reconcile_probe::{Network, NetworkOptions, ProbeError, Scheme, TrustPolicy};

use crate::support::{Authority, SITE, Site, closed_port, hello, network, offline, response};

fn redirect(location: &str) -> Vec<u8> {
    response("302 Found", &[("Location", location)], "")
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn redirects_are_followed_to_the_last_page() {
    let site = Site::plain(|head| match path(head) {
        "/" => redirect("/a/"),
        "/a/" => redirect("../b?x=1"),
        _ => hello(),
    })
    .await;
    let answers = network().follow(&site.request(Scheme::Http), 5).await.unwrap();
    let urls: Vec<String> = answers.iter().map(reconcile_probe::Answer::url).collect();
    assert_eq!(
        urls,
        [
            "http://www.example.com/",
            "http://www.example.com/a/",
            "http://www.example.com/b?x=1"
        ]
    );
    assert_eq!(answers[2].text(), "hello");
}

#[tokio::test]
async fn asking_alone_follows_nothing() {
    let site = Site::plain(|_| redirect("/login")).await;
    let answer = network().ask(&site.request(Scheme::Http)).await.unwrap();
    assert!(answer.is_redirect());
    assert_eq!(answer.location(), Some("/login"));
    assert_eq!(
        answer.redirect_target().as_deref(),
        Some("http://www.example.com/login")
    );
    assert_eq!(site.heads().len(), 1);
}

#[tokio::test]
async fn same_page_twice_is_a_loop() {
    let site = Site::plain(|head| match path(head) {
        "/" => redirect("/login"),
        _ => redirect("http://www.example.com:80/"),
    })
    .await;
    let error = network().follow(&site.request(Scheme::Http), 5).await.unwrap_err();
    let ProbeError::RedirectLoop { chain } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        *chain,
        [
            "http://www.example.com/",
            "http://www.example.com/login",
            "http://www.example.com/"
        ]
    );
    assert!(error.hint().unwrap().contains("X-Forwarded-Proto"));
    assert_eq!(site.heads().len(), 2);
}

#[tokio::test]
async fn redirects_are_counted() {
    let site = Site::plain(|head| redirect(&format!("{}x", path(head)))).await;
    let error = network().follow(&site.request(Scheme::Http), 3).await.unwrap_err();
    assert!(
        matches!(error, ProbeError::TooManyRedirects { max: 3, .. }),
        "{error:?}"
    );
    assert_eq!(site.heads().len(), 4);
}

#[tokio::test]
async fn redirect_that_cannot_be_followed_is_shown() {
    let site = Site::plain(|_| redirect("ftp://www.example.com/")).await;
    let error = network().follow(&site.request(Scheme::Http), 5).await.unwrap_err();
    assert!(matches!(error, ProbeError::InvalidRedirect { .. }), "{error:?}");
    assert!(error.to_string().contains("`ftp://www.example.com/`"), "{error}");
}

#[tokio::test]
async fn redirect_from_http_to_https_stays_at_the_same_place() {
    let authority = Authority::new("Test");
    let secure = Site::tls(authority.issue(&[SITE]), |_| hello()).await;
    let plain = Site::plain(|_| redirect("https://www.example.com/")).await;
    let detours = [
        format!("lb.example.net:80:127.0.0.1:{}", plain.address.port()),
        format!("lb.example.net:443:127.0.0.1:{}", secure.address.port()),
    ];
    let options = NetworkOptions {
        ca_file: Some(authority.file()),
        connect_to: detours.iter().map(|text| text.parse().unwrap()).collect(),
        ..offline()
    };
    let request = reconcile_probe::Request::new(Scheme::Http, SITE).via("lb.example.net");
    let answers = Network::new(&options).unwrap().follow(&request, 5).await.unwrap();
    assert_eq!(answers[1].url(), "https://www.example.com/");
    assert_eq!(answers[1].address, secure.address);
    assert_eq!(answers[1].tls.as_ref().unwrap().verified, Ok(()));
}

#[tokio::test]
async fn other_names_of_the_site_are_asked_at_the_same_place() {
    let site = Site::plain(|head| {
        if head.contains("host: example.com\r\n") {
            hello()
        } else {
            redirect("http://example.com/")
        }
    })
    .await;
    let request = site.request(Scheme::Http).also_here(["example.com"]);
    let answers = network().follow(&request, 5).await.unwrap();
    assert_eq!(answers[1].url(), "http://example.com/");
    assert_eq!(answers[1].address, site.address);
}

#[tokio::test]
async fn another_site_gets_neither_trust_nor_secrets() {
    let other = Site::plain(|_| hello()).await;
    let port = other.address.port();
    let site = Site::plain(move |_| redirect(&format!("http://127.0.0.1:{port}/"))).await;
    let request = site
        .request(Scheme::Http)
        .trusting(TrustPolicy::AnyCertificate)
        .header(AUTHORIZATION, HeaderValue::from_static("Basic c2VjcmV0"));
    let answers = network().follow(&request, 5).await.unwrap();
    assert_eq!(answers[1].address, other.address);
    assert!(site.heads()[0].contains("authorization: Basic"));
    assert!(!other.heads()[0].contains("authorization"), "{}", other.heads()[0]);
}

#[tokio::test]
async fn failure_after_a_redirect_shows_the_way() {
    let port = closed_port().await;
    let site = Site::plain(move |_| redirect(&format!("http://127.0.0.1:{port}/"))).await;
    let error = network().follow(&site.request(Scheme::Http), 5).await.unwrap_err();
    let ProbeError::Redirected { chain, source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(chain.len(), 2);
    assert!(matches!(**source, ProbeError::Connect { .. }));
    assert!(error.is_unreachable());
}
