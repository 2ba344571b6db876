//! The real planner and the real engine on a simulated cloud, in time that passes at once.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as the tests do")]

mod by_user;
mod checks;
mod cloud;
mod dice;
mod dns;
mod drift;
mod parts;
mod schedule;
mod shown;
mod sim;
mod sorts;
mod strict;
mod tampered;
#[path = "../it/simulation/time.rs"]
mod time;
mod visitors;
mod wish;
mod words;
mod world;

use std::{
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use schedule::{Setting, go};
use sim::Tally;
use sorts::Sorts;
use words::Broken;

/// How many schedules are gone through if nobody asks for another number.
const SCHEDULES: u64 = 600;
/// The first seed.
const FIRST: u64 = 1;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")),
    )
}

fn sorts() -> Sorts {
    let without = std::env::var("RECONCILE_SCHEDULES_WITHOUT").unwrap_or_default();
    without
        .split(',')
        .filter(|name| !name.is_empty())
        .fold(Sorts::ALL, Sorts::without)
}

fn add(sum: &mut Tally, tally: Tally) {
    sum.runs += tally.runs;
    sum.calls += tally.calls;
    sum.kills += tally.kills;
    sum.stops += tally.stops;
    sum.faults += tally.faults;
    sum.full += tally.full;
    sum.drifts += tally.drifts;
    sum.losses += tally.losses;
    sum.asked += tally.asked;
}

#[test]
fn every_schedule_comes_to_its_end_and_nobody_notices() {
    let sorts = sorts();
    let setting = Setting {
        sorts,
        keeps_log: false,
        tamper: None,
    };
    let only = number("RECONCILE_SCHEDULE");
    let schedules = only.map_or_else(|| number("RECONCILE_SCHEDULES").unwrap_or(SCHEDULES), |_| 1);
    let first = only.or_else(|| number("RECONCILE_SCHEDULES_FROM")).unwrap_or(FIRST);
    let (next, sum, broken) = (
        AtomicU64::new(first),
        Mutex::new(Tally::default()),
        Mutex::new(Vec::<Broken>::new()),
    );
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + schedules {
                        break;
                    }
                    match go(seed, setting) {
                        Ok(tally) => add(&mut sum.lock().unwrap(), tally),
                        Err(what) => broken.lock().unwrap().push(what),
                    }
                }
            });
        }
    });
    let (sum, mut broken) = (sum.into_inner().unwrap(), broken.into_inner().unwrap());
    broken.sort_by_key(|broken| broken.seed);
    let took = began.elapsed().as_secs_f64();
    writeln!(
        std::io::stderr(),
        "schedules: {schedules} ({} runs, {} calls that change something, {} kills, {} stops, {} faults, {} failed writes, {} \
         drifts, {} lost states, {} visitors), {} failures, {took:.0}s",
        sum.runs,
        sum.calls,
        sum.kills,
        sum.stops,
        sum.faults,
        sum.full,
        sum.drifts,
        sum.losses,
        sum.asked,
        broken.len(),
    )
    .unwrap();
    if let Some(first) = broken.first() {
        for broken in &broken {
            writeln!(std::io::stderr(), "{broken}").unwrap();
        }
        let again = go(
            first.seed,
            Setting {
                keeps_log: true,
                ..setting
            },
        );
        panic!("{}", again.unwrap_err());
    }
}
