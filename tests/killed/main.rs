//! The real binary is killed at every request that changes something in AWS, in every way, and carried on.
//!
//! One point alone, with the same before it and after it: `RECONCILE_KILL_AT=replacement:12:after`.
#![expect(clippy::unwrap_used, reason = "everything here is a test")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use plan::{Moment, Phase, Point, Schedule};
use stage::{Attempt, Stage};

mod judge;
mod plan;
mod stage;
#[path = "../end_to_end/support.rs"]
#[expect(dead_code, reason = "the end-to-end tests need more of it")]
mod support;

/// Emulated worlds that are used at the same time. One process waits for another most of the time.
const WORLDS: usize = 5;
/// Tries one point alone.
const ONE_POINT: &str = "RECONCILE_KILL_AT";
/// Tries a late request in a replacement too.
const WHOLE: &str = "RECONCILE_KILL_WHOLE";
/// Tells of each point as it passes.
const VERBOSE: &str = "RECONCILE_KILL_VERBOSE";

/// What came of all points.
#[derive(Debug, Default)]
struct Book {
    rows: BTreeMap<(Phase, Moment), Row>,
    /// By what the runs said that had to be followed by another.
    again: BTreeMap<String, Vec<Point>>,
    misses: Vec<String>,
    /// How many requests a phase has that is not killed.
    requests: BTreeMap<Phase, usize>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    tried: usize,
    converged: usize,
    orphans: usize,
    duplicates: usize,
    /// Converged, but not by the first run.
    again: usize,
}

struct Shared {
    schedule: Mutex<Schedule>,
    book: Mutex<Book>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Printed even when the test harness keeps what tests print.
fn tell(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_request_a_stack_is_carried_on_to_the_same_end() {
    let began = Instant::now();
    let only = std::env::var(ONE_POINT).ok().map(|text| {
        text.parse::<Point>()
            .unwrap_or_else(|error| panic!("{ONE_POINT}: {error}"))
    });
    let shared = Arc::new(Shared {
        schedule: Mutex::new(only.map_or_else(|| Schedule::all(std::env::var_os(WHOLE).is_some()), Schedule::only)),
        book: Mutex::default(),
    });
    let worlds = if only.is_some() { 1 } else { WORLDS };
    let workers: Vec<_> = (0..worlds).map(|_| tokio::spawn(work(Arc::clone(&shared)))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let book = locked(&shared.book);
    tell(&book.report(began.elapsed()));
    assert!(book.misses.is_empty(), "{}", book.misses.join("\n\n"));
    if only.is_none() {
        for (phase, moment) in locked(&shared.schedule).pairs() {
            let requests = book.requests[&phase];
            let tried = book.rows.get(&(phase, moment)).copied().unwrap_or_default().tried;
            assert!(
                tried >= requests,
                "{phase} has {requests} requests and was killed {moment} {tried} of them"
            );
        }
    }
}

/// Takes points until there are none left: a stack is applied, replaced and destroyed, and each of these killed once.
async fn work(shared: Arc<Shared>) {
    let mut stage = Stage::set().await;
    for phase in Phase::ALL {
        let requests = stage.requests(phase);
        locked(&shared.schedule).expect(phase, requests.len() as u64);
        let mut book = locked(&shared.book);
        let is_first = !book.requests.contains_key(&phase);
        let known = book.requests.entry(phase).or_insert(requests.len());
        // A deletion that AWS refuses for a moment is asked for twice.
        *known = requests.len().min(*known);
        drop(book);
        if is_first {
            tell_if_asked(&format!(
                "{phase}: {} requests: {}\n",
                requests.len(),
                requests.join(", ")
            ));
        }
    }
    loop {
        let points = {
            let mut schedule = locked(&shared.schedule);
            Phase::ALL.map(|phase| (phase, schedule.take(phase)))
        };
        if points.iter().all(|(_, point)| point.is_none()) {
            return;
        }
        let mut points = points.into_iter();
        while let Some((phase, point)) = points.next() {
            let Some(point) = point else {
                stage.live(phase).await;
                continue;
            };
            let began = Instant::now();
            let attempt = stage.attempt(point).await;
            let came_to = match &attempt {
                Ok(Attempt::EndedBefore) => "ended before",
                Ok(Attempt::Killed { request, .. }) => request,
                Err(miss) => &format!("{} MISSED", miss.request),
            };
            tell_if_asked(&format!("{point} {came_to} ({:.1} s)\n", began.elapsed().as_secs_f64()));
            let was_there = !matches!(attempt, Ok(Attempt::EndedBefore));
            locked(&shared.schedule).note(point, was_there);
            if !was_there {
                continue;
            }
            let failed = attempt.is_err();
            locked(&shared.book).enter(point, attempt);
            if failed {
                // What was left behind must not be blamed on other points.
                let left = points.filter_map(|(_, point)| point);
                left.for_each(|point| locked(&shared.schedule).put_back(point));
                stage = Stage::set().await;
                break;
            }
        }
    }
}

/// Progress, for who asks for it.
fn tell_if_asked(text: &str) {
    if std::env::var_os(VERBOSE).is_some() {
        tell(text);
    }
}

impl Book {
    fn enter(&mut self, point: Point, attempt: Result<Attempt, judge::Miss>) {
        let row = self.rows.entry((point.phase, point.moment)).or_default();
        row.tried += 1;
        match attempt {
            Ok(Attempt::EndedBefore) => {}
            Ok(Attempt::Killed { again, .. }) => {
                row.converged += 1;
                row.again += usize::from(!again.is_empty());
                for said in again {
                    self.again.entry(said).or_default().push(point);
                }
            }
            Err(miss) => {
                row.orphans += miss.orphans;
                row.duplicates += miss.duplicates;
                self.misses.push(format!(
                    "{ONE_POINT}={point} ({})\n{}",
                    miss.request,
                    miss.differences.join("\n")
                ));
            }
        }
    }

    fn report(&self, took: Duration) -> String {
        let mut text = String::from(
            "\nkilled at every request:\nphase        killed     tried  converged  orphans  duplicates  more than one run\n",
        );
        let mut all = Row::default();
        for ((phase, moment), row) in &self.rows {
            line(&mut text, &phase.to_string(), &moment.to_string(), *row);
            all.tried += row.tried;
            all.converged += row.converged;
            all.orphans += row.orphans;
            all.duplicates += row.duplicates;
            all.again += row.again;
        }
        line(&mut text, "all", "", all);
        for (said, points) in &self.again {
            let points: Vec<String> = points.iter().map(Point::to_string).collect();
            let _ = writeln!(
                text,
                "another run was needed at {}:\n{}",
                points.join(", "),
                said.trim()
            );
        }
        let _ = writeln!(text, "in {:.0} s", took.as_secs_f64());
        text
    }
}

fn line(text: &mut String, phase: &str, moment: &str, row: Row) {
    let Row {
        tried,
        converged,
        orphans,
        duplicates,
        again,
    } = row;
    let _ = writeln!(
        text,
        "{phase:12} {moment:9} {tried:6} {converged:10} {orphans:8} {duplicates:11} {again:18}"
    );
}
