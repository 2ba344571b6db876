//! The health check, tried from here before anything is made.

use std::time::Duration;

use futures_util::future::join_all;
use reconcile_core::{config::Protocol, plan::Finding, planner::HealthProbe};
use reconcile_probe::{Request, Scheme, TrustPolicy};

use super::SiteVisitor;

/// A plan should not be long in coming for it.
const TIMEOUT: Duration = Duration::from_secs(5);

impl SiteVisitor {
    /// What to tell about instances that do not answer the health check as they should. An instance that cannot be asked
    /// from here says nothing: it may admit others.
    pub(crate) async fn health_findings(&self, probes: &[HealthProbe]) -> Vec<Finding> {
        let answers = join_all(probes.iter().map(|probe| self.health_finding(probe))).await;
        answers.into_iter().flatten().collect()
    }

    async fn health_finding(&self, probe: &HealthProbe) -> Option<Finding> {
        let scheme = match probe.protocol {
            Protocol::Http => Scheme::Http,
            Protocol::Https => Scheme::Https,
        };
        // Load balancers do not check the certificates of targets (`aws-facts.md` 2.3).
        let request = Request::new(scheme, probe.address.to_string())
            .port(probe.port)
            .path(&probe.path)
            .trusting(TrustPolicy::AnyCertificate)
            .connect_timeout(TIMEOUT)
            .within(TIMEOUT);
        match self.network.ask(&request).await {
            Ok(answer) => probe.finding(answer.status.as_u16()),
            Err(error) => {
                tracing::debug!(target = %probe.target, %error, "the health check cannot be tried from here");
                None
            }
        }
    }
}
