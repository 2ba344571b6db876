//! Asks whether a plan may be carried out, and carries it out: what `apply`, `rollback` and `destroy` share.

use std::{cell::Cell, io};

use jiff::Timestamp;
use reconcile_aws::Aws;
use reconcile_core::plan::Plan;
use reconcile_engine::{
    ApplyError, Environment, FailedRun, Options, Outcome, OutcomeKind, PollIntervals, StopSignal, SystemClock, apply,
};

use super::session::{self, Session};
use crate::{
    args::CommonArgs,
    error::{CommandError, Failure},
    output::{self, Paint, Shell},
    progress::{Progress, UnderWay},
    render::{self, counted},
    store::Store,
    visit::SiteVisitor,
};

/// The one answer that lets a plan be carried out.
const CONSENT: &str = "yes";

/// Carries out the plan of a session and prints what came of it.
///
/// # Errors
/// If a step fails or the user stops the run; what is done is recorded and printed.
pub(super) async fn carry_out(
    session: &Session,
    visitor: &SiteVisitor,
    store: &Store,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Outcome, CommandError> {
    let run = Run {
        aws: &session.aws,
        visitor: visitor.clone(),
        store: store.clone(),
        clock: SystemClock,
        progress: UnderWay::new(Progress::new(shell, common.verbose > 0)),
    };
    let options = Options {
        poll: common
            .poll_interval
            .map_or_else(PollIntervals::default, |interval| PollIntervals {
                first: interval,
                most: interval,
                ..PollIntervals::default()
            }),
        stop: stop.clone(),
        drain_wait: session.config.lockdown.wait,
        release: session.config.prove.deadlines.release,
        identity: session.identity.clone(),
    };
    let unfinished = Unfinished {
        plan: &session.plan,
        under_way: &run.progress,
        paint: shell.err_paint(),
        is_over: Cell::new(false),
    };
    let result = apply(&session.plan, session.state.clone(), &run, &options).await;
    unfinished.is_over.set(true);
    match result {
        Ok(outcome) => {
            if let Some(events) = shell.events() {
                events.carried_out(&session.plan, &outcome);
            }
            shell.say(&render::applied(
                &session.plan,
                &outcome,
                session.cut,
                Timestamp::now(),
                shell.paint(),
            ));
            match outcome.kind {
                OutcomeKind::Complete | OutcomeKind::Later { .. } | OutcomeKind::StillInUse => Ok(outcome),
                OutcomeKind::Interrupted => Err(Failure::new("interrupted").into()),
            }
        }
        Err(error) => {
            let ApplyError::Steps(failed) = error else {
                return Err(error.into());
            };
            if let Some(events) = shell.events() {
                events.failed(&session.plan, failed.done.len(), &failed.left);
            }
            shell.say(&render::failed_run(&session.plan, &failed, shell.paint()));
            Err(failures(&session.plan, *failed))
        }
    }
}

/// A run of which nothing more is heard if it is dropped: a signal ends the program in its middle. Says what is under way.
struct Unfinished<'a> {
    plan: &'a Plan,
    under_way: &'a UnderWay<Progress>,
    paint: Paint,
    is_over: Cell<bool>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_over.get() {
            let steps = self.under_way.steps();
            output::note(&render::left_in_the_middle(self.plan, &steps, self.paint));
        }
    }
}

/// Why steps failed, under the titles that progress shows.
fn failures(plan: &Plan, run: FailedRun) -> CommandError {
    let titled = |failure: reconcile_engine::Failure| {
        let step = plan.steps.iter().find(|step| step.id == failure.step);
        (step.map_or_else(|| failure.to_string(), render::title), failure.error)
    };
    CommandError::Steps(std::iter::once(run.first).chain(run.others).map(titled).collect())
}

/// Whether the plan may be carried out.
#[derive(Debug)]
pub(super) enum Consent {
    /// It may.
    Given,
    /// It may not, for this reason.
    Refused(CommandError),
}

/// What is asked before a plan is carried out.
#[derive(Debug)]
pub(super) struct Question {
    text: String,
    answer: String,
}

impl Question {
    /// Whether this many steps may be done.
    pub(super) fn steps(steps: usize) -> Self {
        Self {
            text: question(steps),
            answer: CONSENT.to_owned(),
        }
    }

    /// Whether something else may be done, which `what` asks.
    pub(super) fn of(what: &str) -> Self {
        Self {
            text: format!("\n{what} Only '{CONSENT}' is accepted: "),
            answer: CONSENT.to_owned(),
        }
    }

    /// The same for what cannot simply be taken back: the name has to be typed.
    pub(super) fn name(what: &str, name: &str) -> Self {
        Self {
            text: format!("\n{what} Type the name of the stack, '{name}', to go on: "),
            answer: name.to_owned(),
        }
    }
}

/// Asks the user whether the plan may be carried out.
///
/// # Errors
/// If the terminal cannot be read, or a signal comes.
pub(super) async fn consent(
    question: Question,
    plan: &Plan,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Consent, CommandError> {
    let consent = ask(question, shell, stop).await?;
    if let (Some(events), Consent::Refused(_)) = (shell.events(), &consent) {
        events.declined(plan);
    }
    Ok(consent)
}

/// Asks the user what is about no plan.
///
/// # Errors
/// As [`consent`].
pub(super) async fn ask(question: Question, shell: &Shell, stop: &StopSignal) -> Result<Consent, CommandError> {
    if !shell.can_ask() {
        return Ok(Consent::Refused(
            Failure::new("nothing was changed: there is no terminal to ask on")
                .hint("run with `--yes` to go on unasked")
                .into(),
        ));
    }
    let Question { text, answer: wanted } = question;
    // A blocking read cannot be ended; a thread of its own is left behind with it.
    let reading = tokio::task::spawn_blocking(move || output::ask(&text));
    let answer = tokio::select! {
        answer = reading => answer.map_err(io::Error::other)??,
        () = stop.raised() => return Err(session::interrupted()),
    };
    if answer.is_none() {
        output::end_line();
    }
    Ok(judge(answer.as_deref(), &wanted))
}

fn question(steps: usize) -> String {
    let these = if steps == 1 { "this" } else { "these" };
    format!(
        "\nApply {these} {}? Only '{CONSENT}' is accepted: ",
        counted(steps, "step")
    )
}

fn judge(answer: Option<&str>, wanted: &str) -> Consent {
    match answer {
        Some(answer) if answer.trim() == wanted => Consent::Given,
        Some(_) => Consent::Refused(CommandError::Declined(format!(
            "Nothing was changed: the answer was not '{wanted}'."
        ))),
        None => Consent::Refused(CommandError::Declined(
            "Nothing was changed: there was no answer.".to_owned(),
        )),
    }
}

/// What the engine works with.
#[derive(Debug)]
struct Run<'a> {
    aws: &'a Aws,
    visitor: SiteVisitor,
    store: Store,
    clock: SystemClock,
    progress: UnderWay<Progress>,
}

impl Environment for Run<'_> {
    type Cloud = Aws;
    type Visitor = SiteVisitor;
    type Store = Store;
    type Clock = SystemClock;
    type Report = UnderWay<Progress>;

    fn cloud(&self) -> &Aws {
        self.aws
    }

    fn visitor(&self) -> &SiteVisitor {
        &self.visitor
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn clock(&self) -> &SystemClock {
        &self.clock
    }

    fn report(&self) -> &UnderWay<Progress> {
        &self.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_consent() {
        for answer in ["yes", " yes ", "yes\r"] {
            assert!(matches!(judge(Some(answer), CONSENT), Consent::Given), "{answer:?}");
        }
        for answer in [Some("y"), Some("YES"), Some("yes please"), Some(""), Some("no"), None] {
            assert!(matches!(judge(answer, CONSENT), Consent::Refused(_)), "{answer:?}");
        }
    }

    #[test]
    fn the_question_says_how_much_it_is_about() {
        assert_eq!(question(1), "\nApply this 1 step? Only 'yes' is accepted: ");
        assert_eq!(question(14), "\nApply these 14 steps? Only 'yes' is accepted: ");
    }
}
