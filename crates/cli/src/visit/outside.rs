//! What public DNS and the load balancer tell of certificates.

use std::time::Duration;

use futures_util::future::join_all;
use reconcile_core::status::{Answer, Handshake, Outside, Questions, Served};
use reconcile_probe::{DnsFailure, ProbeError, RecordKind, Request, Scheme, TrustPolicy};

use super::SiteVisitor;

/// A handshake needs no answer of the site, only the load balancer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);

impl SiteVisitor {
    /// Asks everything at the same time.
    pub(crate) async fn outside(&self, questions: &Questions) -> Outside {
        let cnames = questions.cnames.iter().map(async |name| {
            let answer = self.records(name.as_str(), RecordKind::Cname).await;
            (name.clone(), answer)
        });
        let authorities = questions.authorities.iter().map(async |name| {
            let answer = self.records(name, RecordKind::Caa).await;
            (name.clone(), answer)
        });
        let served = questions.handshakes.iter().map(async |(site, handshake)| {
            let answer = self.served(handshake).await;
            (site.clone(), answer)
        });
        let (cnames, authorities, served) = tokio::join!(join_all(cnames), join_all(authorities), join_all(served));
        Outside {
            cnames: cnames.into_iter().collect(),
            authorities: authorities.into_iter().collect(),
            served: served.into_iter().collect(),
        }
    }

    /// The records at a name; none if it does not exist.
    async fn records(&self, name: &str, kind: RecordKind) -> Answer<Vec<String>> {
        match self.network.records(name, kind).await {
            Ok(records) => Ok(records),
            Err(ProbeError::Dns {
                reason: DnsFailure::NoSuchName,
                ..
            }) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn served(&self, handshake: &Handshake) -> Answer<Served> {
        let request = Request::new(Scheme::Https, handshake.name.as_str())
            .via(&handshake.load_balancer)
            .port(handshake.port)
            // Which certificate it is is the question, not whether this machine trusts it.
            .trusting(TrustPolicy::AnyCertificate)
            .within(HANDSHAKE_TIMEOUT);
        let session = self
            .network
            .session(&request)
            .await
            .map_err(|error| error.to_string())?;
        let certificate = session.certificate().ok_or("it cannot be read")?;
        Ok(Served {
            serial: certificate.serial.clone(),
            issuer: certificate.issuer.clone(),
            not_after: certificate.not_after,
        })
    }
}
