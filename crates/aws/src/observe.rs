//! Everything that one run looks at, asked for all at once.

use futures_util::try_join;
use reconcile_core::observed::{Observed, Query};
use reconcile_engine::CloudError;

use crate::{acm, clients::Clients, ec2, elb, route53, sts};

/// Asks every service at the same time. A service that needs a second round (an instance's groups, a load balancer's
/// listeners) begins it as soon as its own first answers are there.
pub(crate) async fn observe(clients: &Clients, query: &Query) -> Result<Observed, CloudError> {
    let (identity, ec2, balancers, tls_policies, certificates, (zones, record_sets)) = try_join!(
        sts::observe(clients),
        ec2::observe(clients, query),
        elb::observe(clients, query),
        elb::tls_policies(clients),
        acm::observe(clients, query),
        route53::observe(clients, query),
    )?;
    let ec2::Seen {
        instances,
        subnets,
        security_groups,
        interfaces,
        found,
    } = ec2;
    Ok(Observed {
        identity,
        instances,
        subnets,
        security_groups,
        interfaces,
        zones,
        record_sets,
        tls_policies,
        found: certificates.into_iter().chain(found).chain(balancers).collect(),
    })
}
