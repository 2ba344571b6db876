//! Asks a site as a visitor would, and says whether it answers as it should.

mod delegation;
mod health;
mod judge;
mod outside;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use reconcile_core::{
    config::Protocol,
    plan::{DirectPath, Progress, SiteRequest, Through},
};
use reconcile_engine::Visitor;
use reconcile_probe::{Answer, Network, ProbeError, Request, Scheme, TrustPolicy};

use judge::Today;

/// More redirects than a browser's user would put up with are taken for a loop (`aws-facts.md` 8.4).
const REDIRECTS: usize = 5;
/// An ALB waits ten seconds for a connection to a target before it answers 504 (`aws-facts.md` 3).
const TIMEOUT: Duration = Duration::from_secs(15);

/// A visitor of the sites.
#[derive(Debug, Clone)]
pub(crate) struct SiteVisitor {
    network: Network,
}

impl SiteVisitor {
    /// A visitor that goes this way.
    pub(crate) fn new(network: Network) -> Self {
        Self { network }
    }

    /// What the instance answers without the load balancer; `None` where it cannot be reached from here, as when it
    /// admits only the load balancer.
    async fn today(&self, request: &SiteRequest, direct: &DirectPath) -> Option<Today> {
        let ask = direct_request(request, direct);
        let answer = match self.network.ask(&ask).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(instance = %direct.instance, %error, "the instance cannot be asked directly");
                return None;
            }
        };
        let loops = answer.is_redirect() && self.loops(&ask).await.is_some();
        Some(Today {
            instance: direct.instance.clone(),
            answer,
            loops,
            same_protocol: direct.protocol == request.protocol,
        })
    }

    /// What visitors get now who come by the site's name; `None` if that leads nowhere.
    async fn by_name(&self, request: &SiteRequest) -> Option<Answer> {
        let plain = SiteRequest {
            headers: BTreeMap::new(),
            ..request.clone()
        };
        let ask = site_request(&plain).trusting(TrustPolicy::AnyCertificate);
        match self.network.ask(&ask).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!(name = %request.name, %error, "the site does not answer by its name");
                None
            }
        }
    }

    /// The endless redirect that the request runs into, if it does. Other failures behind a redirect are not the first
    /// page's.
    async fn loops(&self, request: &Request) -> Option<ProbeError> {
        match self.network.follow(request, REDIRECTS).await {
            Err(error @ (ProbeError::RedirectLoop { .. } | ProbeError::TooManyRedirects { .. })) => Some(error),
            Ok(_) | Err(_) => None,
        }
    }

    /// Asks every address that the name leads to: a load balancer has one per availability zone, and visitors come to
    /// any of them.
    ///
    /// # Errors
    /// Why there is no answer, or what is wrong with where the answer would come from.
    async fn answers(&self, request: &Request, not_at: &BTreeSet<IpAddr>) -> Result<Vec<Answer>, Progress> {
        let mut answers = Vec::new();
        let mut failures = Vec::new();
        for (address, result) in self
            .network
            .ask_each(request)
            .await
            .map_err(|error| judge::failure(&error))?
        {
            if not_at.contains(&address.ip()) {
                return Err(judge::not_moved(address.ip()));
            }
            match result {
                Ok(answer) => answers.push(answer),
                Err(error) => failures.push((address, error)),
            }
        }
        // Many machines have no way to IPv6 addresses; that says nothing of the site.
        let counts = |address: &SocketAddr, error: &ProbeError| address.is_ipv4() || !error.is_unreachable();
        let any = !answers.is_empty();
        match failures
            .into_iter()
            .find(|(address, error)| !any || counts(address, error))
        {
            Some((_, error)) => Err(judge::failure(&error)),
            None => Ok(answers),
        }
    }
}

impl Visitor for SiteVisitor {
    async fn ask(&self, request: &SiteRequest, load_balancer: Option<&str>) -> Progress {
        let ask = match (&request.through, load_balancer) {
            (Through::LoadBalancer(_), Some(name)) => site_request(request).via(name),
            (Through::LoadBalancer(_), None) => {
                return Progress::NotYet("the load balancer has no DNS name yet".to_owned());
            }
            (Through::Name | Through::NameNotAt(_), _) => site_request(request),
            (Through::Instance { address, trusted }, _) => {
                let ask = site_request(request).via(address.to_string());
                if *trusted {
                    ask
                } else {
                    ask.trusting(TrustPolicy::AnyCertificate)
                }
            }
        };
        let today = match &request.as_answered_by {
            Some(direct) => self.today(request, direct).await,
            None => None,
        };
        let not_at = match &request.through {
            Through::NameNotAt(addresses) => addresses.clone(),
            Through::LoadBalancer(_) | Through::Name | Through::Instance { .. } => BTreeSet::new(),
        };
        let answers = match self.answers(&ask, &not_at).await {
            Ok(answers) => answers,
            Err(Progress::NotYet(said)) if matches!(request.through, Through::Instance { trusted: true, .. }) => {
                return judge::not_trusted(said);
            }
            Err(progress) => return progress,
        };
        for answer in &answers {
            if let Err(reason) = judge::answer(answer, today.as_ref()) {
                return Progress::NotYet(reason);
            }
        }
        // The instance that is asked directly may refuse a name that another one has served until now.
        if let (Through::LoadBalancer(_), Some(error)) = (&request.through, answers.iter().find(|it| it.is_error()))
            && let Some(before) = self.by_name(request).await
            && !before.is_error()
        {
            return judge::taken_away(error, &before);
        }
        let redirects = answers.iter().any(Answer::is_redirect) && !today.is_some_and(|today| today.loops);
        if redirects && let Some(error) = self.loops(&ask).await {
            return judge::failure(&error);
        }
        Progress::Met
    }
}

fn scheme(protocol: Protocol) -> Scheme {
    match protocol {
        Protocol::Http => Scheme::Http,
        Protocol::Https => Scheme::Https,
    }
}

fn site_request(request: &SiteRequest) -> Request {
    let ask = Request::new(scheme(request.protocol), request.name.as_str())
        .port(request.port)
        .path(request.path.clone())
        .within(TIMEOUT);
    request.headers.iter().fold(ask, |ask, (name, value)| {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => ask.header(name, value),
            _ => ask,
        }
    })
}

/// The same request as the load balancer would send it to the instance, whatever certificate that has.
fn direct_request(request: &SiteRequest, direct: &DirectPath) -> Request {
    let address: IpAddr = direct.address;
    let (own, usual) = (
        scheme(request.protocol),
        request.port == scheme(request.protocol).default_port(),
    );
    let to = scheme(direct.protocol);
    let ask = Request::new(to, request.name.as_str())
        .via(address.to_string())
        .port(direct.port)
        // The visitor's Host names no port where it is the usual one, whatever port the instance listens on.
        .site_port(if usual { to.default_port() } else { request.port })
        .path(request.path.clone())
        .trusting(TrustPolicy::AnyCertificate)
        .within(TIMEOUT);
    if own == to {
        ask
    } else {
        judge::forwarded(ask, own, request.port)
    }
}

#[cfg(test)]
mod tests;
