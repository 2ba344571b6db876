//! Takes objects into the state that are as they should be.

use jiff::Timestamp;
use reconcile_core::{
    config::{IpAddressType, KeyAlgorithm, Scheme},
    plan::Step,
    resource::{Address, Certificate, Kind, LoadBalancer, Outputs, Ref, Spec, Tags, Target},
    state::{Entry, Origin, Retired, State},
};

use crate::{
    Cloud, Environment, memory,
    run::{Ending, Flow, Run},
    settle::own_outputs,
};

impl<E: Environment> Run<'_, E> {
    /// Puts an object back in its place; the one that has it now is retired.
    pub(crate) async fn reinstate(&self, step: &Step, id: &str, retire: &str, observed: &Spec) -> Flow<Ending> {
        let address = &step.address;
        let outputs = self.outputs_of(address, id).await?;
        let now = self.now();
        self.end(address, |state| {
            state
                .retired
                .retain(|retired| retired.id != id || retired.address != *address);
            if !state.retired.iter().any(|retired| retired.id == retire) {
                state.retired.push(Retired {
                    address: address.clone(),
                    id: retire.to_owned(),
                    spec: observed.clone(),
                    retired_at: now,
                });
            }
            let entry = Entry {
                id: id.to_owned(),
                outputs: own_outputs(outputs),
                // Whose it was before its successor came is not remembered; the stack had it.
                origin: origin_in(state, address, id).unwrap_or(Origin::Created),
                recorded_at: now,
            };
            state.resources.insert(address.clone(), entry);
        })
        .await?;
        Ok(Ending::Done)
    }

    /// What an object supplies to others, for kinds that supply more than their id.
    async fn outputs_of(&self, address: &Address, id: &str) -> Flow<Outputs> {
        Ok(match kind_with_outputs(address).then(|| like(address, id)).flatten() {
            Some(like) => {
                let read = self.environment.cloud().read(address, id, &like);
                self.look(read).await?.map(|actual| actual.outputs).unwrap_or_default()
            }
            None => Outputs::new(),
        })
    }

    /// Records an object, with what it supplies to others.
    pub(crate) async fn record(&self, step: &Step, id: &str) -> Flow<Ending> {
        let address = &step.address;
        let outputs = self.outputs_of(address, id).await?;
        let origin = self.origin_of_found(address);
        let now = self.now();
        self.end(address, |state| {
            retire_other(state, address, id, now);
            let entry = Entry {
                id: id.to_owned(),
                outputs: own_outputs(outputs),
                origin: origin_in(state, address, id).unwrap_or(origin),
                recorded_at: now,
            };
            state.resources.insert(address.clone(), entry);
            memory::found(state, address, now);
        })
        .await?;
        Ok(Ending::Done)
    }
}

/// A run that died between making a successor and recording it leaves the state with the old object. Where objects are
/// known by their content the plan sees the successor only, so the old one is retired here and deleted by the next plan.
fn retire_other(state: &mut State, address: &Address, id: &str, now: Timestamp) {
    let old = state.id(address).filter(|old| *old != id && !address.kind().has_id());
    if let Some(old) = old.map(str::to_owned)
        && let Some(spec) = like(address, &old)
        && !state
            .retired
            .iter()
            .any(|retired| retired.id == old && retired.address == *address)
    {
        let address = address.clone();
        state.retired.push(Retired {
            address,
            id: old,
            spec,
            retired_at: now,
        });
    }
}

/// Who made an object that the state knows already.
fn origin_in(state: &State, address: &Address, id: &str) -> Option<Origin> {
    let entry = state.resources.get(address).filter(|entry| entry.id == id);
    entry.map(|entry| entry.origin)
}

fn kind_with_outputs(address: &Address) -> bool {
    matches!(address.kind(), Kind::Certificate | Kind::LoadBalancer)
}

/// Settings that say no more of an object than its id does: the kinds that are waited for are read by id, and a plan does
/// not repeat the settings of what it does not change.
pub(crate) fn like(address: &Address, id: &str) -> Option<Spec> {
    match address.kind() {
        Kind::Certificate => Some(Spec::Certificate(Certificate {
            domain: None,
            names: [].into(),
            key_algorithm: KeyAlgorithm::Rsa2048,
            tags: Tags::new(),
        })),
        Kind::LoadBalancer => Some(Spec::LoadBalancer(LoadBalancer {
            name: String::new(),
            scheme: Scheme::InternetFacing,
            vpc: "vpc-0".parse().ok()?,
            ip_address_type: IpAddressType::Ipv4,
            subnets: [].into(),
            security_group: Ref::Known(String::new()),
            attributes: [].into(),
            tags: Tags::new(),
        })),
        Kind::Target => {
            // `<target group>/<instance>:<port>`
            let (group, member) = id.rsplit_once('/')?;
            let (instance, port) = member.rsplit_once(':')?;
            Some(Spec::Target(Target {
                target_group: Ref::Known(group.to_owned()),
                instance: instance.parse().ok()?,
                port: port.parse().ok()?,
            }))
        }
        _ => None,
    }
}
