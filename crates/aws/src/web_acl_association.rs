//! The kind `web_acl_association`.

use reconcile_core::{
    observed::Actual,
    resource::{Address, WebAclAssociation},
};
use reconcile_engine::{CloudError, Made};

use crate::{clients::Clients, error::unexpected};

fn missing<T>() -> Result<T, CloudError> {
    Err(unexpected("wafv2 AssociateWebACL", "not built yet"))
}

pub(crate) async fn read(
    _: &Clients,
    _: &Address,
    _: &str,
    _: &WebAclAssociation,
) -> Result<Option<Actual>, CloudError> {
    missing()
}

pub(crate) async fn find(_: &Clients, _: &Address, _: &WebAclAssociation) -> Result<Option<Actual>, CloudError> {
    missing()
}

pub(crate) async fn create(_: &Clients, _: &Address, _: &WebAclAssociation, _: &str) -> Result<Made, CloudError> {
    missing()
}

pub(crate) async fn update(
    _: &Clients,
    _: &Address,
    _: &str,
    _: &WebAclAssociation,
    _: &WebAclAssociation,
) -> Result<Made, CloudError> {
    missing()
}

pub(crate) async fn delete(_: &Clients, _: &Address, _: &str, _: &WebAclAssociation) -> Result<(), CloudError> {
    missing()
}
