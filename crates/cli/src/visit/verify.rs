//! Asks what `verify` wants to know; what the answers mean is decided in the core.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use futures_util::{StreamExt, future::join_all, stream};
use reconcile_core::{
    check::{Check, Verdict, worst},
    planner::DelegationProbe,
    value::DomainName,
    verify::{
        AddressAnswer, Addresses, Answered, Closed, Door, Family, Followed, HttpAnswer, NoAddress, Node, Page, Place,
        PlainHttp, Question, ServedCertificate, Session, Unanswered, Visit, judge_delegation,
    },
};
use reconcile_probe::{
    AddressFailureReason, Answer, DnsFailure, ProbeError, RecordKind, Request, Scheme, Stage, TlsSession, TrustPolicy,
};

use super::{REDIRECTS, SiteVisitor, TIMEOUT, judge};

/// A closed port of AWS does not answer at all; an open one does in well under a second.
const KNOCK: Duration = Duration::from_secs(3);
/// Addresses change, rules take effect and certificates are renewed while they are looked at: what fails is asked once
/// more after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(3);
/// Each question takes up to a dozen sockets, of which a process may have about a thousand.
const AT_ONCE: usize = 32;

impl SiteVisitor {
    /// Asks all questions, many at a time; the checks in the order of the questions.
    pub(crate) async fn verify(&self, questions: &[Question]) -> Vec<Check> {
        let checks: Vec<Vec<Check>> = stream::iter(questions.iter().map(|question| self.checked(question)))
            .buffered(AT_ONCE)
            .collect()
            .await;
        checks.into_iter().flatten().collect()
    }

    async fn checked(&self, question: &Question) -> Vec<Check> {
        let checks = self.checks(question).await;
        if worst(&checks) < Verdict::Failure || matches!(question, Question::Settled(_)) {
            return checks;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        self.checks(question).await
    }

    async fn checks(&self, question: &Question) -> Vec<Check> {
        match question {
            Question::Settled(check) => vec![check.clone()],
            Question::Delegation(probe) => vec![self.delegation(probe).await],
            Question::Addresses(addresses) => vec![self.addresses(addresses).await],
            Question::Visit(visit) => self.visit(visit).await,
            Question::PlainHttp(http) => vec![self.plain_http(http).await],
            Question::Door(door) => vec![self.door(door).await],
        }
    }

    async fn delegation(&self, probe: &DelegationProbe) -> Check {
        match self.network.records(probe.zone.as_str(), RecordKind::Ns).await {
            Ok(servers) => judge_delegation(probe, Ok(&servers)),
            Err(ProbeError::Dns {
                reason: DnsFailure::NoSuchName,
                ..
            }) => judge_delegation(probe, Ok(&[])),
            Err(error) => judge_delegation(probe, Err(&judge::said(&error))),
        }
    }

    async fn addresses(&self, asked: &Addresses) -> Check {
        let kind = match asked.family {
            Family::A => RecordKind::A,
            Family::Aaaa => RecordKind::Aaaa,
        };
        // A load balancer's addresses may change between two questions, so both of its answers count.
        let before = self.load_balancer_addresses(asked, kind).await;
        let name = asked.name.as_str();
        let answers = match &asked.place {
            Place::NameServers(servers) => {
                join_all(servers.iter().map(async |server| {
                    let records = self.network.records_at(server, name, kind).await;
                    answer(server, records)
                }))
                .await
            }
            Place::Resolver if self.network.given_addresses(name, asked.port).is_some() => vec![AddressAnswer {
                server: String::new(),
                addresses: Err(NoAddress::Given),
            }],
            Place::Resolver => vec![answer("the resolver", self.network.records(name, kind).await)],
        };
        let after = self.load_balancer_addresses(asked, kind).await;
        let load_balancer = match (before, after) {
            (Ok(before), Ok(after)) => Ok(&before | &after),
            (Ok(known), Err(_)) | (Err(_), Ok(known)) => Ok(known),
            (Err(said), Err(_)) => Err(said),
        };
        asked.judge(&answers, &load_balancer)
    }

    async fn load_balancer_addresses(&self, asked: &Addresses, kind: RecordKind) -> Result<BTreeSet<IpAddr>, String> {
        let Some(name) = &asked.load_balancer else {
            return Err("the load balancer has no DNS name yet".to_owned());
        };
        match self.network.records(name, kind).await {
            Ok(records) => Ok(parsed(&records)),
            Err(error) => Err(judge::said(&error)),
        }
    }

    async fn visit(&self, visit: &Visit) -> Vec<Check> {
        let pages = visit.pages.iter().map(|page| self.page(&visit.name, visit.port, page));
        visit.judge(&join_all(pages).await)
    }

    async fn page(&self, name: &DomainName, port: u16, page: &Page) -> Result<Vec<Node>, Unanswered> {
        // The certificate is judged by itself, so that one that is wrong does not hide the page.
        let request = Request::new(Scheme::Https, name.as_str())
            .port(port)
            .path(&page.path)
            .trusting(TrustPolicy::AnyCertificate)
            .within(TIMEOUT);
        let answers = self
            .network
            .ask_each(&request)
            .await
            .map_err(|error| unanswered(&error))?;
        let redirects = answers
            .iter()
            .any(|(_, answer)| answer.as_ref().is_ok_and(Answer::is_redirect));
        let followed = if redirects {
            Some(self.followed(&request).await)
        } else {
            None
        };
        let nodes = answers.into_iter().map(|(address, answer)| Node {
            address: address.ip(),
            answer: match answer {
                Ok(answer) => Ok(answered(&answer, followed.as_ref())),
                Err(error) => Err(unanswered(&error)),
            },
        });
        Ok(nodes.collect())
    }

    async fn followed(&self, request: &Request) -> Followed {
        match self.network.follow(request, REDIRECTS).await {
            Ok(answers) => answers.last().map_or_else(
                || Followed::Broken("no answer".to_owned()),
                |last| Followed::Page {
                    url: last.url(),
                    status: last.status.as_u16(),
                },
            ),
            Err(error @ (ProbeError::RedirectLoop { .. } | ProbeError::TooManyRedirects { .. })) => {
                Followed::Endless(judge::said(&error))
            }
            Err(error) => Followed::Broken(judge::said(&error)),
        }
    }

    /// Every address is asked; the worst answer counts.
    async fn plain_http(&self, http: &PlainHttp) -> Check {
        let request = Request::new(Scheme::Http, http.name.as_str())
            .port(PlainHttp::PORT)
            .connect_timeout(KNOCK)
            .within(TIMEOUT);
        let answers = match self.network.ask_each(&request).await {
            Ok(answers) => answers,
            Err(error) => return http.judge(&HttpAnswer::Unresolved(judge::said(&error))),
        };
        let reachable = |error: &ProbeError| !error.is_unreachable();
        let any_answer = answers
            .iter()
            .any(|(_, answer)| answer.as_ref().map_or_else(reachable, |_| true));
        let judged = answers
            .into_iter()
            // Many machines have no way to IPv6 addresses; that says nothing of the site.
            .filter(|(address, answer)| {
                address.is_ipv4() || !any_answer || answer.as_ref().map_or_else(reachable, |_| true)
            })
            .map(|(_, answer)| http.judge(&http_answer(answer)));
        judged
            .reduce(|worst, next| if next.verdict > worst.verdict { next } else { worst })
            .unwrap_or_else(|| http.judge(&HttpAnswer::Unresolved("the name has no address".to_owned())))
    }

    async fn door(&self, door: &Door) -> Check {
        let tried = self.network.connects(door.at(), KNOCK).await;
        door.judge(&tried.map_err(|reason| match reason {
            AddressFailureReason::Refused => Closed::Refused,
            AddressFailureReason::TimedOut { .. } => Closed::Silent,
            other => Closed::NotTried(other.to_string()),
        }))
    }
}

fn parsed(records: &[String]) -> BTreeSet<IpAddr> {
    records.iter().filter_map(|record| record.parse().ok()).collect()
}

fn answer(server: &str, records: Result<Vec<String>, ProbeError>) -> AddressAnswer {
    let addresses = match records {
        Ok(records) => Ok(parsed(&records)),
        Err(ProbeError::Dns { reason, .. }) => Err(match reason {
            DnsFailure::NoSuchName => NoAddress::NoSuchName,
            DnsFailure::ServerError { code } => NoAddress::Refused(format!("answers `{code}`")),
            other => NoAddress::NotAsked(other.to_string()),
        }),
        Err(error) => Err(NoAddress::NotAsked(judge::said(&error))),
    };
    AddressAnswer {
        server: server.to_owned(),
        addresses,
    }
}

fn unanswered(error: &ProbeError) -> Unanswered {
    Unanswered {
        is_unreachable: error.is_unreachable(),
        is_unresolved: matches!(
            error,
            ProbeError::Dns { .. }
                | ProbeError::Deadline {
                    stage: Stage::Resolving,
                    ..
                }
        ),
        said: judge::said(error),
        hint: error.hint().unwrap_or_default().to_owned(),
    }
}

fn answered(answer: &Answer, followed: Option<&Followed>) -> Answered {
    Answered {
        status: answer.status.as_u16(),
        by_load_balancer: answer.is_from_load_balancer(),
        followed: followed.filter(|_| answer.is_redirect()).cloned(),
        session: session(answer.tls.as_ref()),
    }
}

fn session(tls: Option<&TlsSession>) -> Session {
    let certificate = tls.and_then(TlsSession::certificate);
    Session {
        version: tls.map_or_else(|| "no TLS".to_owned(), |tls| tls.version.clone()),
        certificate: certificate.map(|certificate| ServedCertificate {
            issuer: certificate.issuer.clone(),
            issuer_organization: certificate.issuer_organization.clone(),
            serial: certificate.serial.clone(),
            not_after: certificate.not_after,
        }),
        trust: match tls.map(|tls| &tls.verified) {
            Some(Err(failure)) => Err((failure.to_string(), failure.hint().unwrap_or_default().to_owned())),
            Some(Ok(())) | None => Ok(()),
        },
    }
}

fn http_answer(answer: Result<Answer, ProbeError>) -> HttpAnswer {
    match answer {
        Ok(answer) => HttpAnswer::Answered {
            status: answer.status.as_u16(),
            location: answer.redirect_target(),
        },
        Err(ProbeError::Connect { failures, .. }) => HttpAnswer::Closed(
            failures
                .first()
                .map_or_else(|| "no connection".to_owned(), |failure| failure.reason.to_string()),
        ),
        Err(error @ ProbeError::Dns { .. }) => HttpAnswer::Unresolved(judge::said(&error)),
        Err(error) => HttpAnswer::Odd(judge::said(&error)),
    }
}
