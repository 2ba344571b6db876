//! A planner that is just good enough to run a stack to its end: it knows objects by the state only, so that the engine
//! has to find again what an interrupted run made.

use std::collections::{BTreeMap, BTreeSet};

use reconcile_core::{
    config::RequestProof,
    diff,
    plan::{Action, Condition, Plan, SiteRequest, Stage, Step, StepId, Through},
    resource::{Address, Kind, Output, Ref, Spec},
    value::Seconds,
};

use crate::{
    simulation::{Sim, content_id},
    specs::{self, CERTIFICATE, CLOSURE, LISTENER, LOAD_BALANCER, RECORD, TARGET, at, name, step, wait},
};

struct Planner<'a> {
    sim: &'a Sim,
    steps: Vec<(Step, Vec<Address>)>,
    new: BTreeSet<Address>,
    unchanged: Vec<Address>,
}

/// The plan from the world and the stored state to what is wanted.
pub(crate) fn plan(sim: &Sim, desired: &BTreeMap<Address, Spec>) -> Plan {
    let mut planner = Planner {
        sim,
        steps: Vec::new(),
        new: BTreeSet::new(),
        unchanged: Vec::new(),
    };
    for (address, spec) in desired {
        planner.resource(address, spec.clone());
    }
    planner.lockdown();
    planner.clean_up();
    planner.finish()
}

impl Planner<'_> {
    fn resource(&mut self, address: &Address, mut spec: Spec) {
        let state = self.sim.stored.borrow();
        for reference in spec.references_mut() {
            if let Ref::Of(target, output) = &*reference
                && !self.new.contains(target)
                && let Some(object) = state.id(target).and_then(|id| self.sim.object(id))
            {
                let known = match output {
                    Output::Id => Some(object.actual.id),
                    output => state.resources[target].outputs.get(output).cloned(),
                };
                if let Some(known) = known {
                    *reference = Ref::Known(known);
                }
            }
        }
        let depends: Vec<Address> = spec
            .references()
            .iter()
            .filter_map(|reference| reference.address().cloned())
            .collect();
        let resolved = depends.is_empty();
        let object = if address.kind().has_id() {
            state.id(address).and_then(|id| self.sim.object(id))
        } else if resolved || address.kind() == Kind::AliasRecord {
            self.sim.object(&content_id(&spec))
        } else {
            None
        };
        let object = object.or_else(|| state.id(address).and_then(|id| self.sim.object(id)));
        let known = state.id(address).map(str::to_owned);
        let begun = state
            .cutovers
            .get(address)
            .is_some_and(|cutover| cutover.in_sync_at.is_none());
        let told = state
            .resources
            .get(address)
            .is_some_and(|entry| !entry.outputs.is_empty());
        drop(state);
        let stage = if address.kind() == Kind::AliasRecord {
            Stage::Cutover
        } else {
            Stage::Prepare
        };
        let action = match object.map(|object| object.actual) {
            None => Some(Action::Create { desired: spec }),
            Some(actual) => {
                let changes = diff::changes(&actual.spec, &spec);
                if changes.iter().any(|change| change.forces_replacement) {
                    Some(Action::Replace {
                        retire: actual.id,
                        observed: actual.spec,
                        desired: spec,
                    })
                } else if !changes.is_empty() {
                    Some(Action::Update {
                        id: actual.id,
                        observed: actual.spec,
                        desired: spec,
                    })
                } else if known.as_ref() != Some(&actual.id) {
                    Some(Action::Record { id: actual.id })
                } else {
                    None
                }
            }
        };
        if matches!(action, Some(Action::Create { .. } | Action::Replace { .. })) {
            self.new.insert(address.clone());
        }
        let moves = address.kind() == Kind::AliasRecord
            && matches!(action, Some(Action::Create { .. } | Action::Update { .. }));
        if moves {
            self.prove();
        }
        if address.kind() == Kind::Listener && action.is_some() {
            let condition = Condition::CertificateIssued {
                certificate: at(CERTIFICATE),
            };
            self.push(
                wait(CERTIFICATE, Stage::Prepare, condition, 1800),
                vec![at(CERTIFICATE), at(specs::VALIDATION)],
            );
        }
        match action {
            Some(action) => self.push(step(&address.to_string(), stage, action), depends),
            None => self.unchanged.push(address.clone()),
        }
        if address.kind() == Kind::Certificate && (!told || self.new.contains(address)) {
            let condition = Condition::ValidationKnown {
                certificate: address.clone(),
                names: vec![name()],
            };
            self.push(wait(CERTIFICATE, Stage::Prepare, condition, 300), vec![address.clone()]);
        }
        if address.kind() == Kind::AliasRecord && (moves || begun) {
            let condition = Condition::RecordInSync {
                record: address.clone(),
            };
            self.push(wait(RECORD, Stage::Cutover, condition, 300), vec![address.clone()]);
        }
    }

    fn prove(&mut self) {
        let waits = [
            (
                LOAD_BALANCER,
                Condition::LoadBalancerActive {
                    load_balancer: at(LOAD_BALANCER),
                },
            ),
            (TARGET, Condition::TargetHealthy { target: at(TARGET) }),
            (
                LISTENER,
                answers(Through::LoadBalancer(at(LOAD_BALANCER)), RequestProof::Require),
            ),
        ];
        for (address, condition) in waits {
            self.push(wait(address, Stage::Prove, condition, 600), Vec::new());
        }
    }

    fn lockdown(&mut self) {
        let open = self
            .sim
            .rules
            .borrow()
            .get(&specs::instance_group())
            .cloned()
            .unwrap_or_default();
        let open: Vec<(String, String)> = open.into_iter().map(|(id, rule)| (id, rule.to_string())).collect();
        let open: Vec<(&str, &str)> = open.iter().map(|(id, rule)| (id.as_str(), rule.as_str())).collect();
        if open.is_empty() {
            return;
        }
        let drained = Condition::Drained {
            record: at(RECORD),
            old_ttl: Seconds::new(300),
            margin: Seconds::new(60),
        };
        self.push(wait(RECORD, Stage::Drain, drained, 600), Vec::new());
        let action = Action::Update {
            id: specs::instance_group().to_string(),
            observed: specs::closure(&open),
            desired: specs::closure(&[]),
        };
        self.push(step(CLOSURE, Stage::Lockdown, action), Vec::new());
    }

    fn clean_up(&mut self) {
        let replaced = self.steps.iter().filter_map(|(step, _)| match &step.action {
            Action::Replace { retire, observed, .. } => Some((step.address.clone(), retire.clone(), observed.clone())),
            _ => None,
        });
        let state = self.sim.stored.borrow();
        let retired = state
            .retired
            .iter()
            .map(|old| (old.address.clone(), old.id.clone(), old.spec.clone()));
        let old: Vec<(Address, String, Spec)> = replaced.chain(retired).collect();
        drop(state);
        for (address, id, observed) in old {
            let action = Action::Delete {
                id: Ref::Known(id),
                observed,
            };
            self.push(step(&address.to_string(), Stage::Cleanup, action), Vec::new());
        }
    }

    fn push(&mut self, step: Step, after: Vec<Address>) {
        self.steps.push((step, after));
    }

    fn finish(mut self) -> Plan {
        self.steps.sort_by_key(|(step, _)| step.stage);
        let mut plan = specs::plan(self.steps.iter().map(|(step, _)| step.clone()));
        let mut last: BTreeMap<Address, StepId> = BTreeMap::new();
        for (step, (_, after)) in plan.steps.iter_mut().zip(&self.steps) {
            step.after = after.iter().filter_map(|address| last.get(address).copied()).collect();
            last.insert(step.address.clone(), step.id);
        }
        plan.unchanged = self.unchanged;
        plan
    }
}

pub(crate) fn answers(through: Through, proof: RequestProof) -> Condition {
    Condition::SiteAnswers {
        request: SiteRequest {
            name: name(),
            through,
            protocol: reconcile_core::config::Protocol::Https,
            port: 443,
            path: "/".to_owned(),
            headers: [].into(),
            as_answered_by: None,
        },
        proof,
    }
}
