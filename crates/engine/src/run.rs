//! What the steps of one run share.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    time::Duration,
};

use futures_util::future::{Either, select};
use jiff::Timestamp;
use reconcile_core::{
    config::StackName,
    plan::{Action, Plan, Step},
    resource::{Address, Kind, Output, Ref, Spec, Unresolved},
    state::{Intent, Operation, State},
};

use crate::{
    Clock, CloudError, Environment, Event, Options, Report, StepError, StopSignal, Stopper, StoreError, Warning,
    journal::Journal, memory, options::Backoff, stop::stop_signal,
};

/// One run of one plan.
pub(crate) struct Run<'a, E: Environment> {
    pub(crate) environment: &'a E,
    pub(crate) options: &'a Options,
    pub(crate) stack: &'a StackName,
    /// The rules that let the load balancer in to instances while the plan is carried out.
    pub(crate) admissions: BTreeSet<&'a Address>,
    pub(crate) journal: Journal<'a, E::Store>,
    pub(crate) warnings: RefCell<Vec<Warning>>,
    /// Resources with a call of this run, and whether its result is recorded.
    pub(crate) calls: RefCell<BTreeMap<Address, bool>>,
    /// Raised when a step fails: nothing new is begun then, and waits end.
    pub(crate) failed: (Stopper, StopSignal),
}

/// How a step ended that did not fail.
#[derive(Debug)]
pub(crate) enum Ending {
    Done,
    /// Too early: this run does not wait so long.
    Later(Timestamp),
    /// AWS still counts it as in use.
    InUse,
}

/// Why a step ended before its end.
#[derive(Debug)]
pub(crate) enum Break {
    /// It failed.
    Failed(StepError),
    /// The run stops. What the step did is recorded; the next run carries on.
    Stopped,
}

/// What a part of a step gives.
pub(crate) type Flow<T> = Result<T, Break>;

impl<E: Into<StepError>> From<E> for Break {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a, E: Environment> Run<'a, E> {
    pub(crate) fn new(environment: &'a E, options: &'a Options, plan: &'a Plan, state: State) -> Self {
        Self {
            environment,
            options,
            stack: &plan.stack,
            admissions: admissions(plan).collect(),
            journal: Journal::new(state, environment.store()),
            warnings: RefCell::new(Vec::new()),
            calls: RefCell::new(BTreeMap::new()),
            failed: stop_signal(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.environment.clock().now()
    }

    /// Whether nothing new is begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.options.stop.is_raised() || self.failed.1.is_raised()
    }

    pub(crate) fn tell(&self, step: &Step, event: Event<'_>) {
        self.environment.report().event(step, self.now(), event);
    }

    pub(crate) fn warn(&self, step: &Step, text: String) {
        self.tell(step, Event::Warning { text: &text });
        self.warnings.borrow_mut().push(Warning { step: step.id, text });
    }

    /// A look at the cloud, given up when the user stops the run.
    pub(crate) async fn look<T>(&self, future: impl Future<Output = Result<T, CloudError>>) -> Flow<T> {
        match self.options.stop.unless(future).await {
            Some(result) => Ok(result?),
            None => Err(Break::Stopped),
        }
    }

    /// A part of a wait, given up when the user stops the run or another step fails.
    pub(crate) async fn unless_ending<T>(&self, future: impl Future<Output = T>) -> Flow<T> {
        let ending = async {
            select(pin!(self.options.stop.raised()), pin!(self.failed.1.raised())).await;
        };
        match select(pin!(future), pin!(ending)).await {
            Either::Left((value, _)) => Ok(value),
            Either::Right(_) => Err(Break::Stopped),
        }
    }

    /// What is about to be done now.
    pub(crate) fn intent(&self, operation: Operation) -> Intent {
        Intent {
            operation,
            token: None,
            id: None,
            begun_at: self.now(),
        }
    }

    /// Stores what is about to be done, with what else has to be remembered before it. Nothing is begun any more once the
    /// user stops the run.
    pub(crate) async fn begin(&self, address: &Address, intent: Intent, remember: impl FnOnce(&mut State)) -> Flow<()> {
        self.calls.borrow_mut().insert(address.clone(), false);
        if self.options.stop.is_raised() {
            return Err(Break::Stopped);
        }
        let store = |state: &mut State| {
            state.intents.insert(address.clone(), intent);
            remember(state);
        };
        Ok(self.journal.write(store).await?)
    }

    /// Stores the result of what was begun.
    pub(crate) async fn end(&self, address: &Address, result: impl FnOnce(&mut State)) -> Result<(), StoreError> {
        let store = |state: &mut State| {
            state.intents.remove(address);
            result(state);
            memory::keep_what_is_used(state, address);
        };
        self.journal.write(store).await?;
        if let Some(is_recorded) = self.calls.borrow_mut().get_mut(address) {
            *is_recorded = true;
        }
        Ok(())
    }

    /// Whether the last call for a resource was made in this run and its result is recorded.
    pub(crate) fn is_recorded(&self, address: &Address) -> bool {
        self.calls.borrow().get(address).copied().unwrap_or_default()
    }

    /// The settings with every reference replaced by what the resource behind it supplied.
    pub(crate) fn resolve(&self, spec: &Spec) -> Result<Spec, Unresolved> {
        let mut resolved = spec.clone();
        self.journal.read(|state| {
            for reference in resolved.references_mut() {
                if let Ref::Of(address, output) = &*reference {
                    let value = state.resources.get(address).and_then(|entry| match output {
                        Output::Id => Some(&entry.id),
                        other => entry.outputs.get(other),
                    });
                    let value = value.ok_or_else(|| Unresolved {
                        address: address.clone(),
                        output: output.clone(),
                    })?;
                    *reference = Ref::Known(value.clone());
                }
            }
            Ok(())
        })?;
        Ok(resolved)
    }

    /// Begins to be patient with AWS.
    pub(crate) fn patience(&self) -> Patience {
        self.until(self.options.poll.patience)
    }

    /// Begins a wait of at most `duration`.
    pub(crate) fn until(&self, duration: Duration) -> Patience {
        let now = self.now();
        Patience {
            until: now.checked_add(duration).unwrap_or(Timestamp::MAX),
            duration,
            backoff: Backoff::new(self.options.poll),
        }
    }
}

/// What the plan makes, changes or leaves of the rules that let the load balancer in to instances.
fn admissions(plan: &Plan) -> impl Iterator<Item = &Address> {
    let stays = |step: &&Step| !matches!(step.action, Action::Delete { .. } | Action::Forget { .. });
    let steps = plan.steps.iter().filter(stays).map(|step| &step.address);
    let addresses = plan.unchanged.iter().chain(steps);
    addresses.filter(|address| address.kind() == Kind::InstanceIngress)
}

/// A wait with an end.
#[derive(Debug)]
pub(crate) struct Patience {
    pub(crate) until: Timestamp,
    pub(crate) duration: Duration,
    backoff: Backoff,
}

impl Patience {
    /// The next pause; `None` if the time is over.
    pub(crate) fn pause(&mut self, now: Timestamp) -> Option<Duration> {
        let left = Duration::try_from(self.until.duration_since(now)).ok()?;
        (!left.is_zero()).then(|| self.backoff.pause(left))
    }
}
