//! What happens to visitors who come without TLS.

use std::collections::BTreeSet;

use super::{Reach, redirects};
use crate::{
    check::{Check, Verdict},
    config::{HttpMode, defaults},
    value::DomainName,
};

/// A request without TLS to one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainHttp {
    /// The name.
    pub name: DomainName,
    /// What should happen.
    pub mode: HttpMode,
    /// The ports that a redirect may lead to.
    pub https_ports: BTreeSet<u16>,
    /// Who can reach the load balancer.
    pub reach: Reach,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAnswer {
    /// No connection came about.
    Closed(String),
    /// An answer.
    Answered {
        /// Its status.
        status: u16,
        /// Where a redirect leads, as a whole URL.
        location: Option<String>,
    },
    /// Something listens and does not answer as a web server does.
    Odd(String),
    /// The name has no address, or DNS could not be asked.
    Unresolved(String),
}

const ABOUT: &str = "http";
const COMPARE: &str =
    "compare the listener and the security group's rule for port 80: `reconcile plan` shows what somebody changed";

impl PlainHttp {
    /// The port that is asked.
    pub const PORT: u16 = defaults::HTTP_PORT;

    /// Judges the answer.
    pub fn judge(&self, answer: &HttpAnswer) -> Check {
        let check = |message: String| Check::ok(self.name.as_str(), ABOUT, message);
        match answer {
            HttpAnswer::Unresolved(said) => check(said.clone()).but(Verdict::Unknown, "see where the name leads"),
            HttpAnswer::Closed(said) if redirects(self.mode) => match self.reach {
                Reach::Everybody => check(format!("nothing answers on port 80, which should redirect: {said}"))
                    .but(Verdict::Failure, COMPARE),
                Reach::Some(why) => check(format!("{said}; {why}"))
                    .but(Verdict::Unknown, "verify from where the load balancer can be reached"),
            },
            HttpAnswer::Closed(said) => check(format!("closed ({said})")),
            HttpAnswer::Odd(said) => check(said.clone()).but(Verdict::Failure, COMPARE),
            HttpAnswer::Answered { status, location } if redirects(self.mode) => match location {
                Some(location) if *status == 301 && self.is_ours(location) => check(format!("301 to {location}")),
                Some(location) => check(format!("{status} to {location}, expected 301 to https://{}", self.name))
                    .but(Verdict::Failure, COMPARE),
                None => check(format!("{status}, expected a redirect (301) to HTTPS")).but(Verdict::Failure, COMPARE),
            },
            HttpAnswer::Answered { status, .. } => check(format!(
                "answers {status} without TLS, while `load_balancer.http` is \"closed\""
            ))
            .but(Verdict::Failure, COMPARE),
        }
    }

    /// Whether a URL is the site's by HTTPS.
    fn is_ours(&self, url: &str) -> bool {
        let Some(rest) = url.strip_prefix("https://") else {
            return false;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (authority, Some(defaults::LISTEN_PORT)),
        };
        host.eq_ignore_ascii_case(self.name.as_str()) && port.is_some_and(|port| self.https_ports.contains(&port))
    }
}
