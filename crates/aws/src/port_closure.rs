//! The kind `port_closure`: that certain world-open rules shall not be in a group that is not ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Ready, ready},
};

use reconcile_core::{
    observed::{Actual, Status},
    resource::{Address, Output, Outputs, PortClosure, Rule, Spec, Tags},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    error::{call, failure},
    group_rules::{self, FoundRule, permission},
    instance_ingress::revoke,
    retry::while_fresh,
};

const AUTHORIZE: &str = "ec2 AuthorizeSecurityGroupIngress";

/// Those of the rules in `like` that stand in the group, by the ids that `like` gives them: a rule that was revoked and
/// authorised again has another id and is the same rule.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    like: &PortClosure,
) -> Result<Option<Actual>, CloudError> {
    let found = group_rules::of_groups(clients, &BTreeSet::from([like.group.clone()])).await?;
    let open = standing(&found, like);
    Ok(Some(actual(PortClosure {
        group: like.group.clone(),
        open,
        descriptions: BTreeMap::new(),
    })))
}

fn standing(found: &[FoundRule], like: &PortClosure) -> BTreeMap<String, Rule> {
    like.open
        .iter()
        .filter(|(id, rule)| {
            found.iter().any(|found| {
                !found.is_egress && found.group == like.group && (found.id == **id || found.rule == **rule)
            })
        })
        .map(|(id, rule)| (id.clone(), rule.clone()))
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

/// Giving a closure up does not open anything: going back is a change to what stood open before.
pub(crate) fn delete(
    _clients: &Clients,
    _address: &Address,
    _id: &str,
    _observed: &PortClosure,
) -> Ready<Result<(), CloudError>> {
    ready(Ok(()))
}

/// Authorises the rules that shall stand open again, and revokes, by id, those that stand open and shall not. A rule that
/// somebody has changed meanwhile stays, and the change fails: it is not what was planned.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    observed: &PortClosure,
    desired: &PortClosure,
) -> Result<Made, CloudError> {
    open(clients, desired).await?;
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

/// Authorises those of the wanted rules that are missing, with the descriptions that they had.
async fn open(clients: &Clients, desired: &PortClosure) -> Result<(), CloudError> {
    if desired.open.is_empty() {
        return Ok(());
    }
    // Naming one rule that stands already fails the call for all of them (`aws-facts.md` 6.1); the next look is newer.
    while_fresh(&["InvalidPermission.Duplicate"], || async {
        let found = group_rules::of_groups(clients, &BTreeSet::from([desired.group.clone()])).await?;
        let missing = missing(&found, desired);
        if missing.is_empty() {
            return Ok(());
        }
        let request = clients
            .ec2
            .authorize_security_group_ingress()
            .group_id(desired.group.as_str());
        let missing = missing
            .into_iter()
            .map(|(rule, description)| permission(rule, description));
        call(AUTHORIZE, request.set_ip_permissions(Some(missing.collect())).send()).await?;
        Ok(())
    })
    .await
}

/// The wanted rules that are not in the group, each once, with their descriptions. Only what a rule says counts here: one
/// that somebody has changed has the id and does not let in what it did.
fn missing<'a>(found: &[FoundRule], desired: &'a PortClosure) -> BTreeMap<&'a Rule, Option<&'a str>> {
    let stands = |rule: &Rule| {
        found
            .iter()
            .any(|found| !found.is_egress && found.group == desired.group && found.rule == *rule)
    };
    desired
        .open
        .iter()
        .filter(|(_, rule)| !stands(rule))
        .map(|(id, rule)| (rule, desired.descriptions.get(id).map(String::as_str)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_the_same_under_another_id_and_in_no_other_group() {
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
            open: [
                ("sgr-1", "tcp 443 0.0.0.0/0"),
                ("sgr-2", "tcp 80 ::/0"),
                ("sgr-3", "tcp 80 0.0.0.0/0"),
            ]
            .map(|(id, rule)| (id.to_owned(), rule.parse().unwrap()))
            .into(),
            descriptions: BTreeMap::new(),
        };
        let rules = [
            found("sgr-1", "sg-0a", "tcp 443 0.0.0.0/0"),
            found("sgr-9", "sg-0a", "tcp 80 ::/0"),
            found("sgr-8", "sg-0a", "tcp 443 10.0.0.0/8"),
            found("sgr-7", "sg-0b", "tcp 80 0.0.0.0/0"),
        ];
        assert_eq!(
            standing(&rules, &like).into_keys().collect::<Vec<_>>(),
            ["sgr-1", "sgr-2"]
        );
        let absent: Rule = "tcp 80 0.0.0.0/0".parse().unwrap();
        assert_eq!(missing(&rules, &like), BTreeMap::from([(&absent, None)]));
        // Somebody has narrowed the first one: its id is there, and what it let in is not.
        let narrowed = [found("sgr-1", "sg-0a", "tcp 443 10.0.0.0/8")];
        assert_eq!(missing(&narrowed, &like).len(), 3);
    }
}
