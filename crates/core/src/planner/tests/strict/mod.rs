//! Plans carried out by a strict AWS while visitors keep coming: what AWS refuses, what visitors notice and what is left
//! over fails the test.

mod any_to_any;
mod back;
mod rules;
mod visitors;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::plan,
    lines,
    world::{self, apply, now},
};
use crate::{
    config::Config,
    observed::Observed,
    plan::{Action, Condition, Plan, Stage, Step, StepId},
    resource::{Address, Kind},
    state::{Intent, Operation, State},
    value::DomainName,
};
use visitors::Way;

/// A world in which visitors come to sites.
#[derive(Debug, Clone)]
pub(super) struct Strict {
    pub(super) observed: Observed,
    pub(super) state: State,
    /// Ways that resolvers remember beside those that DNS answers.
    pub(super) remembered: BTreeMap<DomainName, BTreeSet<Way>>,
    /// The sites' names that have to be answered all the time, with the instances that may answer.
    pub(super) served: BTreeMap<DomainName, BTreeSet<String>>,
    /// What was done, for messages.
    pub(super) story: Vec<String>,
}

/// Where a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// When everything is done.
    Done,
    /// After so many steps.
    After(usize),
    /// Within the step after so many: AWS has done it, and the state does not know.
    Unrecorded(usize),
}

/// A choice among so many.
pub(super) type Choose<'a> = &'a mut dyn FnMut(usize) -> usize;

impl Strict {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            observed: world::seed(),
            state: world::state(config),
            remembered: BTreeMap::new(),
            served: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    fn fail(&self, why: &str) -> ! {
        panic!("{why}\nafter {:#?}", self.story)
    }

    /// The plan of a run that begins a day later.
    pub(super) fn plan(&mut self, config: &Config) -> Result<Plan, String> {
        self.remembered.clear();
        for entry in self.state.resources.values_mut() {
            entry.recorded_at = now().checked_sub(jiff::SignedDuration::from_hours(24)).unwrap();
        }
        plan(config, &self.observed, &self.state, now()).map_err(|refused| refused.to_string())
    }

    /// Carries out a plan, its steps within a stage in any order that they allow.
    pub(super) fn carry_out(&mut self, plan: &Plan, end: End, choose: Choose<'_>) {
        self.story.push(format!("run {end:?}: {:#?}", lines(plan)));
        let most = match end {
            End::Done => usize::MAX,
            End::After(steps) | End::Unrecorded(steps) => steps,
        };
        let mut done: BTreeSet<StepId> = BTreeSet::new();
        self.close_intents(&plan.unchanged);
        for stage in Stage::ALL {
            let mut waiting: Vec<&Step> = plan.steps.iter().filter(|step| step.stage == stage).collect();
            while !waiting.is_empty() {
                let ready: Vec<usize> = (0..waiting.len())
                    .filter(|index| waiting[*index].after.iter().all(|before| done.contains(before)))
                    .collect();
                if ready.is_empty() {
                    self.fail("the plan is stuck: a step waits for one of a later stage");
                }
                let step = waiting.remove(ready[choose(ready.len())]);
                if done.len() == most {
                    if matches!(end, End::Unrecorded(_)) && step.action.is_mutating() {
                        self.step(plan, step, false);
                    }
                    return;
                }
                self.step(plan, step, true);
                done.insert(step.id);
            }
        }
    }

    fn close_intents(&mut self, addresses: &[Address]) {
        for address in addresses {
            self.state.intents.remove(address);
        }
    }

    fn step(&mut self, plan: &Plan, step: &Step, recorded: bool) {
        let one = Plan {
            steps: vec![step.clone()],
            ..plan.clone()
        };
        self.story.push(format!(
            "{}{}",
            lines(&one).join(""),
            if recorded { "" } else { " UNRECORDED" }
        ));
        self.before(step);
        let (before, ways) = (self.state.clone(), self.ways(&step.address));
        apply(&one, &mut self.observed, &mut self.state);
        if !matches!(step.action, Action::Wait { .. }) {
            self.state.intents.remove(&step.address);
        }
        if !recorded {
            let operation = match step.action {
                Action::Create { .. } | Action::Replace { .. } => Operation::Create,
                Action::Delete { .. } => Operation::Delete,
                _ => Operation::Update,
            };
            let after = std::mem::replace(&mut self.state, before);
            let made = after.id(&step.address).filter(|_| operation == Operation::Create);
            let id = made.map(str::to_owned);
            if operation != Operation::Delete {
                self.state.saved = after.saved;
                self.state.cutovers = after.cutovers;
            }
            let intent = Intent {
                operation,
                token: None,
                id,
                begun_at: now(),
            };
            self.state.intents.insert(step.address.clone(), intent);
        }
        if step.address.kind() == Kind::AliasRecord && step.action.is_mutating() {
            let name: DomainName = step.address.key().parse().unwrap();
            self.remembered.entry(name).or_default().extend(ways);
        }
        if let Action::Wait {
            condition: Condition::Drained { record, .. },
            ..
        } = &step.action
            && let Ok(name) = record.key().parse::<DomainName>()
        {
            self.remembered.remove(&name);
        }
        self.check_visitors();
    }

    /// Plans and carries out until nothing is left to do.
    pub(super) fn converge(&mut self, config: &Config, choose: Choose<'_>) {
        for run in 0..4 {
            let plan = match self.plan(config) {
                Ok(plan) => plan,
                Err(refused) => self.fail(&format!("stuck: {refused}")),
            };
            if plan.is_empty() {
                break;
            }
            if run == 3 {
                self.fail(&format!("still to do: {:#?}", lines(&plan)));
            }
            self.carry_out(&plan, End::Done, choose);
        }
        self.check_nothing_left(config);
    }

    fn check_nothing_left(&self, config: &Config) {
        if !self.state.retired.is_empty() {
            self.fail(&format!("on their way out still: {:?}", self.state.retired));
        }
        for actual in &self.observed.found {
            let stacks = actual.tags.get(crate::naming::STACK_TAG).map(String::as_str) == Some(config.name.as_str());
            let known = self.state.resources.values().any(|entry| entry.id == actual.id);
            if (stacks || matches!(actual.spec.kind(), Kind::Target | Kind::ListenerCertificate)) && !known {
                self.fail(&format!("an orphan: {actual:#?}"));
            }
        }
        for (group, facts) in &self.observed.security_groups {
            for (id, rule) in &facts.ingress {
                let known = self.state.resources.values().any(|entry| entry.id == *id);
                if rule.tags.contains_key(crate::naming::STACK_TAG) && !known {
                    self.fail(&format!("an orphan in {group}: {id} {rule:?}"));
                }
            }
        }
        for (address, entry) in &self.state.resources {
            let has_object = !matches!(
                address.kind(),
                Kind::AliasRecord | Kind::PortClosure | Kind::ValidationRecord | Kind::InstanceIngress
            );
            if has_object && self.observed.object(address.kind(), &entry.id).is_none() {
                self.fail(&format!("the state has {address} and AWS does not"));
            }
        }
    }
}

/// Always the first.
pub(super) fn first(_: usize) -> usize {
    0
}

/// Always the last.
pub(super) fn last(of: usize) -> usize {
    of - 1
}
