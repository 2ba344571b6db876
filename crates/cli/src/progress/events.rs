//! A run told for programs: one JSON object a line on stdout, from its plan to its outcome, with signs of life between.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use reconcile_core::{
    check::{Check, Verdict, worst},
    plan::{Plan, Stage, Step, StepId},
    resource::Address,
};
use reconcile_engine::{Event, Outcome, OutcomeKind};
use serde::Serialize;

use super::plain::{since, without_numbers};
use crate::{
    error::{CommandError, Ended, ErrorReport},
    output,
    render::{self, PlanDocument},
};

/// The version of the lines.
const FORMAT_VERSION: u32 = 1;

/// Writes the events of one run.
#[derive(Debug)]
pub(crate) struct Events {
    began: Timestamp,
    heartbeat: Duration,
    told: Mutex<Told>,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Told {
    running: BTreeMap<StepId, Running>,
    end: Option<End>,
    /// Nobody reads any more. The run goes on all the same: it is not the reader's to end.
    unread: bool,
}

#[derive(Debug)]
struct Running {
    step: StepLine,
    since: Timestamp,
    said: Option<String>,
}

/// How carrying out ended.
#[derive(Debug, Clone)]
struct End {
    result: Outcomes,
    done: usize,
    left: Vec<StepLine>,
    not_before: Option<Timestamp>,
}

/// How a run ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcomes {
    /// There was nothing to do.
    NoChanges,
    /// A plan was shown, and that was all that was asked for.
    Planned,
    /// All steps are done.
    Complete,
    /// The rest is for a later run, not before a certain time.
    Later,
    /// The rest is for a later run: AWS still counts something as in use.
    StillInUse,
    /// All steps are done, and what was looked at from outside is not as it should be.
    NotVerified,
    /// The user ended it.
    Interrupted,
    /// Nobody said that the plan may be carried out.
    Declined,
    /// Steps failed.
    Failed,
    /// It failed before anything was changed.
    Error,
}

/// A step as every line about it names it.
#[derive(Debug, Clone, Serialize)]
struct StepLine {
    step: StepId,
    address: Address,
    stage: Stage,
    title: String,
}

impl StepLine {
    fn of(step: &Step) -> Self {
        Self {
            step: step.id,
            address: step.address.clone(),
            stage: step.stage,
            title: render::title(step),
        }
    }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    format_version: u32,
    at: Timestamp,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Plan {
        plan: &'a PlanDocument<'a>,
    },
    StepStarted {
        #[serde(flatten)]
        step: &'a StepLine,
    },
    StepWaiting {
        #[serde(flatten)]
        step: &'a StepLine,
        last_answer: &'a str,
        elapsed_seconds: u64,
        deadline: Timestamp,
    },
    StepWarning {
        #[serde(flatten)]
        step: &'a StepLine,
        message: &'a str,
    },
    StepFinished {
        #[serde(flatten)]
        step: &'a StepLine,
        elapsed_seconds: u64,
    },
    StepLeft {
        #[serde(flatten)]
        step: &'a StepLine,
        reason: &'a str,
        elapsed_seconds: u64,
    },
    StepFailed {
        #[serde(flatten)]
        step: &'a StepLine,
        error: ErrorReport,
        elapsed_seconds: u64,
    },
    Heartbeat {
        elapsed_seconds: u64,
        running: Vec<Beat<'a>>,
    },
    Checks {
        verdict: Verdict,
        checks: &'a [Check],
    },
    Error {
        error: ErrorReport,
    },
    Outcome {
        result: Outcomes,
        exit_code: u8,
        steps_done: usize,
        steps_left: &'a [StepLine],
        #[serde(skip_serializing_if = "Option::is_none")]
        not_before: Option<Timestamp>,
        elapsed_seconds: u64,
    },
}

/// A step that is under way.
#[derive(Debug, Serialize)]
struct Beat<'a> {
    #[serde(flatten)]
    step: &'a StepLine,
    elapsed_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_answer: Option<&'a str>,
}

impl Events {
    /// Events with a sign of life this often.
    pub(crate) fn new(heartbeat: Duration) -> Self {
        Self {
            began: Timestamp::now(),
            heartbeat,
            told: Mutex::default(),
        }
    }

    /// Writes signs of life, for as long as it is polled.
    pub(crate) async fn beat(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(self.heartbeat).await;
            let now = Timestamp::now();
            let mut told = self.told();
            let line = self.heartbeat_line(&told, now);
            told.write(&line);
        }
    }

    fn heartbeat_line(&self, told: &Told, now: Timestamp) -> String {
        let running = told.running.values().map(|running| Beat {
            step: &running.step,
            elapsed_seconds: since(running.since, now).as_secs(),
            last_answer: running.said.as_deref(),
        });
        line(
            now,
            Content::Heartbeat {
                elapsed_seconds: since(self.began, now).as_secs(),
                running: running.collect(),
            },
        )
    }

    /// The plan, before anything of it is done.
    pub(crate) fn plan(&self, plan: &PlanDocument<'_>) {
        self.write(Timestamp::now(), Content::Plan { plan });
    }

    /// The plan has no steps.
    pub(crate) fn no_changes(&self) {
        self.ended(Outcomes::NoChanges, 0, Vec::new(), None);
    }

    /// The plan was only shown.
    pub(crate) fn planned(&self, plan: &Plan) {
        self.ended(
            Outcomes::Planned,
            0,
            plan.steps.iter().map(StepLine::of).collect(),
            None,
        );
    }

    /// Nobody said that the plan may be carried out.
    pub(crate) fn declined(&self, plan: &Plan) {
        self.ended(
            Outcomes::Declined,
            0,
            plan.steps.iter().map(StepLine::of).collect(),
            None,
        );
    }

    /// The plan was carried out as far as it could be.
    pub(crate) fn carried_out(&self, plan: &Plan, outcome: &Outcome) {
        let (result, not_before) = match outcome.kind {
            OutcomeKind::Complete => (Outcomes::Complete, None),
            OutcomeKind::Later { not_before } => (Outcomes::Later, Some(not_before)),
            OutcomeKind::StillInUse => (Outcomes::StillInUse, None),
            OutcomeKind::Interrupted => (Outcomes::Interrupted, None),
        };
        self.ended(result, outcome.done.len(), lines_of(plan, &outcome.left), not_before);
    }

    /// Steps failed.
    pub(crate) fn failed(&self, plan: &Plan, done: usize, left: &[StepId]) {
        self.ended(Outcomes::Failed, done, lines_of(plan, left), None);
    }

    fn ended(&self, result: Outcomes, done: usize, left: Vec<StepLine>, not_before: Option<Timestamp>) {
        self.told().end = Some(End {
            result,
            done,
            left,
            not_before,
        });
    }

    /// What was seen from outside at the end.
    pub(crate) fn checks(&self, checks: &[Check]) {
        let verdict = worst(checks);
        self.write(Timestamp::now(), Content::Checks { verdict, checks });
    }

    /// Something happened to a step.
    pub(crate) fn event(&self, step: &Step, at: Timestamp, event: Event<'_>) {
        let mut told = self.told();
        let step = &StepLine::of(step);
        let content = match event {
            Event::Started => {
                let running = Running {
                    step: step.clone(),
                    since: at,
                    said: None,
                };
                told.running.insert(step.step, running);
                Content::StepStarted { step }
            }
            Event::Waiting { said, until } => {
                let Some(running) = told.running.get_mut(&step.step) else {
                    return;
                };
                let before = running.said.replace(said.to_owned());
                // A countdown is no news; signs of life have the last answer too.
                if before.is_some_and(|before| without_numbers(&before) == without_numbers(said)) {
                    return;
                }
                Content::StepWaiting {
                    step,
                    last_answer: said,
                    elapsed_seconds: since(running.since, at).as_secs(),
                    deadline: until,
                }
            }
            Event::Warning { text } => Content::StepWarning { step, message: text },
            Event::Finished => Content::StepFinished {
                step,
                elapsed_seconds: told.took(step.step, at),
            },
            Event::Left { why } => Content::StepLeft {
                step,
                reason: why,
                elapsed_seconds: told.took(step.step, at),
            },
            Event::Failed { error } => Content::StepFailed {
                step,
                error: ErrorReport::of_step(error),
                elapsed_seconds: told.took(step.step, at),
            },
            _ => return,
        };
        told.write(&line(at, content));
    }

    /// The last lines: why the command failed, if it did, and how all of it ended.
    pub(crate) fn end(&self, result: &Result<Ended, CommandError>) {
        let now = Timestamp::now();
        if let Err(error) = result
            && let Some(error) = error.report()
        {
            self.write(now, Content::Error { error });
        }
        let end = self.told().end.clone().unwrap_or(End {
            result: Outcomes::Error,
            done: 0,
            left: Vec::new(),
            not_before: None,
        });
        let (word, exit_code) = match result {
            Ok(ended @ Ended::AtOnce(_)) => (Outcomes::Interrupted, ended.exit_code()),
            Ok(ended) => (end.result, ended.exit_code()),
            // It failed between the plan and its first step.
            Err(error) if end.result == Outcomes::Planned => (Outcomes::Error, error.exit_code()),
            Err(error) if end.result == Outcomes::Complete => (Outcomes::NotVerified, error.exit_code()),
            Err(error) => (end.result, error.exit_code()),
        };
        self.write(
            now,
            Content::Outcome {
                result: word,
                exit_code,
                steps_done: end.done,
                steps_left: &end.left,
                not_before: end.not_before,
                elapsed_seconds: since(self.began, now).as_secs(),
            },
        );
    }

    fn write(&self, at: Timestamp, content: Content<'_>) {
        self.told().write(&line(at, content));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn took(&mut self, step: StepId, at: Timestamp) -> u64 {
        let began = self.running.remove(&step);
        began.map_or(0, |running| since(running.since, at).as_secs())
    }

    fn write(&mut self, line: &str) {
        if self.unread {
            return;
        }
        if let Err(error) = output::print(line) {
            self.unread = true;
            // Who closed the pipe wants to hear no more.
            if error.kind() != ErrorKind::BrokenPipe {
                output::note(&format!("warning: events cannot be written any more: {error}\n"));
            }
        }
    }
}

fn line(at: Timestamp, content: Content<'_>) -> String {
    let line = Line {
        format_version: FORMAT_VERSION,
        at,
        content,
    };
    // Structs of strings, numbers, lists and maps with string keys always serialise.
    render::json_line(&line).unwrap_or_default()
}

fn lines_of(plan: &Plan, steps: &[StepId]) -> Vec<StepLine> {
    let steps = steps
        .iter()
        .filter_map(|id| plan.steps.iter().find(|step| step.id == *id));
    steps.map(StepLine::of).collect()
}
