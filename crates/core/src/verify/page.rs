//! What a site answers by HTTPS.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{
    Reach,
    certificate::{self, Expected, Session},
    list,
};
use crate::{
    check::{Check, Verdict},
    explain, planner,
    value::DomainName,
};

/// A visit to one name: every page, at every address that the name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The name, for SNI and Host.
    pub name: DomainName,
    /// The port.
    pub port: u16,
    /// The pages; at least one.
    pub pages: Vec<Page>,
    /// The certificate that should be served.
    pub certificate: Expected,
    /// When it is.
    pub now: Timestamp,
    /// Who can reach the load balancer.
    pub reach: Reach,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The path.
    pub path: String,
    /// The codes that the health check takes for healthy, if it asks for this page.
    pub codes: Option<String>,
}

/// One address and what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The address.
    pub address: IpAddr,
    /// Its answer.
    pub answer: Result<Answered, Unanswered>,
}

/// An answer, whatever the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// The load balancer answered by itself, without asking an instance.
    pub by_load_balancer: bool,
    /// Where a redirect ends; `None` if it is none.
    pub followed: Option<Followed>,
    /// The TLS session.
    pub session: Session,
}

/// Where redirects end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// At a page.
    Page {
        /// Its URL.
        url: String,
        /// Its status.
        status: u16,
    },
    /// Nowhere: they turn in a circle, or there are too many of them.
    Endless(String),
    /// At something that does not answer.
    Broken(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// No connection came about.
    pub is_unreachable: bool,
    /// The name has no address, or DNS could not be asked.
    pub is_unresolved: bool,
    /// What happened.
    pub said: String,
    /// What to look at.
    pub hint: String,
}

const CONNECTION: &str = "https";

impl Visit {
    /// Judges the answers to each page, in the order of [`pages`](Self::pages). An error is that the name has no address.
    pub fn judge(&self, answers: &[Result<Vec<Node>, Unanswered>]) -> Vec<Check> {
        let first = answers.first().cloned().unwrap_or_else(|| Ok(Vec::new()));
        let (connection, sessions) = match &first {
            Err(unanswered) => (Err(unanswered.clone()), Vec::new()),
            Ok(nodes) => connection(nodes),
        };
        let mut checks = vec![self.connection_check(&connection)];
        if connection.is_err() {
            let pages = self.pages.iter().map(Page::check_name);
            let depending = certificate::ALL.into_iter().map(str::to_owned).chain(pages);
            checks.extend(depending.map(|about| {
                Check::ok(self.name.as_str(), about, "not looked at, as nothing answers").but(Verdict::Unknown, "")
            }));
            return checks;
        }
        checks.extend(self.certificate_checks(&sessions));
        for (page, nodes) in self.pages.iter().zip(answers) {
            checks.push(self.page_check(page, nodes));
        }
        checks
    }

    fn connection_check(&self, connection: &Result<String, Unanswered>) -> Check {
        let check = |message: &str| Check::ok(self.name.as_str(), CONNECTION, message);
        match (connection, &self.reach) {
            (Ok(message), _) => check(message),
            (Err(unanswered), Reach::Some(why)) if unanswered.is_unreachable => {
                check(&format!("{}; {why}", unanswered.said))
                    .but(Verdict::Unknown, "verify from where the load balancer can be reached")
            }
            (Err(unanswered), _) if unanswered.is_unresolved => {
                check(&unanswered.said).but(Verdict::Unknown, "see where the name leads")
            }
            (Err(unanswered), _) => check(&unanswered.said).but(
                Verdict::Failure,
                if unanswered.is_unreachable {
                    "look at the listener and at the load balancer's security group: `reconcile plan` compares both"
                } else {
                    &unanswered.hint
                },
            ),
        }
    }

    /// The checks of the worst session, of each kind by itself: nodes change certificates one after the other.
    fn certificate_checks(&self, sessions: &[&Session]) -> Vec<Check> {
        let mut worst: Vec<Check> = Vec::new();
        for session in sessions {
            let checks = self.certificate.judge(&self.name, session, self.now);
            if worst.is_empty() {
                worst = checks;
                continue;
            }
            for (kept, check) in worst.iter_mut().zip(checks) {
                if check.verdict > kept.verdict {
                    *kept = check;
                }
            }
        }
        worst
    }

    fn page_check(&self, page: &Page, nodes: &Result<Vec<Node>, Unanswered>) -> Check {
        let check = |message: String| Check::ok(self.name.as_str(), page.check_name(), message);
        let nodes = match nodes {
            Ok(nodes) => nodes,
            Err(unanswered) => return check(unanswered.said.clone()).but(Verdict::Failure, unanswered.hint.clone()),
        };
        let judged = nodes
            .iter()
            .filter(|node| !(node.address.is_ipv6() && node.answer.as_ref().is_err_and(|error| error.is_unreachable)))
            .map(|node| match &node.answer {
                Ok(answered) => page.judge(answered, check),
                Err(unanswered) => check(unanswered.said.clone()).but(Verdict::Failure, unanswered.hint.clone()),
            });
        // The first of the worst.
        judged
            .reduce(|worst, next| if next.verdict > worst.verdict { next } else { worst })
            .unwrap_or_else(|| check("no address to ask".to_owned()).but(Verdict::Unknown, ""))
    }
}

/// Whether the nodes answer at all: many machines have no way to IPv6 addresses, which says nothing of the site.
fn connection(nodes: &[Node]) -> (Result<String, Unanswered>, Vec<&Session>) {
    let mut sessions = Vec::new();
    let mut answering = Vec::new();
    let mut passed_over = Vec::new();
    let mut failure = None;
    for node in nodes {
        match &node.answer {
            Ok(answered) => {
                sessions.push(&answered.session);
                answering.push(node.address);
            }
            Err(unanswered) if node.address.is_ipv6() && unanswered.is_unreachable => {
                passed_over.push(node.address);
                failure = failure.or(Some(unanswered));
            }
            Err(unanswered) => return (Err(unanswered.clone()), Vec::new()),
        }
    }
    let Some(session) = sessions.first() else {
        let none = Unanswered {
            is_unreachable: true,
            is_unresolved: false,
            said: "no address to ask".to_owned(),
            hint: String::new(),
        };
        return (Err(failure.cloned().unwrap_or(none)), Vec::new());
    };
    let mut message = format!("{} with {}", session.version, list(answering));
    if !passed_over.is_empty() {
        message = format!("{message}; not reachable from here: {}", list(passed_over));
    }
    (Ok(message), sessions)
}

impl Page {
    fn check_name(&self) -> String {
        format!("page {}", self.path)
    }

    fn judge(&self, answered: &Answered, check: impl Fn(String) -> Check) -> Check {
        let status = answered.status;
        if answered.by_load_balancer
            && let Some(meaning) = explain::load_balancer_status(status)
        {
            let verdict = match status {
                // A firewall may refuse this machine and nobody else.
                403 => Verdict::Warning,
                _ => Verdict::Failure,
            };
            return check(format!("the load balancer answers {status} itself")).but(verdict, meaning);
        }
        if status >= 500 {
            return check(format!("the web server answers {status}")).but(Verdict::Failure, "look at its log");
        }
        match &answered.followed {
            Some(Followed::Endless(said)) => {
                return check(said.clone()).but(
                    Verdict::Failure,
                    "an application that forces https by its own scheme redirects for ever behind plain HTTP: let it trust \
                     X-Forwarded-Proto, or use HTTPS towards it; one that insists on a cookie cannot be told from it",
                );
            }
            Some(Followed::Broken(said)) => {
                return check(format!("answers {status}; {said}"))
                    .but(Verdict::Warning, "look at the site's redirect rules");
            }
            Some(Followed::Page { url, status: last }) if *last >= 500 => {
                return check(format!("answers {status}; leads to {url}, which answers {last}"))
                    .but(Verdict::Failure, "look at the web server's log");
            }
            Some(Followed::Page { .. }) | None => {}
        }
        let is_healthy = self.codes.as_ref().map(|codes| planner::accepts(codes, status));
        let message = match &answered.followed {
            Some(Followed::Page { url, status: last }) => {
                format!("answers {status}; leads to {url}, which answers {last}")
            }
            _ => format!("answers {status}"),
        };
        match is_healthy {
            // The health check comes with another Host, so visitors may well get something else.
            Some(false) if status >= 400 => check(format!(
                "{message}, which is not among the healthy codes ({})",
                self.codes.as_deref().unwrap_or_default()
            ))
            .but(Verdict::Warning, "look at whether visitors should get this page"),
            None if status >= 400 && status != 401 => {
                check(message).but(Verdict::Warning, "look at whether visitors should get this page")
            }
            _ => check(message),
        }
    }
}
