//! TLS: who is trusted, and what is said of those who are not.

use reconcile_probe::{Network, NetworkError, NetworkOptions, ProbeError, Request, Scheme, TlsFailure, TrustPolicy};

use crate::support::{Authority, Identity, SITE, Site, hello, network, network_trusting, offline, self_signed};

async fn failure(network: &Network, request: &Request) -> (TlsFailure, String) {
    let error = network.ask(request).await.unwrap_err();
    let text = error.to_string();
    match error {
        ProbeError::Tls { reason, .. } => (reason, text),
        other => panic!("{other:?}"),
    }
}

/// Under any policy the verdict is the same; it decides only where it should.
async fn verdict(network: &Network, identity: Identity) -> (TlsFailure, String) {
    let site = Site::tls(identity, |_| hello()).await;
    let request = site.request(Scheme::Https);
    let (reason, text) = failure(network, &request).await;
    let answer = network
        .ask(&request.trusting(TrustPolicy::AnyCertificate))
        .await
        .unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.tls.unwrap().verified, Err(reason.clone()));
    (reason, text)
}

#[tokio::test]
async fn verified_session_shows_its_certificate() {
    let authority = Authority::new("Amazon");
    let site = Site::tls(authority.issue(&[SITE, "*.example.org"]), |_| hello()).await;
    let answer = network_trusting(&authority)
        .ask(&site.request(Scheme::Https))
        .await
        .unwrap();
    assert_eq!(answer.url(), "https://www.example.com/");
    assert_eq!(site.snis(), [Some(SITE.to_owned())]);
    let session = answer.tls.unwrap();
    assert_eq!(session.version, "TLS 1.3");
    assert_eq!(session.verified, Ok(()));
    assert!(session.issued_by_amazon());
    let certificate = session.certificate().unwrap();
    assert_eq!(certificate.subject, "CN=www.example.com");
    assert_eq!(certificate.names, [SITE, "*.example.org"]);
    assert!(certificate.issuer.contains("O=Amazon"), "{}", certificate.issuer);
    assert!(!certificate.self_signed);
    assert!(certificate.not_before < certificate.not_after);
    assert!(certificate.covers("WWW.example.com."));
    assert!(certificate.covers("a.example.org"));
    assert!(!certificate.covers("a.b.example.org") && !certificate.covers("example.org"));
}

#[tokio::test]
async fn a_session_alone_asks_nothing_and_tells_the_serial_number() {
    let authority = Authority::new("Amazon");
    let site = Site::tls(authority.issue(&[SITE]), |_| hello()).await;
    let network = network_trusting(&authority);
    let session = network.session(&site.request(Scheme::Https)).await.unwrap();
    assert_eq!(site.heads(), Vec::<String>::new());
    let serial = &session.certificate().unwrap().serial;
    assert!(
        !serial.is_empty() && !serial.starts_with('0') && serial.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{serial}"
    );
    let answer = network.ask(&site.request(Scheme::Https)).await.unwrap();
    assert_eq!(answer.tls.unwrap().certificate().unwrap().serial, *serial);
    let stranger = Authority::new("Nobody");
    let error = network_trusting(&stranger)
        .session(&site.request(Scheme::Https))
        .await
        .unwrap_err();
    assert!(matches!(error, ProbeError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn other_authority_is_not_amazon() {
    let authority = Authority::new("Amazon Fans");
    let site = Site::tls(authority.issue(&[SITE]), |_| hello()).await;
    let answer = network_trusting(&authority)
        .ask(&site.request(Scheme::Https))
        .await
        .unwrap();
    assert!(!answer.tls.unwrap().issued_by_amazon());
}

#[tokio::test]
async fn address_as_host_sends_no_sni() {
    let authority = Authority::new("Test");
    let site = Site::tls(authority.issue(&["127.0.0.1"]), |_| hello()).await;
    let request = Request::new(Scheme::Https, "127.0.0.1").port(site.address.port());
    let answer = network_trusting(&authority).ask(&request).await.unwrap();
    assert_eq!(answer.tls.unwrap().verified, Ok(()));
    assert_eq!(site.snis(), [None]);
}

#[tokio::test]
async fn unknown_issuer_is_named() {
    let authority = Authority::new("Nobody");
    let (reason, text) = verdict(&network(), authority.issue(&[SITE])).await;
    assert!(matches!(
        reason,
        TlsFailure::UnknownIssuer { .. } | TlsFailure::NoTrustedRoots
    ));
    if matches!(reason, TlsFailure::UnknownIssuer { .. }) {
        assert!(text.contains("O=Nobody"), "{text}");
    }
    assert!(reason.hint().unwrap().contains("--ca-file"));
}

#[tokio::test]
async fn wrong_name_shows_the_right_ones() {
    let authority = Authority::new("Test");
    let network = network_trusting(&authority);
    let (reason, text) = verdict(&network, authority.issue(&["shop.example.com"])).await;
    assert_eq!(
        reason,
        TlsFailure::WrongName {
            expected: SITE.to_owned(),
            presented: vec!["shop.example.com".to_owned()],
        }
    );
    assert!(
        text.contains("not for `www.example.com`, but for `shop.example.com`"),
        "{text}"
    );
}

#[tokio::test]
async fn expired_certificate_shows_its_date() {
    let authority = Authority::new("Test");
    let network = network_trusting(&authority);
    let (reason, text) = verdict(&network, authority.issue_expired(&[SITE])).await;
    assert!(matches!(reason, TlsFailure::Expired { .. }), "{reason:?}");
    assert!(text.contains("expired on 2021-02-03"), "{text}");
}

#[tokio::test]
async fn self_signed_certificate_is_called_so() {
    let authority = Authority::new("Test");
    let network = network_trusting(&authority);
    for is_authority in [false, true] {
        let (reason, text) = verdict(&network, self_signed(&[SITE], is_authority)).await;
        assert_eq!(reason, TlsFailure::SelfSigned);
        assert!(text.contains("self-signed"), "{text}");
    }
}

#[tokio::test]
async fn plain_server_is_not_taken_for_a_broken_tls_server() {
    let site = Site::plain(|_| hello()).await;
    // The server must answer something to what it takes for a request.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 64];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let request = site.request(Scheme::Https).port(port);
    let (reason, _) = failure(&network(), &request).await;
    assert_eq!(reason, TlsFailure::NotTls);
    drop(server.await.unwrap());
}

#[tokio::test]
async fn connection_closed_in_the_handshake_is_called_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move { drop(listener.accept().await) });
    let request = Request::new(Scheme::Https, SITE).via("127.0.0.1").port(port);
    let (reason, _) = failure(&network(), &request).await;
    assert_eq!(reason, TlsFailure::Closed);
    server.await.unwrap();
}

#[test]
fn bad_ca_file_is_named_with_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str, content: Option<&str>| {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let options = NetworkOptions {
            ca_file: Some(path),
            ..offline()
        };
        let error = Network::new(&options).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        error
    };
    assert!(matches!(
        error("missing.pem", None),
        NetworkError::UnreadableCaFile { .. }
    ));
    for (name, content) in [("empty.pem", ""), ("text.pem", "not a certificate\n")] {
        assert!(
            matches!(error(name, Some(content)), NetworkError::NoCertificate { .. }),
            "{name}"
        );
    }
    for (name, content) in [
        ("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
        (
            "noise.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
    ] {
        let error = error(name, Some(content));
        assert!(matches!(error, NetworkError::InvalidCaFile { .. }), "{name}: {error:?}");
    }
}
