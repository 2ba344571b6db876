//! The kind `port_closure`: that certain world-open rules shall not be in a group that is not ours.

use std::{
    collections::BTreeMap,
    future::{Ready, ready},
};

use reconcile_core::{
    observed::{Actual, Status},
    resource::{Address, Output, Outputs, PortClosure, Rule, Spec, Tags},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    error::failure,
    group_rules::{self, FoundRule},
    instance_ingress::revoke,
};

/// Those of the rules named in `like` that still stand open.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    like: &PortClosure,
) -> Result<Option<Actual>, CloudError> {
    let found = group_rules::by_id(clients, &like.open.keys().cloned().collect()).await?;
    let open = still_open(&found, like);
    Ok(Some(actual(PortClosure {
        group: like.group.clone(),
        open,
    })))
}

/// The exact-port rules for the world that are left of those named in `like`.
fn still_open(found: &[FoundRule], like: &PortClosure) -> BTreeMap<String, Rule> {
    found
        .iter()
        .filter(|found| !found.is_egress && found.group == like.group)
        .filter(|found| found.rule.is_world_open() && found.rule.exact_tcp_port().is_some())
        .map(|found| (found.id.clone(), found.rule.clone()))
        .collect()
}

fn actual(settings: PortClosure) -> Actual {
    let id = settings.group.to_string();
    Actual {
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        spec: Spec::PortClosure(settings),
        status: Status::Exists,
        tags: Tags::new(),
    }
}

/// A closure is an absence: there is nothing to be found of an interrupted one.
pub(crate) async fn find(
    clients: &Clients,
    address: &Address,
    desired: &PortClosure,
) -> Result<Option<Actual>, CloudError> {
    read(clients, address, "", desired).await
}

/// Nothing has to be made for an absence.
pub(crate) fn create(
    _clients: &Clients,
    _address: &Address,
    desired: &PortClosure,
    _token: &str,
) -> Ready<Result<Made, CloudError>> {
    ready(Ok(Made::with_id(desired.group.as_str())))
}

/// Giving a closure up does not open anything.
pub(crate) fn delete(
    _clients: &Clients,
    _address: &Address,
    _id: &str,
    _observed: &PortClosure,
) -> Ready<Result<(), CloudError>> {
    ready(Ok(()))
}

/// Revokes, by id, the rules that stand open and shall not. A rule that somebody has changed meanwhile stays, and the
/// change fails: it is not what was planned.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    observed: &PortClosure,
    desired: &PortClosure,
) -> Result<Made, CloudError> {
    let surplus: BTreeMap<&String, &Rule> = observed
        .open
        .iter()
        .filter(|(id, _)| !desired.open.contains_key(*id))
        .collect();
    let found = group_rules::by_id(clients, &surplus.keys().map(|id| (*id).clone()).collect()).await?;
    if let Some(changed) = found.iter().find(|found| surplus.get(&found.id) != Some(&&found.rule)) {
        return Err(failure(
            "ec2 RevokeSecurityGroupIngress",
            ErrorKind::Conflict,
            format!("rule `{}` is now `{}`, not what was planned", changed.id, changed.rule),
            "plan again",
        ));
    }
    revoke(
        clients,
        &observed.group,
        found.into_iter().map(|found| found.id).collect(),
    )
    .await?;
    Ok(Made::with_id(desired.group.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_rules_for_the_world_count_as_open() {
        let found = |id: &str, group: &str, rule: &str| FoundRule {
            id: id.into(),
            group: group.parse().unwrap(),
            is_egress: false,
            rule: rule.parse().unwrap(),
            description: None,
            tags: Tags::new(),
        };
        let like = PortClosure {
            group: "sg-0a".parse().unwrap(),
            open: BTreeMap::new(),
        };
        let rules = [
            found("sgr-1", "sg-0a", "tcp 443 0.0.0.0/0"),
            found("sgr-2", "sg-0a", "tcp 80 ::/0"),
            found("sgr-3", "sg-0a", "tcp 80..443 0.0.0.0/0"),
            found("sgr-4", "sg-0a", "tcp 443 10.0.0.0/8"),
            found("sgr-5", "sg-0b", "tcp 443 0.0.0.0/0"),
        ];
        let open = still_open(&rules, &like);
        assert_eq!(open.keys().collect::<Vec<_>>(), ["sgr-1", "sgr-2"]);
    }
}
