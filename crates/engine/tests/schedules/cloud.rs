//! The cloud as the engine calls it.

use reconcile_core::{
    observed::{Actual, Observed, Query},
    resource::{Address, AliasRecord, Output, Outputs, PortClosure, Spec},
    state::Operation,
};
use reconcile_engine::{Cloud, CloudError, ErrorKind, Made};

use crate::{
    parts::{attributes_mut, parts},
    shown::{is_same_resource, wanted_rule},
    sim::Sim,
    strict::error,
    world::{Object, World, after, known},
};

impl Cloud for Sim {
    async fn observe(&self, query: &Query) -> Result<Observed, CloudError> {
        self.look("observe").await?;
        Ok(self.world.borrow().observe(query, self.clock.now()))
    }

    async fn read(&self, address: &Address, id: &str, like: &Spec) -> Result<Option<Actual>, CloudError> {
        self.look("read").await?;
        let (world, now) = (self.world.borrow(), self.clock.now());
        let mut found = if address.kind().has_id() {
            world.read(id, now)
        } else {
            world.by_content(id, like, now)
        };
        hide_attributes(found.as_mut(), like);
        Ok(found)
    }

    async fn find(&self, _: &Address, desired: &Spec) -> Result<Option<Actual>, CloudError> {
        self.look("find").await?;
        let mut found = self.world.borrow().find(desired, self.clock.now());
        hide_attributes(found.as_mut(), desired);
        Ok(found)
    }

    async fn create(&self, address: &Address, desired: &Spec, token: &str) -> Result<Made, CloudError> {
        self.begin(Operation::Create, address, "").await?;
        if token.is_empty() || token.len() > 32 || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            self.violate(format!("the token `{token}` of {address}"));
        }
        let made = self.act(|world| self.make(world, desired, token));
        self.finish(address, made).await
    }

    async fn update(&self, address: &Address, id: &str, observed: &Spec, desired: &Spec) -> Result<Made, CloudError> {
        self.begin(Operation::Update, address, id).await?;
        let result = match (observed, desired) {
            (Spec::PortClosure(observed), Spec::PortClosure(desired)) => {
                self.close_ports(address, observed, desired).await
            }
            (Spec::AliasRecord(observed), Spec::AliasRecord(desired)) => {
                self.act(|world| self.change_record(world, observed, desired))
            }
            (Spec::ValidationRecord(observed), Spec::ValidationRecord(desired)) => self.act(|world| {
                world
                    .put_validation(desired, Some(observed))
                    .map(|_| Made::with_id(format!("{}/{}/CNAME", desired.zone, known(&desired.name))))
            }),
            (Spec::InstanceIngress(observed), Spec::InstanceIngress(desired)) => {
                let made = self.act(|world| self.make(world, &Spec::InstanceIngress(desired.clone()), ""));
                if let Ok(made) = &made
                    && made.id != id
                {
                    self.point().await;
                    let group = observed.group.clone();
                    self.act(|world| {
                        let shown = self.dice.seconds(self.habits.shown);
                        world.change_group(&group, self.clock.now(), shown, |facts| {
                            facts.ingress.remove(id);
                        });
                        Ok(())
                    })?;
                }
                made
            }
            _ => self.change(id, observed, desired).await,
        };
        self.finish(address, result).await
    }

    async fn delete(&self, address: &Address, id: &str, observed: &Spec) -> Result<(), CloudError> {
        self.begin(Operation::Delete, address, id).await?;
        self.is_known_to_state(address, id);
        let result = self.act(|world| self.take_away(world, id, observed));
        self.finish(address, result).await
    }

    async fn is_in_sync(&self, change: &str) -> Result<bool, CloudError> {
        self.look("is in sync").await?;
        let world = self.world.borrow();
        Ok(world.changes.get(change).is_none_or(|at| *at <= self.clock.now()))
    }
}

/// Attributes take a call of their own, which is made where some are wanted.
fn hide_attributes(found: Option<&mut Actual>, like: &Spec) {
    let hidden = match like {
        Spec::TargetGroup(group) => group.attributes.is_empty(),
        Spec::Listener(listener) => listener.attributes.is_empty(),
        _ => false,
    };
    if let Some(attributes) = found
        .filter(|_| hidden)
        .and_then(|actual| attributes_mut(&mut actual.spec))
    {
        attributes.clear();
    }
}

impl Sim {
    /// Makes an object, or gives the one that an earlier attempt made.
    fn make(&self, world: &mut World, desired: &Spec, token: &str) -> Result<Made, CloudError> {
        let now = self.clock.now();
        match desired {
            Spec::AliasRecord(record) => {
                let absent = AliasRecord {
                    records: [].into(),
                    ..record.clone()
                };
                return self.change_record(world, &absent, record);
            }
            Spec::ValidationRecord(record) => {
                world.put_validation(record, None)?;
                return Ok(Made::with_id(format!("{}/{}/CNAME", record.zone, known(&record.name))));
            }
            Spec::PortClosure(closure) => return Ok(Made::with_id(closure.group.as_str())),
            Spec::InstanceIngress(ingress) => {
                world.allow(None, desired, now)?;
                let rule = wanted_rule(ingress);
                let standing = world.groups[&ingress.group]
                    .ingress
                    .iter()
                    .find(|(_, found)| found.rule == rule);
                if let Some((id, _)) = standing {
                    let id = id.clone();
                    let shown = self.dice.seconds(self.habits.shown);
                    world.change_group(&ingress.group, now, shown, |facts| {
                        if let Some(rule) = facts.ingress.get_mut(&id)
                            && !rule.tags.is_empty()
                        {
                            rule.tags.extend(ingress.tags.clone());
                        }
                    });
                    return Ok(Made::with_id(id));
                }
                let id = format!("sgr-0{:x}", world.next_number());
                let rule = reconcile_core::observed::GroupRule {
                    rule,
                    description: None,
                    tags: ingress.tags.clone(),
                };
                let shown = self.dice.seconds(self.habits.shown);
                world.change_group(&ingress.group, now, shown, |facts| {
                    facts.ingress.insert(id.clone(), rule);
                });
                return Ok(Made::with_id(id));
            }
            _ => {}
        }
        if let Spec::Certificate(_) = desired
            && let Some((requested, id)) = world.tokens.get(token)
            && now.duration_since(*requested) < jiff::SignedDuration::from_hours(1)
            && world.objects.contains_key(id)
        {
            return Ok(Made::with_id(id.clone()));
        }
        if let Some(namesake) = world.namesake(desired) {
            let tags = desired.tags().cloned().unwrap_or_default();
            return if is_same_resource(&namesake.tags, &tags) {
                Ok(made_of(&world.objects[&namesake.id]))
            } else {
                Err(error(
                    ErrorKind::Conflict,
                    "Duplicate",
                    format!("{} has the name", namesake.id),
                ))
            };
        }
        world.allow(None, desired, now)?;
        let object = self.new_object(world, desired);
        let made = made_of(&object);
        if let Spec::Certificate(_) = desired {
            world.tokens.insert(token.to_owned(), (now, made.id.clone()));
        }
        self.forwarded(world, desired);
        world.objects.insert(made.id.clone(), object);
        Ok(made)
    }

    /// Health checks begin when a listener or a rule names the group.
    fn forwarded(&self, world: &mut World, spec: &Spec) {
        let group = match spec {
            Spec::Listener(listener) => listener.target_group.as_ref(),
            Spec::ListenerRule(rule) => rule.target_group.as_ref(),
            _ => None,
        };
        if let Some(group) = group.map(known)
            && world.users_of(group).is_empty()
        {
            let ready_at = after(self.clock.now(), self.dice.seconds(self.habits.healthy));
            world.begin_checks(group, ready_at);
        }
    }

    fn new_object(&self, world: &mut World, desired: &Spec) -> Object {
        const ELB: &str = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012";
        let now = self.clock.now();
        let number = world.next_number();
        let mut spec = desired.clone();
        // What the call does not carry.
        if let Some(attributes) = attributes_mut(&mut spec) {
            attributes.clear();
        }
        let mut ready = self.dice.seconds(5);
        let mut outputs = Outputs::new();
        let id = match &mut spec {
            Spec::Certificate(certificate) => {
                for name in &certificate.names {
                    let name = name.without_wildcard();
                    outputs.insert(Output::ValidationName(name.clone()), format!("_x.{name}"));
                    outputs.insert(Output::ValidationValue(name), "_y.acm-validations.aws".to_owned());
                }
                ready = self.dice.seconds(self.habits.options);
                format!("arn:aws:acm:ap-northeast-1:123456789012:certificate/{number}")
            }
            Spec::SecurityGroup(group) => {
                // A new group lets everything out and nothing in.
                group.ingress.clear();
                group.egress = ["all 0.0.0.0/0".parse().unwrap()].into();
                format!("sg-0{number:x}")
            }
            Spec::TargetGroup(group) => format!("{ELB}:targetgroup/{}/{number:x}", group.name),
            Spec::LoadBalancer(balancer) => {
                ready = self.dice.seconds(self.habits.active);
                outputs.insert(
                    Output::DnsName,
                    format!("{}-{number}.ap-northeast-1.elb.amazonaws.com", balancer.name),
                );
                outputs.insert(Output::ZoneId, "Z0ELB".to_owned());
                balancer.attributes = crate::parts::load_balancer_attributes();
                format!("{ELB}:loadbalancer/app/{}/{number:x}", balancer.name)
            }
            Spec::Listener(listener) => {
                let balancer = known(&listener.load_balancer).replace(":loadbalancer/", ":listener/");
                format!("{balancer}/{number:x}")
            }
            Spec::ListenerRule(rule) => {
                let listener = known(&rule.listener).replace(":listener/", ":listener-rule/");
                format!("{listener}/{number:x}")
            }
            Spec::ListenerCertificate(listed) => format!("{}#{}", listed.listener, listed.certificate),
            Spec::Target(target) => {
                ready = self.dice.seconds(self.habits.healthy);
                format!("{}/{}:{}", target.target_group, target.instance, target.port)
            }
            other => unreachable!("{} is not simulated", other.kind()),
        };
        outputs.insert(Output::Id, id.clone());
        Object {
            actual: Actual {
                outputs,
                ..crate::shown::plain(id, spec)
            },
            known_at: after(now, self.dice.seconds(self.habits.unknown)),
            ready_at: after(now, ready),
            before: None,
            issued_at: None,
        }
    }

    /// Changes an object by as many calls as that takes.
    async fn change(&self, id: &str, observed: &Spec, desired: &Spec) -> Result<Made, CloudError> {
        let steps = parts(observed, desired);
        let last = steps.len();
        for (step, part) in (1..).zip(steps) {
            self.act(|world| {
                let now = self.clock.now();
                let Some(object) = world.objects.get(id) else {
                    return Err(error(ErrorKind::NotFound, "NotFound", format!("{id} does not exist")));
                };
                let spec = part(&object.actual.spec);
                world.allow(Some(id), &spec, now)?;
                self.forwarded(world, &spec);
                let (shown, lingers) = (
                    self.dice.seconds(self.habits.shown),
                    self.dice.seconds(self.habits.lingers),
                );
                world.change(id, spec, now, shown, lingers);
                Ok(())
            })?;
            if step < last {
                self.point().await;
            }
        }
        Ok(Made::with_id(id))
    }

    fn change_record(
        &self,
        world: &mut World,
        observed: &AliasRecord,
        desired: &AliasRecord,
    ) -> Result<Made, CloudError> {
        let mut made = Made::with_id(format!("{}/{}", desired.zone, desired.name));
        made.outputs.clear();
        if let Some(sets) = world.swapped(observed, desired)? {
            let number = world.next_number();
            let change = format!("C{number}");
            let in_sync = after(self.clock.now(), self.dice.seconds(self.habits.dns));
            world.changes.insert(change.clone(), in_sync);
            // Where others have led visitors is not the stack's doing.
            let by_hand = self.excused.borrow().contains(&desired.name);
            world.replace_addresses(&desired.name, sets, in_sync, by_hand);
            made.dns_change = Some(change);
        }
        Ok(made)
    }

    /// Opens what shall stand open again, then revokes what shall not.
    async fn close_ports(
        &self,
        address: &Address,
        observed: &PortClosure,
        desired: &PortClosure,
    ) -> Result<Made, CloudError> {
        let group = &observed.group;
        self.act(|world| {
            let missing: Vec<_> = desired
                .open
                .values()
                .filter(|rule| world.groups[group].ingress.values().all(|found| found.rule != **rule))
                .cloned()
                .collect();
            for rule in missing {
                world.open_by_hand(group, rule, self.clock.now());
            }
            Ok(())
        })?;
        self.point().await;
        let surplus: Vec<String> = observed
            .open
            .keys()
            .filter(|id| !desired.open.contains_key(*id))
            .cloned()
            .collect();
        self.act(|world| {
            let facts = &world.groups[group];
            let standing: Vec<_> = surplus.iter().filter_map(|id| Some((id, facts.ingress.get(id)?))).collect();
            if let Some((id, _)) = standing.iter().find(|(id, found)| observed.open.get(*id) != Some(&found.rule)) {
                return Err(error(ErrorKind::Conflict, "Changed", format!("{id} is not as it was planned")));
            }
            for (id, found) in &standing {
                let remembered = self.stored.borrow().saved.get(address).is_some_and(|saved| {
                    matches!(&saved.spec, Spec::PortClosure(saved) if saved.open.values().any(|rule| *rule == found.rule))
                });
                if !remembered || !found.rule.is_world_open() || found.rule.exact_tcp_port().is_none() {
                    self.violate(format!("{id} `{}` is revoked, and not remembered or not ours to revoke", found.rule));
                }
            }
            if !standing.is_empty() {
                self.is_drained(world, group);
            }
            let shown = self.dice.seconds(self.habits.shown);
            world.change_group(group, self.clock.now(), shown, |facts| facts.ingress.retain(|id, _| !surplus.contains(id)));
            Ok(())
        })?;
        Ok(Made::with_id(group.as_str()))
    }

    fn take_away(&self, world: &mut World, id: &str, observed: &Spec) -> Result<(), CloudError> {
        let now = self.clock.now();
        let (shown, lingers) = (
            self.dice.seconds(self.habits.shown),
            self.dice.seconds(self.habits.lingers),
        );
        match observed {
            Spec::AliasRecord(record) => {
                let absent = AliasRecord {
                    records: [].into(),
                    ..record.clone()
                };
                self.change_record(world, record, &absent)?;
            }
            Spec::ValidationRecord(record) => {
                let value = format!("{}.", known(&record.value));
                world
                    .records
                    .retain(|set| set.name.as_str() != known(&record.name) || set.values != [value.clone()]);
            }
            Spec::InstanceIngress(ingress) => {
                world.change_group(&ingress.group, now, shown, |facts| {
                    facts.ingress.remove(id);
                });
            }
            Spec::PortClosure(_) => {}
            _ => {
                if world.objects.contains_key(id) {
                    world.is_free(id, now)?;
                    world.remove(id, now, shown, lingers);
                }
            }
        }
        Ok(())
    }
}

fn made_of(object: &Object) -> Made {
    let mut outputs = object.actual.outputs.clone();
    // ACM tells the validation records later.
    outputs.retain(|output, _| !matches!(output, Output::ValidationName(_) | Output::ValidationValue(_)));
    Made {
        id: object.actual.id.clone(),
        outputs,
        dns_change: None,
    }
}
