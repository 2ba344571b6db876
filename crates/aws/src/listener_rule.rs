//! The kind `listener_rule`: what a listener does with requests that meet certain conditions (`aws-facts.md` 4.3, 4.4).
//! The default rule of a listener is its default action and not of this kind.

mod conditions;

use aws_sdk_elasticloadbalancingv2::types::{self, RulePriorityPair};
use reconcile_core::{
    observed::{Actual, Status},
    resource::{Address, DefaultAction, ListenerRule, Output, Outputs, Ref, Spec, Tags},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    actions::{self, Outcome, known},
    clients::Clients,
    elb,
    error::{CloudErrorExt, OrMissing, call, unexpected, unresolved},
    ownership::is_same_resource,
    paging::Pages,
    retry::while_fresh,
};

const CREATE: &str = "elbv2 CreateRule";
const MODIFY: &str = "elbv2 ModifyRule";
const DESCRIBE: &str = "elbv2 DescribeRules";
const REORDER: &str = "elbv2 SetRulePriorities";
/// The codes for a rule, or a part of one, that does not exist, or not everywhere yet.
const FRESH_PARTS: [&str; 3] = ["ListenerNotFound", "TargetGroupNotFound", "RuleNotFound"];
/// Somebody has the number.
const TAKEN: &str = "PriorityInUse";

/// The rules of a listener, the default one too. An error of the kind "not found" means that the listener is.
pub(crate) async fn of(clients: &Clients, listener: &str) -> Result<Vec<types::Rule>, CloudError> {
    let mut found = Vec::new();
    let mut pages = Pages::new(DESCRIBE);
    loop {
        let request = clients.elb.describe_rules().listener_arn(listener);
        let request = request.page_size(400).set_marker(pages.token());
        let answer = call(pages.operation(), request.send()).await?;
        found.extend(answer.rules().iter().cloned());
        if !pages.advance(answer.next_marker())? {
            return Ok(found);
        }
    }
}

/// The ARN of the listener that a rule's ARN names.
pub(crate) fn listener_of(rule: &str) -> Option<String> {
    let (head, resource) = rule.split_once(":listener-rule/")?;
    let (listener, _) = resource.rsplit_once('/')?;
    Some(format!("{head}:listener/{listener}"))
}

/// The rule as an object of this kind; `None` if it is a listener's default rule.
pub(crate) fn actual(rule: &types::Rule, tags: Tags) -> Option<Actual> {
    if rule.is_default() == Some(true) {
        return None;
    }
    let id = rule.rule_arn()?.to_owned();
    let outcome = if rule.transforms().is_empty() {
        actions::read(rule.actions())
    } else {
        // A rule that rewrites requests does more than this tool can say.
        DefaultAction::Other.into()
    };
    Some(Actual {
        spec: Spec::ListenerRule(ListenerRule {
            listener: Ref::Known(listener_of(&id)?),
            priority: rule.priority()?.parse().ok()?,
            conditions: conditions::read(rule.conditions()),
            action: outcome.action,
            target_group: outcome.target_group.map(Ref::Known),
            tags: tags.clone(),
        }),
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        status: Status::Exists,
        tags,
    })
}

/// The rules of a listener as objects of this kind, with their tags.
pub(crate) async fn observe(clients: &Clients, listener: &str) -> Result<Vec<Actual>, CloudError> {
    let rules = of(clients, listener).await?;
    let others = rules.iter().filter(|rule| rule.is_default() != Some(true));
    let arns = others.filter_map(|rule| rule.rule_arn().map(str::to_owned));
    let tags = elb::tags(clients, arns.collect()).await?;
    let tagged = |rule: &types::Rule| actual(rule, elb::tags_in(&tags, rule.rule_arn()));
    Ok(rules.iter().filter_map(tagged).collect())
}

/// Reads the rule with this ARN.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _like: &ListenerRule,
) -> Result<Option<Actual>, CloudError> {
    let request = clients.elb.describe_rules().rule_arns(id);
    let Some(answer) = call(DESCRIBE, request.send()).await.or_missing()? else {
        return Ok(None);
    };
    let Some(rule) = answer.rules().first() else {
        return Ok(None);
    };
    Ok(actual(rule, elb::tags_of(clients, id).await?))
}

/// Finds the rule among those of the listener: by the tags that say whose it is, else by its conditions, whosever it is.
pub(crate) async fn find(
    clients: &Clients,
    _address: &Address,
    desired: &ListenerRule,
) -> Result<Option<Actual>, CloudError> {
    let listener = desired.listener.known().map_err(|error| unresolved(DESCRIBE, &error))?;
    let rules = observe(clients, listener).await.or_missing()?.unwrap_or_default();
    Ok(best(rules, desired))
}

/// The rule that is the wanted one: by its tags first, and of several that have them the one with the conditions.
fn best(rules: Vec<Actual>, desired: &ListenerRule) -> Option<Actual> {
    let score = |actual: &Actual| {
        let Spec::ListenerRule(rule) = &actual.spec else {
            return None;
        };
        let is_ours = is_same_resource(&actual.tags, &desired.tags);
        let is_equal = rule.conditions == desired.conditions;
        (is_ours || is_equal).then_some((is_ours, is_equal))
    };
    // The first of equals: it is the one that takes the requests.
    let scored = rules
        .into_iter()
        .rev()
        .filter_map(|actual| Some((score(&actual)?, actual)));
    scored.max_by_key(|(score, _)| *score).map(|(_, actual)| actual)
}

fn outcome(operation: &str, rule: &ListenerRule) -> Result<Outcome, CloudError> {
    Ok(Outcome {
        target_group: known(operation, rule.target_group.as_ref())?.map(str::to_owned),
        ..rule.action.into()
    })
}

/// Makes the rule. If the number is taken by the rule itself, because an answer was lost, that is the one.
pub(crate) async fn create(
    clients: &Clients,
    _address: &Address,
    desired: &ListenerRule,
    _token: &str,
) -> Result<Made, CloudError> {
    let listener = desired.listener.known().map_err(|error| unresolved(CREATE, &error))?;
    let request = clients
        .elb
        .create_rule()
        .listener_arn(listener)
        .priority(desired.priority.into())
        .set_conditions(Some(conditions::sdk(CREATE, &desired.conditions)?))
        .actions(actions::action(CREATE, &outcome(CREATE, desired)?)?)
        .set_tags(elb::sdk_tags(&desired.tags));
    match while_fresh(&FRESH_PARTS, || call(CREATE, request.clone().send())).await {
        Ok(answer) => {
            let id = answer.rules().first().and_then(|rule| rule.rule_arn());
            let id = id.ok_or_else(|| unexpected(CREATE, "the answer names no rule"))?;
            Ok(Made::with_id(id))
        }
        Err(error) if error.is_code(&[TAKEN]) => match holder(clients, listener, desired.priority).await {
            Some(actual) if is_same_resource(&actual.tags, &desired.tags) => Ok(Made::with_id(actual.id)),
            other => Err(taken(error, desired.priority, other.as_ref())),
        },
        Err(error) => Err(error),
    }
}

/// The rule that has a number; `None` also if that cannot be found out.
async fn holder(clients: &Clients, listener: &str, priority: u16) -> Option<Actual> {
    let rules = observe(clients, listener).await.ok()?;
    rules
        .into_iter()
        .find(|actual| matches!(&actual.spec, Spec::ListenerRule(rule) if rule.priority == priority))
}

/// Says which rule has the number.
fn taken(error: CloudError, priority: u16, holder: Option<&Actual>) -> CloudError {
    let Some(Actual {
        id,
        spec: Spec::ListenerRule(rule),
        ..
    }) = holder
    else {
        return error;
    };
    CloudError {
        message: format!(
            "priority {priority} is taken by the rule `{id}` for {}",
            conditions::text(&rule.conditions)
        ),
        ..error
    }
}

/// Changes the rule in place, its conditions and action by one call and its number by another.
///
/// A request always meets the rule either as it was or as it shall be: a rule that moves forward gets its new conditions
/// while it still stands behind the others, and one that moves back moves first. Any other order would have it take
/// requests, for a moment, that belong to a rule between the two places before and after.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &ListenerRule,
    desired: &ListenerRule,
) -> Result<Made, CloudError> {
    if desired.priority > observed.priority {
        set_priority(clients, id, desired).await?;
    }
    modify(clients, id, observed, desired).await?;
    if desired.priority < observed.priority {
        set_priority(clients, id, desired).await?;
    }
    elb::set_tags(clients, id, &observed.tags, &desired.tags).await?;
    Ok(Made::with_id(id.to_owned()))
}

async fn modify(
    clients: &Clients,
    id: &str,
    observed: &ListenerRule,
    desired: &ListenerRule,
) -> Result<(), CloudError> {
    let has_other_conditions = observed.conditions != desired.conditions;
    let has_other_action = (observed.action, &observed.target_group) != (desired.action, &desired.target_group);
    if !has_other_conditions && !has_other_action {
        return Ok(());
    }
    // What is not sent stays as it is.
    let mut request = clients.elb.modify_rule().rule_arn(id);
    if has_other_conditions {
        request = request.set_conditions(Some(conditions::sdk(MODIFY, &desired.conditions)?));
    }
    if has_other_action {
        request = request.actions(actions::action(MODIFY, &outcome(MODIFY, desired)?)?);
    }
    if observed.action == DefaultAction::Other {
        // It may be so because the rule rewrites requests.
        request = request.reset_transforms(true);
    }
    while_fresh(&FRESH_PARTS, || call(MODIFY, request.clone().send())).await?;
    Ok(())
}

async fn set_priority(clients: &Clients, id: &str, desired: &ListenerRule) -> Result<(), CloudError> {
    let pair = RulePriorityPair::builder()
        .rule_arn(id)
        .priority(desired.priority.into())
        .build();
    let request = clients.elb.set_rule_priorities().rule_priorities(pair);
    match while_fresh(&FRESH_PARTS, || call(REORDER, request.clone().send())).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_code(&[TAKEN]) => {
            let listener = listener_of(id).unwrap_or_default();
            let holder = holder(clients, &listener, desired.priority).await;
            Err(taken(error, desired.priority, holder.as_ref()))
        }
        Err(error) => Err(error),
    }
}

/// Deletes the rule.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _observed: &ListenerRule,
) -> Result<(), CloudError> {
    match call("elbv2 DeleteRule", clients.elb.delete_rule().rule_arn(id).send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use aws_sdk_elasticloadbalancingv2::types::{
        Action, ActionTypeEnum, HostHeaderConditionConfig, RuleCondition, RuleTransform, TransformTypeEnum,
    };
    use reconcile_core::naming::{RESOURCE_TAG, STACK_TAG};

    use super::*;

    const RULE: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:listener-rule/app/www-lb/50dc/f2f7/9683";

    fn described(host: &str) -> types::builders::RuleBuilder {
        let host = HostHeaderConditionConfig::builder().values(host).build();
        let action = Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .target_group_arn("arn:tg");
        types::Rule::builder()
            .rule_arn(RULE)
            .priority("10")
            .conditions(
                RuleCondition::builder()
                    .field("host-header")
                    .host_header_config(host)
                    .build(),
            )
            .actions(action.build())
            .is_default(false)
    }

    fn rule(actual: &Actual) -> &ListenerRule {
        match &actual.spec {
            Spec::ListenerRule(rule) => rule,
            other => panic!("{other:?}"),
        }
    }

    fn ours() -> Tags {
        Tags::from([
            (STACK_TAG.to_owned(), "www".to_owned()),
            (RESOURCE_TAG.to_owned(), "listener_rule.www".to_owned()),
        ])
    }

    #[test]
    fn a_rule_is_read_in_normal_form_and_leads_to_its_listener() {
        let actual = actual(&described("WWW.example.com").build(), ours()).unwrap();
        assert_eq!(
            rule(&actual),
            &ListenerRule {
                listener: Ref::Known("arn:aws:elasticloadbalancing:eu-west-1:1:listener/app/www-lb/50dc/f2f7".into()),
                priority: 10,
                conditions: BTreeMap::from([("host-header".into(), BTreeSet::from(["www.example.com".into()]))]),
                action: DefaultAction::Forward,
                target_group: Some(Ref::Known("arn:tg".into())),
                tags: ours(),
            }
        );
    }

    #[test]
    fn a_default_rule_is_none_and_one_that_rewrites_is_another_sort() {
        let default = described("a").is_default(true).priority("default").build();
        assert_eq!(actual(&default, Tags::new()), None);
        let rewrites =
            described("a").transforms(RuleTransform::builder().r#type(TransformTypeEnum::UrlRewrite).build());
        let actual = actual(&rewrites.build(), Tags::new()).unwrap();
        assert_eq!(
            (rule(&actual).action, &rule(&actual).target_group),
            (DefaultAction::Other, &None)
        );
    }

    #[test]
    fn tags_decide_before_conditions() {
        let found = |host: &str, priority: &str, tags: Tags| {
            let described = described(host).priority(priority);
            actual(&described.rule_arn(format!("{RULE}{priority}")).build(), tags).unwrap()
        };
        let priority = |found: &[Actual], desired: &Actual| {
            best(found.to_vec(), rule(desired)).map(|actual| rule(&actual).priority)
        };
        let wanted = found("a.example.com", "10", ours());
        let (moved, same) = (
            found("b.example.com", "20", ours()),
            found("a.example.com", "30", ours()),
        );
        let theirs = found("a.example.com", "5", Tags::new());
        let later = found("a.example.com", "40", Tags::new());
        let other = found("c.example.com", "50", Tags::new());
        assert_eq!(priority(&[theirs.clone(), moved.clone()], &wanted), Some(20));
        assert_eq!(priority(&[theirs.clone(), moved, same], &wanted), Some(30));
        assert_eq!(priority(&[theirs, later, other.clone()], &wanted), Some(5));
        assert_eq!(priority(&[other], &wanted), None);
    }

    #[test]
    fn a_taken_number_names_the_rule_that_has_it() {
        let holder = actual(&described("theirs.example.com").build(), Tags::new());
        let error = taken(unexpected(CREATE, "no"), 10, holder.as_ref());
        assert_eq!(
            error.message,
            format!("priority 10 is taken by the rule `{RULE}` for host-header theirs.example.com")
        );
        assert_eq!(taken(unexpected(CREATE, "no"), 10, None).message, "no");
    }
}
