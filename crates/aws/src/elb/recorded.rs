//! Which load balancers and target groups the ids of the state, and of what is adopted, lead to.

use std::collections::BTreeSet;

use reconcile_core::observed::Query;

use crate::{listener_certificate, listener_rule, target};

/// What is known by id, by the ARN of what holds it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) load_balancers: BTreeSet<String>,
    pub(super) target_groups: BTreeSet<String>,
}

impl Recorded {
    pub(super) fn of(query: &Query) -> Self {
        let mut recorded = Self::default();
        for id in query.recorded.values().flatten().chain(&query.adopted) {
            recorded.add(id);
        }
        recorded
    }

    /// Adds what holds the object. ARNs tell what they name; ids of other services lead nowhere.
    fn add(&mut self, id: &str) {
        let id = listener_certificate::split_id(id).map_or(id, |(listener, _)| listener);
        if id.contains(":loadbalancer/") {
            self.load_balancers.insert(id.to_owned());
        } else if id.contains(":targetgroup/") {
            let group = target::split_id(id).filter(|(_, target)| target.contains(':'));
            self.target_groups
                .insert(group.map_or(id, |(group, _)| group).to_owned());
        } else {
            let listener = listener_rule::listener_of(id);
            let balancer = load_balancer_of(listener.as_deref().unwrap_or(id));
            self.load_balancers.extend(balancer);
        }
    }
}

/// The ARN of the load balancer that a listener's ARN names.
fn load_balancer_of(listener: &str) -> Option<String> {
    let (head, resource) = listener.split_once(":listener/")?;
    let (balancer, _) = resource.rsplit_once('/')?;
    Some(format!("{head}:loadbalancer/{balancer}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reconcile_core::{
        observed::Details,
        resource::{Address, Kind},
    };

    use super::*;

    const ARN: &str = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012";

    fn recorded(recorded: &[(Kind, String)], adopted: &[String]) -> Recorded {
        let mut ids: BTreeMap<Address, BTreeSet<String>> = BTreeMap::new();
        for (kind, id) in recorded {
            ids.entry(Address::new(*kind, "www")).or_default().insert(id.clone());
        }
        Recorded::of(&Query {
            stack: serde_json::from_value("www".into()).unwrap(),
            name_prefix: "www-".into(),
            instances: BTreeSet::new(),
            names: BTreeSet::new(),
            zones: BTreeSet::new(),
            certificates: BTreeSet::new(),
            recorded: ids,
            adopted: adopted.iter().cloned().collect(),
            details: Details::default(),
        })
    }

    #[test]
    fn every_recorded_part_leads_to_what_holds_it() {
        let balancer = format!("{ARN}:loadbalancer/app/www-lb/50dc6c495c0c9188");
        let listener = format!("{ARN}:listener/app/www-lb/50dc6c495c0c9188/f2f7dc8efc522ab2");
        let rule = format!("{ARN}:listener-rule/app/www-lb/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee");
        let group = format!("{ARN}:targetgroup/www-tg/73e2d6bc24d8a067");
        let certificate = "arn:aws:acm:ap-northeast-1:123456789012:certificate/1";
        for (kind, id) in [
            (Kind::LoadBalancer, balancer.clone()),
            (Kind::WebAclAssociation, balancer.clone()),
            (Kind::Listener, listener.clone()),
            (Kind::ListenerCertificate, format!("{listener}#{certificate}")),
            (Kind::ListenerRule, rule.clone()),
        ] {
            let expected = Recorded {
                load_balancers: BTreeSet::from([balancer.clone()]),
                target_groups: BTreeSet::new(),
            };
            assert_eq!(recorded(&[(kind, id.clone())], &[]), expected, "{kind:?}");
            assert_eq!(recorded(&[], &[id]), expected, "{kind:?}");
        }
        for (kind, id) in [
            (Kind::TargetGroup, group.clone()),
            (Kind::Target, format!("{group}/i-0a:443")),
        ] {
            let found = recorded(&[(kind, id)], &[]);
            assert_eq!(found.target_groups, BTreeSet::from([group.clone()]));
            assert!(found.load_balancers.is_empty());
        }
        let others = [certificate.to_owned(), "sg-0a".to_owned(), "sgr-0a".to_owned()];
        assert_eq!(
            recorded(&[(Kind::Certificate, certificate.to_owned())], &others),
            Recorded::default()
        );
    }
}
