//! The whole of one schedule: the cloud with its troubles, the store, the visitor and the clock, and what is watched all
//! the time.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reconcile_core::{
    plan::{Progress, SiteRequest, Step, Through},
    resource::{Address, Output},
    state::{Operation, State},
    value::{DomainName, InstanceId, SecurityGroupId},
};
use reconcile_engine::{
    Clock, CloudError, Environment, ErrorKind, Event, Report, StateStore, Stopper, StoreError, Visitor,
};

use crate::{
    dice::Dice,
    strict::error,
    time::SimClock,
    visitors::{Checks, Way},
    world::{World, after},
};

/// How slow this cloud is, in seconds at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// A call takes so long, in milliseconds.
    pub(crate) latency: u64,
    /// New objects are unknown.
    pub(crate) unknown: u64,
    /// Reads show old settings, lists what is gone.
    pub(crate) shown: u64,
    /// What was used counts as used.
    pub(crate) lingers: u64,
    /// ACM tells the validation records.
    pub(crate) options: u64,
    /// A certificate is issued.
    pub(crate) issued: u64,
    /// A load balancer becomes active.
    pub(crate) active: u64,
    /// A target becomes healthy.
    pub(crate) healthy: u64,
    /// A DNS change reaches all servers.
    pub(crate) dns: u64,
}

impl Habits {
    pub(crate) fn draw(dice: &Dice, lags: bool) -> Self {
        let up_to = |most: usize| u64::try_from(dice.below(most + 1)).unwrap();
        let lag = |most: usize| if lags { up_to(most) } else { 0 };
        Self {
            latency: 50 + up_to(2000),
            unknown: lag(40),
            shown: lag(60),
            lingers: lag(90),
            options: up_to(20),
            issued: 10 + up_to(300),
            active: 10 + up_to(240),
            healthy: 5 + up_to(60),
            dns: 5 + up_to(60),
        }
    }
}

/// What goes wrong in one run.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Of a hundred calls so many fail.
    pub(crate) faults: u64,
    /// Of a hundred writes of the state so many fail.
    pub(crate) full: u64,
    /// The process dies at this point.
    pub(crate) kill_at: Option<usize>,
    /// The user stops the run at this point.
    pub(crate) stop_at: Option<(usize, Stopper)>,
    /// Others change something at this point.
    pub(crate) drift_at: Option<usize>,
}

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) calls: u64,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) faults: u64,
    pub(crate) full: u64,
    pub(crate) drifts: u64,
    pub(crate) losses: u64,
    pub(crate) asked: u64,
}

/// The world of one schedule.
pub(crate) struct Sim {
    pub(crate) clock: SimClock,
    pub(crate) dice: Dice,
    pub(crate) habits: Habits,
    pub(crate) world: RefCell<World>,
    /// The state as it is stored.
    pub(crate) stored: RefCell<State>,
    /// What happened, if somebody wants to read it.
    pub(crate) log: Option<RefCell<Vec<String>>>,
    /// The first property that did not hold.
    pub(crate) violation: RefCell<Option<String>>,
    pub(crate) trouble: RefCell<Trouble>,
    points: Cell<usize>,
    pub(crate) killed: Cell<bool>,
    /// The names that have to be answered all the time, with the instances that may answer.
    pub(crate) served: RefCell<BTreeMap<DomainName, BTreeSet<InstanceId>>>,
    /// Names that others have broken, until a run has mended them.
    pub(crate) excused: RefCell<BTreeSet<DomainName>>,
    pub(crate) tally: Cell<Tally>,
}

impl Sim {
    pub(crate) fn new(
        dice: Dice,
        habits: Habits,
        world: World,
        state: State,
        clock: SimClock,
        keeps_log: bool,
    ) -> Self {
        Self {
            clock,
            dice,
            habits,
            world: RefCell::new(world),
            stored: RefCell::new(state),
            log: keeps_log.then(RefCell::default),
            violation: RefCell::default(),
            trouble: RefCell::default(),
            points: Cell::new(0),
            killed: Cell::new(false),
            served: RefCell::default(),
            excused: RefCell::default(),
            tally: Cell::default(),
        }
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        count(&mut tally);
        self.tally.set(tally);
    }

    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.borrow_mut().push(format!("{:.1} {}", self.clock.now(), line()));
        }
    }

    /// A property does not hold: the schedule ends here.
    pub(crate) fn violate(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.violation.borrow().is_some()
    }

    /// Prepares the troubles of the next run.
    pub(crate) fn expect(&self, trouble: Trouble) {
        self.points.set(0);
        self.killed.set(false);
        *self.trouble.borrow_mut() = trouble;
    }

    /// A point just before or after something durable happens.
    pub(crate) async fn point(&self) {
        let point = self.points.get();
        self.points.set(point + 1);
        let is_killed = {
            let trouble = self.trouble.borrow();
            if let Some((at, stopper)) = &trouble.stop_at
                && *at == point
            {
                self.note(|| "the user stops the run".to_owned());
                self.count(|tally| tally.stops += 1);
                stopper.stop();
            }
            trouble.kill_at == Some(point)
        };
        if self.trouble.borrow().drift_at == Some(point) {
            self.drift_within_run();
        }
        if is_killed {
            self.note(|| "killed".to_owned());
            self.count(|tally| tally.kills += 1);
            self.killed.set(true);
        }
        if is_killed || self.is_over() {
            std::future::pending::<()>().await;
        }
    }

    /// A look at the cloud.
    pub(crate) async fn look(&self, what: &str) -> Result<(), CloudError> {
        self.latency().await;
        match self.fault() {
            Some(kind) => Err(error(kind, "Injected", what)),
            None => Ok(()),
        }
    }

    async fn latency(&self) {
        self.clock
            .sleep(Duration::from_millis(20 + self.dice.roll() % self.habits.latency))
            .await;
        self.tick();
    }

    pub(crate) fn tick(&self) {
        let takes = Duration::from_secs(self.habits.issued);
        self.world.borrow_mut().tick(self.clock.now(), takes);
    }

    /// A call fails now and then, in one of AWS's ways.
    fn fault(&self) -> Option<ErrorKind> {
        let percent = self.trouble.borrow().faults;
        if percent == 0 || !self.dice.chance(percent) {
            return None;
        }
        self.count(|tally| tally.faults += 1);
        Some(match self.dice.below(10) {
            0 => ErrorKind::Denied,
            1 => ErrorKind::Conflict,
            2 => ErrorKind::Quota,
            3 => ErrorKind::InUse,
            _ => ErrorKind::Unavailable,
        })
    }

    /// Begins a call that changes something: its intent has to be stored by now.
    pub(crate) async fn begin(&self, operation: Operation, address: &Address, id: &str) -> Result<(), CloudError> {
        self.count(|tally| tally.calls += 1);
        self.note(|| format!("{operation:?} {address} {id}"));
        {
            let stored = self.stored.borrow();
            let intent = stored.intents.get(address).map(|intent| intent.operation);
            if intent != Some(operation) || stored.account.is_none() {
                self.violate(format!(
                    "{operation:?} {address}: the intent in the stored state is {intent:?}"
                ));
            }
        }
        self.latency().await;
        self.point().await;
        match self.fault() {
            Some(kind) => {
                self.note(|| format!("{address}: fails before it has an effect: {kind:?}"));
                Err(error(kind, "Injected", "before it had an effect"))
            }
            None => Ok(()),
        }
    }

    /// Changes the world at once, and asks as every visitor.
    pub(crate) fn act<T>(&self, change: impl FnOnce(&mut World) -> Result<T, CloudError>) -> Result<T, CloudError> {
        self.tick();
        let result = change(&mut self.world.borrow_mut());
        match &result {
            Ok(_) => self.check_visitors(),
            Err(error) => self.note(|| format!("refused: {error}")),
        }
        result
    }

    /// The answer of a call that was executed arrives, or is lost.
    pub(crate) async fn finish<T>(&self, address: &Address, result: Result<T, CloudError>) -> Result<T, CloudError> {
        self.point().await;
        if result.is_ok() && self.fault().is_some() {
            self.note(|| format!("{address}: the answer is lost"));
            return Err(error(ErrorKind::Unavailable, "Injected", "the answer is lost"));
        }
        result
    }

    /// An object that is deleted has to be the stack's in the state as it is stored now.
    pub(crate) fn is_known_to_state(&self, address: &Address, id: &str) {
        let stored = self.stored.borrow();
        let current = stored.id(address) == Some(id);
        let retired = stored
            .retired
            .iter()
            .any(|retired| retired.id == id && retired.address == *address);
        if !current && !retired {
            self.violate(format!(
                "{address} {id} is deleted, and the stored state does not know it"
            ));
        }
    }

    /// Nobody may remember any more that a name led to the instances of a group when their web ports are closed.
    pub(crate) fn is_drained(&self, world: &World, group: &SecurityGroupId) {
        let now = self.clock.now();
        let addresses: BTreeSet<String> = world
            .instances
            .values()
            .filter(|instance| instance.security_groups.contains(group))
            .filter_map(|instance| instance.public_address.map(|address| address.to_string()))
            .collect();
        let served = self.served.borrow();
        for (name, old) in world
            .remembered
            .iter()
            .filter(|old| !old.by_hand)
            .map(|old| (&old.name, old))
        {
            let is_there = matches!(&old.way, Way::Address(address) if addresses.contains(address));
            // The configurations leave the margin as it is by default (`aws-facts.md` 8.1).
            let margin = old.ttl.max(Duration::from_mins(10));
            if is_there && served.contains_key(name) && now < after(old.in_sync, old.ttl + margin) {
                self.violate(format!(
                    "{group} is closed at {now}, and {name} led there until {}",
                    old.in_sync
                ));
            }
        }
    }

    /// Asks as every visitor who may come now.
    pub(crate) fn check_visitors(&self) {
        let (world, now) = (self.world.borrow(), self.clock.now());
        let excused = self.excused.borrow();
        for (name, instances) in self.served.borrow().iter().filter(|(name, _)| !excused.contains(*name)) {
            self.count(|tally| tally.asked += 1);
            match world.ask(name, now, Checks::AsBefore) {
                Ok(by) if by.is_subset(instances) => {}
                Ok(by) => self.violate(format!("{name} is answered by {by:?}")),
                Err(why) => self.violate(format!("a visitor gets no answer: {why}")),
            }
        }
    }

    /// Others have changed something: what does not work now is not the stack's doing until a run has mended it.
    pub(crate) fn excuse(&self) {
        let (world, now) = (self.world.borrow(), self.clock.now());
        for (name, instances) in &*self.served.borrow() {
            if !world
                .ask(name, now, Checks::AsBefore)
                .is_ok_and(|by| by.is_subset(instances))
            {
                self.note(|| {
                    format!(
                        "{name} is broken by others: {:?}",
                        world.ask(name, now, Checks::AsBefore)
                    )
                });
                self.excused.borrow_mut().insert(name.clone());
            }
        }
    }

    /// These names lead, by what the state remembers, to where nobody of the stack answers.
    pub(crate) fn excuse_all(&self, names: impl IntoIterator<Item = DomainName>) {
        self.excused.borrow_mut().extend(names);
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let done = crate::time::run(&self.clock, || false, self.clock.sleep(time));
        assert!(done.is_some(), "time passes");
        self.tick();
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
        let full = || StoreError {
            place: "state/web.json".to_owned(),
            source: "no space left on device".into(),
        };
        let fails = self.dice.chance(self.trouble.borrow().full);
        if fails {
            self.count(|tally| tally.full += 1);
            if self.dice.chance(50) {
                self.note(|| format!("state {} is not stored", state.serial));
                return Err(full());
            }
        }
        if state.serial <= self.stored.borrow().serial {
            self.violate(format!("the serial does not grow: {}", state.serial));
        }
        *self.stored.borrow_mut() = state.clone();
        self.note(|| {
            format!(
                "state {} is stored{}",
                state.serial,
                if fails { ", and nobody is told" } else { "" }
            )
        });
        self.point().await;
        if fails { Err(full()) } else { Ok(()) }
    }
}

impl Visitor for Sim {
    async fn ask(&self, request: &SiteRequest, load_balancer: Option<&str>) -> Progress {
        self.latency().await;
        let (world, now) = (self.world.borrow(), self.clock.now());
        let answer = match &request.through {
            Through::LoadBalancer(_) => {
                let balancer = world
                    .objects
                    .values()
                    .find(|object| object.actual.outputs.get(&Output::DnsName).map(String::as_str) == load_balancer);
                match balancer {
                    Some(object) => {
                        let (id, checks) = (&object.actual.id, (now, Checks::Done));
                        world.is_admitted(id, "0.0.0.0/0").and_then(|()| {
                            world.ask_balancer(id, &request.name, request.port, &request.headers, checks)
                        })
                    }
                    None => Err("nobody has this name".to_owned()),
                }
            }
            Through::Name => world.ask(&request.name, now, Checks::Done),
            Through::NameNotAt(addresses) => {
                let ways = world.resolve(&request.name);
                let is_at = |way: &Way| matches!(way, Way::Address(at) if addresses.iter().any(|address| address.to_string() == *at));
                if ways.iter().any(is_at) {
                    Err("it leads to the instance".to_owned())
                } else {
                    Ok(BTreeSet::new())
                }
            }
            Through::Instance { address, .. } => world.ask_instance(&address.to_string()),
        };
        match answer {
            Ok(_) => Progress::Met,
            Err(why) => Progress::NotYet(why),
        }
    }
}

impl Clock for Sim {
    fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        self.clock.sleep(duration)
    }
}

impl Report for Sim {
    fn event(&self, step: &Step, _: jiff::Timestamp, event: Event<'_>) {
        let address = &step.address;
        match event {
            Event::Warning { text } => self.note(|| format!("warning {} {address}: {text}", step.id.0)),
            Event::Left { why } => self.note(|| format!("left {} {address}: {why}", step.id.0)),
            Event::Failed { error } => self.note(|| format!("failed {} {address}: {error}", step.id.0)),
            _ => {}
        }
    }
}
