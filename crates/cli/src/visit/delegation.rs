//! Who serves a zone, asked of public DNS before a certificate is requested.

use futures_util::future::join_all;
use reconcile_core::{plan::Finding, planner::DelegationProbe};
use reconcile_probe::{DnsFailure, ProbeError, RecordKind};

use super::SiteVisitor;

impl SiteVisitor {
    /// What to tell about zones that the world does not find where they are. A resolver that cannot be asked says nothing.
    pub(crate) async fn delegation_findings(&self, probes: &[DelegationProbe]) -> Vec<Finding> {
        let answers = join_all(probes.iter().map(|probe| self.delegation_finding(probe))).await;
        answers.into_iter().flatten().collect()
    }

    async fn delegation_finding(&self, probe: &DelegationProbe) -> Option<Finding> {
        match self.network.records(probe.zone.as_str(), RecordKind::Ns).await {
            Ok(name_servers) => probe.finding(&name_servers),
            Err(ProbeError::Dns {
                reason: DnsFailure::NoSuchName,
                ..
            }) => probe.finding(&[]),
            Err(error) => {
                tracing::debug!(zone = %probe.zone, %error, "public DNS cannot be asked from here");
                None
            }
        }
    }
}
