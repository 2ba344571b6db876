//! What a load balancer does to the headers of requests and answers.

use std::net::SocketAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use crate::model::Listener;

/// How the attributes that add headers to answers begin and end (aws-facts 4.4).
const RESPONSE: &str = "routing.http.response.";
const HEADER_VALUE: &str = ".header_value";

/// The header in which every load balancer says its name. On AWS none does; here visitors can count by it.
pub(crate) const THROUGH: &str = "x-through";

/// Puts the load balancer's name into an answer.
pub(super) fn name_load_balancer(name: &str, headers: &mut HeaderMap) {
    if let Ok(name) = HeaderValue::from_str(name) {
        headers.insert(THROUGH, name);
    }
}

/// Tells a target who asked, and how.
pub(super) fn add_forwarding(head: &mut Parts, visitor: SocketAddr, scheme: &str, port: u16) {
    remove_hops(&mut head.headers);
    let before = head
        .headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok())
        .map(|value| format!("{value}, "));
    let forwarded = format!("{}{}", before.unwrap_or_default(), visitor.ip());
    let pairs = [
        ("x-forwarded-for", forwarded),
        ("x-forwarded-proto", scheme.to_owned()),
        ("x-forwarded-port", port.to_string()),
    ];
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_str(&value) {
            head.headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Takes away what belongs to one connection only. The body is passed on whole, so its length is known anew.
pub(super) fn remove_hops(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        HeaderName::from_static("keep-alive"),
    ] {
        headers.remove(name);
    }
}

/// Changes an answer as the attributes of its listener say: headers of the attributes take the place of the targets'
/// own, and the `server` header goes if it is turned off (aws-facts 4.4).
pub(super) fn apply_attributes(listener: &Listener, headers: &mut HeaderMap) {
    for (key, value) in &listener.attributes {
        let Some(name) = key.strip_prefix(RESPONSE) else {
            continue;
        };
        if name == "server.enabled" {
            if value == "false" {
                headers.remove(header::SERVER);
            }
        } else if let Some(name) = name.strip_suffix(HEADER_VALUE)
            && !value.is_empty()
            && let Ok(name) = name.replace('_', "-").parse::<HeaderName>()
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(name, value);
        }
    }
}
