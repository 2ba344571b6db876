//! One schedule: configurations, other hands, runs with troubles, and runs without until nothing is left to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reconcile_core::{
    config::{Config, Site, SiteName},
    observed::Observed,
    plan::Plan,
    planner::{self, DestroyOptions, Refused},
    resource::{Address, Kind, Spec},
    state::State,
    value::{DomainName, InstanceId},
};
use reconcile_engine::{
    ApplyError, Cloud, Options, Outcome, OutcomeKind, PollIntervals, StopSignal, apply, stop_signal,
};

use crate::{
    by_user::{lead_back_by_hand, lead_by_hand, open_by_hand},
    checks::of_others,
    dice::Dice,
    sim::{Habits, Sim, Tally, Trouble},
    sorts::Sorts,
    time::{self, SimClock},
    wish::Wish,
    words::{Broken, chain, describe},
    world::World,
};

/// How many runs without troubles it may take until nothing is left to do.
const RUNS_TO_SETTLE: usize = 8;
/// Others have led a name elsewhere; the user points it at the instance again.
const LEADS_ELSEWHERE: &str = "leads elsewhere than to the site's instances";
/// The rules of an instance were closed, and the state that knew them is lost; the user opens it.
const ADMITS_NOBODY: &str = "admit nobody to port";
/// Time between two of them: longer than anything is shown as it was.
const PAUSE: Duration = Duration::from_mins(15);

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Apply,
    Rollback,
    Destroy,
}

/// How a run ended.
enum Ended {
    /// There was nothing to do.
    Nothing,
    Killed,
    Refused(Refused),
    Failed(String),
    Well(OutcomeKind),
}

/// Changes a plan before it is carried out, to see that the properties notice.
pub(crate) type Tamper = fn(&mut Plan, &World);

/// What a schedule is made from.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) sorts: Sorts,
    pub(crate) keeps_log: bool,
    pub(crate) tamper: Option<Tamper>,
}

/// Goes through the schedule of a seed.
pub(crate) fn go(seed: u64, setting: Setting) -> Result<Tally, Broken> {
    let dice = Dice::new(seed);
    let habits = Habits::draw(&dice, setting.sorts.lags);
    let clock = SimClock::default();
    let world = World::first(clock.now());
    let wish = Wish::draw(&dice);
    let config = wish.config();
    let state = State::empty(config.name.clone(), "lineage-0".to_owned());
    let sim = Sim::new(dice, habits, world, state, clock, setting.keeps_log);
    let others = of_others(&sim.world.borrow());
    let mut schedule = Schedule {
        others,
        sim,
        setting,
        wish,
        config,
        recent: Vec::new(),
        is_settled: false,
        serves_any: false,
    };
    schedule.adopt_config();
    schedule.all();
    let Schedule { sim, .. } = schedule;
    let tally = sim.tally.get();
    match sim.violation.into_inner() {
        None => Ok(tally),
        Some(what) => Err(Broken {
            seed,
            what,
            log: sim.log.map(std::cell::RefCell::into_inner).unwrap_or_default(),
        }),
    }
}

struct Schedule {
    sim: Sim,
    setting: Setting,
    wish: Wish,
    config: Config,
    /// The configurations since nothing was left to do.
    recent: Vec<(Wish, Config)>,
    /// Nothing was left to do a moment ago.
    is_settled: bool,
    /// Visitors may be answered by any instance, as where they are led back.
    serves_any: bool,
    others: Vec<String>,
}

impl Schedule {
    fn all(&mut self) {
        let rounds = 1 + self.sim.dice.below(4);
        for round in 0..rounds {
            if round > 0 && self.setting.sorts.changes && self.sim.dice.chance(70) {
                self.change_config();
            }
            if round > 0 && self.setting.sorts.drift && self.sim.dice.chance(50) {
                self.sim.drift();
            }
            for _ in 0..=self.sim.dice.below(3) {
                self.troubled(Goal::Apply);
                if self.sim.is_over() {
                    return;
                }
                let pause = self.sim.dice.seconds(1200);
                self.sim.pass(pause);
                if self.setting.sorts.drift && self.sim.dice.chance(10) {
                    self.sim.drift();
                }
            }
            if round + 1 == rounds || self.sim.dice.chance(50) {
                self.settle();
            }
            if self.sim.is_over() {
                return;
            }
            if self.is_settled && self.setting.sorts.losses && self.sim.dice.chance(10) {
                self.lose_state();
            }
        }
        if self.setting.sorts.ends && self.sim.dice.chance(40) {
            self.end();
        }
    }

    /// A run in which something goes wrong.
    fn troubled(&mut self, goal: Goal) {
        let (dice, sorts) = (&self.sim.dice, self.setting.sorts);
        let faults = *dice.pick(&[0, 0, 2, 5, 20]).unwrap_or(&0);
        let full = *dice.pick(&[0, 0, 0, 3, 20]).unwrap_or(&0);
        let kill_at = dice.chance(50).then(|| dice.below(250));
        let stop_at = dice.chance(15).then(|| dice.below(150));
        let drift_at = dice.chance(20).then(|| dice.below(250));
        let (stopper, signal) = stop_signal();
        let trouble = Trouble {
            faults: if sorts.faults { faults } else { 0 },
            full: if sorts.store { full } else { 0 },
            kill_at: kill_at.filter(|_| sorts.kills),
            stop_at: stop_at.filter(|_| sorts.stops).map(|at| (at, stopper)),
            drift_at: drift_at.filter(|_| sorts.drift),
        };
        self.is_settled = false;
        self.sim.expect(trouble);
        let ended = self.run(goal, signal);
        if let Ended::Refused(refused) = ended {
            self.judge(&refused);
        }
    }

    fn run(&mut self, goal: Goal, stop: StopSignal) -> Ended {
        self.sim.count(|tally| tally.runs += 1);
        let ended = self.carry_out(goal, stop);
        self.sim.note(|| match &ended {
            Ended::Nothing => "nothing to do".to_owned(),
            Ended::Killed => "the run was killed".to_owned(),
            Ended::Refused(refused) => refused.to_string(),
            Ended::Failed(why) => format!("the run failed: {why}"),
            Ended::Well(kind) => format!("the run ended well: {kind:?}"),
        });
        self.sim.check_others(&self.others);
        ended
    }

    fn carry_out(&self, goal: Goal, stop: StopSignal) -> Ended {
        // What is stored can be read again.
        let state = State::read(&self.sim.stored.borrow().write().unwrap()).unwrap();
        let query = planner::query(&self.config, &state);
        let sim = &self.sim;
        let is_dead = || sim.killed.get() || sim.is_over();
        let observed: Observed = match time::run(&sim.clock, is_dead, sim.observe(&query)) {
            None => return Ended::Killed,
            Some(Err(error)) => return Ended::Failed(error.to_string()),
            Some(Ok(observed)) => observed,
        };
        let now = sim.clock.now();
        let plan = match goal {
            Goal::Apply => planner::plan(&self.config, &observed, &state, now),
            Goal::Rollback => planner::rollback(&self.config, &observed, &state, None),
            Goal::Destroy => planner::destroy(&self.config, &observed, &state, DestroyOptions::default(), now),
        };
        let mut plan = match plan {
            Ok(plan) => plan,
            Err(refused) => return Ended::Refused(refused),
        };
        if let Some(tamper) = self.setting.tamper {
            tamper(&mut plan, &sim.world.borrow());
        }
        sim.note(|| describe(&plan, goal));
        if plan.is_empty() {
            if goal == Goal::Apply {
                sim.excused.borrow_mut().clear();
            }
            return Ended::Nothing;
        }
        let options = Options {
            poll: PollIntervals {
                first: Duration::from_secs(5),
                most: Duration::from_mins(1),
                patience: Duration::from_mins(2),
            },
            stop,
            drain_wait: self.config.lockdown.wait,
            release: self.config.prove.deadlines.release,
            identity: observed.identity,
        };
        match time::run(&sim.clock, is_dead, apply(&plan, state, sim, &options)) {
            None => Ended::Killed,
            Some(Err(ApplyError::Order { left, .. })) => {
                sim.violate(format!("the plan has no order: {left:?}"));
                Ended::Failed("no order".to_owned())
            }
            Some(Err(error)) => Ended::Failed(chain(&error)),
            Some(Ok(Outcome { kind, done, .. })) => {
                if sim.trouble.borrow().full == 0 {
                    sim.check_recorded(&plan, &done);
                }
                if kind == OutcomeKind::Complete {
                    sim.check_visitors();
                }
                Ended::Well(kind)
            }
        }
    }

    /// Runs without troubles until nothing is left to do; gives whether that was reached with this goal.
    fn come_to_an_end(&mut self, goal: Goal) -> Result<(), Refused> {
        let mut last = String::new();
        for _ in 0..RUNS_TO_SETTLE {
            self.sim.pass(PAUSE);
            self.sim.expect(Trouble::default());
            match self.run(goal, StopSignal::never()) {
                Ended::Nothing | Ended::Killed => return Ok(()),
                Ended::Refused(refused) => return Err(refused),
                Ended::Failed(why) => last = why,
                Ended::Well(kind) => last = format!("{kind:?}"),
            }
        }
        self.sim.violate(format!(
            "not at its end after {RUNS_TO_SETTLE} runs without troubles: {last}"
        ));
        Ok(())
    }

    /// Runs without troubles until the cloud is as the configuration asks, with the ways out that a refusal tells.
    fn settle(&mut self) {
        for _ in 0..=self.recent.len() + 1 {
            match self.come_to_an_end(Goal::Apply) {
                Ok(()) => {
                    if !self.sim.is_over() {
                        self.sim.check_settled();
                        self.sim.check_visitors();
                        self.recent.clear();
                        self.adopt_config();
                        self.is_settled = true;
                    }
                    return;
                }
                Err(refused) => {
                    self.judge(&refused);
                    if self.sim.is_over() {
                        return;
                    }
                    if refused
                        .refusals
                        .iter()
                        .all(|refusal| refusal.reason.contains(LEADS_ELSEWHERE))
                    {
                        self.sim.note(|| "the user leads the names to the instances".to_owned());
                        lead_back_by_hand(&mut self.sim.world.borrow_mut(), &self.config, self.sim.clock.now());
                        self.adopt_config();
                        continue;
                    }
                    // What was begun comes to its end with the configuration that it was begun with.
                    let Some((wish, _)) = self.recent.iter().rev().find(|(wish, _)| *wish != self.wish).cloned() else {
                        self.sim.violate(format!("stuck: {refused}"));
                        return;
                    };
                    let at = self.recent.iter().position(|(other, _)| *other == self.wish);
                    if let Some(at) = at {
                        self.recent.remove(at);
                    }
                    self.sim.note(|| "back to an earlier configuration".to_owned());
                    self.take(wish);
                }
            }
        }
        self.sim.violate("no configuration can be brought to its end");
    }

    /// Refusals that tell the user to do something else first are as they should be.
    fn judge(&self, refused: &Refused) {
        const EXPECTED: [&str; 4] = [
            LEADS_ELSEWHERE,
            "gives up others at once",
            "an earlier replacement is not done with it yet",
            "AWS does not show it yet",
        ];
        for refusal in &refused.refusals {
            if !EXPECTED.iter().any(|expected| refusal.reason.contains(expected)) {
                self.sim
                    .violate(format!("refused: {}: {}", refusal.subject, refusal.reason));
            }
        }
    }

    /// The user wants something else.
    fn change_config(&mut self) {
        let next = self.wish.next(&self.sim.dice);
        if next != self.wish {
            self.take(next);
        }
    }

    fn take(&mut self, wish: Wish) {
        self.config = wish.config();
        self.wish = wish;
        self.adopt_config();
    }

    /// Leads names to where a configuration needs them, as its user does, and sets who may answer.
    fn adopt_config(&mut self) {
        self.sim
            .note(|| format!("the configuration is now\n{}", self.wish.text()));
        if self.recent.iter().all(|(wish, _)| *wish != self.wish) {
            self.recent.push((self.wish.clone(), self.config.clone()));
        }
        {
            let now = self.sim.clock.now();
            let mut world = self.sim.world.borrow_mut();
            lead_by_hand(&mut world, &self.config, now);
        }
        *self.sim.served.borrow_mut() = self.served();
        self.sim.excuse();
    }

    /// The names that all recent configurations have, with the instances of the sites that have or had them.
    fn served(&self) -> BTreeMap<DomainName, BTreeSet<InstanceId>> {
        let configs = || self.recent.iter().map(|(_, config)| config).chain([&self.config]);
        let sites = || configs().flat_map(|config| &config.sites);
        let mut owners: BTreeMap<DomainName, BTreeSet<&SiteName>> = BTreeMap::new();
        for (owner, site) in sites() {
            for name in site.names() {
                owners.entry(name.clone()).or_default().insert(owner);
            }
        }
        let everybody: BTreeSet<InstanceId> = self.sim.world.borrow().instances.keys().cloned().collect();
        let by = |owners: BTreeSet<&SiteName>| -> BTreeSet<InstanceId> {
            if self.serves_any {
                return everybody.clone();
            }
            let theirs = sites().filter(|(name, _)| owners.contains(name));
            theirs.flat_map(|(_, site)| site.instances.iter().cloned()).collect()
        };
        let mut served: BTreeMap<DomainName, BTreeSet<InstanceId>> =
            owners.into_iter().map(|(name, owners)| (name, by(owners))).collect();
        let has =
            |config: &Config, name: &DomainName| config.sites.values().flat_map(Site::names).any(|other| other == name);
        served.retain(|name, _| configs().all(|config| has(config, name)));
        served
    }

    /// The state file is gone; everything is found again by tags and names.
    fn lose_state(&mut self) {
        self.sim.note(|| "the state is lost".to_owned());
        self.sim.count(|tally| tally.losses += 1);
        let lineage = format!("lineage-{}", self.sim.dice.roll() % 1000);
        *self.sim.stored.borrow_mut() = State::empty(self.config.name.clone(), lineage);
        self.troubled(Goal::Apply);
        if !self.sim.is_over() {
            self.settle();
        }
    }

    /// Back to before, and forward again or away with everything.
    fn end(&mut self) {
        self.serves_any = true;
        *self.sim.served.borrow_mut() = self.served();
        self.sim.excuse_all(self.without_way_back());
        if self.sim.dice.chance(50) {
            for _ in 0..=self.sim.dice.below(2) {
                self.troubled_end(Goal::Rollback);
                let pause = self.sim.dice.seconds(1200);
                self.sim.pass(pause);
            }
            if !self.sim.is_over() {
                self.settle();
            }
            return;
        }
        self.troubled_end(Goal::Destroy);
        if self.sim.is_over() {
            return;
        }
        if !self.without_way_back().is_empty() {
            // Where nobody answers, visitors are not led; that is the user's to sort out.
            return;
        }
        let mut ended = self.come_to_an_end(Goal::Destroy);
        if let Err(refused) = &ended
            && refused
                .refusals
                .iter()
                .all(|refusal| refusal.reason.contains(ADMITS_NOBODY))
        {
            self.sim.note(|| format!("{refused}\nthe user opens the instances"));
            open_by_hand(&mut self.sim.world.borrow_mut(), &self.config, self.sim.clock.now());
            ended = self.come_to_an_end(Goal::Destroy);
        }
        match ended {
            Ok(()) if self.sim.is_over() => {}
            Ok(()) => self.sim.check_gone(),
            Err(refused) => self.sim.violate(format!("stuck: {refused}")),
        }
    }

    fn troubled_end(&mut self, goal: Goal) {
        let (dice, sorts) = (&self.sim.dice, self.setting.sorts);
        let faults = *dice.pick(&[0, 0, 2, 5]).unwrap_or(&0);
        let kill_at = dice.chance(60).then(|| dice.below(150));
        self.sim.expect(Trouble {
            faults: if sorts.faults { faults } else { 0 },
            kill_at: kill_at.filter(|_| sorts.kills),
            ..Trouble::default()
        });
        // That it is not known what stood there before is told to the user.
        self.run(goal, StopSignal::never());
    }

    /// The names of which the state does not remember that they led to an instance of today.
    fn without_way_back(&self) -> Vec<DomainName> {
        let world = self.sim.world.borrow();
        let instances = self.config.sites.values().flat_map(|site| &site.instances);
        let addresses: BTreeSet<String> = instances
            .filter_map(|id| world.instances[id].public_address.map(|address| address.to_string()))
            .collect();
        let stored = self.sim.stored.borrow();
        let saved = |name: &DomainName| stored.saved.get(&Address::new(Kind::AliasRecord, name.as_str()));
        let leads_back = |name: &DomainName| match saved(name).map(|saved| &saved.spec) {
            Some(Spec::AliasRecord(record)) => {
                let mut data = record.records.values();
                data.all(|data| data.alias.is_none() && data.values.iter().all(|value| addresses.contains(value)))
            }
            _ => false,
        };
        let names = self.config.sites.values().flat_map(Site::names);
        names.filter(|name| !leads_back(name)).cloned().collect()
    }
}
