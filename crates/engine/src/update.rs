//! Changes objects in place.

use reconcile_core::{
    naming,
    observed::Actual,
    plan::Step,
    resource::{Address, InstanceIngress, Kind, Outputs, Ref, Spec, Tags},
    state::{Entry, Operation, Origin},
    value::SecurityGroupId,
};

use crate::{
    Cloud, Environment, Made, StepError, memory,
    run::{Break, Ending, Flow, Run},
    settle::own_outputs,
};

impl<E: Environment> Run<'_, E> {
    /// Makes the settings of an object as wanted.
    pub(crate) async fn update(&self, step: &Step, id: &str, observed: &Spec, desired: &Spec) -> Flow<Ending> {
        let desired = self.resolve(desired)?;
        if let Spec::PortClosure(closure) = &desired
            && closure.open.is_empty()
        {
            self.still_admitted(step, &closure.group).await?;
        }
        let actual = self.change(step, id, observed, &desired).await?;
        let id = self
            .journal
            .read(|state| state.id(&step.address).unwrap_or(id).to_owned());
        self.record_outputs(&step.address, &id, actual.outputs).await?;
        Ok(Ending::Done)
    }

    /// Looks whether the load balancer is let in to a group that is about to be closed to everybody else: the plan may be
    /// as old as a drain takes, and others may have changed the group's rules meanwhile.
    async fn still_admitted(&self, step: &Step, group: &SecurityGroupId) -> Flow<()> {
        for (address, id, rule) in self.admissions_to(group) {
            let mut patience = self.patience();
            while self
                .look(self.environment.cloud().read(&address, &id, &rule))
                .await?
                .is_none()
            {
                if !self
                    .wait_on(step, &mut patience, "the load balancer is not let in")
                    .await?
                {
                    let group = group.clone();
                    return Err(Break::Failed(StepError::NotAdmitted { id, group }));
                }
            }
        }
        Ok(())
    }

    /// The recorded rules that let the load balancer in to a group.
    fn admissions_to(&self, group: &SecurityGroupId) -> Vec<(Address, String, Spec)> {
        self.journal.read(|state| {
            let mut groups = state.resources.iter();
            let balancers = groups.find(|(address, _)| address.kind() == Kind::SecurityGroup);
            let Some((_, balancers)) = balancers else {
                return Vec::new();
            };
            let admissions = self.admissions.iter().filter_map(|address| {
                let (of, port) = InstanceIngress::group_and_port(address)?;
                let spec = Spec::InstanceIngress(InstanceIngress {
                    group: of.clone(),
                    port,
                    source: Ref::Known(balancers.id.clone()),
                    tags: Tags::new(),
                });
                (of == *group).then_some(((*address).clone(), state.id(address)?.to_owned(), spec))
            });
            admissions.collect()
        })
    }

    /// One change with its intent, its result and a look at what came of it.
    pub(crate) async fn change(&self, step: &Step, id: &str, observed: &Spec, desired: &Spec) -> Flow<Actual> {
        let address = &step.address;
        let begun = self.now();
        let origin = self.origin_of_observed(address, observed);
        self.begin(address, self.intent(Operation::Update), |state| {
            memory::before_update(state, address, observed, desired, begun);
            if origin == Origin::Created {
                // Made by an earlier run whose intent this one takes the place of.
                state.resources.entry(address.clone()).or_insert_with(|| Entry {
                    id: id.to_owned(),
                    outputs: Outputs::new(),
                    origin,
                    recorded_at: begun,
                });
            }
        })
        .await?;
        tracing::debug!(%address, id, "update");
        let made = self.environment.cloud().update(address, id, observed, desired).await?;
        let Made {
            id: new,
            outputs,
            dns_change,
        } = made;
        // Renaming an object whose identity is its content gives it another id.
        let id = if new.is_empty() { id.to_owned() } else { new };
        let now = self.now();
        self.end(address, |state| {
            let entry = state.resources.entry(address.clone()).or_insert_with(|| Entry {
                id: id.clone(),
                outputs: own_outputs(outputs),
                origin,
                recorded_at: now,
            });
            entry.id.clone_from(&id);
            memory::carried_by(state, address, dns_change);
            memory::took_effect(state, address, now);
        })
        .await?;
        let like = match desired {
            // What is closed is no longer found by what is wanted, which is nothing.
            Spec::PortClosure(closure) if closure.open.is_empty() => observed,
            _ => desired,
        };
        self.read_settled(step, &id, like, desired).await
    }

    /// Who made an object that the state does not know and the plan saw.
    fn origin_of_observed(&self, address: &Address, observed: &Spec) -> Origin {
        match observed.tags() {
            Some(tags) if naming::is_owned(tags, self.stack, address) => self.origin_of_found(address),
            _ => Origin::Adopted,
        }
    }

    /// Who made an object that stands where one of the stack's should, as it should be.
    pub(crate) fn origin_of_found(&self, address: &Address) -> Origin {
        self.journal.read(|state| match state.intents.get(address) {
            Some(intent) if intent.operation == Operation::Create => Origin::Created,
            _ if address.kind().has_id() => Origin::FoundByTags,
            _ => Origin::Adopted,
        })
    }
}
