//! A cloud, a store, a visitor and a clock in memory, with failures and deaths at every point.

mod cloud;
mod time;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    time::Duration,
};

pub(crate) use cloud::content_id;
use jiff::Timestamp;
use reconcile_core::{
    observed::{Actual, Identity},
    plan::{Plan, Progress, SiteRequest, Step},
    resource::{Address, Rule, Spec},
    state::{Operation, State},
    value::{Seconds, SecurityGroupId},
};
use reconcile_engine::{
    ApplyError, Clock, CloudError, Environment, ErrorKind, Event, Options, Outcome, PollIntervals, Report, StateStore,
    StopSignal, StoreError, Visitor, apply,
};
use time::SimClock;

/// The whole world of one test.
pub(crate) struct Sim {
    pub(crate) clock: SimClock,
    /// Calls, writes and events in the order in which they took place.
    pub(crate) log: RefCell<Vec<String>>,
    /// The state as it is stored.
    pub(crate) stored: RefCell<State>,
    pub(crate) objects: RefCell<Vec<Object>>,
    /// Ingress rules of the instances' groups.
    pub(crate) rules: RefCell<BTreeMap<SecurityGroupId, BTreeMap<String, Rule>>>,
    pub(crate) faults: RefCell<Vec<Fault>>,
    /// Until when AWS counts an object as in use.
    pub(crate) in_use_until: RefCell<BTreeMap<String, Timestamp>>,
    /// What the site answers, the last answer for good.
    pub(crate) answers: RefCell<Vec<Progress>>,
    pub(crate) habits: Cell<Habits>,
    /// How many of the next writes fail.
    pub(crate) full: Cell<u32>,
    tokens: RefCell<BTreeMap<String, String>>,
    changes: RefCell<BTreeMap<String, Timestamp>>,
    made: Cell<u32>,
    points: Cell<usize>,
    kill_at: Cell<Option<usize>>,
    killed: Cell<bool>,
}

/// How quick this cloud is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// How long each call takes.
    pub(crate) latency: Duration,
    /// How long a new object is unknown to reads.
    pub(crate) unknown: Duration,
    /// How long reads show the old settings after a change.
    pub(crate) stale: Duration,
    /// How long it takes until a certificate is issued, a load balancer active, a target healthy, a change in sync.
    pub(crate) ready: Duration,
}

/// An object in the cloud.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) address: Option<Address>,
    pub(crate) actual: Actual,
    pub(crate) known_at: Timestamp,
    pub(crate) ready_at: Timestamp,
    /// What reads show until then.
    pub(crate) before: Option<(Timestamp, Spec)>,
}

/// A call that fails.
pub(crate) struct Fault {
    pub(crate) operation: &'static str,
    pub(crate) address: Address,
    /// Whether it takes effect before it fails.
    pub(crate) takes_effect: bool,
    pub(crate) kind: ErrorKind,
}

impl Sim {
    pub(crate) fn new(state: State) -> Self {
        Self {
            clock: SimClock::default(),
            log: RefCell::default(),
            stored: RefCell::new(state),
            objects: RefCell::default(),
            rules: RefCell::default(),
            faults: RefCell::default(),
            in_use_until: RefCell::default(),
            answers: RefCell::new(vec![Progress::Met]),
            habits: Cell::new(Habits {
                latency: Duration::from_secs(1),
                unknown: Duration::from_secs(3),
                stale: Duration::from_secs(3),
                ready: Duration::from_secs(40),
            }),
            full: Cell::new(0),
            tokens: RefCell::default(),
            changes: RefCell::default(),
            made: Cell::new(0),
            points: Cell::new(0),
            kill_at: Cell::new(None),
            killed: Cell::new(false),
        }
    }

    /// Carries out a plan from the stored state; `None` if the process was killed.
    pub(crate) fn try_apply(&self, plan: &Plan, options: &Options) -> Option<Result<Outcome, ApplyError>> {
        let state = self.stored.borrow().clone();
        self.run(apply(plan, state, self, options))
    }

    /// Carries out a plan from the stored state.
    pub(crate) fn apply(&self, plan: &Plan) -> Result<Outcome, ApplyError> {
        self.try_apply(plan, &options()).expect("nothing kills this run")
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        time::run(&self.clock, || self.killed.get(), future)
    }

    /// Kills the process at the `n`th point where something durable happens, if it comes that far.
    pub(crate) fn kill_at(&self, point: Option<usize>) {
        self.points.set(0);
        self.killed.set(false);
        self.kill_at.set(point);
    }

    /// A point just before or after something durable happens.
    async fn point(&self) {
        let point = self.points.get();
        self.points.set(point + 1);
        if self.kill_at.get() == Some(point) {
            self.killed.set(true);
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn note(&self, line: impl Into<String>) {
        self.log.borrow_mut().push(line.into());
    }

    /// The position of the first line of the log that begins so.
    pub(crate) fn at(&self, start: &str) -> usize {
        let log = self.log.borrow();
        let found = log.iter().position(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no `{start}` in {log:#?}"))
    }

    /// How many lines of the log begin so.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.log.borrow().iter().filter(|line| line.starts_with(start)).count()
    }

    /// The mutating calls so far, and in the state as it is stored an intent for each.
    async fn mutating(&self, operation: Operation, address: &Address) {
        let name = format!("{operation:?}").to_lowercase();
        {
            let stored = self.stored.borrow();
            let intent = stored
                .intents
                .get(address)
                .unwrap_or_else(|| panic!("{name} {address} without an intent"));
            assert_eq!(intent.operation, operation);
            assert!(stored.account.is_some() && stored.region.is_some());
        }
        self.note(format!("{name} {address}"));
        self.clock.sleep(self.habits.get().latency).await;
        self.point().await;
    }

    async fn looking(&self) {
        self.clock.sleep(self.habits.get().latency).await;
    }

    /// Fails if a fault is due.
    fn fail(&self, operation: &str, address: &Address, took_effect: bool) -> Result<(), CloudError> {
        let mut faults = self.faults.borrow_mut();
        let due = faults.iter().position(|fault| {
            fault.operation == operation && fault.address == *address && fault.takes_effect == took_effect
        });
        match due {
            Some(index) => Err(error(operation, faults.remove(index).kind, "as the test wants")),
            None => Ok(()),
        }
    }

    pub(crate) fn object(&self, id: &str) -> Option<Object> {
        self.objects
            .borrow()
            .iter()
            .find(|object| object.actual.id == id)
            .cloned()
    }

    /// Everything that belongs to `address`.
    pub(crate) fn all_of(&self, address: &Address) -> Vec<Object> {
        let objects = self.objects.borrow();
        objects
            .iter()
            .filter(|object| object.address.as_ref() == Some(address))
            .cloned()
            .collect()
    }
}

pub(crate) fn options() -> Options {
    Options {
        poll: PollIntervals {
            first: Duration::from_secs(2),
            most: Duration::from_secs(10),
            patience: Duration::from_mins(2),
        },
        stop: StopSignal::never(),
        drain_wait: Seconds::new(600),
        release: Seconds::new(120),
        identity: Identity {
            account: "123456789012".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            partition: "aws".to_owned(),
        },
    }
}

pub(crate) fn error(operation: &str, kind: ErrorKind, message: &str) -> CloudError {
    CloudError {
        operation: operation.to_owned(),
        kind,
        code: None,
        message: message.to_owned(),
        request_id: None,
        remedy: Some("mend the test".to_owned()),
    }
}

impl Environment for Sim {
    type Cloud = Self;
    type Visitor = Self;
    type Store = Self;
    type Clock = Self;
    type Report = Self;

    fn cloud(&self) -> &Self {
        self
    }
    fn visitor(&self) -> &Self {
        self
    }
    fn store(&self) -> &Self {
        self
    }
    fn clock(&self) -> &Self {
        self
    }
    fn report(&self) -> &Self {
        self
    }
}

impl StateStore for Sim {
    async fn save(&self, state: &State) -> Result<(), StoreError> {
        self.point().await;
        if self.full.get() > 0 {
            self.full.set(self.full.get() - 1);
            return Err(StoreError {
                place: "state/web.json".to_owned(),
                source: "no space left on device".into(),
            });
        }
        assert!(
            state.serial > self.stored.borrow().serial,
            "every write raises the serial"
        );
        // What is stored can be read again.
        *self.stored.borrow_mut() = State::read(&state.write().unwrap()).unwrap();
        self.note(format!("save {}", state.serial));
        self.point().await;
        Ok(())
    }
}

impl Visitor for Sim {
    async fn ask(&self, request: &SiteRequest, load_balancer: Option<&str>) -> Progress {
        self.looking().await;
        self.note(format!(
            "ask {} through {}",
            request.name,
            load_balancer.unwrap_or("its name")
        ));
        let mut answers = self.answers.borrow_mut();
        if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers.first().cloned().unwrap()
        }
    }
}

impl Clock for Sim {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        self.clock.sleep(duration)
    }
}

impl Report for Sim {
    fn event(&self, step: &Step, _: Timestamp, event: Event<'_>) {
        let address = &step.address;
        self.note(match event {
            Event::Started => format!("started {} {address}", step.id.0),
            Event::Waiting { said, .. } => format!("waiting {} {address}: {said}", step.id.0),
            Event::Warning { text } => format!("warning {} {address}: {text}", step.id.0),
            Event::Finished => format!("finished {} {address}", step.id.0),
            Event::Left { why } => format!("left {} {address}: {why}", step.id.0),
            Event::Failed { error } => format!("failed {} {address}: {error}", step.id.0),
            _ => String::new(),
        });
    }
}
