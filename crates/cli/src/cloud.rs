//! Stands in for the calls to AWS until they are written.

use reconcile_aws::Aws;
use reconcile_core::{
    observed::{Actual, Observed, Query},
    resource::{Address, Spec},
};
use reconcile_engine::{Cloud, CloudError, ErrorKind, Made};

/// AWS, to which no call is made yet.
#[derive(Debug)]
pub(crate) struct Pending(pub(crate) Aws);

fn pending(operation: &str) -> CloudError {
    CloudError {
        operation: operation.to_owned(),
        kind: ErrorKind::Unexpected,
        code: None,
        message: "this build cannot call AWS yet".to_owned(),
        request_id: None,
        remedy: None,
    }
}

impl Cloud for Pending {
    async fn observe(&self, _: &Query) -> Result<Observed, CloudError> {
        tracing::debug!(region = %self.0.region(), "observing");
        Err(pending("observe"))
    }
    async fn read(&self, _: &Address, _: &str, _: &Spec) -> Result<Option<Actual>, CloudError> {
        Err(pending("read"))
    }
    async fn find(&self, _: &Address, _: &Spec) -> Result<Option<Actual>, CloudError> {
        Err(pending("find"))
    }
    async fn create(&self, _: &Address, _: &Spec, _: &str) -> Result<Made, CloudError> {
        Err(pending("create"))
    }
    async fn update(&self, _: &Address, _: &str, _: &Spec, _: &Spec) -> Result<Made, CloudError> {
        Err(pending("update"))
    }
    async fn delete(&self, _: &Address, _: &str, _: &Spec) -> Result<(), CloudError> {
        Err(pending("delete"))
    }
    async fn is_in_sync(&self, _: &str) -> Result<bool, CloudError> {
        Err(pending("is_in_sync"))
    }
}
