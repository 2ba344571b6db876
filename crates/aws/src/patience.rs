//! Waiting while ELB does not know a certificate that ACM has just issued (`aws-facts.md` 4.1, 7.1).

use std::time::{Duration, Instant, SystemTime};

use aws_sdk_acm::types::CertificateStatus;
use reconcile_engine::CloudError;

use crate::{
    clients::Clients,
    error::{CloudErrorExt, call},
};

/// How long ELB may not know a certificate that ACM has just issued (`aws-facts.md` 7.1).
const CERTIFICATE_PATIENCE: Duration = Duration::from_mins(5);
/// A certificate that was issued longer ago than this is known to ELB, or will never be.
const FRESH: Duration = Duration::from_mins(15);
/// The first and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Waits while ELB does not know a certificate that ACM has just issued.
pub(crate) struct Patience<'a> {
    certificate: Option<&'a str>,
    since: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    /// Begins to wait for the certificate with this ARN; without one, nothing is waited for.
    pub(crate) fn new(certificate: Option<&'a str>) -> Self {
        Self {
            certificate,
            since: Instant::now(),
            pause: PAUSES.0,
        }
    }

    /// Pauses before the next try, or gives the error back if trying again is no use.
    pub(crate) async fn wait(&mut self, clients: &Clients, error: CloudError) -> Result<(), CloudError> {
        let Some(certificate) = self.certificate else {
            return Err(error);
        };
        let is_about_it = error.is_code(&["CertificateNotFound", "UnsupportedCertificate"]);
        if !is_about_it || self.since.elapsed() > CERTIFICATE_PATIENCE || !is_fresh(clients, certificate).await {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
}

/// Whether ACM says that the certificate was issued a short while ago. Where ACM does not tell, the error of ELB stands.
async fn is_fresh(clients: &Clients, arn: &str) -> bool {
    let request = clients.acm.describe_certificate().certificate_arn(arn);
    let Ok(answer) = call("acm DescribeCertificate", request.send()).await else {
        return false;
    };
    answer.certificate().is_some_and(|certificate| {
        let issued = certificate
            .issued_at()
            .and_then(|time| SystemTime::try_from(*time).ok());
        certificate.status() == Some(&CertificateStatus::Issued)
            && issued.is_some_and(|issued| issued.elapsed().unwrap_or_default() < FRESH)
    })
}
