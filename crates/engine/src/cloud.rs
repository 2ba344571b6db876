//! The cloud as the engine sees it.

use std::future::Future;

use reconcile_core::{
    observed::{Actual, Observed, Query},
    plan::{Progress, SiteRequest},
    resource::{Address, Output, Outputs, Spec},
};
use thiserror::Error;

/// A cloud in which resources are looked at, made, changed and deleted.
///
/// Every method may be called again after a failure or a crash, whether or not the first call took effect: look before
/// creating, take "exists already" and "is gone already" as success where it is ours. A call that AWS throttles or that
/// meets a passing fault is retried inside.
pub trait Cloud {
    /// Looks at everything that `query` names, all at once.
    fn observe(&self, query: &Query) -> impl Future<Output = Result<Observed, CloudError>>;

    /// Reads one object again: by `id` where the kind has ids, else by the content of `like`.
    ///
    /// `None` is an object that AWS does not know, or not yet.
    fn read(
        &self,
        address: &Address,
        id: &str,
        like: &Spec,
    ) -> impl Future<Output = Result<Option<Actual>, CloudError>>;

    /// Looks for an object that an earlier, interrupted `create` with the same token may have made: by tags and by name.
    ///
    /// An object of the name that is not the stack's is returned too, with its tags, so that it is told instead of run
    /// into. Of several with the stack's tags, as while one is replaced, the one whose immutable settings are those of
    /// `desired`, and the newest of these.
    fn find(&self, address: &Address, desired: &Spec) -> impl Future<Output = Result<Option<Actual>, CloudError>>;

    /// Makes an object, by a single mutating call, tags included. Settings that the call cannot carry are brought about by
    /// the `update` that follows, on what `read` then finds.
    ///
    /// All references in `desired` are resolved. `token` makes the request idempotent where AWS takes one.
    fn create(&self, address: &Address, desired: &Spec, token: &str) -> impl Future<Output = Result<Made, CloudError>>;

    /// Makes the settings of an object equal to `desired`, by the calls that its differences from `observed` need.
    ///
    /// Record sets are compared and swapped: the change fails if they are no longer as `observed`.
    fn update(
        &self,
        address: &Address,
        id: &str,
        observed: &Spec,
        desired: &Spec,
    ) -> impl Future<Output = Result<Made, CloudError>>;

    /// Deletes an object; one that is gone already is success.
    fn delete(&self, address: &Address, id: &str, observed: &Spec) -> impl Future<Output = Result<(), CloudError>>;

    /// Whether the DNS change has reached all servers. A change that is no longer known has (`aws-facts.md` 5.4).
    fn is_in_sync(&self, change: &str) -> impl Future<Output = Result<bool, CloudError>>;
}

/// What a mutating call gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Made {
    /// The ARN or id of the object; for kinds without one, what identifies it.
    pub id: String,
    /// What it supplies to others, as far as known already.
    pub outputs: Outputs,
    /// The DNS change that carries it, if it is one.
    pub dns_change: Option<String>,
}

impl Made {
    /// An object that supplies its id and, so far, nothing else.
    pub fn with_id(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            outputs: Outputs::from([(Output::Id, id.clone())]),
            id,
            dns_change: None,
        }
    }
}

/// Asks a site from outside.
pub trait Visitor {
    /// Makes one request, to `connect_to` if given, else to the site's name, and judges the answer. `address` is that of
    /// the load balancer's DNS name.
    fn ask(&self, request: &SiteRequest, load_balancer: Option<&str>) -> impl Future<Output = Progress>;
}

/// What went wrong in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operation}: {message}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct CloudError {
    /// The service and the call, for example `elbv2 CreateListener`.
    pub operation: String,
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// AWS's code.
    pub code: Option<String>,
    /// AWS's message, or what kept the call from being answered.
    pub message: String,
    /// AWS's request id, for a support case.
    pub request_id: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

/// What sort of failure a cloud error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// It changed since it was looked at, or something stands in the way.
    Conflict,
    /// It is still used by something else; that may pass.
    InUse,
    /// A permission is missing.
    Denied,
    /// A quota is used up.
    Quota,
    /// The request is wrong, or AWS refuses it for a reason of its own.
    Refused,
    /// AWS did not answer, or asked to slow down, for longer than was worth retrying.
    Unavailable,
    /// The answer does not make sense.
    Unexpected,
}
