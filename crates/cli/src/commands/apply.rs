//! `reconcile apply`, and `reconcile` alone: plan, show, ask, carry out.

use std::io;

use jiff::Timestamp;
use reconcile_aws::Aws;
use reconcile_core::plan::Plan;
use reconcile_engine::{
    ApplyError, Environment, FailedRun, Options, OutcomeKind, PollIntervals, StopSignal, SystemClock, apply,
};

use super::{
    session::{self, Session},
    verify,
};
use crate::{
    args::{ApplyArgs, CommonArgs},
    error::{CommandError, Ended, Failure},
    output::{self, Shell},
    progress::Progress,
    render::{self, counted},
    store::{Holder, Lock, StateFile},
    visit::SiteVisitor,
};

/// The one answer that lets a plan be carried out.
const CONSENT: &str = "yes";

/// Makes the plan, prints it, asks, and carries it out.
pub(super) async fn run(
    args: &ApplyArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    // What is wrong with the options is told before AWS is asked for anything.
    let visitor = session::visitor(common)?;
    let store = session::state_file(&config, common);
    let _lock = Lock::take(store.path(), &Holder::this("apply"))?;
    let state = store.read(&config.name)?;
    let session = Session::open(config, state, &args.plan, &visitor, stop).await?;
    session.print_plan(shell)?;
    if session.plan.is_empty() {
        return Ok(Ended::Well);
    }
    if !args.yes {
        match consent(session.plan.steps.len(), shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) if args.plan.detailed_exitcode => {
                output::note(&why.render(shell.err_paint()));
                return Ok(Ended::ChangesPending);
            }
            Consent::Refused(why) => return Err(why),
        }
    }
    let run = Run {
        aws: &session.aws,
        visitor,
        store,
        clock: SystemClock,
        progress: Progress::new(shell, common.verbose > 0),
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
        identity: session.identity.clone(),
    };
    match apply(&session.plan, session.state, &run, &options).await {
        Ok(outcome) => {
            output::print(&render::applied(
                &session.plan,
                &outcome,
                session.cut,
                Timestamp::now(),
                shell.paint(),
            ))?;
            match outcome.kind {
                OutcomeKind::Complete if verify::is_due(&session.config, &session.plan) => {
                    let state = run.store.read(&session.config.name)?;
                    verify::last_stage(&session.config, &state, &session.aws, &run.visitor, shell, stop).await
                }
                OutcomeKind::Complete | OutcomeKind::Later { .. } | OutcomeKind::StillInUse => Ok(Ended::Well),
                OutcomeKind::Interrupted => Err(Failure::new("interrupted").into()),
            }
        }
        Err(error) => {
            let ApplyError::Steps(failed) = error else {
                return Err(error.into());
            };
            output::print(&render::failed_run(&session.plan, &failed, shell.paint()))?;
            Err(failures(&session.plan, *failed))
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
enum Consent {
    Given,
    Refused(CommandError),
}

async fn consent(steps: usize, shell: &Shell, stop: &StopSignal) -> Result<Consent, CommandError> {
    if !shell.can_ask() {
        return Ok(Consent::Refused(
            Failure::new("nothing was changed: there is no terminal to ask on")
                .hint("run with `--yes` to carry the plan out unasked")
                .into(),
        ));
    }
    let question = question(steps);
    // A blocking read cannot be ended; a thread of its own is left behind with it.
    let reading = tokio::task::spawn_blocking(move || output::ask(&question));
    let answer = tokio::select! {
        answer = reading => answer.map_err(io::Error::other)??,
        () = stop.raised() => return Err(session::interrupted()),
    };
    if answer.is_none() {
        output::end_line();
    }
    Ok(judge(answer.as_deref()))
}

fn question(steps: usize) -> String {
    let these = if steps == 1 { "this" } else { "these" };
    format!(
        "\nApply {these} {}? Only '{CONSENT}' is accepted: ",
        counted(steps, "step")
    )
}

fn judge(answer: Option<&str>) -> Consent {
    match answer {
        Some(answer) if answer.trim() == CONSENT => Consent::Given,
        Some(_) => Consent::Refused(CommandError::Declined(format!(
            "Nothing was changed: the answer was not '{CONSENT}'."
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
    store: StateFile,
    clock: SystemClock,
    progress: Progress,
}

impl Environment for Run<'_> {
    type Cloud = Aws;
    type Visitor = SiteVisitor;
    type Store = StateFile;
    type Clock = SystemClock;
    type Report = Progress;

    fn cloud(&self) -> &Aws {
        self.aws
    }

    fn visitor(&self) -> &SiteVisitor {
        &self.visitor
    }

    fn store(&self) -> &StateFile {
        &self.store
    }

    fn clock(&self) -> &SystemClock {
        &self.clock
    }

    fn report(&self) -> &Progress {
        &self.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_consent() {
        for answer in ["yes", " yes ", "yes\r"] {
            assert!(matches!(judge(Some(answer)), Consent::Given), "{answer:?}");
        }
        for answer in [Some("y"), Some("YES"), Some("yes please"), Some(""), Some("no"), None] {
            assert!(matches!(judge(answer), Consent::Refused(_)), "{answer:?}");
        }
    }

    #[test]
    fn the_question_says_how_much_it_is_about() {
        assert_eq!(question(1), "\nApply this 1 step? Only 'yes' is accepted: ");
        assert_eq!(question(14), "\nApply these 14 steps? Only 'yes' is accepted: ");
    }
}
