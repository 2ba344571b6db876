//! Elastic Load Balancing as a whole: which load balancers, target groups, listeners and targets may be the stack's.

mod recorded;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::{self, LoadBalancerTypeEnum, Tag, TargetTypeEnum};
use futures_util::future;
use reconcile_core::{
    config::Protocol,
    observed::{Actual, Details, Query},
    resource::Tags,
};
use reconcile_engine::{CloudError, ErrorKind};

use crate::{
    clients::Clients,
    error::{OrMissing, call},
    listener, listener_certificate, listener_rule, load_balancer,
    paging::Pages,
    retry::while_fresh,
    target, target_group, web_acl_association,
};
use recorded::Recorded;

/// Tags can be asked for of this many objects at once.
const TAGS_AT_ONCE: usize = 20;

/// Everything that may be the stack's: by recorded id, by an id to be adopted, or by name, with all that a load balancer
/// holds, other people's rules too. Names begin with the stack's and never change, so a
/// search by tag would find nothing more.
pub(crate) async fn observe(clients: &Clients, query: &Query) -> Result<Vec<Actual>, CloudError> {
    let recorded = Recorded::of(query);
    let (balancers, groups) = future::try_join(
        observe_load_balancers(clients, query, &recorded.load_balancers),
        observe_target_groups(clients, query, &recorded.target_groups),
    )
    .await?;
    Ok(groups.into_iter().chain(balancers).collect())
}

async fn observe_load_balancers(
    clients: &Clients,
    query: &Query,
    recorded: &BTreeSet<String>,
) -> Result<Vec<Actual>, CloudError> {
    let mut candidates = Vec::new();
    let mut pages = Pages::new("elbv2 DescribeLoadBalancers");
    loop {
        let request = clients.elb.describe_load_balancers().page_size(400);
        let answer = call(pages.operation(), request.set_marker(pages.token()).send()).await?;
        candidates.extend(
            answer
                .load_balancers()
                .iter()
                .filter(|balancer| is_candidate(balancer, query, recorded))
                .cloned(),
        );
        if !pages.advance(answer.next_marker())? {
            break;
        }
    }
    let arns = candidates
        .iter()
        .filter_map(|balancer| Some(balancer.load_balancer_arn()?.to_owned()));
    let tags = tags(clients, arns.collect());
    let parts = future::try_join_all(candidates.iter().map(|balancer| async {
        let arn = balancer.load_balancer_arn().unwrap_or_default();
        let web_acl = async {
            if query.details.web_acls {
                web_acl_association::of(clients, arn).await
            } else {
                Ok(None)
            }
        };
        let attributes = load_balancer::attributes(clients, arn);
        future::try_join3(attributes, observe_listeners(clients, arn, query.details), web_acl).await
    }));
    let (tags, parts) = future::try_join(tags, parts).await?;
    let mut found = Vec::new();
    for (balancer, (attributes, listeners, web_acl)) in candidates.iter().zip(parts) {
        // Deleted between two of the calls: it does not exist.
        let (Some(attributes), Some(listeners)) = (attributes, listeners) else {
            continue;
        };
        let tags = tags_in(&tags, balancer.load_balancer_arn());
        found.extend(load_balancer::actual(balancer, attributes, tags));
        found.extend(listeners);
        found.extend(web_acl);
    }
    Ok(found)
}

fn is_candidate(balancer: &types::LoadBalancer, query: &Query, recorded: &BTreeSet<String>) -> bool {
    balancer.r#type() == Some(&LoadBalancerTypeEnum::Application)
        && (is_named(balancer.load_balancer_name(), query)
            || balancer.load_balancer_arn().is_some_and(|arn| recorded.contains(arn)))
}

fn is_named(name: Option<&str>, query: &Query) -> bool {
    name.is_some_and(|name| name.starts_with(&query.name_prefix))
}

/// The listeners of a load balancer with their tags, rules and further certificates; `None` if it is gone.
async fn observe_listeners(
    clients: &Clients,
    balancer: &str,
    details: Details,
) -> Result<Option<Vec<Actual>>, CloudError> {
    let Some(listeners) = listener::of(clients, balancer).await.or_missing()? else {
        return Ok(None);
    };
    let arns = listeners
        .iter()
        .filter_map(|listener| Some(listener.listener_arn()?.to_owned()));
    let tags = tags(clients, arns.collect());
    let parts = listeners
        .iter()
        .map(|listener| observe_parts(clients, listener, details));
    let (tags, parts) = future::try_join(tags, future::try_join_all(parts)).await?;
    let mut found = Vec::new();
    for (listener, parts) in listeners.iter().zip(parts) {
        // Deleted between two of the calls.
        let Some((attributes, others)) = parts else { continue };
        let tags = tags_in(&tags, listener.listener_arn());
        found.extend(listener::actual(listener, attributes, tags));
        found.extend(others);
    }
    Ok(Some(found))
}

/// The attributes of a listener, empty where they are not wanted, and its rules and further certificates; `None` if it is
/// gone.
async fn observe_parts(
    clients: &Clients,
    listener: &types::Listener,
    details: Details,
) -> Result<Option<(BTreeMap<String, String>, Vec<Actual>)>, CloudError> {
    let arn = listener.listener_arn().unwrap_or_default();
    let attributes = async {
        if details.listener_attributes {
            listener::attributes_of(clients, arn).await
        } else {
            Ok(Some(BTreeMap::new()))
        }
    };
    let is_https = listener.protocol().and_then(target_group::protocol) == Some(Protocol::Https);
    let certificates = async {
        if is_https {
            listener_certificate::of(clients, arn).await.or_missing()
        } else {
            Ok(Some(Vec::new()))
        }
    };
    let rules = async { listener_rule::observe(clients, arn).await.or_missing() };
    let (attributes, certificates, rules) = future::try_join3(attributes, certificates, rules).await?;
    let (Some(attributes), Some(mut others), Some(rules)) = (attributes, certificates, rules) else {
        return Ok(None);
    };
    others.extend(rules);
    Ok(Some((attributes, others)))
}

async fn observe_target_groups(
    clients: &Clients,
    query: &Query,
    recorded: &BTreeSet<String>,
) -> Result<Vec<Actual>, CloudError> {
    let mut candidates = Vec::new();
    let mut pages = Pages::new("elbv2 DescribeTargetGroups");
    loop {
        let request = clients.elb.describe_target_groups().page_size(400);
        let answer = call(pages.operation(), request.set_marker(pages.token()).send()).await?;
        candidates.extend(
            answer
                .target_groups()
                .iter()
                .filter(|group| {
                    group.target_type() == Some(&TargetTypeEnum::Instance)
                        && (is_named(group.target_group_name(), query)
                            || group.target_group_arn().is_some_and(|arn| recorded.contains(arn)))
                })
                .cloned(),
        );
        if !pages.advance(answer.next_marker())? {
            break;
        }
    }
    let arns = candidates
        .iter()
        .filter_map(|group| Some(group.target_group_arn()?.to_owned()));
    let tags = tags(clients, arns.collect());
    let targets = future::try_join_all(candidates.iter().map(|group| async {
        let arn = group.target_group_arn().unwrap_or_default();
        let attributes = async {
            if query.details.target_group_attributes {
                target_group::attributes_of(clients, arn).await
            } else {
                Ok(Some(BTreeMap::new()))
            }
        };
        let targets = async { target::of(clients, arn, None).await.or_missing() };
        future::try_join(targets, attributes).await
    }));
    let (tags, targets) = future::try_join(tags, targets).await?;
    let mut found = Vec::new();
    for (group, parts) in candidates.iter().zip(targets) {
        let (Some(targets), Some(attributes)) = parts else {
            continue;
        };
        let tags = tags_in(&tags, group.target_group_arn());
        found.extend(target_group::actual(group, attributes, tags));
        found.extend(targets);
    }
    Ok(found)
}

/// Those of one object among the tags of many.
pub(crate) fn tags_in(tags: &BTreeMap<String, Tags>, arn: Option<&str>) -> Tags {
    arn.and_then(|arn| tags.get(arn)).cloned().unwrap_or_default()
}

/// The tags of these objects by ARN, twenty objects per call and all calls at once. Objects that are gone have none.
pub(crate) async fn tags(clients: &Clients, arns: Vec<String>) -> Result<BTreeMap<String, Tags>, CloudError> {
    let chunks = arns.chunks(TAGS_AT_ONCE).map(|chunk| async move {
        match described_tags(clients, chunk.to_vec()).await {
            // One object that is gone fails the call for all of them, so ask for each by itself.
            Err(error) if error.kind == ErrorKind::NotFound && chunk.len() > 1 => {
                let each = chunk.iter().map(|arn| described_tags(clients, vec![arn.clone()]));
                let answers = future::join_all(each).await;
                let answers: Result<Vec<_>, _> = answers.into_iter().map(OrMissing::or_missing).collect();
                Ok(answers?.into_iter().flatten().flatten().collect())
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
            answer => answer,
        }
    });
    let described = future::try_join_all(chunks).await?;
    Ok(described.into_iter().flatten().collect())
}

async fn described_tags(clients: &Clients, arns: Vec<String>) -> Result<Vec<(String, Tags)>, CloudError> {
    let request = clients.elb.describe_tags().set_resource_arns(Some(arns));
    let answer = call("elbv2 DescribeTags", request.send()).await?;
    Ok(answer
        .tag_descriptions()
        .iter()
        .filter_map(|description| {
            let tags = description.tags().iter();
            let tags = tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())));
            Some((description.resource_arn()?.to_owned(), tags.collect()))
        })
        .collect())
}

/// The tags of one object.
pub(crate) async fn tags_of(clients: &Clients, arn: &str) -> Result<Tags, CloudError> {
    let tags = tags(clients, vec![arn.to_owned()]).await?;
    Ok(tags_in(&tags, Some(arn)))
}

/// A map as ELB's tags; `None` if it is empty, because an empty list is refused.
pub(crate) fn sdk_tags(tags: &Tags) -> Option<Vec<Tag>> {
    let list = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    (!tags.is_empty()).then(|| list.collect())
}

/// Sets those of the wanted tags that are not as wanted; tags of others stay.
pub(crate) async fn set_tags(clients: &Clients, arn: &str, observed: &Tags, desired: &Tags) -> Result<(), CloudError> {
    let missing = crate::ownership::missing_tags(observed, desired);
    let Some(tags) = sdk_tags(&missing) else {
        return Ok(());
    };
    let request = clients.elb.add_tags().resource_arns(arn).set_tags(Some(tags));
    // What has just been made may be unknown to this call for a moment (`aws-facts.md` 7.1).
    let fresh = [
        "LoadBalancerNotFound",
        "ListenerNotFound",
        "TargetGroupNotFound",
        "RuleNotFound",
    ];
    while_fresh(&fresh, || call("elbv2 AddTags", request.clone().send())).await?;
    Ok(())
}

/// The names of the security policies for Application Load Balancers.
pub(crate) async fn tls_policies(clients: &Clients) -> Result<BTreeSet<String>, CloudError> {
    let mut found = BTreeSet::new();
    let mut pages = Pages::new("elbv2 DescribeSSLPolicies");
    loop {
        let request = clients.elb.describe_ssl_policies();
        let request = request
            .load_balancer_type(LoadBalancerTypeEnum::Application)
            .page_size(400);
        let answer = call(pages.operation(), request.set_marker(pages.token()).send()).await?;
        found.extend(
            answer
                .ssl_policies()
                .iter()
                .filter_map(|policy| Some(policy.name()?.to_owned())),
        );
        if !pages.advance(answer.next_marker())? {
            return Ok(found);
        }
    }
}
