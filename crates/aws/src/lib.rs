//! The real cloud: observes and changes AWS through its SDK.
//!
//! One module per kind of resource, and each is a handful of plain functions over the SDK's clients with the same
//! names everywhere: `observe` (all that a [`Query`](reconcile_core::observed::Query) may mean), `read`, `find`, `create`,
//! `update` and `delete`, whose contracts are those of [`reconcile_engine::Cloud`]. Nothing is decided here that the plan
//! did not decide, and nothing is printed: calls are logged through `tracing` at debug level, by operation only.
//!
//! What is common to all of them stands beside: `clients` configures the SDK, `pacing` keeps to AWS's budgets under
//! every call, `retry` says which failures pass by themselves, `error` says what a failure means.

mod acm;
mod actions;
mod alias_record;
mod attributes;
mod certificate;
mod clients;
mod cloud;
mod ec2;
mod elb;
mod error;
mod group_rules;
mod instance_ingress;
mod listener;
mod listener_certificate;
mod listener_rule;
mod load_balancer;
mod observe;
mod ownership;
mod pacing;
mod paging;
mod patience;
mod port_closure;
mod retry;
mod role;
mod route53;
pub mod s3;
mod security_group;
mod sts;
mod target;
mod target_group;
mod validation_record;
mod web_acl_association;

use reconcile_core::value::Region;

use clients::Clients;
pub use clients::{ConnectError, Options};

/// AWS, as one account and region.
#[derive(Debug)]
pub struct Aws {
    clients: Clients,
}

impl Aws {
    /// Prepares the SDK; makes no call to AWS, except that the SDK's own chain may ask the instance metadata service for
    /// the region.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        Ok(Self {
            // The SDK's futures are large; boxed they do not add up in those of the callers.
            clients: Box::pin(Clients::new(options)).await?,
        })
    }

    /// The region that calls go to.
    pub fn region(&self) -> &Region {
        &self.clients.region
    }
}
