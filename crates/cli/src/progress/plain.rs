//! Progress as lines: one when a step begins, one when it ends, and signs of life in long waits.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use reconcile_core::plan::{Step, StepId};
use reconcile_engine::Event;

use crate::{
    output::Paint,
    render::{clean, elapsed, title},
};

/// How often a wait gives a sign of life while nothing new is said.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Tells by lines.
#[derive(Debug)]
pub(crate) struct Plain {
    paint: Paint,
    running: Mutex<BTreeMap<StepId, Running>>,
}

#[derive(Debug)]
struct Running {
    since: Timestamp,
    told_at: Timestamp,
    /// What was said last, without its numbers: a countdown is no news.
    said: String,
}

impl Plain {
    pub(crate) fn new(paint: Paint) -> Self {
        Self {
            paint,
            running: Mutex::new(BTreeMap::new()),
        }
    }

    /// The lines for an event.
    pub(crate) fn lines(&self, step: &Step, at: Timestamp, event: Event<'_>) -> Vec<String> {
        let title = title(step);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut took = |id: StepId| {
            running
                .remove(&id)
                .map(|running| elapsed(since(running.since, at)))
                .unwrap_or_default()
        };
        let stage = self.paint.dim(&format!("{}:", step.stage));
        let line = match event {
            Event::Started => {
                running.insert(
                    step.id,
                    Running {
                        since: at,
                        told_at: at,
                        said: String::new(),
                    },
                );
                format!("{stage} {title} ...")
            }
            Event::Waiting { said, until } => {
                let Some(running) = running.get_mut(&step.id) else {
                    return Vec::new();
                };
                let news = without_numbers(said);
                if running.said == news && since(running.told_at, at) < HEARTBEAT {
                    return Vec::new();
                }
                running.said = news;
                running.told_at = at;
                let left = elapsed(since(at, until));
                format!(
                    "{stage} {title}: {} ({}, at most {left} more)",
                    clean(said),
                    elapsed(since(running.since, at))
                )
            }
            Event::Warning { text } => format!("{} {title}: {}", self.paint.yellow("warning:"), clean(text)),
            Event::Finished => format!("{stage} {title}: {} ({})", self.paint.green("done"), took(step.id)),
            Event::Left { why } => {
                took(step.id);
                format!(
                    "{stage} {title}: {}: {}",
                    self.paint.yellow("left for later"),
                    clean(why)
                )
            }
            Event::Failed { error } => {
                format!(
                    "{stage} {title}: {}: {} ({})",
                    self.paint.red("failed"),
                    clean(&error.to_string()),
                    took(step.id)
                )
            }
            _ => return Vec::new(),
        };
        vec![line]
    }
}

/// The time from `start` to `end`, none if they are the other way round.
pub(super) fn since(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use reconcile_engine::StepError;

    use super::*;
    use crate::render::tests::{create, wait};

    fn told(events: &[(&Step, u64, Event<'_>)]) -> Vec<String> {
        let plain = Plain::new(Paint::PLAIN);
        let at = |seconds: u64| Timestamp::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap();
        events
            .iter()
            .flat_map(|(step, seconds, event)| plain.lines(step, at(*seconds), *event))
            .collect()
    }

    #[test]
    fn each_step_has_a_line_when_it_begins_and_one_when_it_ends() {
        let (create, wait) = (create(1), wait(2));
        let failed = StepError::NotOurs {
            id: "sg-1\u{1b}".to_owned(),
        };
        let lines = told(&[
            (&create, 0, Event::Started),
            (&wait, 1, Event::Started),
            (&create, 3, Event::Warning { text: "look" }),
            (&create, 65, Event::Finished),
            (&wait, 66, Event::Failed { error: &failed }),
        ]);
        insta::assert_snapshot!(lines.join("\n"), @r#"
        prepare: create security_group.load_balancer ...
        prepare: wait until certificate.www is issued ...
        warning: create security_group.load_balancer: look
        prepare: create security_group.load_balancer: done (1m 5s)
        prepare: wait until certificate.www is issued: failed: `sg-1\u001B` is not deleted: the state does not know it as this stack's (1m 5s)
        "#);
    }

    #[test]
    fn a_wait_tells_news_at_once_and_else_shows_life_now_and_then() {
        let wait = wait(1);
        let until = Timestamp::UNIX_EPOCH.checked_add(Duration::from_mins(10)).unwrap();
        let waiting = |said| Event::Waiting { said, until };
        let lines = told(&[
            (&wait, 0, Event::Started),
            (&wait, 1, waiting("PENDING_VALIDATION, 9 to go")),
            (&wait, 2, waiting("PENDING_VALIDATION, 8 to go")),
            (&wait, 30, waiting("PENDING_VALIDATION, 7 to go")),
            (&wait, 32, waiting("PENDING_VALIDATION, 6 to go")),
            (&wait, 33, waiting("FAILED")),
            (&wait, 34, Event::Left { why: "it takes long" }),
        ]);
        insta::assert_snapshot!(lines.join("\n"), @r#"
        prepare: wait until certificate.www is issued ...
        prepare: wait until certificate.www is issued: PENDING_VALIDATION, 9 to go (1s, at most 9m 59s more)
        prepare: wait until certificate.www is issued: PENDING_VALIDATION, 6 to go (32s, at most 9m 28s more)
        prepare: wait until certificate.www is issued: FAILED (33s, at most 9m 27s more)
        prepare: wait until certificate.www is issued: left for later: it takes long
        "#);
    }
}
