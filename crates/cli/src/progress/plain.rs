//! Progress as lines: one when a change begins, one when a step ends, news and signs of life in long waits.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use reconcile_core::plan::{Action, Step, StepId};
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
            let began = running.remove(&id).map(|running| running.since);
            began.map(|began| took(began, at)).unwrap_or_default()
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
                // The first look at what is waited for says more, or is the end of it.
                if let Action::Wait { .. } = step.action {
                    return Vec::new();
                }
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
                let (waited, left) = (since(running.since, at), elapsed(since(at, until)));
                let waited = if waited.as_secs() == 0 {
                    String::new()
                } else {
                    format!("{}, ", elapsed(waited))
                };
                format!("{stage} {title}: {} ({waited}at most {left} more)", clean(said))
            }
            Event::Warning { text } => format!("{} {title}: {}", self.paint.yellow("warning:"), clean(text)),
            Event::Finished => format!("{stage} {title}: {}{}", self.paint.green("done"), took(step.id)),
            Event::Left { why } => {
                took(step.id);
                format!(
                    "{stage} {title}: {}: {}",
                    self.paint.yellow("left for later"),
                    clean(why)
                )
            }
            // Why is told when the run has ended.
            Event::Failed { .. } => format!("{stage} {title}: {}{}", self.paint.red("failed"), took(step.id)),
            _ => return Vec::new(),
        };
        vec![line]
    }
}

/// The time from `start` to `end`, none if they are the other way round.
pub(super) fn since(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}

/// How long something took, in brackets to be put behind it; nothing for what took no second.
pub(super) fn took(began: Timestamp, ended: Timestamp) -> String {
    let took = since(began, ended);
    if took.as_secs() == 0 {
        String::new()
    } else {
        format!(" ({})", elapsed(took))
    }
}

/// What was said without its countdowns.
pub(super) fn without_numbers(text: &str) -> String {
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
    fn a_change_has_a_line_when_it_begins_and_each_step_one_when_it_ends() {
        let (create, wait) = (create(1), wait(2));
        let failed = StepError::NotOurs { id: "sg-1".to_owned() };
        let lines = told(&[
            (&create, 0, Event::Started),
            (&wait, 1, Event::Started),
            (&create, 3, Event::Warning { text: "look" }),
            (&create, 65, Event::Finished),
            (&create, 65, Event::Started),
            (&create, 65, Event::Finished),
            (&wait, 66, Event::Failed { error: &failed }),
        ]);
        insta::assert_snapshot!(lines.join("\n"), @r#"
        prepare: create security_group.load_balancer ...
        warning: create security_group.load_balancer: look
        prepare: create security_group.load_balancer: done (1m 5s)
        prepare: create security_group.load_balancer ...
        prepare: create security_group.load_balancer: done
        prepare: wait until certificate.www is issued: failed (1m 5s)
        "#);
    }

    #[test]
    fn a_wait_tells_news_at_once_and_else_shows_life_now_and_then() {
        let wait = wait(1);
        let until = Timestamp::UNIX_EPOCH.checked_add(Duration::from_mins(10)).unwrap();
        let waiting = |said| Event::Waiting { said, until };
        let lines = told(&[
            (&wait, 0, Event::Started),
            (&wait, 0, waiting("PENDING_VALIDATION, 9 to go")),
            (&wait, 2, waiting("PENDING_VALIDATION, 8 to go")),
            (&wait, 30, waiting("PENDING_VALIDATION, 7 to go")),
            (&wait, 32, waiting("PENDING_VALIDATION, 6 to go")),
            (&wait, 33, waiting("FAILED")),
            (&wait, 34, Event::Left { why: "it takes long" }),
        ]);
        insta::assert_snapshot!(lines.join("\n"), @r#"
        prepare: wait until certificate.www is issued: PENDING_VALIDATION, 9 to go (at most 10m 0s more)
        prepare: wait until certificate.www is issued: PENDING_VALIDATION, 7 to go (30s, at most 9m 30s more)
        prepare: wait until certificate.www is issued: FAILED (33s, at most 9m 27s more)
        prepare: wait until certificate.www is issued: left for later: it takes long
        "#);
    }
}
