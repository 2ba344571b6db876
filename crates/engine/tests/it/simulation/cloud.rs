//! The cloud: by and large as strict as AWS, and as slow to show what it did.

use reconcile_core::{
    naming,
    observed::{Actual, Observed, Query, Status},
    resource::{Address, Kind, Output, Outputs, PortClosure, Spec, Tags},
    state::Operation,
};
use reconcile_engine::{Cloud, CloudError, ErrorKind, Made};

use super::{Object, Sim, error};
use crate::specs::stack;

impl Cloud for Sim {
    async fn observe(&self, _: &Query) -> Result<Observed, CloudError> {
        unreachable!("a run observes nothing that the plan did not")
    }

    async fn read(&self, address: &Address, id: &str, like: &Spec) -> Result<Option<Actual>, CloudError> {
        self.looking().await;
        self.fail("read", address, false)?;
        Ok(match like {
            Spec::PortClosure(like) => {
                let rules = self.rules.borrow();
                let standing = rules.get(&like.group).cloned().unwrap_or_default();
                let open = standing
                    .into_iter()
                    .filter(|(id, _)| like.open.contains_key(id))
                    .collect();
                let group = like.group.clone();
                Some(plain(
                    id,
                    Spec::PortClosure(PortClosure {
                        group,
                        open,
                        descriptions: [].into(),
                    }),
                ))
            }
            _ if address.kind().has_id() => self.object(id).and_then(|object| self.shown(&object)),
            like => self.object(&content_id(like)).and_then(|object| self.shown(&object)),
        })
    }

    async fn find(&self, address: &Address, desired: &Spec) -> Result<Option<Actual>, CloudError> {
        self.looking().await;
        if !address.kind().has_id() {
            return Ok(self.object(&content_id(desired)).and_then(|object| self.shown(&object)));
        }
        let objects = self.objects.borrow();
        let mut candidates: Vec<Actual> = objects
            .iter()
            .filter_map(|object| self.shown(object))
            .filter(|actual| {
                let named = name(desired).is_some() && name(&actual.spec) == name(desired);
                let alike = matches!((&actual.spec, desired), (Spec::ListenerRule(found), Spec::ListenerRule(wanted))
                    if found.conditions == wanted.conditions);
                let owned = naming::is_owned(&actual.tags, &stack(), address);
                actual.spec.kind() == desired.kind() && (named || alike || owned)
            })
            .collect();
        candidates.sort_by_key(|actual| {
            reconcile_core::diff::changes(&actual.spec, desired)
                .iter()
                .filter(|change| change.forces_replacement)
                .count()
        });
        Ok(candidates.into_iter().next())
    }

    async fn create(&self, address: &Address, desired: &Spec, token: &str) -> Result<Made, CloudError> {
        self.mutating(Operation::Create, address).await;
        assert!(
            token.len() <= 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{token}"
        );
        for reference in desired.references() {
            let value = reference.known().expect("references are resolved before a creation");
            if value.contains('#') {
                assert!(
                    self.object(value).is_some(),
                    "{address} refers to {value}, which is not there"
                );
            }
        }
        self.fail("create", address, false)?;
        let known = self.tokens.borrow().get(token).cloned();
        let id = match known {
            Some(id) => id,
            None => self.add(address, desired)?,
        };
        self.tokens.borrow_mut().insert(token.to_owned(), id.clone());
        self.point().await;
        self.fail("create", address, true)?;
        let object = self.object(&id).unwrap();
        Ok(Made {
            outputs: object.actual.outputs,
            dns_change: self.dns_change(address),
            id,
        })
    }

    async fn update(&self, address: &Address, id: &str, observed: &Spec, desired: &Spec) -> Result<Made, CloudError> {
        self.mutating(Operation::Update, address).await;
        self.fail("update", address, false)?;
        assert!(desired.references().iter().all(|reference| reference.known().is_ok()));
        if let (Spec::PortClosure(observed), Spec::PortClosure(desired)) = (observed, desired) {
            let mut rules = self.rules.borrow_mut();
            let standing = rules.get_mut(&observed.group).unwrap();
            standing.retain(|id, _| !observed.open.contains_key(id) || desired.open.contains_key(id));
        } else {
            let now = self.clock.now();
            let mut objects = self.objects.borrow_mut();
            let object = objects
                .iter_mut()
                .find(|object| object.actual.id == id)
                .expect("only what exists is changed");
            if address.kind() == Kind::AliasRecord && object.actual.spec != *observed {
                return Err(error("update", ErrorKind::Conflict, "not as it was observed"));
            }
            let until = now.checked_add(self.habits.get().stale).unwrap();
            object.before = Some((until, object.actual.spec.clone()));
            object.actual.spec = desired.clone();
            object.actual.tags.extend(desired.tags().cloned().unwrap_or_default());
            object.address = Some(address.clone());
        }
        self.point().await;
        self.fail("update", address, true)?;
        Ok(Made {
            id: id.to_owned(),
            outputs: Outputs::new(),
            dns_change: self.dns_change(address),
        })
    }

    async fn delete(&self, address: &Address, id: &str, _: &Spec) -> Result<(), CloudError> {
        self.mutating(Operation::Delete, address).await;
        self.fail("delete", address, false)?;
        if self
            .in_use_until
            .borrow()
            .get(id)
            .is_some_and(|until| self.clock.now() < *until)
        {
            return Err(error("delete", ErrorKind::InUse, "a listener uses it"));
        }
        self.objects.borrow_mut().retain(|object| object.actual.id != id);
        self.point().await;
        self.fail("delete", address, true)
    }

    async fn is_in_sync(&self, change: &str) -> Result<bool, CloudError> {
        self.looking().await;
        Ok(self
            .changes
            .borrow()
            .get(change)
            .is_none_or(|at| *at <= self.clock.now()))
    }
}

impl Sim {
    /// Puts an object into the world as if it had been there for long.
    pub(crate) fn put(&self, address: Option<&Address>, spec: &Spec) -> String {
        let id = match address {
            Some(address) if address.kind().has_id() => format!("{address}#old"),
            _ if spec.kind().has_id() => format!("{}#foreign", spec.kind()),
            _ => content_id(spec),
        };
        let now = self.clock.now();
        let mut actual = plain(&id, spec.clone());
        actual.tags = spec.tags().cloned().unwrap_or_default();
        actual.outputs = outputs(&id, spec);
        self.objects.borrow_mut().push(Object {
            address: address.cloned(),
            actual,
            known_at: now,
            ready_at: now,
            before: None,
        });
        id
    }

    fn add(&self, address: &Address, desired: &Spec) -> Result<String, CloudError> {
        let number = self.made.get() + 1;
        self.made.set(number);
        let id = if address.kind().has_id() {
            format!("{address}#{number}")
        } else {
            content_id(desired)
        };
        let mut objects = self.objects.borrow_mut();
        let taken = objects.iter().any(|object| {
            object.actual.id == id
                || (object.actual.spec.kind() == desired.kind()
                    && name(desired).is_some()
                    && name(&object.actual.spec) == name(desired))
        });
        if taken {
            return Err(error("create", ErrorKind::Conflict, "it exists already"));
        }
        let habits = self.habits.get();
        let now = self.clock.now();
        let mut spec = desired.clone();
        if let Spec::LoadBalancer(load_balancer) = &mut spec {
            // CreateLoadBalancer takes no attributes.
            load_balancer.attributes.clear();
        }
        let mut actual = plain(&id, spec);
        actual.tags = desired.tags().cloned().unwrap_or_default();
        // ACM tells the validation records later.
        actual.outputs = if address.kind() == Kind::Certificate {
            Outputs::new()
        } else {
            outputs(&id, desired)
        };
        objects.push(Object {
            address: Some(address.clone()),
            actual,
            known_at: now.checked_add(habits.unknown).unwrap(),
            ready_at: now.checked_add(habits.ready).unwrap(),
            before: None,
        });
        Ok(id)
    }

    fn dns_change(&self, address: &Address) -> Option<String> {
        (address.kind() == Kind::AliasRecord).then(|| {
            let change = format!("C{}", self.changes.borrow().len());
            let at = self.clock.now().checked_add(self.habits.get().ready).unwrap();
            self.changes.borrow_mut().insert(change.clone(), at);
            change
        })
    }

    /// The object as reads show it now.
    fn shown(&self, object: &Object) -> Option<Actual> {
        let now = self.clock.now();
        if now < object.known_at {
            return None;
        }
        let mut actual = object.actual.clone();
        if let Some((until, before)) = &object.before
            && now < *until
        {
            actual.spec = before.clone();
        }
        let is_ready = now >= object.ready_at;
        let word = |ready: &str, not_yet: &str| if is_ready { ready.to_owned() } else { not_yet.to_owned() };
        actual.status = match &actual.spec {
            Spec::Certificate(certificate) => {
                actual.outputs = outputs(&actual.id, &actual.spec);
                Status::Certificate {
                    state: word("ISSUED", "PENDING_VALIDATION"),
                    failure_reason: None,
                    certificate_type: "AMAZON_ISSUED".to_owned(),
                    in_use_by: Vec::new(),
                    pending_names: if is_ready {
                        Vec::new()
                    } else {
                        certificate.names.iter().cloned().collect()
                    },
                    life: Box::default(),
                }
            }
            Spec::LoadBalancer(_) => Status::LoadBalancer {
                state: word("active", "provisioning"),
                reason: None,
            },
            Spec::Target(_) => Status::Target {
                state: word("healthy", "initial"),
                reason: (!is_ready).then(|| "Elb.RegistrationInProgress".to_owned()),
                description: None,
            },
            _ => Status::Exists,
        };
        Some(actual)
    }
}

fn plain(id: &str, spec: Spec) -> Actual {
    Actual {
        id: id.to_owned(),
        spec,
        outputs: Outputs::new(),
        status: Status::Exists,
        tags: Tags::new(),
    }
}

fn outputs(id: &str, spec: &Spec) -> Outputs {
    let mut outputs = Outputs::from([(Output::Id, id.to_owned())]);
    match spec {
        Spec::Certificate(certificate) => {
            for name in &certificate.names {
                outputs.insert(Output::ValidationName(name.clone()), format!("_v.{name}"));
                outputs.insert(Output::ValidationValue(name.clone()), format!("_w.{name}"));
            }
        }
        Spec::LoadBalancer(load_balancer) => {
            outputs.insert(Output::DnsName, format!("{}.elb.example", load_balancer.name));
            outputs.insert(Output::ZoneId, "Z0ELB".to_owned());
        }
        _ => {}
    }
    outputs
}

/// The identity of an object that has no id of its own.
pub(crate) fn content_id(spec: &Spec) -> String {
    match spec {
        Spec::ValidationRecord(record) => format!("{}/{}/CNAME", record.zone, record.name),
        Spec::InstanceIngress(ingress) => format!("{}/{}/{}", ingress.group, ingress.port, ingress.source),
        Spec::Target(target) => format!("{}/{}:{}", target.target_group, target.instance, target.port),
        Spec::AliasRecord(record) => format!("{}/{}", record.zone, record.name),
        Spec::PortClosure(closure) => closure.group.to_string(),
        other => panic!("{} has ids", other.kind()),
    }
}

/// The name that is unique among objects of its kind.
fn name(spec: &Spec) -> Option<&str> {
    match spec {
        Spec::SecurityGroup(group) => Some(&group.name),
        Spec::TargetGroup(group) => Some(&group.name),
        Spec::LoadBalancer(load_balancer) => Some(&load_balancer.name),
        _ => None,
    }
}
