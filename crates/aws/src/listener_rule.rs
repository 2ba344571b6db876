//! The kind `listener_rule`.

use reconcile_core::{
    observed::Actual,
    resource::{Address, ListenerRule},
};
use reconcile_engine::{CloudError, Made};

use crate::{clients::Clients, error::unexpected};

fn missing<T>() -> Result<T, CloudError> {
    Err(unexpected("elbv2 CreateRule", "not built yet"))
}

pub(crate) async fn read(_: &Clients, _: &Address, _: &str, _: &ListenerRule) -> Result<Option<Actual>, CloudError> {
    missing()
}

pub(crate) async fn find(_: &Clients, _: &Address, _: &ListenerRule) -> Result<Option<Actual>, CloudError> {
    missing()
}

pub(crate) async fn create(_: &Clients, _: &Address, _: &ListenerRule, _: &str) -> Result<Made, CloudError> {
    missing()
}

pub(crate) async fn update(
    _: &Clients,
    _: &Address,
    _: &str,
    _: &ListenerRule,
    _: &ListenerRule,
) -> Result<Made, CloudError> {
    missing()
}

pub(crate) async fn delete(_: &Clients, _: &Address, _: &str, _: &ListenerRule) -> Result<(), CloudError> {
    missing()
}
