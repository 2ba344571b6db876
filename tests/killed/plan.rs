//! Which points there are: at each request that changes something, in each phase, in each way.

use std::{collections::BTreeMap, fmt, str::FromStr};

use reconcile_emulator::Gate;

/// A part of the life of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Apply,
    Replacement,
    Destroy,
}

impl Phase {
    /// In the order of a life.
    pub(crate) const ALL: [Self; 3] = [Self::Apply, Self::Replacement, Self::Destroy];

    fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Replacement => "replacement",
            Self::Destroy => "destroy",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// When a process is killed, seen from one of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// It is not carried out.
    Before,
    /// It is carried out, and nobody hears the answer.
    After,
    /// The answer is in the state file, and the next request is not carried out.
    Answered,
    /// It is carried out when the next process has made its plan and begins to change something.
    Late,
}

impl Moment {
    pub(crate) const ALL: [Self; 4] = [Self::Before, Self::After, Self::Answered, Self::Late];

    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Answered => "answered",
            Self::Late => "late",
        }
    }

    pub(crate) fn gate(self) -> Gate {
        match self {
            Self::Before => Gate::Before,
            Self::After => Gate::After,
            Self::Answered => Gate::Answered,
            Self::Late => Gate::Late,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// One place to kill at. Written as `replacement:12:after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) phase: Phase,
    /// The request, counted from 1 within its phase.
    pub(crate) at: u64,
    pub(crate) moment: Moment,
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.phase, self.at, self.moment)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || format!("`{text}` is not a point such as `replacement:12:after`");
        let [phase, at, moment] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(problem());
        };
        Ok(Self {
            phase: Phase::ALL
                .into_iter()
                .find(|known| known.name() == phase)
                .ok_or_else(problem)?,
            at: at.parse().ok().filter(|at| *at > 0).ok_or_else(problem)?,
            moment: Moment::ALL
                .into_iter()
                .find(|known| known.name() == moment)
                .ok_or_else(problem)?,
        })
    }
}

/// Hands points out, each once. How many there are is not known before: a phase is over when it ends by itself before it
/// comes to the request.
#[derive(Debug)]
pub(crate) struct Schedule {
    rows: BTreeMap<(Phase, Moment), Row>,
    /// How many requests each phase has when it is not killed.
    expected: BTreeMap<Phase, u64>,
    /// Points that were handed out and not come to.
    left: Vec<Point>,
}

#[derive(Debug)]
struct Row {
    next: u64,
    last: u64,
    /// Whether somebody is finding out if a request that nobody expects is there.
    is_asked: bool,
}

impl Schedule {
    /// All points; with `is_whole` those of a late request in a replacement too, which cost a third of the time.
    pub(crate) fn all(is_whole: bool) -> Self {
        let pairs = Phase::ALL
            .into_iter()
            .flat_map(|phase| Moment::ALL.map(|moment| (phase, moment)))
            .filter(|pair| is_whole || *pair != (Phase::Replacement, Moment::Late));
        Self::of(pairs.map(|pair| (pair, 1, u64::MAX)))
    }

    /// One point.
    pub(crate) fn only(point: Point) -> Self {
        Self::of([((point.phase, point.moment), point.at, point.at)])
    }

    fn of(rows: impl IntoIterator<Item = ((Phase, Moment), u64, u64)>) -> Self {
        let row = |next, last| Row {
            next,
            last,
            is_asked: false,
        };
        Self {
            rows: rows
                .into_iter()
                .map(|(pair, next, last)| (pair, row(next, last)))
                .collect(),
            expected: BTreeMap::new(),
            left: Vec::new(),
        }
    }

    /// The phases and moments that points are handed out for.
    pub(crate) fn pairs(&self) -> Vec<(Phase, Moment)> {
        self.rows.keys().copied().collect()
    }

    /// Says how many requests a phase has when it is not killed.
    pub(crate) fn expect(&mut self, phase: Phase, requests: u64) {
        self.expected.insert(phase, requests);
    }

    /// The next point of a phase.
    pub(crate) fn take(&mut self, phase: Phase) -> Option<Point> {
        if let Some(index) = self.left.iter().position(|point| point.phase == phase) {
            return Some(self.left.swap_remove(index));
        }
        let (&(phase, moment), row) = self
            .rows
            .iter_mut()
            .find(|((of, _), row)| *of == phase && row.next <= row.last && !row.is_asked)?;
        let at = row.next;
        row.next += 1;
        // One is enough to find out that there are no more.
        row.is_asked = self.expected.get(&phase).is_some_and(|expected| at > *expected);
        Some(Point { phase, at, moment })
    }

    /// Takes back a point that was handed out.
    pub(crate) fn put_back(&mut self, point: Point) {
        self.left.push(point);
    }

    /// Says whether the phase came to a point, or ended before.
    pub(crate) fn note(&mut self, point: Point, was_there: bool) {
        if let Some(row) = self.rows.get_mut(&(point.phase, point.moment)) {
            if point.at + 1 == row.next {
                row.is_asked = false;
            }
            if !was_there {
                row.last = 0;
            }
        }
    }
}

#[test]
fn a_point_is_read_as_it_is_written() {
    let point = Point {
        phase: Phase::Replacement,
        at: 12,
        moment: Moment::After,
    };
    assert_eq!(point.to_string(), "replacement:12:after");
    assert_eq!("replacement:12:after".parse(), Ok(point));
    for wrong in ["replacement:0:after", "replacement:12", "move:1:after", "apply:1:never"] {
        assert!(wrong.parse::<Point>().is_err(), "{wrong}");
    }
}

#[test]
fn points_end_where_a_phase_ends_before_and_only_one_finds_out() {
    let mut schedule = Schedule::all(false);
    schedule.expect(Phase::Destroy, 2);
    let points: Vec<Point> = (0..3).filter_map(|_| schedule.take(Phase::Destroy)).collect();
    assert_eq!(points[2].to_string(), "destroy:3:before");
    schedule.note(points[1], true);
    assert_eq!(schedule.take(Phase::Destroy).unwrap().to_string(), "destroy:1:after");
    // There is a third one after all.
    schedule.note(points[2], true);
    let fourth = schedule.take(Phase::Destroy).unwrap();
    assert_eq!(fourth.to_string(), "destroy:4:before");
    schedule.note(fourth, false);
    assert_eq!(schedule.take(Phase::Destroy).unwrap().to_string(), "destroy:2:after");
}
