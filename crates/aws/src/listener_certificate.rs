//! The kind `listener_certificate`.

use reconcile_core::{
    observed::Actual,
    resource::{Address, ListenerCertificate},
};
use reconcile_engine::{CloudError, Made};

use crate::{clients::Clients, error::unexpected};

fn missing<T>() -> Result<T, CloudError> {
    Err(unexpected("elbv2 AddListenerCertificates", "not built yet"))
}

pub(crate) async fn read(
    _: &Clients,
    _: &Address,
    _: &str,
    _: &ListenerCertificate,
) -> Result<Option<Actual>, CloudError> {
    missing()
}

pub(crate) async fn find(_: &Clients, _: &Address, _: &ListenerCertificate) -> Result<Option<Actual>, CloudError> {
    missing()
}

pub(crate) async fn create(_: &Clients, _: &Address, _: &ListenerCertificate, _: &str) -> Result<Made, CloudError> {
    missing()
}

pub(crate) async fn update(
    _: &Clients,
    _: &Address,
    _: &str,
    _: &ListenerCertificate,
    _: &ListenerCertificate,
) -> Result<Made, CloudError> {
    missing()
}

pub(crate) async fn delete(_: &Clients, _: &Address, _: &str, _: &ListenerCertificate) -> Result<(), CloudError> {
    missing()
}
