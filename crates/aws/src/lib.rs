//! The real cloud: observes and changes AWS through its SDK.
//!
//! One module per kind of resource, and each is a handful of plain functions over the SDK's clients with the same
//! names everywhere: `observe` (all that a [`Query`](reconcile_core::observed::Query) may mean), `read`, `find`, `create`,
//! `update` and `delete`, whose contracts are those of [`reconcile_engine::Cloud`]. Nothing is decided here that the plan
//! did not decide, and nothing is printed: calls are logged through `tracing` at debug level, by operation only.
//!
//! What is common to all of them stands beside: `clients` configures the SDK, `connector` stands under every call and
//! attempt (with `pacing` for AWS's budgets and `answer` for what is an answer at all), `limits` has the times and numbers,
//! `retry` says which failures pass by themselves, `error` says what a failure means.

mod acm;
mod actions;
mod alias_record;
mod answer;
mod attempts;
mod attributes;
mod certificate;
mod clients;
mod cloud;
mod connector;
mod ec2;
mod elb;
mod error;
mod group_rules;
mod instance_ingress;
mod limits;
mod listener;
mod listener_certificate;
mod listener_rule;
mod load_balancer;
mod notice;
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
mod secrets;
mod security_group;
mod sts;
mod target;
mod target_group;
mod validation_record;
mod web_acl_association;

use reconcile_core::value::Region;

use clients::Clients;
pub use clients::{ConnectError, Options};
pub use notice::Notices;
pub use secrets::without_secrets;

/// AWS, as one account and region.
#[derive(Debug)]
pub struct Aws {
    clients: Clients,
}

impl Aws {
    /// Prepares the SDK; makes no call to AWS, except that the SDK's own chain may ask the instance metadata service for
    /// the region.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        Self::connect_telling(options, Notices::default()).await
    }

    /// The same, with somebody who is told when AWS asks to slow down or does not answer.
    pub async fn connect_telling(options: Options, notices: Notices) -> Result<Self, ConnectError> {
        Ok(Self {
            // The SDK's futures are large; boxed they do not add up in those of the callers.
            clients: Box::pin(Clients::new(options, notices)).await?,
        })
    }

    /// The region that calls go to.
    pub fn region(&self) -> &Region {
        &self.clients.region
    }
}
